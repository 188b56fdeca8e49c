#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes a patch series of the yank core in a QEMU tree.

  series.py QEMU OUT

QEMU: a clean git tree of QEMU; the only thing that is written there is the
branch "yank-core", on top of its HEAD.
OUT: the folder for the patches and their cover letter.

docs/devel/in-tree.rst describes the series.
"""

import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent
BRANCH = 'yank-core'
HEADER = 'include/qemu/yank.h'
SCHEMA = 'qapi/yank.json'
REGISTRY = 'util/yank.c'
TEST = 'tests/unit/test-yank.c'
PAGE = 'docs/devel/yank.rst'
OLD_TEST = 'tests/unit/test-yank-chardev.c'
TEST_BUILD = 'tests/unit/meson.build'
PAGE_INDEX = 'docs/devel/index-internals.rst'
MAINTAINERS = 'MAINTAINERS'
# Variables that say who and where, for another repository.
IDENTITY = re.compile('GIT_(?!CONFIG|CEILING|SSL|TRACE)')
# What a tree must have to be one of QEMU with yank.
NEEDED = (HEADER, SCHEMA, REGISTRY, TEST, TEST_BUILD, PAGE_INDEX, MAINTAINERS,
          'qapi/qapi-schema.json', 'VERSION')


class Refused(Exception):
    """The tree cannot be used; the text says why."""


class Tree:
    """A git tree of QEMU, reached without its index and working tree."""

    def __init__(self, path):
        if not path:
            raise Refused('QEMU is not set: make series QEMU=/path/to/qemu')
        self.path = pathlib.Path(path).resolve()
        if not self.path.is_dir():
            raise Refused(f"QEMU '{path}' is not a directory")
        # Who makes the commits comes from git's configuration alone.
        self.env = {name: value for name, value in os.environ.items()
                    if name != 'EMAIL' and not IDENTITY.match(name)}

    def git(self, *arguments, stdin=None, index=None, check=True):
        """What git prints; None when it fails and @check is false."""
        env = dict(self.env, GIT_INDEX_FILE=index) if index else self.env
        result = subprocess.run(
            ['git', '--no-optional-locks', '-C', str(self.path),
             '-c', 'user.useConfigOnly=true', *arguments],
            env=env, input=stdin, capture_output=True, check=False,
            encoding='utf-8', errors='surrogateescape')
        if result.returncode == 0:
            return result.stdout
        if check:
            raise Refused(f'git {arguments[0]}: {result.stderr.strip()}')
        return None

    def id_of(self, *arguments, **options):
        """The same for what is a name of an object or a path."""
        return self.git(*arguments, **options).rstrip('\n')

    def read(self, name):
        """The text of @name as it is committed."""
        return self.git('show', f'HEAD:{name}')

    def check(self):
        """Raises Refused unless the series can be made here."""
        top = self.id_of('rev-parse', '--show-toplevel')
        if pathlib.Path(top).resolve() != self.path:
            raise Refused(f"'{self.path}' is not the top of its git tree, "
                          f"which is '{top}'")
        for name in NEEDED:
            if self.git('cat-file', '-e', f'HEAD:{name}',
                        check=False) is None:
                raise Refused(f"'{self.path}' is not a QEMU tree with yank: "
                              f"'{name}' is missing; QEMU 7.2 or later is "
                              "needed")
        if changes := self.git('status', '--porcelain',
                               '--untracked-files=all'):
            raise Refused(f"'{self.path}' has changes that are not "
                          f'committed:\n{changes}'
                          'Commit, stash or remove them first.')
        if self.git('rev-parse', '--verify', '--quiet',
                    f'refs/heads/{BRANCH}', check=False):
            raise Refused(f"'{self.path}' has a branch '{BRANCH}' already; "
                          f"rename it, or remove it with 'git branch -D "
                          f"{BRANCH}'")
        if 'yank_report_cut' in self.read(HEADER):
            raise Refused(f"'{self.path}' has the yank core already")
        if self.git('var', 'GIT_AUTHOR_IDENT', check=False) is None:
            raise Refused("git does not know the author: set 'user.name' and "
                          "'user.email' with git config")

    def commit(self, parent, index, files, message):
        """A commit with @files (text by name) on @parent; its id."""
        for name, text in files.items():
            blob = self.id_of('hash-object', '-w', '--stdin', stdin=text)
            self.git('update-index', '--add', '--cacheinfo',
                     f'100644,{blob},{name}', index=index)
        tree = self.id_of('write-tree', index=index)
        return self.id_of('commit-tree', tree, '-p', parent, stdin=message)

    def make_branch(self, steps):
        """Makes the branch, with a commit for each (files, message)."""
        head = self.id_of('rev-parse', 'HEAD')
        commit = head
        with tempfile.TemporaryDirectory() as folder:
            index = os.path.join(folder, 'index')
            self.git('read-tree', head, index=index)
            for files, message in steps:
                commit = self.commit(commit, index, files, message)
        self.git('update-ref', '-m', 'series of the yank core',
                 f'refs/heads/{BRANCH}', commit, '0' * 40)
        return head

    def write_patches(self, head, letter, out):
        """Writes the patches since @head, behind @letter, into @out."""
        out.mkdir(parents=True, exist_ok=True)
        for old in out.glob('[0-9][0-9][0-9][0-9]-*.patch'):
            old.unlink()
        return self.git('-c', f'branch.{BRANCH}.description={letter}',
                        'format-patch', '--cover-letter',
                        '--cover-from-description=subject', '--no-signoff',
                        '-o', str(out.resolve()), f'{head}..{BRANCH}')


def ours(name):
    return (TOP / name).read_text(encoding='utf-8')


def message(name):
    return (HERE / f'{name}.txt').read_text(encoding='utf-8')


def replaced(name, text, pattern, new):
    """@text of @name with the line that matches @pattern replaced by @new,
    in which \\0 is the line and \\1 its first group."""
    changed, count = re.subn(rf'^{pattern}$', new.replace(r'\0', r'\g<0>'),
                             text, count=1, flags=re.M)
    if not count:
        raise Refused(f"'{name}' has no line like '{pattern}'; this QEMU is "
                      'too different from 7.2 to 10.2')
    return changed


def steps(tree):
    """(files, message) of each commit, in an order in which all build."""
    with_test = replaced(MAINTAINERS, tree.read(MAINTAINERS), f'F: {TEST}',
                         rf'\0\nF: {OLD_TEST}')
    with_page = replaced(MAINTAINERS, with_test, f'F: {HEADER}',
                         rf'\0\nF: {PAGE}')
    return [
        ({HEADER: ours(HEADER)}, message('1-header')),
        ({SCHEMA: ours(SCHEMA), REGISTRY: ours(REGISTRY)},
         message('2-registry')),
        ({TEST: ours(TEST), OLD_TEST: tree.read(TEST),
          TEST_BUILD: replaced(
              TEST_BUILD, tree.read(TEST_BUILD),
              r"( *)'test-yank': (\[.*\],?)",
              r"\1'test-yank': [io],\n\1'test-yank-chardev': \2"),
          MAINTAINERS: with_test},
         message('3-test')),
        ({PAGE: ours(PAGE),
          PAGE_INDEX: replaced(
              PAGE_INDEX, tree.read(PAGE_INDEX),
              r'( +)writing-monitor-commands', r'\0\n\1yank'),
          MAINTAINERS: with_page},
         message('4-docs')),
    ]


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    tree = Tree(sys.argv[1])
    out = pathlib.Path(sys.argv[2])
    tree.check()
    head = tree.make_branch(steps(tree))
    print(tree.write_patches(head, message('cover-letter'), out), end='')
    print(f"made the branch '{BRANCH}' in {tree.path}; sign it off with\n"
          f'git -C {shlex.quote(str(tree.path))} rebase --signoff '
          f'{head[:12]} {BRANCH}')


if __name__ == '__main__':
    try:
        main()
    except Refused as err:
        sys.exit(f'series: {err}')
