#!/bin/sh
# SPDX-License-Identifier: MIT
# Where items come from, and what they may hold.
. "${0%/*}/common.sh"

show='printf <%s>\n'
printf 'a\nb c\n' | mpmap -k printf '<%s>\n' >out.txt
is "lines" "<a>$nl<b c>" "$(cat out.txt)"
is "last line without newline" "<a>$nl<b>" "$(printf 'a\nb' | mpmap -k printf '<%s>\n')"
is "empty lines are items" "<>$nl<a>$nl<>" "$(printf '\na\n\n' | mpmap -k printf '<%s>\n')"
is "CRLF is left alone" "$(printf '<a\r>')" "$(printf 'a\r\n' | mpmap printf '<%s>\n')"
is "tabs and blanks are left alone" "< ${tab}a  b >" "$(printf ' \ta  b \n' | mpmap printf '<%s>\n')"
is "quotes mean nothing" "<it's \"a\" \\b \$(id) \`id\` *>" \
    "$(printf '%s\n' "it's \"a\" \\b \$(id) \`id\` *" | mpmap printf '<%s>\n')"
is "a list" "<a>$nl<b c>$nl<>" "$(mpmap -k printf '<%s>\n' ::: a 'b c' '')"
is "a list does not read stdin" "<a>${nl}rest" \
    "$(echo rest | { mpmap printf '<%s>\n' ::: a; cat; })"
is "an empty list of words" "" "$(mpmap echo :::)"
gives "an empty list" 0 mpmap echo </dev/null
is "an empty list runs nothing" "" "$out$err"
gives "an empty list with a command that is not there" 0 mpmap no-such-command </dev/null
is "-0" "<a${nl}b>$nl<c>" "$(printf 'a\nb\0c' | mpmap -0 -k printf '<%s>\n')"
printf 'x\ny\n' >list
is "-a" "<x>$nl<y>" "$(mpmap -k -a list printf '<%s>\n')"
is "--arg-file=" "<x>$nl<y>" "$(mpmap -k --arg-file=list printf '<%s>\n')"
is "::::" "<x>$nl<y>" "$(mpmap -k printf '<%s>\n' :::: list)"
is "-a -" "<z>" "$(echo z | mpmap -a - printf '<%s>\n')"
is "invalid UTF-8 goes through" "ff fe 0a" \
    "$(printf '\377\376\n' | mpmap printf '%s\n' | od -An -tx1 | sed 's/^ //')"

gives "a missing file" 2 mpmap -a nothing echo
has "a missing file" "mpmap: nothing: No such file or directory" "$err"
gives "a directory" 2 mpmap -a . echo
has "a directory" "mpmap: .: is a directory" "$err"
gives "a directory as stdin" 2 mpmap echo <.
gives "stdin is closed" 2 mpmap echo <&-
has "stdin is closed" "standard input is closed" "$err"
gives "stdin is closed, but not needed" 0 mpmap echo ::: a <&-
is "stdin is closed, but not needed" a "$out"
gives "a link to nothing" 2 mpmap echo :::+ a
has "a link to nothing" "no source before it" "$err"
gives ":::: without a file" 2 mpmap echo ::::
is "files linked to each other" "a a,b b," "$(printf '%s\n' a b >ab; mpmap -k echo {1} {2} ::::+ ab ab | tr '\n' ,)"
gives "a file linked to nothing" 2 mpmap echo ::::+ ab
gives "stdin twice" 2 mpmap echo :::: - - </dev/null
has "stdin twice" "only one of the sources" "$err"

# What cannot be an argument fails its job, and only that.
printf 'a\nb\0c\nd\n' >list
gives "a NUL in a line" 1 mpmap -k -a list echo
is "a NUL in a line: the others" "a${nl}d" "$out"
has "a NUL in a line: message" "job 2 (b\\x00c): the item holds a NUL byte" "$err"

