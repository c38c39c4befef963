#!/bin/sh
# SPDX-License-Identifier: MIT
# --pipe and --pipepart: blocks as standard input of jobs.
. "${0%/*}/common.sh"

seq 200000 >list # 1.3 MB; in blocks that are not many, as a machine may be busy
is "--pipe, from a pipe" "$(cat list)" "$(cat list | mpmap --pipe -k cat)"
is "--pipe, from a file" "$(cat list)" "$(mpmap --pipe -k cat <list)"
is "--pipepart" "$(cat list)" "$(mpmap --pipepart -a list -k cat)"
is "--pipe: jobs" 2 "$(cat list | mpmap --pipe -s 'wc -l; :' | wc -l)"
for how in "cat list | mpmap --pipe" "mpmap --pipe <list" "mpmap --pipepart -a list"; do
    set -- $how
    is "$how: all lines" 200000 "$(eval "$how --block 40k wc -l" | awk '{ n += $1 } END { print n }')"
    is "$how: no line is cut" "$(cat list)" "$(eval "$how --block 40k -k cat")"
    is "$how: blocks of a size" yes \
        "$(eval "$how --block 40k wc -c" | awk '$1 > 40100 { bad = 1 } END { print (!bad && NR > 30 && NR < 35) ? "yes" : NR }')"
    is "$how: a block is less than a line" "$(head -100 list)" "$(eval "$how --block 1 -k cat" | head -100)"
    is "$how: the job's number" "$(seq 1 3)" "$(eval "$how --block 500k -k -s 'cat >/dev/null; echo {#}'")"
    gives "$how: jobs that do not read" 0 sh -c "$how --block 100k true"
    gives "$how: jobs that fail" 3 sh -c "$how --block 500k false"
    is "$how --round-robin" "200000" \
        "$(eval "$how -j3 --round-robin --block 20k wc -l" | awk '{ n += $1 } END { print n }')"
    is "$how --round-robin: jobs" 3 "$(eval "$how -j3 --round-robin --block 20k wc -l" | wc -l)"
    is "$how --round-robin: all of them" "$(sort list)" "$(eval "$how -j3 --round-robin --block 20k cat" | sort)"
done
slowly() { # what comes in two parts, the second when somebody has got the first
    rm -f got
    printf 'a\nb\nc'
    eventually [ -e got ]
    printf 'd\ne\n'
}
is "--block-timeout" "a${nl}b${nl}|cd${nl}e${nl}|" \
    "$(slowly | mpmap --pipe --block-timeout 0.2 -k -s 'cat; printf "|"; : >got')"
is "--bt, --regexp" "a${nl}b${nl}|cd${nl}e${nl}|" \
    "$(slowly | mpmap --pipe --bt 0.2 --regexp --recend '\n' -k -s 'cat; printf "|"; : >got')"
is "--bt, no records" "a${nl}b${nl}c|d${nl}e${nl}|" \
    "$(slowly | mpmap --pipe --bt 0.2 --recend '' -k -s 'cat; printf "|"; : >got')"
is "--bt, -N" "a${nl}|b${nl}|cd${nl}|e${nl}|" \
    "$(slowly | mpmap --pipe --bt 0.2 -N1 -k -s 'cat; printf "|"; : >got')"
is "--bt, a record that is not whole" "a${nl}b${nl}cd${nl}e${nl}|" \
    "$({ printf 'a\nb\nc'; sleep 0.5; printf 'd\ne\n'; } | mpmap --pipe --bt 0.2 --recend 'e\n' -k -s 'cat; printf "|"')"
rm got
is "--bt, a file" "$(cat list)" "$(mpmap --pipe --bt 0.001 -k cat <list)"
is "--bt, nothing" "" "$(sleep 0.3 | mpmap --pipe --bt 0.1 -k cat)"
for bad in 0 -1 x ''; do
    gives "--bt '$bad'" 2 mpmap --pipe --bt "$bad" cat </dev/null
