# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the programs under test and the tools are."""

import os
import shutil

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))


def _built(folder):
    return os.path.join(TOP, folder, 'yankd')


def yankd():
    """The release build, or what YANKD names."""
    return os.environ.get('YANKD') or _built('build')


def yankd_debug():
    """The build with all checks and sanitizers, or what YANKD_DEBUG names."""
    return os.environ.get('YANKD_DEBUG') or _built('build-debug')


def tool(name):
    """The path of a program; None when it is not installed."""
    if os.path.isabs(name):
        return name if os.access(name, os.X_OK) else None
    return shutil.which(name)
