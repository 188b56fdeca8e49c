#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Runs each fuzz target of a build for a while; stops at the first finding.
# What was learnt stays in the build folder, and the next run goes on there.
#
#   tests/fuzz/run.sh BUILD SECONDS [TARGET...]

set -eu

build=$1
seconds=$2
shift 2

if [ $# = 0 ]; then
    for path in "$build"/tests/fuzz/run-fuzz-*; do
        if [ -x "$path" ] && [ -f "$path" ]; then
            set -- "$@" "${path##*/run-fuzz-}"
        fi
    done
fi

for target; do
    corpus=$build/corpus/$target
    mkdir -p "$corpus"
    "$build/tests/fuzz/run-fuzz-$target" --write "$corpus"
    echo "fuzz: $target for $seconds s, in $corpus"
    "$build/tests/fuzz/fuzz-$target" -max_total_time="$seconds" \
        -max_len=65536 -verbosity=0 -print_final_stats=1 \
        -artifact_prefix="$build/corpus/$target-" "$corpus"
done
