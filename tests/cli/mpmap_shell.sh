#!/bin/sh
# SPDX-License-Identifier: MIT
# -s: the item is an argument of the script, never part of it.
. "${0%/*}/common.sh"

is "a pipeline" "A" "$(mpmap -s 'echo {} | tr a-z A-Z' ::: a)"
is "several words are joined" "x a" "$(mpmap -s echo x {} ::: a)"
is "without {} the item is appended" "x a  b" "$(mpmap -s 'echo x' ::: 'a  b')"
is "after a semicolon too" "x${nl}y a  b" "$(mpmap -s 'echo x; echo y' ::: 'a  b')"
is "a script that uses \$1 itself" "a  b" "$(mpmap -s 'echo "$1"' ::: 'a  b')"
is "all replacement strings" "d/x.y d/x x.y d x 1 1" \
    "$(mpmap -s 'echo {} {.} {/} {//} {/.} {#} {%}' ::: d/x.y)"
is "those that hold a text" "b X.b a/X.b a/b a/b. a/bb" \
    "$(mpmap -s 'echo {/.} {s,a/b,X,} "{s/b/X/}" {^.b} '"'{s/b$//}'"' {s/\.//}' ::: a/b.b)"
is "status" 3 "$(mpmap -s 'exit {}' ::: 1 2 3; echo $?)"

# Whatever the item, whatever the quotes: it comes out as it is, and nothing is run.
: >canary
items() {
    for item in "it's" 'a  b' '$(touch pwned)' '`touch pwned`' '"; touch pwned; "' "'; touch pwned; '" \
        '*' '$HOME' '\' '\\n' '-n' '#x' '${1}' '$1' '"' "'" '&& touch pwned' '| touch pwned' '~' '{}' \
        '{#}' ')' '}' ';;' '<<x' '!!' ''; do
        printf '%s'"$1" "$item"
    done
}
items '\0' >items.txt
items . >want.txt
for script in 'printf "%s." {}' 'printf "%s." "{}"' "printf '%s.' '{}'" 'printf "%s." ""{}' \
    'printf %s. {} ; :' 'x={}; printf "%s." "$x"' 'printf "%s." "$(printf "%s" {})"' \
    'printf "%s." "$(printf "%s" "{}")"' 'if :; then printf %s. {}; fi' '# no one'\''s comment
printf %s. {}' 'printf "%s." "${nothing:-{}}"' '(printf %s. {})' '{ printf %s. {}; }' \
    'printf "it'\''s\n" >/dev/null; printf %s. "{}"' 'printf %s. \"{}\" | sed "s/^.//; s/..\$/./"' \
    'printf %s.'; do
    is "-s '$script'" "$(cat want.txt)" "$(mpmap -0 -k -a items.txt -s "$script")"
    item="a${nl}touch pwned"
    case $script in
    *sed*) ;; # it would see two lines
    *) is "-s '$script' with a newline" "$item." "$(mpmap -s "$script" ::: "$item")" ;;
    esac
done
is "nothing was run" "canary" "$(ls | grep -v txt | xargs)"

# Literal braces of the shell are left alone.
is "shell's own braces" "a b" "$(mpmap -s 'f() { echo "$1" b; }; f {}' ::: a)"
is "a comment" "a" "$(mpmap -s 'echo {} # {} it'\''s' ::: a)"

# Where a value would be evaluated, or the item become a command, it is refused.
for script in 'echo `echo {}`' "cat <<E
{}
E" ; do
    gives "refused: $script" 2 mpmap -s "$script" ::: 1
    has "refused: $script" "no replacement string can stand in" "$err"
done
for script in 'echo a;' 'echo a &' 'echo a |' 'echo a &&' "echo a$nl" 'X=1' '(echo a)' '{ echo a; }' \
    'if true; then' '!' '' ' ' 'echo "a' "echo 'a" 'for i in 1; do echo; done' '$nothing' 'echo a #'; do
    gives "not appended: $script" 2 mpmap -s "$script" ::: 'touch pwned'
    has "not appended: $script" "cannot be added at the end" "$err"
done
# Where the shell calculates, an item is a whole number or fails.
is "arithmetic" "2${nl}-6" "$(mpmap -k -s 'echo $((2 * {}))' ::: 1 -3)"
for item in 'a[$(touch pwned)]' '1+1' '' x '$(touch pwned)' 1.5 '0x1f' '1 2' '-'; do
    for script in 'echo $(({} + 1))' 'echo $((1 + (2 * {})))' 'x=$(( {} )); : $x' ; do
        gives "arithmetic with '$item'" 1 mpmap -s "$script" ::: "$item"
        has "arithmetic with '$item'" "not a whole number" "$err"
    done
done
for bad in '{2}' '{-2}'; do
    gives "arithmetic with an argument that is not there: $bad" 1 mpmap -s "echo \$(($bad + 1))" ::: 1
    gives "arithmetic with none at all: $bad" 1 mpmap -N0 -s "echo \$(($bad + 1))" ::: 1
done
is "arithmetic without the item is fine" "3 a" "$(mpmap -s 'echo $((1 + 2)) {}' ::: a)"
is "nothing was run, at the end" "" "$(ls | grep pwned)"
is "--dry-run" "/bin/sh -c 'echo \"\${1}\"' sh 'a b'" "$(mpmap --dry-run -s 'echo {}' ::: 'a b')"
finish
