# SPDX-License-Identifier: GPL-2.0-or-later
"""Breaks a migration at a given step, and finds out who owns the volumes.

What must hold afterwards is the same wherever it broke: see Outcome.
"""

from migration_link import HAND_OVER_POSTCOPY
from migration_pair import Side
from qmp import QmpError
from sandbox import wait_for
from suite import slowness

MIGRATION = {'type': 'migration'}
HOWS = ('cut', 'cut channel', 'hold', 'kill source', 'kill destination')


class Break:
    """@how: one of HOWS; the rest as for migration_link.Trigger."""

    def __init__(self, how, name, nth=1, where='before'):
        self.how = how
        self.name = name
        self.nth = nth
        self.where = where

    def __repr__(self):
        return f'{self.how} {self.where} {self.name} {self.nth}'

    def arm(self, pair):
        """Returns the trigger, which is the only one from now on."""
        pair.link.triggers.clear()
        action = {
            'cut': pair.link.cut,
            'cut channel': pair.link.cut_channel,
            'hold': pair.link.hold,
            'kill source': pair.source.kill,
            'kill destination': pair.destination.kill,
        }[self.how]
        return pair.link.on(self.name, action, self.nth, self.where)


def yank(side):
    """Cuts its migration, if there is one."""
    try:
        side.qmp.oob('yank', {'instances': [MIGRATION]})
    except QmpError as error:
        assert error.cls == 'DeviceNotFound', error


def end_silence(pair, chance):
    """Nobody hears of a link that fell silent; somebody yanks it, here or
    there first."""
    sides = list(pair.sides)
    chance.shuffle(sides)
    for side in sides:
        yank(side)
    pair.link.cut()
    pair.link.release()


def break_it(pair, how, chance, begin):
    """Begins something that leads to a migration by @begin(), and waits until
    it is broken, or over, and all is at rest."""
    trigger = how.arm(pair)
    try:
        begin()
    except (OSError, EOFError):
        if not trigger.fired.is_set():
            raise               # or it was killed before it could answer
    source = pair.source

    def is_over():
        return (trigger.fired.is_set() or
                source.status() in ('completed', 'failed', 'postcopy-paused'))

    try:
        wait_for(f'{how} or the end', is_over, 0.5)
    except TimeoutError:
        # Clients write faster than that, or the step never comes.
        pair.hurry()
        wait_for(f'{how} or the end', is_over, 20 * slowness())
    if trigger.fired.is_set():
        for side in pair.sides:
            if how.how == f'kill {side.name}':
                side.daemon.process.wait(10)
        if how.how == 'hold':
            end_silence(pair, chance)
    return trigger


def was_postcopy(pair):
    return any(section.name == 'hand-over' and
               section.flags & HAND_OVER_POSTCOPY
               for section in pair.link.log)


class Outcome:
    """Who owns the volumes, found out by what both say, and brought to an
    end by what an operator would do.

    @again: a function that returns how the recovery is broken, or None.
    """

    def __init__(self, pair, chance, again=lambda: None):
        self.pair = pair
        self.chance = chance
        self.again = again
        self.model = pair.model
        pair.hurry()
        self.states = pair.wait_quiet()

    def check(self):
        """Returns what became of it, in words."""
        source, destination = self.states
        if source == 'dead':
            return self._source_died(destination)
        if destination == 'dead':
            return self._destination_died(source)
        return {
            'failed': self._failed,
            'postcopy-paused': self._paused,
            'completed': self._completed,
        }[source](destination)

    # ---- Both live. ----

    def _failed(self, destination):
        """The source serves, and can migrate at once."""
        assert destination in ('setup', 'failed', 'postcopy-paused'), \
            self.states
        self._nothing_acknowledged_by('destination')
        self._source_goes_on_serving()
        self._migrate_again()
        return f'source serves, destination {destination}'

    def _paused(self, destination):
        assert destination in ('postcopy-paused', 'completed'), self.states
        how = self.again()
        if how:
            break_it(self.pair, how, self.chance,
                     lambda: self._recover(destination))
            outcome = Outcome(self.pair, self.chance, self.again)
            return f'paused, then {how}: {outcome.check()}'
        self._recover(destination)
        self._both_complete()
        return f'paused, destination {destination}, recovered'

    def _recover(self, destination):
        if destination == 'postcopy-paused':
            self.pair.recover()
        self.pair.resume()

    def _completed(self, destination):
        assert destination == 'completed', self.states
        self._served_by(self.pair.destination)
        return 'destination serves'

    def _both_complete(self):
        self.pair.source.wait_status('completed')
        self.pair.destination.wait_status('completed')
        self._served_by(self.pair.destination)

    def _migrate_again(self):
        self.pair.migrate()
        self._both_complete()

    # ---- One was killed. ----

    def _source_died(self, destination):
        if destination in ('setup', 'failed'):
            self._nothing_acknowledged_by('destination')
            self._lives_on_in_files(self.pair.source)
            return 'source died, and had everything'
        if destination == 'completed':
            self._served_by(self.pair.destination)
            return 'source died, destination serves'
        assert destination == 'postcopy-paused', self.states
        return 'source died, ' + self._survive(self.pair.destination)

    def _destination_died(self, source):
        if source == 'failed':
            self._nothing_acknowledged_by('destination')
            self._source_goes_on_serving()
            self.pair.new_destination()
            self._migrate_again()
            return 'destination died, source serves'
        if source == 'completed' or self.model.acks_of('destination'):
            if not was_postcopy(self.pair) or source == 'completed':
                self._lives_on_in_files(self.pair.destination)
            return 'destination died when it had everything'
        assert source == 'postcopy-paused', self.states
        return 'destination died, ' + self._survive(self.pair.source)

    def _survive(self, side):
        """The operator knows that the other process is gone."""
        try:
            side.qmp.cmd('migrate-continue', {'state': 'postcopy-paused'})
        except QmpError as error:
            assert 'only a resume' in error.desc, error
            self.pair.stop_clients()
            return 'content lost'
        side.wait_status('completed', 'failed')
        self._served_by(side)
        return f'{side.name} continues'

    # ---- What holds. ----

    def _nothing_acknowledged_by(self, name):
        assert not self.model.acks_of(name), f'{name} served'

    def _source_goes_on_serving(self):
        """Clients were held, and go on."""
        before = len(self.model.acks_of('source'))
        wait_for('clients write on', lambda:
                 len(self.model.acks_of('source')) > before + 3,
                 10 * slowness())

    def _served_by(self, side):
        """All that was acknowledged is there."""
        self.pair.stop_clients()
        self.model.check_roles('source', 'destination')
        self.pair.check(side)

    def _lives_on_in_files(self, side):
        """A new process serves the files of one that was killed."""
        self.pair.stop_clients()
        files = {name: size for name, size in self.pair.sizes.items()
                 if name in side.files}
        again = Side(self.pair.box, side.name, files, files=side.files)
        self.pair.check(again)
        again.finish()
