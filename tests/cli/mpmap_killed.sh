#!/bin/sh
# SPDX-License-Identifier: MIT
# kill -9 of mpmap: nothing it has started is left, and a resumed run does the rest.
. "${0%/*}/common.sh"

# Jobs, what they have started, and what has gone into a session or to a parent of its own.
# $late is what is not gone after 200 ms.
kill_all() {
    mpmap -j3 -s 'sleep 1000 & echo $! >child.{#}; setsid sleep 1000 & echo $! >session.{#}
        (setsid sh -c "echo \$\$ >orphan.{#}; exec sleep 1000" &); echo $$ >job.{#}; wait' ::: 1 2 3 >out.txt 2>&1 &
    pid=$!
    for i in 1 2 3; do
        for what in job child session orphan; do
            eventually test -s $what.$i || is "$what.$i began" yes no
        done
    done
    kill -KILL $pid
    wait $pid 2>/dev/null
    sleep 0.2
    late=
    for f in job.* child.* session.* orphan.*; do
        gone "$(cat $f)" || late="$late $f"
    done
    for f in $late; do
        eventually gone "$(cat $f)" || is "$f is gone" gone lives
    done
    rm -f job.* child.* session.* orphan.*
}
# In one of many tries, since others use the machine, too.
for _ in $(seq 25); do
    kill_all
    [ -n "$late" ] || break
done
sanitized || is "what lives 200 ms after it" "" "$late"

# What ended well may leave something behind, and it lives.
mpmap -s 'sleep 1000 >/dev/null 2>&1 & echo $! >left; : {}' ::: 1
is "what a job has left on purpose lives" alive "$(gone "$(cat left)" || echo alive)"
kill "$(cat left)"

# At a random moment of 200 jobs, then again until all is done.
slots=4
rounds=5
[ -z "${MP_TEST_LONG:-}" ] || rounds=100
killed=0
torture() {
    rm -f log ran
    : >ran
    seq 200 | mpmap -j$slots --joblog log "$@" -s 'echo {} >>ran; sleep 0.002' >/dev/null 2>&1 &
    pid=$!
    sleep 0.$(printf %03d $(($(od -An -N2 -tu2 /dev/urandom) % 400)))
    kill -KILL $pid 2>/dev/null && killed=$((killed + 1))
    wait $pid 2>/dev/null
    seq 200 | mpmap -j$slots --joblog log "$@" --resume -s 'echo {} >>ran; sleep 0.002' >/dev/null 2>unknown.txt
}
for i in $(seq $rounds); do
    torture
    is "round $i: lost" 0 "$((200 - $(sort -u ran | wc -l)))"
    twice=$(($(wc -l <ran) - 200))
    is "round $i: run twice: $twice" yes "$([ $twice -le $slots ] && echo yes)"
    torture --at-most-once
    unknown=$(grep -c ': unknown' unknown.txt)
    is "round $i, at most once: run twice" 0 "$(sort ran | uniq -d | wc -l)"
    is "round $i, at most once: run, or named ($unknown)" yes "$([ $(($(wc -l <ran) + unknown)) -ge 200 ] && [ "$unknown" -le $slots ] && echo yes)"
done
is "some were killed" yes "$([ $killed -gt 0 ] && echo yes)"
finish
