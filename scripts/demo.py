#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Shows a hang and its rescue: a real NBD server behind yankd, a real client
in front, and the server goes silent.

The exit status is 0 when every step held.
"""

import os
import signal
import sys
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TOP, 'tests', 'lib'))

import daemon  # noqa: E402
import sandbox  # noqa: E402
from nbd import NbdClient, NbdClosed, NbdError  # noqa: E402
from sandbox import Sandbox, wait_for  # noqa: E402
from servers import Gateway, Nbdkit, nbd_option  # noqa: E402
from timeline import Broken, Timeline, duration  # noqa: E402

BLOCK = 4096
PATTERN = 0x5a
INSTANCES = [{'type': 'block-node', 'node-name': 'nbd0'},
             {'type': 'block-node', 'node-name': 'spare'}]


class Reader(threading.Thread):
    """A client of the export that reads block after block, and goes on
    whatever comes."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self._client = NbdClient(path, 'disk', seconds=60)
        self._end = threading.Event()
        self.good = self.failed = 0
        self.start()

    def run(self):
        while not self._end.is_set():
            try:
                data = self._client.read(0, BLOCK)
                assert data == bytes([PATTERN]) * BLOCK
                self.good += 1
            except NbdError:
                self.failed += 1
                self._end.wait(0.01)
            except (NbdClosed, OSError):
                return              # Whoever looks at the rate will see.

    def rate(self, seconds):
        """Good reads a second."""
        before = self.good
        time.sleep(seconds)
        return (self.good - before) / seconds

    def stop(self):
        self._end.set()
        self.join()
        self._client.close()


