#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs every test there is; "make check" ends with what this prints last.

  tests/check.py [-v] [PATTERN...]    only programs whose name has a PATTERN

Programs:
  - the tests that meson knows of: those of the suite "unit" from build/ and
    build-debug/, those of the suite "tsan" from build-tsan/ as well, and all
    others from build/ only;
  - tests/qmp/test-*.py and tests/system/test-*.py that are executable, once
    for each of build/yankd and build-debug/yankd.

A script prints TAP and finds in its environment
  YANKD   the yankd to test
  BUILD   the name of its build folder
  TMPDIR  an empty folder; what is left there afterwards is a failure, as is
          any process left over.
A comment line in it may say
  # parallel-safe     another such script may run beside it
  # builds: build     run it against these builds only
  # timeout: 300      seconds; 120 when left out
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import tap

TOP = pathlib.Path(__file__).resolve().parent.parent
BUILDS = ("build", "build-debug", "build-tsan")
DEFAULT_TIMEOUT = 120
JOBS = 2


class Program:
    """One test program and how to run it."""

    def __init__(self, name, build, command, **kwargs):
        self.name = name
        self.build = build
        self.command = command
        self.env = kwargs.get("env", {})
        self.timeout = kwargs.get("timeout", DEFAULT_TIMEOUT)
        self.parallel = kwargs.get("parallel", False)
        self.is_tap = kwargs.get("is_tap", True)

    def __str__(self):
        return "%s (%s)" % (self.name, self.build)


class Result:
    """What one run of a Program came to."""

    def __init__(self, program, verdict, output, seconds):
        self.program = program
        self.verdict = verdict
        self.output = output
        self.seconds = seconds


def wanted_suite(build, suites):
    if "tsan" in suites and build == "build-tsan":
        return True
    if "unit" in suites:
        return build != "build-tsan"
    return build == "build"


def meson_programs(build):
    path = TOP / build / "meson-info" / "intro-tests.json"
    for test in json.loads(path.read_text()):
        suites = [name.split(":")[-1] for name in test["suite"]]
        if wanted_suite(build, suites):
            yield Program("%s/%s" % (suites[0] if suites else "meson",
                                     test["name"]),
                          build, test["cmd"], env=test["env"],
                          timeout=test["timeout"], parallel=True,
                          is_tap=test["protocol"] == "tap")


def script_programs(folder):
    for path in sorted((TOP / "tests" / folder).glob("test-*.py")):
        if not os.access(path, os.X_OK):
            continue
        text = path.read_text()
        builds = re.search(r"^# builds: (.*)$", text, re.M)
        timeout = re.search(r"^# timeout: (\d+)$", text, re.M)
        for build in (builds[1].split() if builds else BUILDS[:2]):
            yield Program("%s/%s" % (folder, path.stem[len("test-"):]),
                          build, [sys.executable, str(path)],
                          timeout=int(timeout[1]) if timeout
                          else DEFAULT_TIMEOUT,
                          parallel=bool(re.search(r"^# parallel-safe$", text,
                                                  re.M)))


def all_programs():
    for build in BUILDS:
        yield from meson_programs(build)
    yield from script_programs("qmp")
    yield from script_programs("system")


def environment(program, tmpdir):
    env = dict(os.environ)
    env.update(program.env)
    env.update({
        "BUILD": program.build,
        "YANKD": str(TOP / program.build / "yankd"),
        "TMPDIR": tmpdir,
        "PYTHONDONTWRITEBYTECODE": "1",
        # GLib's own allocator hands memory from thread to thread, which the
        # sanitizers do not see.
        "G_SLICE": "always-malloc",
        "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
        "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1:"
                        "suppressions=%s" % (TOP / "tests" / "tsan.supp"),
    })
    return env


def processes_with(tmpdir):
    """Ids of processes that were started for the test that owns @tmpdir."""
    mark = b"TMPDIR=" + os.fsencode(tmpdir)
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if mark in environment_of(path):
                yield int(path.name)
        except OSError:
            continue    # gone, or another user's


def environment_of(path):
    """The environment of the process that @path of /proc shows.  In the midst
    of execve() a process has a program, but neither arguments nor environment
    to read: a moment that is waited out."""
    deadline = time.monotonic() + 1
    while True:
        environ = (path / "environ").read_bytes()
        if (environ or (path / "cmdline").read_bytes()
                or time.monotonic() > deadline):
            return environ.split(b"\0")
        (path / "exe").readlink()   # kernel threads and the dead have none
        time.sleep(0.001)


def name_of(pid):
    try:
        words = pathlib.Path("/proc/%d/cmdline" % pid).read_bytes()
        return words.replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return "?"


