#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# parallel-safe
# builds: build
# timeout: 600
"""The yank core fits QEMU trees, old and new, and "make series" makes a patch
series of it.  The trees are stand-ins."""

import os
import pathlib
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from paths import TOP, yankd
from qemu_tree import QemuTree
from suite import run, test

OLD, NEW = '7.2.0', '10.2.0'
BRANCH = 'yank-core'
CORE = ('include/qemu/yank.h', 'qapi/yank.json', 'tests/unit/test-yank.c',
        'util/yank.c')
COMMITS = [
    ('yank: declare what a yank function may do and what it reports',
     ['include/qemu/yank.h']),
    ('yank: lock each instance on its own and report what was cut',
     ['qapi/yank.json', 'util/yank.c']),
    ('tests/unit: test the yank registry itself',
     ['MAINTAINERS', 'tests/unit/meson.build',
      'tests/unit/test-yank-chardev.c', 'tests/unit/test-yank.c']),
    ('docs/devel: describe the yank registry',
     ['MAINTAINERS', 'docs/devel/index-internals.rst',
      'docs/devel/yank.rst']),
]
# A comment of a schema, and the releases that accept it.
COMMENTS = [
    ('# @a:\n#\n# Text.\n#\n# @bcd: text\n#     more', [NEW]),
    ('# @a:\n#\n# @b: text\n#     more\n#   less', []),
    ('# @a:\n#\n# @b: text\n#     more\n#     more', [OLD, NEW]),
    ('# @a:\n#\n# Returns: text\n#\n# Text.', [NEW]),
    ('# @a:\n#\n# Returns:\n#     text\n#\n# Text.', [OLD, NEW]),
    ('# @a:\n#\n# Returns:\n# text', [OLD]),
    ('# @a:\n#\n# Example:\n#\n# -> {}', [OLD]),
    ('# @a:\n#\n# Example::\n#\n#     -> {}\n#\n# Since: 6.0', [OLD, NEW]),
    ('# @a:\n#\n# Note: text', [OLD]),
    ('# @a:\n#\n# Since: 6.0\n#\n# @b: text', []),
    ('# @a:\n#\n# Returns: text\n#\n# Errors:\n#     - text', [NEW]),
    ('# @a:\n#\n# @b: text\n#\n# Text.\n#\n# Returns: text', [OLD]),
    ('# @a:\n#\n# ' + 69 * 'x', [OLD]),
    ('# @a:\n#\n# One. Two.', [OLD]),
]


