#!/bin/sh
# SPDX-License-Identifier: MIT
# More than 50 texts that a careless tool would run, as items in every mode: each arrives as it is,
# and none is executed. Each would make a file whose name begins with pwned.
. "${0%/*}/common.sh"

{
    for text in '$(touch pwned1)' '`touch pwned2`' ';touch pwned3' '; touch pwned4 #' '|touch pwned5' \
        '||touch pwned6' '&touch pwned7' '&& touch pwned8' "'; touch pwned9; '" '"; touch pwned10; "' \
        "'\$(touch pwned11)'" '"$(touch pwned12)"' '\$(touch pwned13)' '\`touch pwned14`' \
        "a${nl}touch pwned15" "a${nl}${nl}touch pwned16${nl}" '>pwned17' '>>pwned18' '<(touch pwned19)' \
        '2>pwned20' '$(touch pwned21' '${x:=$(touch pwned22)}' '${x:-`touch pwned23`}' '$((a[$(touch pwned24)]))' \
        'a[$(touch pwned25)]' '{touch,pwned26}' '*' '?' '[a-z]*' '~' '~root' '!!' '!touch' '$HOME' '$0' '$1' \
        '${1}' '$@' '$*' '{}' '{1}' '{.}' '{#}' '{%}' '{s/a/$(touch pwned27)/}' '{= touch pwned28 =}' \
        '-n' '--help' '--' "\\" "'" '"' ")touch pwned29(" "%s%n%d"; do
        printf '%s\0' "$text"
    done
} >items
n=$(tr -cd '\0' <items | wc -c)
is "how many" yes "$([ "$n" -ge 53 ] && echo yes || echo "$n")"

mkdir name
ln -s "$(command -v mpmap)" name/parallel

# same WHAT COMMAND...: the command prints each item and a NUL.
same() {
    what=$1
    shift
    "$@" >got 2>err.txt
    cmp -s items got || is "$what" "$(tr '\0' '|' <items)" "$(tr '\0' '|' <got; cat err.txt)"
    is "$what: nothing was run" "" "$(ls | grep pwned)"
    rm -f pwned*
}

mp="mpmap -k -0 -a items"
gp="name/parallel -k -0 -a items"
shells="/bin/sh $(command -v bash) $(command -v zsh)"
sanitized && shells=/bin/sh # they are the same calls
for shell in $shells; do
    PARALLEL_SHELL=$shell
    export PARALLEL_SHELL
    for script in 'printf "%s\0" {}' 'printf "%s\0"' 'printf "%s\0" "{}"' "printf '%s\\0' '{}'" \
        'x={}; printf "%s\0" "$x"' \
        '(printf "%s\0" {})' 'if :; then printf "%s\0" {}; fi' 'printf "%s\0" {} | cat' 'for i in {}; do printf "%s\0" "$i"; done'; do
        same "parallel ($shell): $script" $gp "$script"
    done
    same "parallel ($shell) -X" $gp -j1 -X 'printf "%s\0"'
    same "parallel ($shell) -n3" $gp -n3 'printf "%s\0" {}'
    same "parallel ($shell) -q" $gp -q printf '%s\0'
done
for script in 'printf "%s\0" {}' 'printf "%s\0"' 'printf "%s\0" "{}"' "printf '%s\\0' '{}'" 'printf "%s\0" {1}' 'printf "%s\0" "$1"'; do
    same "-s $script" $mp -s "$script"
done
same "plain" $mp printf '%s\0'
same "in a word" sh -c "$mp printf '%s\\0' x{}x | sed -z 's/^x//;s/x\$//'"
same "the item behind a function of the shell" $mp sh -c 'printf "%s\0" "$1"' sh
same "-X" $mp -j1 -X printf '%s\0'
same "-m" $mp -j1 -m printf '%s\0'
same "-n7" $mp -n7 printf '%s\0'
same "-X -s" $mp -j1 -X -s 'printf "%s\0"'
same "-X -s, with others" $mp -j1 -X -s 'printf "%s\0" {} ; : {.} {/}'
same "-I" $mp -I @ printf '%s\0' @
same "-i" $mp -i printf '%s\0' {}
same "{s///}" $mp printf '%s\0' '{s/nothing//}'
same "a list" xargs -0 -a items mpmap -k printf '%s\0' :::
same "a list, -s" xargs -0 -a items mpmap -k -s 'printf "%s\0"' :::
same "a product" $mp printf '%s\0' {1} ::: one
same "linked" sh -c "xargs -0 -a items mpmap -k -0 -a items printf '%s\\0' {2} :::+"
same "--dry-run, read back by a shell" sh -c "eval \"\$($mp --dry-run printf '%s\\0')\""
same "--dry-run, as parallel" sh -c "eval \"\$($gp --dry-run printf \"'%s\\\\0'\")\""
same "-u" mpmap -0 -a items -u -j1 printf '%s\0'

# Columns, CSV, names, JSON: texts without newlines, as one field of two.
tr '\n' ' ' <items | tr '\0' '\n' >lines
tr '\n' '\0' <lines >items
is "lines" "$n" "$(wc -l <lines)"
sed "s/\$/${tab}b/" lines >columns
same "--colsep" mpmap -k -C '\t' --trim n -a columns printf '%s\0' {1}
same "--colsep -s" mpmap -k -C '\t' --trim n -a columns -s 'printf "%s\0" {1}'
same "--header" sh -c "{ echo 'f	g'; cat columns; } | mpmap -k -C '\\t' --trim n --header : -s 'printf \"%s\\0\" {f}'"
sed 's/"/""/g;s/.*/"&",b/' lines >csv
same "--csv" mpmap -k --csv -a csv printf '%s\0' {1}
same "--csv -s" mpmap -k --csv -a csv -s 'printf "%s\0" {1}'
sed 's/\\/\\\\/g;s/"/\\"/g;s/.*/{"f":"&"}/' lines >json
same "--json" mpmap -k --json -a json printf '%s\0' {f}
same "--json -s" mpmap -k --json -a json -s 'printf "%s\0" {f}'
same "--pipe" mpmap -k --pipe -N1 -a lines -s 'tr "\n" "\0"'

# Where the script calculates, none of them is a number.
mpmap -0 -a items -s 'echo $(({}))' >out.txt 2>err.txt
is "arithmetic: status" "$n" $?
is "arithmetic: nothing was run" "" "$(ls | grep pwned; cat out.txt)"
# The command that is the item is one word: no such program.
mpmap -0 -a items {} </dev/null >out.txt 2>err.txt
is "an item as the command: nothing was run" "" "$(ls | grep pwned)"
finish
