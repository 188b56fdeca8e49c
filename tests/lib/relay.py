# SPDX-License-Identifier: GPL-2.0-or-later
"""A link that holds sections of some types, so that a test stops a migration
exactly where it wants to."""

import threading

from migration_link import Link
from suite import slowness


class Relay(Link):
    """A link to a destination at the unix: URI @target."""

    def __init__(self, box, target):
        self._changed = threading.Condition()
        self._held = set()      # names to hold
        self._waiting = set()   # names that are being held
        self._steps = []        # names of which one may go
        super().__init__(box, target.removeprefix('unix:'))

    # What a test does

    def hold(self, *names):
        """Keeps sections of those types, and what comes after them in the
        same direction of a channel."""
        with self._changed:
            self._held.update(names)

    def release(self, *names):
        """Lets go; all, without names."""
        with self._changed:
            self._held.difference_update(names or set(self._held))
            self._changed.notify_all()

    def step(self, name, seconds=10.0):
        """Lets the one that is held go, and holds the next."""
        self.wait_held(name, seconds)
        with self._changed:
            self._steps.append(name)
            self._waiting.discard(name)
            self._changed.notify_all()

    def wait_held(self, name, seconds=10.0):
        """Until a section of that type has come and is held."""
        with self._changed:
            assert self._changed.wait_for(lambda: name in self._waiting,
                                          seconds * slowness()), (
                                              f'no {name} came')

    def cut(self, _section=None):
        """Ends all connections; new ones are welcome, and nothing is held."""
        super().cut()
        self.release()

    # Inside

    def _forward(self, section, data, far):
        self._wait_turn(section.name)
        super()._forward(section, data, far)

    def _wait_turn(self, name):
        with self._changed:
            if name not in self._held:
                return
            self._waiting.add(name)
            self._changed.notify_all()
            self._changed.wait_for(lambda: name not in self._held or
                                   name in self._steps)
            self._waiting.discard(name)
            if name in self._steps:
                self._steps.remove(name)