limit=$(($(getconf PAGESIZE) * 32))
{
    echo before
    head -c $((limit - 1)) /dev/zero | tr '\0' x
    echo
    head -c $limit /dev/zero | tr '\0' y
    echo
    head -c $((limit * 20)) /dev/zero | tr '\0' z
    printf '\nafter'
} >list
gives "long items" 2 mpmap -k -a list expr length
is "long items: the others" "6$nl$((limit - 1))${nl}5" "$out"
has "long items: message" "job 3 (yyyy" "$err"
has "long items: message" "longer than an argument may be" "$err"
gives "a long argument" 1 mpmap -k echo x{} ::: ok "$(head -c $((limit - 1)) /dev/zero | tr '\0' x)"
is "a long argument: the others" "xok" "$out"
has "a long argument: message" "an argument of $limit bytes: the system's limit is $((limit - 1))" "$err"

# A line without an end is read, but not kept: 64 MB, or 1 GiB, in an address space of 48 MiB.
if ! sanitized; then
    bytes=64000000
    [ -z "${MP_TEST_LONG:-}" ] || bytes=1073741824
    { echo a; head -c $bytes /dev/zero | tr '\0' x; echo; echo b; } >list
    for how in '' -X -s '--colsep ,' --csv; do
        gives "an endless line, $how" 1 sh -c "ulimit -v 49152; exec mpmap -k -a list $how echo"
        is "an endless line, $how: the others" "a b" "$(echo "$out" | xargs)"
        has "an endless line, $how: said" "longer than an argument may be" "$err"
    done
    gives "an endless line, --json" 3 sh -c 'ulimit -v 49152; exec mpmap --json -a list echo'
    rm list
fi

# Empty items.
is "-r" "1,2," "$(printf '1\n\n \t\n2\n' | mpmap -r -k echo | tr '\n' ,)"
is "-r, of an empty variable" "" "$(echo | mpmap -r echo)"
is "-r, of a list" "<a>" "$(mpmap -r printf '<%s>' ::: '' a ' ')"

# What is around: names, folders, environment, descriptors.
gives "control characters in a message" 1 mpmap sh -c 'kill -9 $$' ::: "$(printf '\033[2Jx')"
has "control characters in a message" 'job 1 (\x1b[2Jx): killed by signal 9' "$err"
(mkdir gone && cd gone && rmdir ../gone && mpmap -k echo ::: a b) >out.txt
is "a folder that is gone" "a${nl}b" "$(cat out.txt)"
gives "no PATH" 0 sh -c "PATH= $(command -v mpmap) /bin/echo ::: a"
gives "no PATH, and needed" 127 sh -c "PATH= $(command -v mpmap) nothing ::: a"
if [ "$(id -u)" != 0 ]; then
    : >secret
    chmod 0 secret
    gives "a file that may not be read" 2 mpmap -a secret echo
fi
seq 100000 >list
pieces=$(($(getconf ARG_MAX) / 230000)) # less where the stack may not grow as usual
[ $pieces -le 9 ] || pieces=9
(
    for i in $(seq $pieces); do
        eval "export LARGE$i=\$(head -c 100000 /dev/zero | tr '\\0' x)"
    done
    seq 100000 | mpmap -k -j1 -X echo
) | tr ' ' '\n' >out.txt
cmp list out.txt || is "-X leaves room for a large environment" same different
gives "few descriptors" 74 sh -c 'ulimit -n 10; mpmap echo ::: a'
has "few descriptors" "open files" "$err"

# A pipe that trickles holds up nothing: each result is there before the next item is sent.
mkfifo in outp
mpmap echo <in >outp &
exec 3>in 4<outp
for word in one two three; do
    echo $word >&3
    read -r answer <&4
    is "a pipe that trickles" $word "$answer"
done
printf 'half' >&3
exec 3>&-
read -r answer <&4
is "the last item of a pipe" half "$answer"
exec 4<&-
wait

# Nor does a FIFO that nobody writes to yet.
mpmap -a in echo >out.txt &
pid=$!
echo late >in
wait $pid
is "a FIFO as file" late "$(cat out.txt)"
finish
