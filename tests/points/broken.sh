#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Do the tests notice? In each line a step is left out that makes a primitive survive, and the
# scenario that must fail for it.
#
#   broken.sh PROGRAM
set -eu

failed=0
while read -r what scenario; do
    if MP_BREAK=$what CK_RUN_CASE=killed_at_each_point_of_$scenario "$1" >/dev/null 2>&1; then
        echo "NOT NOTICED: without $what, $scenario passes"
        failed=1
    else
        echo "noticed: without $what, $scenario fails"
    fi
done <<END
lock.tell locks
condition.take_over bequests
semaphore.collect robust_semaphore
rwlock.reap rwlock
fifo.recover fifo
ordered.derive lifo
dict.recover dict
END
exit "$failed"
