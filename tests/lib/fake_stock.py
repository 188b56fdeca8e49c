#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A process that answers as a stock QEMU whose guest has paused on an error of
its disk, of which one command that changes something fails.

    fake_stock.py SOCKET NUMBER -blockdev ... -blockdev ...

NUMBER: which of these commands fails, from 1; 0: none
"""

import json
import socket
import sys

GREETING = {'QMP': {'version': {'qemu': {'major': 7, 'minor': 2, 'micro': 0},
                                'package': ''}, 'capabilities': ['oob']}}
QDEV = '/machine/peripheral/disk0'


class Failure(Exception):
    pass


class Stock:
    def __init__(self, server, fails):
        self.fails = fails
        self.changes = 0
        self.status = 'io-error'
        self.device = 'top'
        self.nodes = {
            'proto': {'driver': 'nbd', 'server': {'path': server}},
            'top': {'driver': 'raw', 'file': 'proto'}}

    def run(self, command, arguments):
        changes = {'blockdev-add': self.add, 'blockdev-del': self.delete,
                   'qom-set': self.set, 'cont': self.cont}
        queries = {
            'qmp_capabilities': {}, 'query-version': {}, 'yank': {},
            'query-yank': [{'type': 'block-node', 'node-name': name}
                           for name, node in self.nodes.items()
                           if node['driver'] == 'nbd'],
            'query-status': {'status': self.status, 'running': False},
            'query-named-block-nodes': [self.info(n) for n in self.nodes],
            'query-blockstats': [{'device': '', 'qdev': QDEV,
                                  'node-name': self.device}],
            'query-block-exports': [],
            'x-debug-query-block-graph': self.graph(),
            'x-state': {'nodes': sorted(self.nodes), 'device': self.device,
                        'status': self.status, 'changes': self.changes}}
        if command in changes:
            self.changes += 1
            if self.changes == self.fails:
                raise Failure('told to fail')
            changes[command](arguments)
            return {}
        if command not in queries:
            raise Failure(f'no {command}')
        return queries[command]

    def info(self, name):
        node = self.nodes[name]
        path = self.nodes[node.get('file', name)]['server']['path']
        return {'node-name': name, 'drv': node['driver'], 'ro': False,
                'detect_zeroes': 'off', 'file': f'nbd+unix://?socket={path}',
                'cache': {'direct': False, 'no-flush': False},
                'image': {'virtual-size': 1024}}

    def graph(self):
        ids = {name: i for i, name in enumerate(self.nodes)}
        nodes = [{'id': i, 'name': name, 'type': 'block-driver'}
                 for name, i in ids.items()]
        nodes.append({'id': 99, 'name': QDEV, 'type': 'block-backend'})
        edges = [{'parent': ids[name], 'child': ids[node['file']]}
                 for name, node in self.nodes.items() if 'file' in node]
        edges.append({'parent': 99, 'child': ids[self.device]})
        return {'nodes': nodes, 'edges': edges}

    def add(self, options):
        if options['node-name'] in self.nodes:
            raise Failure('there is such a node')
        if 'file' in options and options['file'] not in self.nodes:
            raise Failure('there is no such file')
        self.nodes[options['node-name']] = options

    def delete(self, arguments):
        name = arguments['node-name']
        if name not in self.nodes or name == self.device or any(
                node.get('file') == name for node in self.nodes.values()):
            raise Failure('it is in use, or not there')
        del self.nodes[name]

    def set(self, arguments):
        # QEMU ends with an assertion when the node is the same.
        assert arguments['value'] != self.device
        if arguments['value'] not in self.nodes:
            raise Failure('there is no such node')
        self.device = arguments['value']

    def cont(self, arguments):
        self.status = 'running'


def serve(stock, client):
    def send(message):
        client.sendall(json.dumps(message).encode() + b'\n')

    send(GREETING)
    for line in client.makefile('rb'):
        request = json.loads(line)
        command = request.get('execute') or request['exec-oob']
        answer = {'id': request.get('id')}
        try:
            answer['return'] = stock.run(command, request.get('arguments', {}))
        except Failure as e:
            answer['error'] = {'class': 'GenericError', 'desc': str(e)}
        send(answer)


def main():
    path, fails, server = sys.argv[1], int(sys.argv[2]), sys.argv[4]
    stock = Stock(server.rsplit('=', 1)[1], fails)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        while True:
            client = listener.accept()[0]
            with client:
                try:
                    serve(stock, client)
                except (BrokenPipeError, ConnectionResetError):
                    pass            # It has left.


if __name__ == '__main__':
    main()
