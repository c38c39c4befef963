#!/bin/sh
# SPDX-License-Identifier: MIT
# What if malloc() fails? Each of its calls in a run fails once, and then nothing but that is
# different: either all is done as ever, or mpmap says that it has no memory, with status 74.
# JSON is left out: json-c does not bear it.
. "${0%/*}/common.sh"

if sanitized || [ ! -e "${MP_NO_MEMORY:-}" ]; then
    echo "skipped: sanitizers have memory of their own, or this is not run by ctest"
    exit 77
fi
seq 3 >in
printf '1,x\n2,y\n3,z\n' >table
gives "a joblog to go on with" 3 mpmap --joblog first -k sh -c 'echo {}; exit {}' ::: 0 1 2 3

# How often it may end by abort(): libuv does in its first loop, before anything is run.
aborts=2

# without_memory STATUS OUTPUT OPTION...: what `mpmap OPTION...` gives that has memory.
without_memory() {
    status=$1
    want=$2
    shift 2
    n=0
    aborted=0
    until cp first log
        rm -rf res failed
        LD_PRELOAD=$MP_NO_MEMORY NO_MEMORY_AT=$n$for_good mpmap "$@" >out.txt 2>err.txt
        got=$?
        [ ! -e failed ] || [ $n = 1000 ]; do
        out=$(sort out.txt)
        if [ $got = 134 ] && [ -z "$out" ] && [ $aborted -lt $aborts ]; then
            aborted=$((aborted + 1))
        elif [ $got = 74 ]; then
            has "$*: call $n$for_good: said" "memory" "$(tr A-Z a-z <err.txt)"
        else
            is "$*: call $n$for_good: status" "$status" "$got"
            is "$*: call $n$for_good: output" "$want" "$out"
        fi
        n=$((n + 1))
    done
    is "$*: with memory" "$status $want" "$got $(sort out.txt)"
    [ $n -gt 20 ] || is "$*: calls of malloc()" "more than 20" $n
}

for for_good in '' ${MP_TEST_LONG:++}; do
    without_memory 0 "1${nl}2${nl}3" -k -a in -t --results res --joblog log echo
    without_memory 0 "a${tab}q${nl}a${tab}q${nl}a${tab}q" -a table --colsep , --tagstring a \
        echo '{1s/[0-9]/q/}'
    without_memory 0 "1${nl}2${nl}3" -a in --timeout 100 --retries 2 --retry-on 1 --shuf -s 'echo {}'
    without_memory 0 "1${nl}2${nl}3" --pipe -N1 --recend '\n' -a in cat
    without_memory 3 "1${nl}2${nl}3" --joblog log --retry-failed
done 2>abort.txt
finish
