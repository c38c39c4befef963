#!/bin/sh
# SPDX-License-Identifier: MIT
# Several sources, fields of records, names, and how many items make a job.
. "${0%/*}/common.sh"

lines() { printf '%s\n' "$@"; }

# Sources: the last turns fastest.
is "two lists" "a1 a2 b1 b2" "$(mpmap -k echo {1}{2} ::: a b ::: 1 2 | xargs)"
is "{} is all of them" "a 1${nl}b 1" "$(mpmap -k echo {} ::: a b ::: 1)"
is "{} is one argument each" "<a b><1>" "$(mpmap printf '<%s>' {} ::: 'a b' ::: 1)"
is "inside a word" "<xa><1y>" "$(mpmap printf '<%s>' x{}y ::: a ::: 1)"
is "three sources" 24 "$(mpmap echo ::: 1 2 3 ::: 1 2 ::: 1 2 3 4 | sort -u | wc -l)"
lines x y >list
is "a list and a file" "ax ay bx by" "$(mpmap -k echo {1}{2} ::: a b :::: list | xargs)"
is "files" "xx xy yx yy" "$(mpmap -k echo {1}{2} :::: list list | xargs)"
is "-a twice" "xx xy yx yy" "$(mpmap -k -a list -a list echo {1}{2} | xargs)"
is "-a and :::" "x1 y1" "$(mpmap -k -a list echo {1}{2} ::: 1 | xargs)"
is "stdin and a list" "x1 x2 y1 y2" "$(mpmap -k echo {1}{2} :::: - ::: 1 2 <list | xargs)"
is "linked: the shortest ends it" "a1 b2" "$(mpmap -k echo {1}{2} ::: a b c :::+ 1 2 | xargs)"
is "linked and combined" "a1x a1y b2x b2y" "$(mpmap -k echo {1}{2}{3} ::: a b :::+ 1 2 :::: list | xargs)"
is "a linked file" "ax by" "$(mpmap -k echo {1}{2} ::: a b ::::+ list | xargs)"
is "--link: the longest" "a1 b2 a3" "$(mpmap -k --link echo {1}{2} ::: a b ::: 1 2 3 | xargs)"
is "an empty source" "" "$(mpmap echo ::: a b :::)"
is "an empty file" "" "$(mpmap echo ::: a b :::: /dev/null)"
is "{-1}, {-2}" "3 2" "$(mpmap echo {-1} {-2} ::: 1 ::: 2 ::: 3)"
is "a field that is not there" "[][]" "$(mpmap printf '[%s]' {3} {-4} ::: a ::: b)"
is "{2.} {2/} {1//}" "b/c.d c.d.e a" "$(mpmap echo {2.} {2/} {1//} ::: a/x ::: b/c.d.e)"
is "--arg-sep" "a" "$(mpmap --arg-sep ,, echo {} ,, a)"
is "--arg-file-sep" "x y" "$(mpmap -k --arg-file-sep ,, echo {} ,, list | xargs)"

# A pipe as the first of several sources is read as it comes.
mkfifo in outp
mpmap -j1 echo {1}{2} :::: - ::: 1 2 <in >outp &
exec 3>in 4<outp
echo a >&3
read -r one <&4
read -r two <&4
is "a trickling first source" "a1 a2" "$one $two"
exec 3>&- 4<&-
wait

# Columns.
is "--colsep" "b a" "$(echo a:b | mpmap --colsep : echo {2} {1})"
is "-C" "b a" "$(echo a:b | mpmap -C : echo {2} {1})"
is "--colsep: {} is all" "<a><b>" "$(echo a:b | mpmap -C : printf '<%s>')"
is "--colsep: a regular expression" "<a><b><c>" "$(echo 'a  b;c' | mpmap -C ' +|;' printf '<%s>')"
is "--colsep '\\t'" "<a b><c>" "$(printf 'a b\tc\n' | mpmap -C '\t' printf '<%s>')"
is "--colsep '\\s+' and '\\d'" "<a><b>|<a><b>" \
    "$(echo 'a   b' | mpmap -C '\s+' printf '<%s>')|$(echo 'a3b' | mpmap -C '\d' printf '<%s>')"
