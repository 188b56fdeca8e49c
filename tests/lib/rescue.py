# SPDX-License-Identifier: GPL-2.0-or-later
"""A hang and the way out of it, with the deadlines that yankd promises."""

import time

from sandbox import wait_for
from suite import slowness

# Seconds from the yank to the main loop answering in-band.
RESCUE = 0.2
# Seconds that an out-of-band command may take during the hang.
OOB = 0.05


def node(name):
    return {'type': 'block-node', 'node-name': name}


def chardev(name):
    return {'type': 'chardev', 'id': name}


class Rescuer:
    """Two clients: one that waits in-band, one that helps out-of-band."""

    def __init__(self, daemon):
        self.probe = daemon.qmp()
        self.helper = daemon.qmp()
        self._pending = None

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.probe.close()
        self.helper.close()

    def see_hang(self, seconds=0.2):
        """An in-band command gets no answer; out-of-band ones do, at once."""
        # A command that has just been answered may still be shown for a moment.
        wait_for('command to hang', lambda: any(
            session.get('running', {}).get('running-ms', 0) >= 20
            for session in self.helper.oob('query-dispatch')['sessions']))
        self._pending = self.probe.submit('query-name')
        assert self.probe.is_silent(seconds), 'the main loop does not hang'
        self.see_oob()

    def see_oob(self):
        for command in ('query-yank', 'query-yank-status',
                        'query-dispatch') * 5:
            begin = time.monotonic()
            self.helper.oob(command)
            spent = time.monotonic() - begin
            assert spent < OOB * slowness(), (
                f'{command} took {spent * 1e3:.1f} ms out-of-band')

    def status(self, name):
        """The status of the instance with that string name."""
        found = [s for s in self.helper.oob('query-yank-status')
                 if s['name'] == name]
        assert len(found) == 1, found
        return found[0]

    def yank(self, instance):
        """Yanks, waits for the main loop; returns what was yanked."""
        begin = time.monotonic()
        result = self.helper.oob('yank', {'instances': [instance]})
        self.probe.result(self._pending)
        spent = time.monotonic() - begin
        assert spent < RESCUE * slowness(), (
            f'the main loop came back after {spent * 1e3:.0f} ms')
        print(f'# rescued in {spent * 1e3:.1f} ms')
        self.probe.event('YANK', match=lambda data: data == result)
        return result['yanked'][0]
