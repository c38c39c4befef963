#!/bin/sh
# SPDX-License-Identifier: MIT
#
# examples/seed, programs 1 to 10: what each must print, in the order that it must have.
. "${0%/*}/common.sh"
seed=$MP_BIN/seed

gives "thread_direct" 0 "$seed/01_thread_direct"
is "greeting first" "Greeting: " "$(echo "$out" | head -n 1)"
is "all three" " World!${nl}Greeting: ${nl}Hello " "$(echo "$out" | LC_ALL=C sort)"

gives "thread_subclass" 0 "$seed/02_thread_subclass"
is "greeting first" "Greeting: " "$(echo "$out" | head -n 1)"
is "all three" "Greeting: ${nl}Hello ${nl}World!" "$(echo "$out" | LC_ALL=C sort)"

gives "with_blocks" 0 "$seed/03_with_blocks"
want=$(i=1
for what in lock rlock condition semaphore; do
    echo "(Thread-$i) $what acquired via with"
    echo "(Thread-$((i + 1))) $what acquired directly"
    i=$((i + 2))
done)
is "each thread once" "$want" "$(echo "$out" | sort)"

gives "dropbox" 0 "$seed/04_dropbox" 1
is "last line" "All threads done" "$(echo "$out" | tail -n 1)"
is "closed once" 1 "$(echo "$out" | grep -c '^Closing the box$')"
problems=$(echo "$out" | awk '
    $2 == "produced:" { if (made[$3]++) print "produced twice: " $3 }
    $2 == "put:" { if (!made[$3] || put[$3]++) print "put: " $3; puts++ }
    $2 == "got:" { if (!put[$3] || got[$3]++) print "got: " $3; by[$3] = $1; gots++ }
    $2 == "consumed:" { if (by[$3] != $1 || eaten[$3]++) print "consumed: " $3 }
    END { for (i in got) if (!eaten[i]) print "not consumed: " i
          if (gots < 5 || puts < gots || puts > gots + 10) print puts " put, " gots " got" }')
is "each got was put before, once" "" "$problems"

before=$(date +%s%N)
gives "timer" 0 "$seed/05_timer" 0.2
is "one line" "hello, world" "$out"
is "not early" yes "$([ $(($(date +%s%N) - before)) -ge 200000000 ] && echo yes)"

before=$(date +%s%N)
gives "process_lock" 0 "$seed/06_process_lock" 1
took=$((($(date +%s%N) - before) / 1000000))
is "each world after its hello" "" "$(echo "$out" | awk '
    NR % 2 == 1 { if ($1 != "hello") print; i = $2 }
    NR % 2 == 0 && ($1 != "world" || $2 != i) { print }')"
is "ten of them" "$(seq 0 9)" "$(echo "$out" | awk '/hello/ { print $2 }' | sort -n)"
is "side by side, not 10 s" yes "$([ $took -lt 9500 ] && echo yes || echo "$took ms")"

gives "pipe_wait" 0 "$seed/07_pipe_wait"
is "forty" 40 "$(echo "$out" | grep -c "^([0-9], 'Process-[1-4]')\$")"
is "in order for each process" "" "$(echo "$out" | tr -d '(,)' | awk '$1 != next_of[$2]++')"

gives "value_100" 0 "$seed/08_value_100"
is "no addition lost" "Result: 100" "$out"

gives "pool_square" 0 "$seed/09_pool_square"
is "in order" "Pool    : [$(seq 0 99 | awk '{ printf "%s%d", (NR > 1 ? ", " : ""), $1 * $1 }')]" "$out"

# Faster than in sequence: each of them in some of a few tries, since others use the machine, too;
# and if the machine lets two shells be so: it may have two CPUs, and us no more than the time of one.
threads=no
processes=no
count='i=0; while [ $i -lt 200000 ]; do i=$((i + 1)); done'
two_at_once() {
    begin=$(date +%s%N)
    sh -c "$count"
    sh -c "$count"
    between=$(date +%s%N)
    sh -c "$count" &
    sh -c "$count" &
    wait
    [ $(($(date +%s%N) - between)) -lt $(((between - begin) * 8 / 10)) ]
}
try() {
    gives "executors" 0 "$seed/10_executors" 50000000
    is "thirty lines" "$(seq 1 10 | sed 'p;p')" \
        "$(echo "$out" | awk '/^item/ && $4 == $2 * 50000000 { print $2 }' | sort -n)"
    is "the parts in order" "Sequential Thread Process" \
        "$(echo "$out" | awk '/execution in/ { printf "%s%s", sep, $1; sep = " " }')"
    faster=$(echo "$out" | awk '
        /^Sequential/ { s = $4 } /^(Thread|Process)/ && $5 < 0.8 * s { print $1 }')
    case $faster in *Thread*) threads=yes ;; esac
    case $faster in *Process*) processes=yes ;; esac
}
try
tries=1
chances=0
while [ "$(nproc)" -gt 1 ] && [ $tries -lt 15 ] && [ $threads$processes != yesyes ]; do
    tries=$((tries + 1))
    two_at_once && chances=$((chances + 1))
    try
done
if [ $threads$processes != yesyes ] && [ $chances -lt 5 ]; then
    echo "not tested: faster than in sequence: this machine does not give two CPUs"
else
    is "threads at most 0.8 of the sequential time" yes $threads
    is "processes at most 0.8 of the sequential time" yes $processes
fi

finish