is "--colsep: empty fields" "<><a><><b><>" "$(echo ,a,,b, | mpmap -C , printf '<%s>')"
gives "--colsep: no regular expression" 2 mpmap -C '(' echo ::: a
has "--colsep: no regular expression" "not a regular expression" "$err"
is "--csv" "<a><b, \"c\"><><d>" "$(echo 'a,"b, ""c""",,d' | mpmap --csv printf '<%s>')"
bom=$(printf '\357\273\277')
is "--csv: a byte order mark" "joe 3" "$(printf '%sname,"age"\njoe,3\n' "$bom" | mpmap --csv --header : echo {name} {age})"
is "--csv: a byte order mark before a quote" "a,b c" "$(printf '%s"a,b",c\n' "$bom" | mpmap --csv echo {1} {2})"
is "--json: a byte order mark" "1" "$(printf '%s{"a":1}\n' "$bom" | mpmap --json echo {a})"
is "lines: a byte order mark is left alone" "${bom}a" "$(printf '%sa\n' "$bom" | mpmap echo)"
is "--csv: a newline in quotes" "<a${nl}b><c>|" "$(printf '"a\nb",c\n' | mpmap --csv printf '<%s>' {} '|' | sed 's/<|>/|/')"
is "--csv: CRLF" "<a><b>" "$(printf 'a,b\r\n' | mpmap --csv printf '<%s>')"
is "--csv: quotes inside" '<a"b><c>' "$(echo 'a"b,c' | mpmap --csv printf '<%s>')"
is "--csv --colsep" "<a,b><c>" "$(echo 'a,b;c' | mpmap --csv --colsep ';' printf '<%s>')"
gives "--csv: a quote that is not closed" 1 sh -c 'printf "a,b\n\"c" | mpmap --csv echo'
has "--csv: a quote that is not closed" "a double quote is not closed" "$err"
gives "--csv --colsep of two characters" 2 mpmap --csv --colsep ab echo ::: a
is "--trim" "<a b>" "$(echo '  a b ' | mpmap --trim lr printf '<%s>')"
is "--trim, of columns" "<a><b>" "$(echo 'a , b' | mpmap --trim lr -C , printf '<%s>')"
gives "--trim x" 2 mpmap --trim x echo ::: a

# Names.
is "--header" "joe 3" "$(printf 'name,age\njoe,3\n' | mpmap --csv --header : echo {name} {age})"
is "--header: changes" "b c" "$(printf 'f\na/b.c\n' | mpmap -C , --header : -s 'echo {f/.} {f/}' | sed 's/b\.c/c/')"
is "--header: other braces stay" "{nome} joe" "$(printf 'name\njoe\n' | mpmap --header : echo {nome} {name})"
is "--header: of lists" "f1 g3,f1 g4,f2 g3,f2 g4," \
    "$(mpmap -k --header : echo {a} {b} ::: a f1 f2 ::: b g3 g4 | tr '\n' ,)"
is "--header: names that begin alike" "2 1" "$(printf 'ab,a\n1,2\n' | mpmap --csv --header : echo {a} {ab})"
gives "--header: nothing but it" 0 sh -c 'echo name | mpmap --header : echo {name}'
is "--skip-first-line" "b" "$(lines a b | mpmap --skip-first-line echo)"

# JSON.
lines '{"name":"x y","n":[1,2.50,{"q":"\u00e9\n"}],"t":true,"z":null,"a.b":"dot","o":{"k":"/"}}' >json
is "--json" '<x y>' "$(mpmap --json -a json printf '<%s>' {name})"
is "--json: numbers as they are" '<1><2.50>' "$(mpmap --json -a json printf '<%s>' {n.1} {n.2})"
is "--json: values" '<[1,2.50,{"q":"é\n"}]><true><><>' "$(mpmap --json -a json printf '<%s>' {n} {t} {z} {none})"
is "--json: paths" "<é$nl><dot><{\"k\":\"/\"}>" "$(mpmap --json -a json printf '<%s>' {n.3.q} {a.b} {o})"
is "--json: {} is the line" "$(cat json)" "$(mpmap --json -a json printf '%s\n' {})"
is "--json: an array" "b" "$(echo '["a","b"]' | mpmap --json echo {2})"
is "--json: -s" "x y" "$(mpmap --json -s -a json 'echo {name}')"
is "--json: changes" "p/q q.r" "$(echo '{"f":"p/q.r"}' | mpmap --json echo {f.} {f/})"
gives "--json: what is none" 3 sh -c 'printf "%s\n" "{\"a\":1}" "{a" "[1] x" "" | mpmap --json echo {a}'
has "--json: what is none" "job 2 ({a): the item is not JSON" "$err"
is "--json: the others" 1 "$out"
gives "--json: numbers that are none, or too large" 4 mpmap --json echo {a} ::: '{"a":NaN}' \
    '{"b":[123456789012345678901234567890]}' '{"a":-Infinity}' "$(head -c 100 /dev/zero | tr '\0' '[')"
has "--json: numbers that are too large" "does not fit 64 bits" "$err"
is "--json: large numbers" "9007199254740993${nl}1e400${nl}0.1" \
    "$(mpmap -k --json echo {a} ::: '{"a":9007199254740993}' '{"a":1e400}' '{"a":0.1}')"
gives "--json: NUL in a text" 1 sh -c 'echo "{\"a\":\"x\\u0000y\"}" | mpmap --json echo {a}'
gives "--json --csv" 2 mpmap --json --csv echo ::: a
gives "--json -n" 2 mpmap --json -n 2 echo ::: a

# How many a job.
is "-n" "1 2${nl}3 4${nl}5" "$(seq 5 | mpmap -k -n2 echo)"
is "-N: each" "2-1${nl}4-3${nl}-5" "$(seq 5 | mpmap -k -N2 echo {2}-{1})"
is "-n with columns" "a b c d" "$(lines a,b c,d | mpmap -C , -n2 echo)"
is "-L, -l" "1 2,3,1,2,3," "$(seq 3 | mpmap -k -L2 echo | tr '\n' ,)$(seq 3 | mpmap -k -l echo | tr '\n' ,)"
is "-N0" "x${nl}x${nl}x" "$(seq 3 | mpmap -k -N0 echo x)"
is "-N0 {}: no word" "0" "$(mpmap -N0 sh -c 'echo $#' sh {} ::: a)"
is "-X" "x1y x2y x3y" "$(seq 3 | mpmap -j1 -X echo x{}y)"
is "-m" "x1 2 3y" "$(seq 3 | mpmap -j1 -m echo x{}y)"
is "-X: a word of two" "1-1 2-2 z 1 2" "$(seq 2 | mpmap -j1 -X echo {}-{} z {})"
is "-X -n" "1 2${nl}3" "$(seq 3 | mpmap -k -j1 -X -n2 echo)"
is "-X spreads what is left over the slots" "1 2 3${nl}4 5" "$(seq 5 | mpmap -k -j2 -X echo)"
is "-X -s" "a/1 a/2 (1) (2) 1 2" "$(seq 2 | mpmap -j1 -X -s 'echo a/{} "("{}")" "$@"')"
is "-m -s: in quotes" "1 2|1 2" "$(seq 2 | mpmap -j1 -m -s "printf '%s' \"{}|\" '{}'")"
is "-X: all of them, in order" "$(seq 300000)" "$(seq 300000 | mpmap -k -j1 -X echo | tr ' ' '\n')"
most=$(getconf ARG_MAX)
[ "$most" -le 6291456 ] || most=6291456
longest=$(seq 1000000 | mpmap -j1 -k -X sh -c 'echo "$*" | wc -c' sh | head -1)
# Each has a pointer, too: 8 bytes and some 7 of its own.
is "-X packs up to the system's limit" yes \
    "$([ "$longest" -gt $((most * 2 / 5)) ] && [ "$longest" -lt "$most" ] && echo yes)"
is "-X -s with many words" "$(seq 100000 | sed 's/.*/&.x/')" \
    "$(seq 100000 | sed 's/$/.x/' | mpmap -k -j1 -X -s 'printf "%s.x\n" {.}')"
is "--max-chars" yes "$(seq 1000 | mpmap -k -X --max-chars 100 echo | awk 'length > 100 { bad = 1 } END { print bad ? "no" : "yes" }')"
gives "-X: one that cannot be" 1 sh -c 'printf "a\nb\000c\nd\n" | mpmap -k -j1 -X echo'
is "-X: one that cannot be: the others" "a${nl}d" "$out"

# Ends of items.
is "-d" "a b,c,d," "$(printf 'a b;c;d' | mpmap -k -d ';' echo | tr '\n' ,)"
is "-d of several bytes" "a-b,c," "$(printf 'a-b--c' | mpmap -k -d -- echo | tr '\n' ,)"
is "-d '\\t'" "a,b," "$(printf 'a\tb' | mpmap -k -d '\t' echo | tr '\n' ,)"
is "-d '\\0', '\\x3b'" "a,b,a,b," \
    "$(printf 'a\0b' | mpmap -k -d '\0' echo | tr '\n' ,)$(printf 'a;b' | mpmap -k -d '\x3b' echo | tr '\n' ,)"
gives "-d ''" 2 mpmap -d '' echo
gives "-0 -d" 2 mpmap -0 -d x echo
is "-E" "a" "$(lines a STOP b | mpmap -E STOP echo)"
is "-I" "a.b" "$(mpmap -I % echo % ::: a.b)"
is "-i" "a" "$(mpmap -i echo {} ::: a)"

# Other changes.
is "{:} {^.gz}" "d.e/a d.e/a.tar" "$(mpmap echo {:} {^.gz} ::: d.e/a.tar.gz)"
is "{^x}: not there" "a.b" "$(mpmap echo {^.gz} ::: a.b)"
is "{s/a/b/}" "bcac bcbc" "$(mpmap echo {s/a/b/} {s/a/b/g} ::: acac)"
is "{s///}: groups" "b-a [ab] ab" "$(mpmap echo '{s/(.)(.)/\2-\1/}' '{s/.*/[&]/}' '{s/x//}' ::: ab)"
is "{s,/,_,g}" "_a_b" "$(mpmap echo '{s,/,_,g}' ::: /a/b)"
is "{s///i}, of nothing" "xb -a-b-" "$(mpmap echo '{s/A/x/i}' '{s/x*/-/g}' ::: ab)"
is "{2s/a/b/}" "ba" "$(mpmap echo '{2s/a/b/}' ::: x ::: aa)"
gives "{s///}: no regular expression" 2 mpmap echo '{s/(/x/}' ::: a

# No command: lines are commands.
is "lines as commands" "b${nl}12" "$(lines 'echo a | tr a b' 'echo $((3 * 4))' | mpmap -k)"
is "a list of commands" "x y" "$(mpmap ::: 'echo "x y"')"
is "commands made of sources" "a 1${nl}a 2" "$(mpmap -k ::: 'echo a' ::: 1 2)"
gives "commands that fail" 2 sh -c 'printf "true\nfalse\nexit 3\n" | mpmap'

# Nothing is read ahead of what is needed.
is "endless input" "1${nl}2" "$(yes | mpmap -k -j1 -s 'echo {#}' | head -2)"
is "endless input, packed" "y y" "$(yes | mpmap -k -j1 -X -n2 echo | head -1)"
finish
