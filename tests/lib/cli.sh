#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Runs one shell test: cli.sh SCRIPT. It gets an empty directory as TMPDIR and working
# directory, and must leave it empty and leave no process. Exit 77 means skipped.
# From ctest: MP_BIN (the programs, also first in PATH) and MP_SRC (the source tree).
tmp=${TMPDIR:-/tmp}
[ ${#tmp} -le 40 ] || tmp=/tmp # or the name of a socket there would be too long
dir=$(mktemp -d "$tmp/mpcli-XXXXXX") || exit 2
TMPDIR=$dir
export TMPDIR
cd "$dir" || exit 2
# What the caller happens to have open would be in the way where a test limits descriptors.
for fd in /proc/self/fd/*; do
    [ "${fd##*/}" -le 2 ] || [ "$fd" -ef "$0" ] || eval "exec ${fd##*/}>&-"
done
# As lib/mptest.c does, for the same reason.
[ "$(ulimit -S -n)" -ge 20000 ] 2>/dev/null || ulimit -S -n 20000 2>/dev/null || ulimit -S -n "$(ulimit -H -n)"

"$1"
status=$?

# A process of the test is one that has its TMPDIR in the environment; not this shell.
left() {
    grep -lz "^TMPDIR=$dir\$" /proc/[0-9]*/environ 2>/dev/null | while IFS=/ read -r _ _ pid _; do
        [ "$pid" = $$ ] || ps -o pid=,stat=,args= -p "$pid"
    done | grep -v ' grep \| ps \|lib/cli.sh'
}
i=0
while processes=$(left) && [ $i -lt 100 ]; do
    i=$((i + 1))
    sleep 0.1
done
if [ -n "$processes" ]; then
    echo "FAIL: the test leaves processes:"
    echo "$processes"
    echo "$processes" | while read -r pid _; do kill -9 "$pid"; done
    status=1
fi
files=$(find "$dir" -mindepth 1)
if [ -n "$files" ]; then
    [ $status = 0 ] && status=1
    echo "FAIL: the test leaves files in TMPDIR:"
    echo "$files"
fi
cd / && rm -rf "$dir"
exit $status
