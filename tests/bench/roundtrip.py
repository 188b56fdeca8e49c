# SPDX-License-Identifier: GPL-2.0-or-later
"""QMP round trips, in-band and out-of-band, idle and with a blocked main
loop; greeting; memory."""

import json
import os
import time

from common import Row
from daemon import Daemon
from hang import block_main_loop
from servers import Gateway, Nbdkit


def round_trip(qmp, request, count):
    """Microseconds that one request takes, as the mean of @count."""
    sock = qmp.sock
    sock.setblocking(True)
    data = json.dumps(request).encode() + b'\n'
    begin = time.perf_counter()
    for _ in range(count):
        sock.sendall(data)
        while not sock.recv(1 << 16).endswith(b'\n'):
            pass
    spent = time.perf_counter() - begin
    sock.setblocking(False)
    return spent / count * 1e6


def round_trips(box, kinds, rounds, say):
    """Latency rows.  @kinds: {'stock': 'qemu', 'yankd': 'yankd'}"""
    rows = {name: Row(name, 'us', False) for name in (
        'qmp-inband', 'qmp-oob', 'qmp-oob-blocked')}
    running = {who: Daemon(box, kind) for who, kind in kinds.items()}
    clients = {who: d.qmp() for who, d in running.items()}
    inband = {'execute': 'query-name', 'id': 1}
    oob = {'exec-oob': 'query-yank', 'id': 1}

    def measure(name, request):
        for turn in range(rounds):
            say(f'round {turn + 1} of {rounds}: {name}')
            for who, qmp in clients.items():
                rows[name].samples[who].append(
                    round_trip(qmp, request, 2000))

    measure('qmp-inband', inband)
    measure('qmp-oob', oob)
    hangs = [block_main_loop(box, running[who], clients[who])
             for who in clients]
    measure('qmp-oob-blocked', oob)
    for hang in hangs:
        hang.release()
    for who, qmp in clients.items():
        qmp.close()
        running[who].process.destroy()
    return list(rows.values())


def time_to_greeting(box, kind):
    """Milliseconds from the start of the program to its greeting."""
    begin = time.perf_counter()
    daemon = Daemon(box, kind, wait=False)
    qmp = None
    while qmp is None:
        assert daemon.alive(), daemon.process.output()
        try:
            qmp = daemon.connect()
        except OSError:
            time.sleep(0.0002)
    qmp.greet()
    spent = time.perf_counter() - begin
    qmp.close()
    daemon.process.destroy()
    os.unlink(daemon.qmp_path)
    return spent * 1e3


def greeting(box, stock, yankd, rounds, say):
    """Rows of the time to the greeting against each stock program."""
    rows = []
    for kind in stock:
        row = Row(f'greeting-{kind}', 'ms', False)
        say(row.name)
        for _ in range(max(rounds, 7)):
            row.samples['stock'].append(time_to_greeting(box, kind))
            if yankd:
                row.samples['yankd'].append(time_to_greeting(box, 'yankd'))
        rows.append(row)
    return rows


def memory(box, stock, yankd, say):
    """Rows of resident memory: with one client, and as a gateway."""
    rows = []
    mine = Daemon(box, 'yankd') if yankd else None
    for kind in stock:
        row = Row(f'memory-{kind}', 'MiB', False)
        say(row.name)
        for who, daemon in (('stock', Daemon(box, kind)), ('yankd', mine)):
            if daemon:
                with daemon.qmp() as qmp:
                    qmp.cmd('query-version')
                    row.samples[who].append(daemon.rss() / 2**20)
        rows.append(row)
    if 'qsd' in stock:
        rows.append(_gateway_memory(box, yankd, say))
    return rows


def _gateway_memory(box, yankd, say):
    row = Row('memory-gateway-after-load', 'MiB', False)
    say(row.name)
    server = Nbdkit(box, 'memory', '64M', name='memory-backend')
    for who, kind in (('stock', 'qsd'), ('yankd', 'yankd')):
        if kind == 'yankd' and not yankd:
            continue
        gateway = Gateway(box, server.path, kind)
        box.run(['fio', '--name=load', '--ioengine=nbd',
                 f'--uri={gateway.uri()}', '--rw=randrw', '--bs=256k',
                 '--iodepth=32', '--time_based', '--runtime=1',
                 '--size=64M'])
        row.samples[who].append(gateway.rss() / 2**20)
    return row