def clean_up(tmpdir, verdict):
    """Ends and removes what a test left behind, which is a failure."""
    # What was told to end may take a moment to be gone.
    deadline = time.monotonic() + 1
    while (left := list(processes_with(tmpdir))):
        if time.monotonic() > deadline:
            break
        time.sleep(0.02)
    for pid in left:
        verdict.failed.append("(left a process: %s)" % name_of(pid))
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    for path in sorted(pathlib.Path(tmpdir).rglob("*")):
        verdict.failed.append("(left a file: %s)"
                              % path.relative_to(tmpdir))
    shutil.rmtree(tmpdir)


def judge_exit(status):
    """The verdict on a program that says it all by its exit status."""
    verdict = tap.Verdict()
    if status == 0:
        verdict.passed = 1
    elif status == 77:
        verdict.skipped.append(("all", ""))
    else:
        verdict.failed.append("(exit status %s)" % status)
    return verdict


def execute(program, tmpdir):
    """Runs @program; what it printed on both its streams, and its status,
    which is None when it ran out of time."""
    try:
        process = subprocess.Popen(
            program.command, cwd=TOP, env=environment(program, tmpdir),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, errors="replace",
            start_new_session=True)
    except OSError as error:
        return "", "cannot be run: %s\n" % error, 127
    try:
        output, errors = process.communicate(timeout=program.timeout)
        return output, errors, process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return *drain(process), None


def run(program):
    tmpdir = tempfile.mkdtemp(prefix="yt-", dir="/tmp")
    # A test may start programs as other users.
    os.chmod(tmpdir, 0o711)
    start = time.monotonic()
    output, errors, status = execute(program, tmpdir)
    seconds = time.monotonic() - start
    if program.is_tap:
        verdict = tap.judge(output, status)
    else:
        verdict = judge_exit(status)
    clean_up(tmpdir, verdict)
    return Result(program, verdict, output + errors, seconds)


def drain(process):
    """What a killed program had printed; its children may hold the pipe."""
    try:
        return process.communicate(timeout=5)
    except subprocess.TimeoutExpired:
        return "", "(output lost: a child keeps the pipe open)\n"


def show(result, verbose):
    verdict = result.verdict
    counts = "%d passed" % verdict.passed
    if verdict.failed:
        counts += ", %d FAILED" % len(verdict.failed)
    if verdict.skipped:
        counts += ", %d skipped" % len(verdict.skipped)
    print("%-4s %-42s %6.2f s  %s" % ("ok" if verdict.ok else "FAIL",
                                      result.program, result.seconds, counts))
    for name in verdict.failed:
        print("       failed: %s" % name)
    if verbose:
        print(result.output)
    sys.stdout.flush()


def run_all(programs, verbose):
    """Runs @programs, some side by side, and shows each as it ends."""
    results = []
    beside = [program for program in programs if program.parallel]
    alone = [program for program in programs if not program.parallel]
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        futures = [pool.submit(run, program) for program in beside]
        for future in concurrent.futures.as_completed(futures):
            results.append(future.result())
            show(results[-1], verbose)
    for program in alone:
        results.append(run(program))
        show(results[-1], verbose)
    return results


def without_good_news(output):
    return "\n".join(line for line in output.splitlines()
                     if not line.startswith("ok "))


def summarize(results):
    """Prints failures in full, the slowest, the counts; True when all is well."""
    failed = [result for result in results if not result.verdict.ok]
    for result in failed:
        print("\n==== %s ====" % result.program)
        print(without_good_news(result.output))
    for result in results:
        for name, why in result.verdict.skipped:
            print("skipped: %s: %s: %s" % (result.program, name, why))
    slowest = sorted(results, key=lambda result: -result.seconds)[:5]
    print("\nslowest: " + ", ".join("%s %.1f s" % (result.program,
                                                   result.seconds)
                                    for result in slowest))
    passed = sum(result.verdict.passed for result in results)
    failures = sum(len(result.verdict.failed) for result in results)
    skipped = sum(len(result.verdict.skipped) for result in results)
    print("%d passed, %d failed" % (passed, failures)
          + (", %d skipped" % skipped if skipped else ""))
    return passed > 0 and failures == 0


def main():
    parser = argparse.ArgumentParser(
        description="Run the tests of yankd.")
    parser.add_argument("-v", "--verbose", action="store_true",
                        help="show the output of every program")
    parser.add_argument("patterns", nargs="*", metavar="PATTERN",
                        help="run only programs whose name has one of these")
    args = parser.parse_args()
    programs = [program for program in all_programs()
                if not args.patterns
                or any(pattern in str(program) for pattern in args.patterns)]
    return 0 if summarize(run_all(programs, args.verbose)) else 1


if __name__ == "__main__":
    sys.exit(main())
