#!/bin/sh
# SPDX-License-Identifier: MIT
# A clock that is set while jobs run, by hours, forward or back: what is shown, logged and
# waited for are still seconds.
. "${0%/*}/common.sh"

# Debian's libfaketime sets the wall clock of a process as a file says, and leaves the other.
fake=$(ls /usr/lib/*/faketime/libfaketime.so.1 2>/dev/null | head -1)
if [ -z "$fake" ] || sanitized; then
    echo "skipped: libfaketime is not installed (apt-get install faketime), or this is a sanitizer's build"
    exit 77
fi
waits='unset LD_PRELOAD; test {} != 2 || { echo >began; until [ -e go ]; do sleep 0.02; done; }'

# jump HOW OPTION...: three jobs; while the second runs the clock is set.
jump() {
    how=$1
    shift
    rm -f began go
    echo +0 >clock
    LD_PRELOAD=$fake FAKETIME_TIMESTAMP_FILE=$PWD/clock FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1 \
        mpmap -j1 --summary --joblog log.json --progress-fd 3 "$@" -s "$waits" ::: 1 2 3 3>progress 2>err.txt &
    pid=$!
    eventually test -e began || is "the second job began" yes no
    echo "$how" >clock
    shown=$(wc -l <progress)
    eventually sh -c "test \$(wc -l <progress) -gt $shown" || is "somebody looks" yes no
    : >go
    wait $pid
    is "$how: status" 0 $?
}

# most NAME FILE: the largest of a number in JSON lines, in whole seconds, below a minute.
most() {
    largest=$(sed -n "s/.*\"$1\":\\(-\\{0,1\\}[0-9]*\\).*/\\1/p" "$2" | sort -n | tail -1)
    smallest=$(sed -n "s/.*\"$1\":\\(-\\{0,1\\}[0-9]*\\).*/\\1/p" "$2" | sort -n | head -1)
    is "$how: $1 of $smallest to $largest s" yes "$([ "$smallest" -ge 0 ] && [ "$largest" -lt 60 ] && echo yes)"
}

for how in +2h -2h; do
    jump $how
    is "$how: the clock was set" yes "$(sed 's/.*"start":\([0-9]*\).*/\1/' log.json | sort -n |
        awk 'NR == 1 { first = $1 } END { print ($1 - first > 7000) ? "yes" : "no" }')"
    most runtime log.json
    most elapsed progress
    most eta progress
    speedup=$(sed -n 's/.*speed-up \([0-9]*\).*/\1/p' err.txt)
    is "$how: a speed-up of $speedup" yes "$([ "$speedup" -le 1 ] && echo yes)"
done
jump +2h --timeout 60 # nobody took that long
finish