done
is "--block -2" 4 "$(mpmap -j2 --pipepart -a list --block -2 wc -l | wc -l)"
gives "--block 0" 2 mpmap --pipe --block 0 cat </dev/null
gives "--block x" 2 mpmap --pipe --block x cat </dev/null
is "no input" "" "$(mpmap --pipe cat </dev/null)"
is "no last newline" "a${nl}b." "$(printf 'a\nb' | mpmap --pipe cat; echo .)"
is "-N" "1 2,3 4,5," "$(seq 5 | mpmap --pipe -k -N2 -s 'echo $(cat)' | tr '\n' ,)"
is "-N of a file" "1 2,3 4,5," "$(seq 5 >five; mpmap --pipepart -a five -k -N2 -s 'echo $(cat)' | tr '\n' ,)"
is "--recend" "a;|b;|c|" "$(printf 'a;b;c' | mpmap --pipe --block 1 --recend ';' -k -s 'cat; printf "|"')"
is "--recstart" ">a|>b|>c|" "$(printf '>a>b>c' | mpmap --pipe --block 1 --recstart '>' -k -s 'cat; printf "|"')"
is "--recstart -N" ">a>b|>c|" "$(printf '>a>b>c' | mpmap --pipe -N2 --recstart '>' -k -s 'cat; printf "|"')"
is "--recend --recstart" "<a></a>|<a>x;</a>|" \
    "$(printf '<a></a><a>x;</a>' | mpmap --pipe --block 1 --recend '</a>' --recstart '<a>' -k -s 'cat; printf "|"')"
printf '>a\nACGT\n>b\nTT\n' >fasta
is "--pipepart --recstart" "2 2 " "$(mpmap --pipepart -a fasta --block 1 --recstart '>' -k wc -l | tr '\n' ' ')"
is "--remove-rec-sep" "a|b|c|" "$(printf 'a;b;c' | mpmap --pipe -N1 --recend ';' --rrs -k -s 'cat; printf "|"')"
is "-0" "a|b|" "$(printf 'a\0b\0' | mpmap -0 --pipe -N1 -k -s 'tr "\0" "|"')"
for how in 'seq 5 | mpmap --pipe' 'mpmap --pipe <five' 'mpmap --pipepart -a five'; do
    is "$how --header :" "1 2|1 3|1 4|1 5|" "$(eval "$how --header : --block 1 -k -s 'printf \"%s|\" \"\$(echo \$(cat))\"'")"
    is "$how --header 2" "1 2 3|1 2 4|1 2 5|" "$(eval "$how --header 2 --block 1 -k -s 'printf \"%s|\" \"\$(echo \$(cat))\"'")"
done
# --regexp: the same from a pipe and a file, and a record is the same however long blocks are.
printf 'a1\nb22\nc\nd333\n' >records
regexp() { # WANT OPTION...
    want=$1
    shift
    for how in 'mpmap --pipe' 'mpmap --pipe -a records' 'mpmap --pipepart -a records'; do
        is "--regexp $*, $how" "$want" \
            "$(cat records | $how --regexp "$@" -k -s 'cat; printf "|"' | tr '\n\r' ,@)"
    done
}
regexp 'a1,|b22,|c,d333,|' --recend '[0-9]+\n' -N1
regexp 'a1,b22,|c,d333,|' --recend '[0-9]+\n' -N2
regexp 'a1,|b22,|c,d333,|' --recend '[0-9]+\n' --block 1
regexp 'a1,b22,|c,d333,|' --recend '[0-9]+\n' --block 12
regexp 'a1,b22,c,d333,|' --recend '[0-9]+\n'
regexp 'a1,|b22,|c,|d333,|' --recstart '[a-d]' -N1
regexp 'a1,|b22,|c,|d333,|' --recstart '^.' --block 1
regexp 'a1,|b22,c,|d333,|' --recend '\n' --recstart '[bd]' -N1
regexp 'a1,|b22,c,|d333,|' --recend '\n|\r' --recstart 'b|d' --block 2
regexp 'a|b|c,d|' --recend '\d+\n' --rrs -N1
regexp '1,|22,|,|333,|' --recstart '[a-d]' --rrs -N1
regexp 'a1|22,c|333|' --recend '\n' --recstart '[bd]' --rrs -N1
regexp 'a1,b22,c,d333,|' --recend 'x*' -N1
regexp 'a1|,b22|,c,d333|,|' --recend '[0-9]*' -N1
regexp 'a1,b22,c,d333,|' --recend '$' -N1
regexp 'a1,|b22,|c,|d333,|' -N1
regexp 'a1,|b22,|c,|d333,|' --recend '(.)\n' -N1
regexp 'a|1|,|b|2|2|,|c|,|d|3|3|3|,|' --recend '' --block 1
: >records
regexp '' --recend '.' -N1
printf 'a\r\n\r\nb\r\n\nc' >records
regexp "a@,@,|b@,,|c|" --recend '(\r?\n)+' -N1
printf 'a\0b\nc\0' >records
is "--regexp of bytes" 'a\0b\n|c\0|' "$(mpmap --pipe --regexp --recend '[[:cntrl:]]\n|\n' -N1 -k -s 'cat; printf "|"' <records |
    od -An -c | tr -d ' \n')"
