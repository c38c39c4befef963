#!/bin/sh
# SPDX-License-Identifier: MIT
#
# examples/seed, programs 11 and 12, on the event loop.
. "${0%/*}/common.sh"
seed=$MP_BIN/seed

# At least the time between two lines, and no more than a busy machine needs.
apart() {
    echo "$out" | awk -v least="$1" 'NR > 1 && $4 - last < least { print } { last = $4 }'
}
for how in "" complete; do
    # shellcheck disable=SC2086
    gives "loop_chain $how" 0 "$seed/11_loop_chain" 0.2 $how
    is "1, 2, 3 in turn" "" "$(echo "$out" | awk '$1 != "function_" (NR - 1) % 3 + 1 { print }')"
    # Nine calls, or fewer where the machine was late, but up to the end.
    is "nine times as long" yes "$(echo "$out" | awk '{ last = $4 }
        END { print (NR <= 9 && last >= 1.599) ? "yes" : NR " calls, the last at " last }')"
    is "each at its time" "" "$(apart 0.199)"
done

gives "coroutine_fsm" 0 "$seed/12_coroutine_fsm" 0.001 7
first=$out
is "the title" "Finite State Machine simulation with Asyncio Coroutine" "$(echo "$out" | head -n 1)"
is "the start" "Start State called" "$(echo "$out" | sed -n 2p)"
is "the way back" "Resume of the Transition : ${nl}Start State calling" \
    "$(echo "$out" | sed -n '/Stop/,$p' | sed -n '2p; 3s/calling.*/calling/p')"
gives "coroutine_fsm again" 0 "$seed/12_coroutine_fsm" 0.001 7
is "the same seed, the same way" "$first" "$out"

# The way back tells the same way: each hop follows from the one before and its value.
n=0
while [ $((n += 1)) -le 20 ]; do
    gives "coroutine_fsm $n" 0 "$seed/12_coroutine_fsm" 0 $n
    is "way $n" "" "$(echo "$out" | awk '
        BEGIN { to["Start State", 0] = "State 2"; to["Start State", 1] = "State 1"
                to["State 1", 0] = "State 3"; to["State 1", 1] = "State 2"
                to["State 2", 0] = "State 1"; to["State 2", 1] = "State 3"
                to["State 3", 0] = "State 1"; to["State 3", 1] = "End State"
                at = "Start State" }
        /^...Evaluating...$/ { evaluated++; if (stopped) print "evaluated after the end" }
        /^...Stop Computation...$/ { stopped++ }
        / calling / { split($0, part, " calling "); split(part[2], hop, " with transition value = ")
                      if (part[1] != at || to[at, hop[2] + 0] != hop[1]) print
                      at = hop[1]; hops++ }
        END { if (stopped != 1 || at != "End State" || hops != evaluated + 1)
                  print stopped, at, hops, evaluated }')"
done

finish
