#!/bin/sh
# SPDX-License-Identifier: MIT
# Replacement strings: as in GNU parallel.
. "${0%/*}/common.sh"

# item:  {.} {/} {//} {/.}
while IFS='|' read -r item noext base dir basenoext; do
    is "replacements of '$item'" "[$item][$noext][$base][$dir][$basenoext]" \
        "$(mpmap printf '[%s]' {} {.} {/} {//} {/.} ::: "$item")"
done <<'END'
a/b.c.d|a/b.c|b.c.d|a|b.c
x|x|x|.|x
x.gz|x|x.gz|.|x
a.b/c|a.b/c|c|a.b|c
/x.y|/x|x.y|/|x
/a/b|/a/b|b|/a|b
a//b|a//b|b|a|b
dir/|dir/||.|
/|/||/|
.bashrc||.bashrc|.|
foo.|foo|foo.|.|foo
a b/c d.e|a b/c d|c d.e|a b|c d
END
is "the empty item" "[][][][.][]" "$(mpmap printf '[%s]' {} {.} {/} {//} {/.} ::: '')" 
is "inside words, several times" "<a-a.b>${nl}<a>" "$(mpmap printf '<%s>\n' {}-{}.b {.} ::: a)"
is "{#}" "1a${nl}2b${nl}3c" "$(mpmap -k echo {#}{} ::: a b c)"
is "{%} of one slot" "1${nl}1${nl}1" "$(mpmap -j1 echo {%} ::: a b c)"
is "{%} counts from 1 to -j" "1${nl}2${nl}3" "$(mpmap -j3 sh -c '
    echo $0; : >on.$0; until [ -e on.1 ] && [ -e on.2 ] && [ -e on.3 ]; do sleep 0.01; done' {%} ::: a b c | sort)"
is "without one the item is appended" "x y a" "$(mpmap echo x y ::: a)"
is "with {#} it is not" "1" "$(mpmap echo {#} ::: a)"
is "an item is not looked at again" "{} {#} {.}" "$(mpmap echo ::: '{} {#} {.}')"
is "nor inside a word" "x{#}{}y" "$(mpmap echo x{}y ::: '{#}{}')"
is "other braces stay" "{x} {}} a{ }" "$(mpmap printf '%s' '{x} {{}} a{ }' ::: '}' | sed 's/{}}}/{}}/')"
is "an empty word stays" "<><a>" "$(mpmap printf '<%s>' '' ::: a)"
is "the command may be the item" "hello" "$(printf 'echo\n' | mpmap {} hello)"
is "environment" "1:1 2:1" "$(mpmap -j1 -k sh -c 'echo $MPMAP_SEQ:$MPMAP_SLOT' ::: a b | xargs)"
is "environment of an mpmap in an mpmap" "1" \
    "$(MPMAP_SEQ=77 mpmap sh -c 'env | grep -c ^MPMAP_SEQ=' ::: a)"
is "stdin of jobs is empty" "" "$(echo more | mpmap -a /dev/stdin sh -c cat)"
is "--er and the like" "d/a a.b 1 {.}" "$(mpmap -j1 --er @ --bnr , --slotreplace % echo @ , % {.} ::: d/a.b)"
gives "--er ''" 2 mpmap --er '' echo ::: a

# --dry-run prints what a shell reads back.
for item in "it's" '$(id)' 'a b' '' '*' '~' '#' 'a;b' "new${nl}line" '\' '"' '!x' '{}' '-n' 'a=b'; do
    mpmap printf '<%s>' {} x{.} ::: "$item" >want
    eval "$(mpmap --dry-run printf '<%s>' {} x{.} ::: "$item")" >got
    is "--dry-run of '$item'" "$(cat want; echo .)" "$(cat got; echo .)"
done
is "--dry-run is readable" "gzip -9 a.txt" "$(mpmap --dry-run gzip -9 ::: a.txt)"
is "--dry-run does not look for the command" "no-such x" "$(mpmap --dry-run no-such ::: x)"
is "--dry-run keeps the order" "$(seq 100 | sed 's/^/echo /')" "$(seq 100 | mpmap --dry-run echo)"
finish