def series(path, out, **environment):
    """(exit status, output) of the command."""
    result = subprocess.run(
        ['make', '--no-print-directory', '-C', TOP, 'series', f'QEMU={path}',
         f'SERIES={out}'],
        env=dict(QemuTree.environment(), **environment), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return result.returncode, result.stdout


def made(box, version):
    """A tree in which the series was made, and the folder of the patches."""
    tree = QemuTree(box.path('qemu'), version)
    out = pathlib.Path(box.path('series'))
    status, output = series(tree.path, out)
    assert status == 0, output
    return tree, out


def refused(tree, out, text, **environment):
    before = tree.git('for-each-ref')
    status, output = series(tree.path, out, **environment)
    assert status != 0 and text in output, output
    assert tree.git('for-each-ref') == before
    assert not os.path.exists(out)


def files_and_times(folder):
    """All files, except for git's objects and logs, and when they were
    written."""
    return {str(path): path.stat().st_mtime_ns
            for path in pathlib.Path(folder).rglob('*')
            if path.is_file() and not {'objects', 'logs'} & set(path.parts)}


def builds_at_each_commit(box, version):
    tree, _ = made(box, version)
    commits = tree.git('rev-list', '--reverse', f'master~0..{BRANCH}').split()
    assert len(commits) == len(COMMITS), commits
    for number, commit in enumerate(['master', *commits]):
        tree.git('checkout', '--quiet', commit)
        folder = box.path(f'build{number}')
        os.mkdir(folder)
        told = tree.build(folder, os.path.dirname(yankd()))
        with_test = number >= 3
        assert ('test-yank-chardev' in told) == with_test, told
        assert ('ok 1 /yank/register' in told['test-yank']) == with_test
    for name in CORE + ('docs/devel/yank.rst',):
        assert (tree.path / name).read_bytes() == \
            pathlib.Path(TOP, name).read_bytes(), name


@test('a series for a tree like QEMU 7.2 builds at each commit', seconds=240)
def _(box):
    builds_at_each_commit(box, OLD)


@test('a series for a tree like QEMU 10.2 builds at each commit', seconds=240)
def _(box):
    builds_at_each_commit(box, NEW)


@test('commits, author and cover letter', seconds=60)
def _(box):
    tree, out = made(box, NEW)
    revisions = tree.git('rev-list', '--reverse', f'master..{BRANCH}').split()
    found = []
    for revision in revisions:
        who, subject, body = tree.git(
            'show', '-s', '--format=%an <%ae>%n%s%n%b', revision
        ).split('\n', 2)
        assert who == 'Jörg Ünal <joerg@example.org>', who
        assert len(body.split()) > 30, body
        names = tree.git('diff', '--name-only', f'{revision}~', revision)
        found.append((subject, names.split()))
    assert found == COMMITS, found
    patches = sorted(path.name for path in out.iterdir())
    assert len(patches) == 1 + len(COMMITS), patches
    letter = (out / patches[0]).read_text(encoding='utf-8')
    assert 'Subject: [PATCH 0/4] yank: ' in letter, letter
    for word in ('Locking', 'No aborts', 'truthful', 'glib-2.0', 'meson',
                 'ninja', 'libslirp', 'pixman', 'Jörg Ünal (4):'):
        assert word in letter, word


@test('the branch is all that is written', seconds=60)
def _(box):
    tree = QemuTree(box.path('qemu'), NEW)
    before = files_and_times(tree.path)
    status, output = series(tree.path, box.path('series'),
                            GIT_AUTHOR_NAME='Somebody Else')
    assert status == 0, output
    after = files_and_times(tree.path)
    assert set(after) - set(before) == {
        str(tree.path / '.git/refs/heads' / BRANCH)}, after
    assert {name: after[name] for name in before} == before
    assert 'Jörg' in tree.git('log', '-1', '--format=%an', BRANCH)
    assert 'Jörg' in tree.git('log', '-1', '--format=%cn', BRANCH)


@test('a tree in which work would be lost or mixed is refused', seconds=60)
def _(box):
    tree = QemuTree(box.path('qemu'), NEW)
    out = box.path('series')
    (tree.path / 'notes').write_text('mine')
    refused(tree, out, '?? notes')
    (tree.path / 'notes').unlink()
    (tree.path / 'util/yank.c').write_text('mine')
    refused(tree, out, ' M util/yank.c')
    tree.git('add', 'util/yank.c')
    refused(tree, out, 'M  util/yank.c')
    tree.git('reset', '--quiet', '--hard')
    tree.git('branch', BRANCH)
    refused(tree, out, f"has a branch '{BRANCH}' already")
    tree.git('branch', '-D', BRANCH)
    tree.git('config', '--unset', 'user.email')
    refused(tree, out, "set 'user.name' and 'user.email'",
            GIT_AUTHOR_EMAIL='a@b', GIT_COMMITTER_EMAIL='a@b')
    tree.git('config', 'user.email', 'joerg@example.org')
    status, output = series(tree.path, out)
    assert status == 0, output
    tree.git('checkout', '--quiet', BRANCH)
    status, output = series(tree.path, out)
    assert status != 0 and 'already' in output, output


@test('what is no QEMU tree is refused', seconds=60)
def _(box):
    out = box.path('series')
    for path, text in (('', 'QEMU is not set'),
                       (box.path('none'), 'is not a directory'),
                       (box.dir, 'not a git repository')):
        status, output = series(path, out, GIT_CEILING_DIRECTORIES='/')
        assert status != 0 and text in output, output
    tree = QemuTree(box.path('qemu'), OLD)
    status, output = series(tree.path / 'util', out)
    assert status != 0 and 'is not the top of its git tree' in output, output
    tree.git('rm', '--quiet', 'qapi/yank.json')
    tree.git('commit', '--quiet', '--message=no yank')
    refused(tree, out, "'qapi/yank.json' is missing")


@test('the stand-ins refuse what their releases refuse')
def _(box):
    trees = {version: QemuTree(box.path(version), version)
             for version in (OLD, NEW)}
    for text, takes in COMMENTS:
        found = {version: tree.faults(f'##\n{text}\n##\n')
                 for version, tree in trees.items()}
        assert [version for version in found if not found[version]] == takes, \
            (text, found)


run()
