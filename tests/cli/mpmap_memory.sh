#!/bin/sh
# SPDX-License-Identifier: MIT
# A million items take no more memory than ten.
. "${0%/*}/common.sh"

if sanitized; then
    echo "skipped: sanitizers have memory of their own"
    exit 77
fi
seq 1000000 >list
mpmap -k -j2 echo <list >out.txt &
pid=$!
eventually sh -c 'test $(wc -l <out.txt) -gt 500' || is "it runs" yes no
peak=$(awk '/VmHWM/ { print $2 }' /proc/$pid/status)
kill -TERM $pid
wait $pid
is "a million items in at most 4 MiB" yes "$([ "$peak" -le 4096 ] && echo yes || echo "$peak kB")"
is "in order" "$(seq 500)" "$(head -500 out.txt)"
finish
