#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""yankctl(1), the completion for bash, and what yankctl --help says: the same
verbs, options and exit codes.

  check-yankctl.py YANKCTL
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
PAGE = TOP / 'docs' / 'man' / 'yankctl.1.rst'
COMPLETION = TOP / 'tools' / 'yankctl.bash-completion'
YANKCTL = pathlib.Path(sys.argv[1]).resolve()

COMPLETE = '''
export PATH={dir}:$PATH
. {script}
COMP_LINE='{line}' COMP_POINT={point}
_yankctl
printf '%s\\n' "${{COMPREPLY[@]}}"
'''


def help_of(*verb):
    return subprocess.run([YANKCTL, *verb, '--help'], check=True, text=True,
                          capture_output=True).stdout


def options_in_help(text):
    found = re.findall(r'^  (?:(-\w), )?(--[\w-]+)', text, re.M)
    return {name for pair in found for name in pair if name}


def verbs_in_help():
    part = re.search(r'^Verbs:\n(.*?)\n\n', help_of(), re.M | re.S).group(1)
    return dict(re.findall(r'^  ([\w-]+) +(.*)$', part, re.M))


def codes_in_help():
    return dict(re.findall(r'^  (\d+)  (.*)$', help_of(), re.M))


def options_with_value(text):
    found = re.findall(r'^  (?:(-\w), )?(--[\w-]+)=', text, re.M)
    return {name for pair in found for name in pair if name}


def section(page, title, underline):
    pattern = (r'^%s\n%s+\n(.*?)(?=^[^\n]+\n(?:%s)+\n|\Z)'
               % (re.escape(title), underline,
                  '==+|--+' if underline == '-' else '==+'))
    found = re.search(pattern, page, re.M | re.S)
    return found.group(1) if found else ''


def options_in(text):
    return set(re.findall(r'\*\*(--?[\w-]+)\*\*', '\n'.join(
        line for line in text.splitlines() if line.startswith('**-'))))


def page_options(page):
    general = options_in_help(help_of())
    yield ('the general options are on the page',
           general, options_in(section(page, 'OPTIONS', '=')))
    for verb in verbs_in_help():
        own = options_in_help(help_of(verb)) - general
        yield (f'the options of {verb} are on the page',
               own, options_in(section(page, verb, '-')))


def page_checks(page):
    verbs = section(page, 'VERBS', '=')
    yield ('the verbs are on the page', set(verbs_in_help()),
           set(re.findall(r'^([a-z-]+)\n-{3,}$', verbs, re.M)))
    codes = re.findall(r'^\*\*(\d+)\*\*\n    (.*)$',
                       section(page, 'EXIT STATUS', '='), re.M)
    yield ('the exit codes are on the page', codes_in_help(), dict(codes))
    yield from page_options(page)


def complete(line):
    script = COMPLETE.format(dir=YANKCTL.parent, script=COMPLETION, line=line,
                             point=len(line))
    return set(subprocess.run(['bash', '-c', script], check=True, text=True,
                              capture_output=True).stdout.split())


def known_to_take_value():
    body = re.search(r'^_yankctl_takes_value\(\)\n{(.*?)^}',
                     COMPLETION.read_text(), re.M | re.S).group(1)
    return set(re.findall(r'(?<!\S)--?[\w-]+', body))


def completion_checks(folder):
    general = options_in_help(help_of())
    yield ('completion knows which options take a value',
           set().union(*(options_with_value(help_of(verb))
                         for verb in verbs_in_help())), known_to_take_value())
    yield ('verbs are completed', set(verbs_in_help()), complete('yankctl '))
    yield ('a verb is completed', {'status'}, complete('yankctl -j stat'))
    yield ('help completes verbs', {'status'}, complete('yankctl help stat'))
    yield ('general options are completed',
           {name for name in general if name.startswith('--')},
           complete('yankctl --'))
    for verb in verbs_in_help():
        yield (f'the options of {verb} are completed',
               {name for name in options_in_help(help_of(verb))
                if name.startswith('--')}, complete(f'yankctl {verb} --'))
    config = pathlib.Path(folder) / 'domains.conf'
    config.write_text('[vm1]\nmonitor=/a\n[vm2]\nmonitor=/b\n[x]\nmonitor=c:1')
    yield ('domains are completed', {'vm1', 'vm2'},
           complete(f'yankctl --no-control -c {config} yank --all vm'))
    yield ('files are completed', {str(config)},
           complete(f'yankctl --config {folder}/dom'))
    # Bash splits words at the equals sign: what is completed begins there.
    yield ('files behind an equals sign are completed', {str(config)},
           complete(f'yankctl --config={folder}/dom'))
    yield ('verbs without domains complete none', set(),
           complete(f'yankctl --no-control -c {config} list '))
    yield from hostile_name_checks(pathlib.Path(folder))


def hostile_name_checks(folder):
    """Names come from others: completion runs nothing that they hold."""
    config = folder / 'hostile.conf'
    config.write_text(f'[$(touch {folder}/ran)]\nmonitor=/a')
    words = complete(f'yankctl --no-control -c {config} status ')
    yield ('names are completed as they are, quoted',
           {'\\$\\(touch\\', f'{folder}/ran\\)'}, words)
    yield ('names are not run', False, (folder / 'ran').exists())


def main():
    with tempfile.TemporaryDirectory() as folder:
        os.environ['XDG_CONFIG_HOME'] = folder
        checks = [*page_checks(PAGE.read_text()), *completion_checks(folder)]
    print('1..%d' % len(checks))
    failed = False
    for number, (name, program, other) in enumerate(checks, 1):
        good = program == other
        failed |= not good
        print('%s %d - %s' % ('ok' if good else 'not ok', number, name))
        if not good:
            print(f'# of the program: {program}\n# elsewhere: {other}')
    return failed


sys.exit(main())
