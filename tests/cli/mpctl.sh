#!/bin/sh
# SPDX-License-Identifier: MIT
# mpctl: each command once, as people and as programs use it.
. "${0%/*}/common.sh"
command -v mpmanager >/dev/null || { echo "SKIP: mpmanager was not built"; exit 77; }

gives "--help" 0 mpctl --help
help=$out
for word in ping list get set new call delete watch clients locks stats metrics debug monitor types methods \
    snapshot reload shutdown --json --manager --start --timeout --key-file --tls-ca --tls-cert --tls-key \
    --tls-name; do
    has "--help" "$word" "$help"
    grep -q "Fl ${word#-}\|Cm ${word}\|, -${word#--}" "$MP_SRC/docs/man/mpctl.1" || is "mpctl(1) has $word" yes no
done
gives "no command" 2 mpctl
gives "an unknown command" 2 mpctl nonsense
has "an unknown command" "mpctl: nonsense: no such command" "$err"
gives "an unknown option" 2 mpctl --nonsense ping
gives "too few arguments" 2 mpctl set x
gives "no time" 2 mpctl -t soon ping
gives "nobody there" 1 mpctl ping

gives "begin" 0 mpmanager --background --log-level=off
gives "ping" 0 mpctl ping
has "ping" "answered after" "$out"
gives "ping --json" 0 mpctl --json ping
has "ping --json" '"instance": ' "$out"

# ---- values ----
gives "set" 0 mpctl set prices tea 3.5
gives "get" 0 mpctl get prices tea
is "get" 3.5 "$out"
gives "text" 0 mpctl set prices name "a b"
is "text" "a b" "$(mpctl get prices name)"
is "text as JSON" '"a b"' "$(mpctl -j get prices name)"
gives "JSON" 0 mpctl set prices all '{"a": [1, -2, 3.25, true, null, "x\"\u00e4"], "b": {}}'
is "JSON" '{"a": [1, -2, 3.25, true, null, "x\"ä"], "b": {}}' "$(mpctl get prices all)"
gives "bad JSON" 1 mpctl set prices x '[1,'
has "bad JSON" "is no JSON" "$err"
is "the whole" '{"tea": 3.5, "name": "a b", "all": {"a": [1, -2, 3.25, true, null, "x\"ä"], "b": {}}}' \
    "$(mpctl get prices)"
gives "a missing key" 1 mpctl get prices coffee
has "a missing key" "no such key" "$err"
gives "a missing object" 1 mpctl get nothing
gives "incr" 0 mpctl call prices incr hits 5
is "incr" 5 "$out"
gives "no such method" 1 mpctl call prices fly
gives "a Value" 0 mpctl set answer 42
is "a Value" 42 "$(mpctl get answer)"

# ---- tables ----
is "list" "NAME    TYPE   OBJECT" "$(mpctl list | head -n 1 | sed 's/ *$//')"
has "list" "prices  dict" "$(mpctl list)"
is "list --json" '"answer"' "$(mpctl -j list | grep -o '"answer"')"
is "list PREFIX" 2 "$(mpctl list pri | wc -l)"
has "clients" mpctl "$(mpctl clients)"
is "clients --json" '"name": "mpctl"' "$(mpctl -j clients | grep -o '"name": "mpctl"')"
gives "locks, none" 0 mpctl locks
is "locks, none" "" "$out"
has "stats" "objects" "$(mpctl stats)"
has "metrics" 'mp_manager_calls_total{method="DICT.set"}' "$(mpctl metrics)"
has "types" "JoinableQueue" "$(mpctl types)"
has "methods" "compare_and_set" "$(mpctl methods dict)"
gives "debug" 0 mpctl debug prices

# ---- what goes on ----
mpctl watch prices tea >watched &
watch=$!
mpctl monitor >monitored &
monitor=$!
has_two() { [ "$(mpctl -j clients | grep -o '"name": "mpctl"' | wc -l)" = 3 ]; }
eventually has_two || is "both watch" yes no
eventually_set() {
    mpctl set prices tea 4.5
    grep -q 'set "tea" 4.5' watched
}
eventually eventually_set || is "watch" yes "$(cat watched)"
eventually grep -q 'method=DICT.set' monitored || is "monitor" yes "$(cat monitored)"
kill $watch $monitor
wait $watch $monitor 2>/dev/null

gives "delete" 0 mpctl delete prices
gives "delete, again" 1 mpctl delete prices
gives "snapshot, without persistence" 1 mpctl snapshot

# ---- a foreign client ----
if command -v nngcat >/dev/null; then
    # [1, ping, 0, 0, "hello"]
    printf '\225\001\002\000\000\245hello' >ping
    socket=$(find "$PWD" -name default.sock)
    answer=$(nngcat --req --raw --dial "ipc://$socket" --file ping --recv-timeout 10 | od -An -c | tr -d ' \n')
    is "nngcat --req" '223001\0245hello' "$answer"
else
    echo "SKIP: nngcat is not installed"
fi

# ---- completion ----
if command -v bash >/dev/null; then
    completes() {
        bash -c '. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _mpctl; echo "${COMPREPLY[*]}"' \
            - "$MP_SRC/tools/mpctl/mpctl.bash" "$@"
    }
    is "completion of a command" "shutdown" "$(completes mpctl shu)"
    is "completion of a name" "answer" "$(completes mpctl get an)"
    is "completion of an option" "--json" "$(completes mpctl --js)"
fi
gives "shutdown" 0 mpctl shutdown now
finish
