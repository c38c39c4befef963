#!/bin/sh
# SPDX-License-Identifier: MIT
#
# bad_tests.sh PROGRAM: whether lib/mptest catches what lib/bad_tests.c does wrong.
status=0
expect() { # test, exit code, pattern
    out=$("$program" "$1" 2>&1)
    code=$?
    if [ $code != "$2" ] || ! printf '%s\n' "$out" | grep -q "$3"; then
        echo "$1: exit $code, wanted $2 and '$3' in:"
        printf '%s\n' "$out"
        status=1
    fi
}
program=$1
expect good 0 '100%'
expect dying_orphan_is_good 0 '100%'
# What the others leave does not end by itself, and nobody need wait for it.
export MPTEST_GRACE_MS=500 CK_TIMEOUT_MULTIPLIER=1
expect skipped 77 'SKIP bad_tests:skipped: because'
expect no_such_test 1 'no such test'
expect assertion 1 "'1 == 2' failed"
expect crash 1 'Received signal 11'
expect early_exit 1 'Early exit with return value 3'
expect hang 1 'timeout'
expect fd 1 'leaves: open [0-9]* -> /dev/null'
expect closed_fd 1 'leaves: no longer open 0 -> '
expect zombie 1 'leaves: child [0-9]* (bad_tests, a zombie)'
expect living_child 1 'leaves: child [0-9]* (bad_tests)'
expect living_orphan 1 'leaves: process [0-9]* (bad_tests)'
expect shm 1 'leaves: /dev/shm entry mptest-left'
expect file 1 'leaves: file in TMPDIR left'
expect child_requires 1 'in a child: 1 == 2'
nm "$program" | grep -q __asan_init && expect memory 1 'detected memory leaks'
# Under TSan the threads of a process are not counted.
nm "$program" | grep -q __tsan_init || expect thread 1 'leaves: 1 threads more'
exit $status