for bad in '(' 'a)(b' '[' '*\' 'a{2'; do
    gives "--regexp --recend '$bad'" 2 mpmap --pipe --regexp --recend "$bad" cat <list
    has "--regexp --recend '$bad'" "mpmap: --recend $bad: not a regular expression" "$err"
    gives "--regexp --recstart '$bad'" 2 mpmap --pipe --regexp --recend x --recstart "$bad" cat <list
done
head -20000 list >part # sanitizers look at all of a text before each search in it
for how in "cat part | mpmap --pipe" "mpmap --pipepart -a part"; do
    is "$how --regexp: no line is cut" "$(cat part)" \
        "$(eval "$how --regexp --recend '[0-9]\n' --block 4k -k cat")"
    is "$how --regexp: blocks of a size" yes \
        "$(eval "$how --regexp --recend '\n' --block 4k wc -c" | awk '$1 > 4100 { bad = 1 } END { print (!bad && NR > 25 && NR < 29) ? "yes" : NR }')"
    is "$how --regexp: records that are counted" "20 1000" \
        "$(eval "$how --regexp --recstart '^' --recend '\n' -N1000 --block 8k wc -l" | sort | uniq -c | xargs)"
done
for how in 'mpmap --pipe' 'mpmap --pipe -a five' 'mpmap --pipepart -a five'; do
    is "-L, $how" "1 2,3 4,5," "$(cat five | $how -L2 --block 1 -k -s 'echo $(cat)' | tr '\n' ,)"
    is "-L -N, $how" "1 2 3 4,5," "$(cat five | $how -L2 -N2 -k -s 'echo $(cat)' | tr '\n' ,)"
    is "-L: a block has as many as fit, $how" "1 2 3 4,5," "$(cat five | $how -L2 --block 9 -k -s 'echo $(cat)' | tr '\n' ,)"
    is "-L1, $how" "1,2,3,4,5," "$(cat five | $how -L1 -N1 -k -s 'echo $(cat)' | tr '\n' ,)"
    is "-L9, $how" "1 2 3 4 5," "$(cat five | $how -l9 -k -s 'echo $(cat)' | tr '\n' ,)"
done
is "-L4: no record is cut" 0 "$(mpmap --pipe -L4 --block 10k -s 'expr $(wc -l) % 4; :' <list | sort -u)"
is "-L4: none is lost" "$(cat list)" "$(mpmap --pipe -L4 --block 10k -k cat <list)"
gives "-L and --recend" 2 mpmap --pipe -L4 --recend x cat <list
is "--tag" "${tab}1${nl}${tab}2" "$(seq 2 | mpmap --pipe --tag cat)"
gives "--regexp --block 1G" 2 mpmap --pipe --regexp --recend x --block 1G cat <part
has "--regexp --block 1G" "--block: with --regexp it is below 1G" "$err"
is "--block -2 --regexp" 4 "$(mpmap -j2 --pipepart -a part --regexp --recend '\n' --block -2 wc -l | wc -l)"
is "--block -2 --rrs" 4 "$(mpmap -j2 --pipepart -a list --rrs --block -2 wc -c | wc -l)"
is "--rrs: a text that is no separator is kept" "a;|b;c;|" \
    "$(printf 'a;;>b;c;;' | mpmap --pipe --recend ';' --recstart '>' --rrs -N1 -k -s 'cat; printf "|"')"
is "--rrs, no separator" "abc" "$(printf abc | mpmap --pipe --recend '' --rrs cat)"
head -c 1000000 /dev/urandom >noise
for how in 'cat noise | mpmap --pipe' 'mpmap --pipe <noise' 'mpmap --pipepart -a noise'; do
    is "$how --recend ''" "$(cksum <noise)" "$(eval "$how --recend '' --block 30k -k cat" | cksum)"
    is "$how --recend '': sizes" "34 10000 30000 30000" \
        "$(eval "$how --recend '' --block 30000 wc -c" | sort -n | awk '{ s[NR] = $1 } END { print NR, s[1], s[2], s[NR] }')"
done
gives "--recend '' -N" 2 mpmap --pipe --recend '' -N 2 cat <noise
printf '%%a\n%%b\n1\n2\n3\n' >heads
for how in 'cat heads | mpmap --pipe' 'mpmap --pipe <heads' 'mpmap --pipepart -a heads'; do
    header() { eval "$how --header '$1' --block 1 -k -s 'printf \"%s|\" \"\$(echo \$(cat))\"'"; }
    is "$how --header REGEX" "%a %b 1|%a %b 2|%a %b 3|" "$(header '(%.*\n)*')"
    is "$how --header REGEX, a word" "%a %b 1|%a %b 2|%a %b 3|" "$(header '%a\n%b\n')"
    is "$how --header REGEX, not at the beginning" "%a|%b|1|2|3|" "$(header '%b\n')"
    is "$how --header REGEX, of nothing" "%a|%b|1|2|3|" "$(header x)"
done
is "--header REGEX of all there is" "" "$(mpmap --pipe --header '(.*\n)*' cat <heads)"
{ yes '# a comment' | head -c 300000; seq 3; } >heads
is "--header REGEX, long" "$(grep -c '#' heads) 1 2 3" \
    "$(cat heads | mpmap --pipe --header '(#.*\n)*' -s 'cat >block; grep -c "#" block; grep -v "#" block' | xargs)"
for bad in '(' 0 -1 ''; do
    gives "--header '$bad'" 2 mpmap --pipe --header "$bad" cat <five
done
gives "--pipepart of a pipe" 2 sh -c 'cat list | mpmap --pipepart -a - cat'
has "--pipepart of a pipe" "use --pipe" "$err"
gives "--pipepart without a file" 2 mpmap --pipepart cat
gives "--pipe with a list" 2 mpmap --pipe cat ::: a
gives "--pipe --csv" 2 mpmap --pipe --csv cat
is "--dry-run" "wc -l${nl}wc -l${nl}wc -l" "$(mpmap --pipe --block 500k --dry-run wc -l <list)"
is "a file given as stdin is read" "" "$({ mpmap --pipe cat >/dev/null; cat; } <list)"
is "from where it stands" "$(tail -n +2 list | head -1)" "$({ read -r _; mpmap --pipe -k head -1; } <list | head -1)"

# A long record is a block of its own.
{ echo a; head -c 3000000 /dev/zero | tr '\0' x; echo; echo b; } >long
for how in "cat long | mpmap --pipe" "mpmap --pipepart -a long"; do
    is "$how: a long record" "$(cksum <long)" "$(eval "$how --block 100k -k cat" | cksum)"
done

# A pipe that trickles: a block is there as soon as it is full.
mkfifo in outp
mpmap --pipe -N1 cat <in >outp &
exec 3>in 4<outp
for word in one two; do
    echo $word >&3
    read -r answer <&4
    is "a pipe that trickles" $word "$answer"
done
exec 3>&- 4<&-
wait
mpmap -j2 --pipe --round-robin -N1 -u cat <in >outp &
exec 3>in 4<outp
for word in one two three; do
    echo $word >&3
    read -r answer <&4
    is "a pipe that trickles, --round-robin" $word "$answer"
done
exec 3>&- 4<&-
wait
mkfifo in2 in3 # not the other, which the last run may still be about to close
mpmap --pipe -a in2 --header : -k cat >out.txt &
pid=$!
printf 'h\na\n' >in2
wait $pid
is "a FIFO with a header" "h${nl}a" "$(cat out.txt)"
mpmap --pipe -a in3 --dry-run cat >out.txt &
pid=$!
echo a >in3
wait $pid
is "a FIFO, --dry-run" "cat" "$(cat out.txt)"
cp list shrinks
gives "a file that becomes shorter" 74 mpmap -j1 --pipepart -a shrinks --block 400k -s 'test {#} = 2 && truncate -s 500000 shrinks; wc -c'
has "a file that becomes shorter: said" "shrinks: it has become shorter: a job did not get all of its block" "$err"
gives "few open files" 0 sh -c 'ulimit -n 64; mpmap -j5 --pipe --block 10k wc -l <list >out'
finish
