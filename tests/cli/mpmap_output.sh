#!/bin/sh
# SPDX-License-Identifier: MIT
# What jobs write: whole, in order, in bounded memory, and never lost in silence.
. "${0%/*}/common.sh"

# Grouped: the lines of a job stay together, stdout before stderr.
seq 20 | mpmap -j4 -s 'for i in 1 2 3; do echo {}.$i; sleep 0.01; done' >out.txt
is "lines of a job stay together" 20 "$(cut -d. -f1 out.txt | uniq | wc -l)"
is "nothing is lost" 60 "$(sort -u out.txt | wc -l)"
# The slow one goes on when the fast one is gone, for mpmap as well: it has no more a place in /proc.
after='if [ {} = fast ]; then echo $$ >pid; else until [ -s pid ] && ! [ -e /proc/$(cat pid) ]; do sleep 0.01; done; fi; echo {}'
is "in the order of their ends" "fast${nl}slow" "$(mpmap -j2 -s "$after" ::: slow fast)"
rm -f pid
is "-k: in the order of the items" "slow${nl}fast" "$(mpmap -k -j2 -s "$after" ::: slow fast)"
rm -f pid
is "-k with many" "$(seq 3000)" "$(seq 3000 | mpmap -k -j8 echo)"
is "stdout and stderr stay apart" "out" "$(mpmap -s 'echo err >&2; echo out; : {}' ::: 1 2>err.txt)"
is "stdout and stderr stay apart: stderr" "err" "$(cat err.txt)"
is "stdout comes first" "out${nl}err" "$(mpmap -s 'echo err >&2; echo out; : {}' ::: 1 2>&1)"
is "-k orders both" "1${nl}e1${nl}2${nl}e2${nl}3${nl}e3" \
    "$(mpmap -k -j3 -s 'sleep 0.$((3 - $1)); echo $1; echo e$1 >&2' ::: 1 2 3 2>&1)"
is "-u lets them mix" "a${nl}b${nl}c" \
    "$(mpmap -u -j2 -s 'if [ {} = 1 ]; then echo a; : >e; until [ -e f ]; do sleep 0.01; done; echo c
        else until [ -e e ]; do sleep 0.01; done; echo b; : >f; fi' ::: 1 2)"
is "no newline is added" "ab" "$(mpmap -k printf %s ::: a b)"
is "NUL bytes go through" "00 00" "$(mpmap -s 'printf "\0\0"; : {}' ::: 1 | od -An -tx1 | xargs)"

# -k: the job whose turn it is is passed on as it writes.
mkfifo p
mpmap -k -j2 -s 'echo first; until [ -e go ]; do sleep 0.01; done; echo last; : {}' ::: 1 2 >p &
exec 3<p
read -r line <&3
is "-k passes on what has its turn" first "$line"
: >go
is "-k passes on the rest" "last${nl}first${nl}last" "$(cat <&3)"
exec 3<&-
wait

# Much output: over the limit of memory, of one and of all, and in order.
big='head -c 3000000 /dev/zero | tr "\0" {}; echo'
for k in '' -k; do
    mpmap $k -j4 -s "$big" ::: a b c d e f g h i j k l >out.txt
    is "large outputs $k" "12 36000012" "$(wc -lc <out.txt | xargs)"
    is "large outputs are whole $k" 12 "$(tr -s a-l <out.txt | grep -cx '[a-l]')"
    [ -n "$k" ] && is "large outputs in order" "abcdefghijkl" "$(tr -s a-l <out.txt | tr -d '\n')"
done
is "their files have no name" "" "$(mpmap -k -j2 -s 'if [ {} = 1 ]; then sleep 0.5; ls $TMPDIR | grep mpmap
    else head -c 3000000 /dev/zero; fi' ::: 1 2 | tr -d '\0')"
rm -f out.txt

# The memory stays small all the while.
mkfifo q
seq 40 | mpmap -k -j4 -s 'if [ {} = 1 ]; then until [ -e went ]; do sleep 0.05; done; else head -c 2000000 /dev/zero; fi' >q &
pid=$!
cat q >/dev/null &

sleep 1
peak=$(awk '/VmHWM/ { print $2 }' /proc/$pid/status)
: >went
wait $pid
sanitized || is "80 MB wait in less than 40 MB of memory" yes "$([ "$peak" -lt 40000 ] && echo yes || echo "$peak kB")"
wait

# The disk is full, or there is none: the job fails, and mpmap says so.
TMPDIR=/no/such/dir gives "no room to hold output" 74 mpmap -s 'head -c 3000000 /dev/zero; : {}' ::: 1
has "no room to hold output" "job 1 (1): output truncated: No such file or directory: cannot keep it in /no/such/dir: set TMPDIR" "$err"
if mkdir small && mount -t tmpfs -o size=256k none small 2>/dev/null; then
    TMPDIR=$PWD/small gives "a full disk" 74 mpmap -s 'test {} = b || { head -c 3000000 /dev/zero | tr "\0" x; }; echo {}' ::: a b
    has "a full disk" "job 1 (a): output truncated: No space left on device: cannot keep it in $PWD/small: free some room, or set TMPDIR" "$err"
    is "a full disk: the others" b "$(tr -d x <out.txt | grep -x b)"
    umount small
fi

# What a job leaves in the background holds up nothing, and its later words are nobody's.
is "a background child" "now" "$(mpmap -s 'sleep 1000 & echo now; echo $! >pid; : {}' ::: 1)"
is "a background child is not waited for" alive "$(gone "$(cat pid)" || echo alive)"
kill "$(cat pid)"
mpmap -s 'sleep 1000 & echo $! >pid; : {}' ::: job >out.txt 2>err.txt
is "a job that goes into the background: status" 0 $?
has "a job that goes into the background: told" \
    "mpmap: job 1 (job): left processes in the background: what they write from now on is lost" "$(cat err.txt)"
kill "$(cat pid)"
rm -f pid # which the daemon writes when it has let go
gives "a daemon that lets go of its output" 0 mpmap -s 'setsid sh -c "echo \$\$ >pid; exec sleep 1000" >/dev/null 2>&1 &
    until [ -s pid ]; do sleep 0.01; done; : {}' ::: job
is "a daemon that lets go of its output: nothing to tell" "" "$err"
kill "$(cat pid)"

# A reader that stops: mpmap waits, hears signals, and does not grow.
mkfifo r
yes | mpmap echo >r 2>/dev/null &
pid=$!
exec 3<r
sleep 0.5
kill -TERM $pid
wait $pid
is "stopped reader: SIGTERM is heard" 143 $?
exec 3<&-
is "a slow reader gets all" "$(seq 20000 | tail -1)" \
    "$(mpmap -s 'seq 20000; : {}' ::: 1 | { sleep 0.3; tail -1; })"
finish
