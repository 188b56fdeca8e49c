# SPDX-License-Identifier: GPL-2.0-or-later
"""All cases of the protocol, in the order of the documentation."""

import cases_syntax     # noqa: F401
import cases_session    # noqa: F401
import cases_batch      # noqa: F401
import cases_oob        # noqa: F401
import cases_commands   # noqa: F401
import cases_migration  # noqa: F401
from case import ALL    # noqa: F401