class Demo:
    def __init__(self, box, line):
        self.box = box
        self.line = line

    def run(self):
        self.start()
        self.work()
        self.hang()
        self.rescue()
        self.go_on()
        self.end()

    def start(self):
        self.line.chapter('A storage daemon at work')
        self.server = Nbdkit(self.box, 'memory', '64M')
        self.line.do('nbdkit serves 64 MiB of memory over NBD '
                     f'(pid {self.server.process.pid})')
        self.yankd = Gateway(self.box, self.server.path,
                             options=nbd_option(self.server.path, 'spare'))
        self.line.do('yankd opens it as node nbd0 and exports it as "disk" '
                     f'(pid {self.yankd.pid})')
        self.qmp = self.yankd.qmp()

    def work(self):
        done = self.box.run([
            'qemu-io', '-f', 'raw', '-c', f'write -P {PATTERN} 0 1M',
            '-c', f'read -P {PATTERN} 0 1M', self.yankd.uri()],
            check=False)
        self.line.check(done.returncode == 0 and 'failed' not in done.stdout,
                        'qemu-io writes and reads 1 MiB through yankd: '
                        'it matches', f'qemu-io failed: {done.stdout}')
        self.reader = Reader(self.yankd.nbd_path)
        rate = self.reader.rate(0.5)
        self.line.check(rate > 0,
                        f'a client reads all the time: {rate:,.0f} reads '
                        'a second', 'the client reads nothing')

    def hang(self):
        self.line.chapter('The server goes silent')
        self.server.freeze()
        self.line.bad('nbdkit is frozen (SIGSTOP): its sockets are open, '
                      'nothing comes')
        time.sleep(0.1)
        self.line.check(self.reader.rate(0.4) == 0,
                        'the client waits for its read',
                        'the client still reads')
        self.hung = self.qmp.submit('blockdev-del', {'node-name': 'spare'})
        self.sent = time.monotonic()
        self.line.do('in-band: blockdev-del of an idle node of that server')
        self.probe = self.qmp.submit('query-version')
        self.line.do('in-band: query-version, queued behind it')
        self.line.check(self.qmp.is_silent(1.5),
                        'no answer to either for 1.5 s: the main loop hangs',
                        'the main loop answered: it does not hang')

    def rescue(self):
        self.line.chapter('The rescue, out-of-band')
        begin = time.monotonic()
        helper = self.yankd.qmp(seconds=2)
        self.line.check(True, 'a new client connects and negotiates amid '
                        'the hang: '
                        f'{duration(time.monotonic() - begin)}', '')
        with helper:
            names = helper.oob('query-yank')
            self.line.check(
                names == INSTANCES or names == INSTANCES[::-1],
                'query-yank: ' + ' and '.join(i['node-name'] for i in names)
                + ' can be yanked; query-yank-status says:',
                f'query-yank: {names}')
            self.show_status(helper)
            begin = time.monotonic()
            self.line.do('yank of both')
            result = helper.oob('yank', {'instances': INSTANCES})
            spent = time.monotonic() - begin
        cut = [text for one in result['yanked'] for text in one['cut']]
        self.line.check(len(cut) == 2, f'answered in {duration(spent)}: it '
                        f'cut {len(cut)} connections', f'it cut {cut}')
        self.see_recovery(begin)

    def show_status(self, helper):
        for one in helper.oob('query-yank-status'):
            idle = duration(one.get('idle-ms', 0) / 1e3)
            self.line.note(f"{one['name']} ({one['phase']}): "
                           f"{one['in-flight']} in flight, no progress for "
                           f'{idle}')

    def see_recovery(self, begin):
        back = self.qmp.reply(self.hung, 5)
        now = time.monotonic()
        self.line.check('return' in back, 'blockdev-del comes back '
                        f'{duration(now - begin)} after the yank, having '
                        f'hung for {duration(now - self.sent)}',
                        f'blockdev-del: {back}')
        version = self.qmp.result(self.probe, 5)['qemu']
        self.line.check(time.monotonic() - begin < 1,
                        'the main loop answers: query-version says '
                        f"{version['major']}.{version['minor']}."
                        f"{version['micro']}", 'the main loop was slow')
        wait_for('failed read', lambda: self.reader.failed)
        self.line.check(True, 'the client got an I/O error, and is still '
                        'connected', '')

    def go_on(self):
        self.line.chapter('Back to work')
        self.server.thaw()
        self.line.do('nbdkit is thawed')
        begin = time.monotonic()
        self.qmp.cmd('blockdev-reconnect', {'node-name': 'nbd0'})
        self.line.check(True, 'blockdev-reconnect of nbd0: connected in '
                        f'{duration(time.monotonic() - begin)}', '')
        rate = self.reader.rate(0.5)
        self.line.check(rate > 0, 'the same client reads again: '
                        f'{rate:,.0f} reads a second',
                        'the client reads nothing')

    def end(self):
        self.reader.stop()
        self.qmp.close()
        self.yankd.finish()
        self.line.check(True, 'yankd ends when told to, with status 0', '')
        self.server.process.end()


def prepare():
    """What is missing, in words; None when all is there."""
    if daemon.program('yankd') is None:
        return 'yankd is not built: run make'
    for program in 'nbdkit', 'qemu-io':
        if daemon.paths.tool(program) is None:
            return f'{program} is not installed: run scripts/setup.sh demo'
    return None


def main():
    missing = prepare()
    if missing:
        sys.exit(f'demo: {missing}')
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    line = Timeline()
    line.title('yankd: a hung storage daemon comes back')
    try:
        with Sandbox('yankd-demo-') as box:
            Demo(box, line).run()
        left = [sandbox.command_of(pid) for pid in sandbox.children()]
        line.check(not left and not os.path.exists(box.dir),
                   'no process, no socket and no file is left',
                   f'left behind: {left}')
    except Broken as broken:
        sys.exit(f'\ndemo: {broken}')
    except KeyboardInterrupt:
        sys.exit('\ndemo: interrupted')
    except Exception as error:      # a step that raised is one that broke
        sys.exit(f'\ndemo: {type(error).__name__}: {error}')
    print()


if __name__ == '__main__':
    main()
