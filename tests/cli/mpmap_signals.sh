#!/bin/sh
# SPDX-License-Identifier: MIT
# However mpmap ends, no job is left.
. "${0%/*}/common.sh"

# Starts mpmap with two jobs that wait, each with a child of its own; $pid is mpmap, the
# jobs' process ids are in the files job.N and child.N. A shell ignores SIGINT in what it
# starts in the background: env undoes that.
# begin SCRIPT [OPTION...]
waits='sleep 1000 & echo $! >child.{#}; echo $$ >job.{#}; wait'
begin() {
    rm -f job.* child.*
    script=$1
    shift
    env --default-signal mpmap -j2 "$@" -s "$script" ::: 1 2 3 >out.txt 2>err.txt &
    pid=$!
    eventually test -s job.1 -a -s job.2 || is "the jobs began" yes no
}

# ends WHAT STATUS
ends() {
    wait $pid
    is "$1: status" "$2" $?
    for f in job.* child.*; do
        [ -e "$f" ] || continue
        eventually gone "$(cat "$f")" || is "$1: $f is gone" yes no
    done
    is "$1: no other job was started" "" "$(ls job.3 2>/dev/null)"
}

for s in INT:130 TERM:143 HUP:129; do
    begin "$waits"
    kill -"${s%:*}" $pid
    ends "SIG${s%:*}" "${s#*:}"
done

state() { sed -n 's/^State:.\(.\).*/\1/p' "/proc/$1/status"; }
is_state() { [ "$(state "$1")" = "$2" ]; }

# The jobs are asked first.
begin 'trap "echo tidied; exit" TERM; sleep 1000 & echo $! >child.{#}; echo $$ >job.{#}; wait'
kill -TERM $pid
ends "jobs that tidy up" 143
is "what they wrote is printed" "tidied${nl}tidied" "$(cat out.txt)"

# Those that do not listen are made to: at once with a second signal, else after a while.
deaf='trap "" INT; trap "echo >>heard" TERM; echo $$ >job.{#}; while :; do sleep 0.1; done'
begin "$deaf" --term-seq TERM,60000,KILL
start=$(date +%s)
kill -INT $pid
eventually test -s heard || is "SIGINT: the jobs are asked" yes no
kill -INT $pid
ends "a second SIGINT" 130
is "a second SIGINT does not wait" yes "$([ $(($(date +%s) - start)) -lt 50 ] && echo yes)"
begin "$deaf"
kill -TERM $pid
ends "deaf jobs" 143

# A stopped job hears, too.
begin "$waits"
kill -STOP "$(cat job.1)"
kill -TERM $pid
ends "a stopped job" 143

# So that it can tidy up, and need not be made to end.
begin 'trap "echo tidied; exit" TERM; echo $$ >job.{#}; kill -STOP $$; sleep 1000'
for i in 1 2; do
    eventually test -s job.$i || is "job $i began" yes no
    eventually is_state "$(cat job.$i)" T || is "job $i stopped itself" T "$(state "$(cat job.$i)")"
done
kill -TERM $pid
ends "jobs that stopped themselves" 143
is "a stopped job is woken to tidy up" "tidied${nl}tidied" "$(cat out.txt)"

# kill -9 of mpmap: the kernel takes the jobs.
rm -f job.* child.*
env --default-signal mpmap -j2 -s 'echo $$ >job.{#}; exec sleep 1000' ::: 1 2 3 &
pid=$!
eventually test -s job.1 -a -s job.2
kill -KILL $pid
ends "SIGKILL" 137

# What was ignored stays so.
rm -f job.* child.* go
(
    trap '' HUP
    exec mpmap -s 'echo $$ >job.{#}; until [ -e go ]; do sleep 0.02; done; echo {}' ::: a >out.txt
) &
pid=$!
eventually test -s job.1
kill -HUP $pid
: >go
wait $pid
is "nohup: status" 0 $?
is "nohup: goes on" a "$(cat out.txt)"

# Ctrl-Z stops the jobs, and fg wakes them.
begin "$waits"
kill -TSTP $pid
eventually is_state $pid T || is "SIGTSTP stops mpmap" T "$(state $pid)"
eventually is_state "$(cat job.1)" T || is "SIGTSTP stops the jobs" T "$(state "$(cat job.1)")"
kill -CONT $pid
eventually is_state "$(cat job.1)" S || is "SIGCONT wakes the jobs" S "$(state "$(cat job.1)")"
kill -TERM $pid
ends "after SIGCONT" 143

# SIGINT while nothing runs, and input that does not end.
mkfifo p
env --default-signal mpmap echo <p >out.txt &
pid=$!
exec 3>p
echo up >&3
eventually test -s out.txt || is "mpmap is up" yes no
kill -INT $pid
ends "SIGINT at rest" 130
exec 3>&-
mkfifo q
yes >q 2>/dev/null &
env --default-signal mpmap -s 'exit 1; : {}' <q &
pid=$!
sleep 0.5
kill -TERM $pid
ends "endless input, all jobs failing" 143
wait
finish
