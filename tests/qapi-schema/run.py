#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs the generator on good and bad schemas.

  run.py [--update] [NAME...]

Each NAME.json beside this script has either NAME.err, the one line that the
generator must say about it, or NAME.out: what clients are told of it, and its
reference.  --update writes these files anew, to be read before they are kept.
"""

import argparse
import difflib
import json
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
GENERATOR = HERE.parent.parent / 'scripts' / 'qapi'
sys.dont_write_bytecode = True
sys.path.insert(0, str(GENERATOR))

import gen_doc  # noqa: E402
import gen_introspect  # noqa: E402
from schema import Schema  # noqa: E402
from source import SchemaError  # noqa: E402


def told(name):
    """(suffix, text): what the generator makes of NAME.json."""
    try:
        schema = Schema(name + '.json')
    except SchemaError as err:
        return '.err', f'{err}\n'
    infos = gen_introspect.SchemaInfos(schema).infos
    lines = [json.dumps(info) for info in infos]
    return '.out', '\n'.join(lines + ['', gen_doc.generate(schema)])


def check_schema(name, update):
    """The reasons why NAME fails, none when it passes."""
    suffix, text = told(name)
    path = pathlib.Path(name + suffix)
    other = pathlib.Path(name + ('.out' if suffix == '.err' else '.err'))
    if update:
        path.write_text(text, encoding='utf-8')
        other.unlink(missing_ok=True)
    if other.exists():
        return [f'{other} exists, but the generator says: {text}']
    if not path.exists():
        return [f'{path} is missing; the generator says: {text}']
    wanted = path.read_text(encoding='utf-8')
    return list(difflib.unified_diff(
        wanted.splitlines(), text.splitlines(), str(path), 'the generator',
        lineterm=''))


def run_generator(*args):
    return subprocess.run(
        [sys.executable, '-B', str(GENERATOR / 'main.py'), *args],
        capture_output=True, text=True, timeout=60, check=False)


def check_bad_run():
    """A bad schema: one line on stderr, exit 1, and no file is written."""
    with tempfile.TemporaryDirectory() as folder:
        result = run_generator('doc-missing.json', '--c-dir', folder,
                               '--doc', os.path.join(folder, 'doc.rst'))
        left = os.listdir(folder)
    wanted = pathlib.Path('doc-missing.err').read_text(encoding='utf-8')
    if (result.returncode, result.stdout, result.stderr, left) != \
            (1, '', wanted, []):
        return [f'{result} left {left}']
    return []


def check_modules():
    """The schema's modules must be those that meson expects."""
    reasons = []
    for modules, wanted in [
            ('features', "features-base.json:1: module 'features-base' is "
             'missing in the list of qapi/meson.build\n'),
            ('features,features-base,more', "features.json:1: module 'more' "
             'is not included, or empty\n'),
            ('features,features-base', '')]:
        result = run_generator('features.json', '--modules', modules)
        if result.stderr.replace('sub/', '') != wanted:
            reasons.append(f'{modules}: {result}')
    return reasons


def check_leftovers():
    """Every expectation has its schema."""
    return [f'{path.name} has no schema' for suffix in ('.err', '.out')
            for path in HERE.glob('*' + suffix)
            if not path.with_suffix('.json').exists()]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--update', action='store_true')
    parser.add_argument('name', nargs='*')
    args = parser.parse_args()
    os.chdir(HERE)
    names = args.name or sorted(path.stem for path in HERE.glob('*.json'))
    checks = [(name, lambda name=name: check_schema(name, args.update))
              for name in names]
    if not args.name:
        checks += [('bad run', check_bad_run), ('modules', check_modules),
                   ('leftovers', check_leftovers)]
    print(f'1..{len(checks)}')
    failed = 0
    for number, (name, check) in enumerate(checks, 1):
        reasons = check()
        failed += bool(reasons)
        print(f'{"not " * bool(reasons)}ok {number} {name}')
        for line in '\n'.join(reasons).splitlines():
            print(f'# {line}')
    print(f'# {len(checks) - failed} passed, {failed} failed')
    return failed > 0


if __name__ == '__main__':
    sys.exit(main())
