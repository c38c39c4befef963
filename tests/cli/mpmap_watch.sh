#!/bin/sh
# SPDX-License-Identifier: MIT
# Output line by line, tags, results; the bar, the state, the summary.
. "${0%/*}/common.sh"

# Lines.
is "--tag" "a${tab}x${nl}a${tab}y" "$(mpmap --tag -s 'echo x; echo y; : {}' ::: a)"
is "--tag, an empty item" "${tab}x" "$(mpmap --tag -s 'echo x; : {}' ::: "")"
is "--tagstring" "1-b${tab}a/b.c${nl}2-e${tab}d/e.f" "$(mpmap -k --tagstring '{#}-{/.}' echo ::: a/b.c d/e.f)"
is "--tagstring without a replacement string" "t${tab}1" "$(mpmap --tagstring t echo ::: 1)"
is "--tag without a last newline" "a${tab}x" "$(mpmap --tag printf x%.0s ::: a)"
is "--tag, stderr" "a${tab}x" "$(mpmap --tag -s 'echo x >&2; : {}' ::: a 2>&1 >/dev/null)"
mkfifo go
mpmap -j2 --line-buffer -s 'test {} = 2 && read x <go; printf "half "; echo {}; test {} = 1 && { echo >go; until grep -q "half 2" out.txt; do sleep 0.02; done; printf "the end"; }; :' ::: 1 2 >out.txt
is "--line-buffer: as they come" "half 1${nl}half 2${nl}the end" "$(cat out.txt)"
rm go
seq 8 | mpmap -j8 --line-buffer -s 'yes "line of {} line of {} line of {}" | head -3000' | cat >out.txt
is "--line-buffer: no line is torn" 8 "$(sort -u out.txt | grep -c '^line of \(.\) line of \1 line of \1$')"
is "--line-buffer: none is lost" 24000 "$(wc -l <out.txt)"
seq 3 | mpmap -j3 --line-buffer --tag -s 'head -c 300000 /dev/zero | tr "\0" {}; echo' >out.txt
is "long lines" "1 2 3" "$(cut -f1 out.txt | sort | xargs)"
is "long lines, whole" 900009 "$(wc -c <out.txt)"
is "--line-buffer with -k" "$(seq 20)" "$(seq 20 | mpmap -k -j4 --line-buffer echo)"
for bad in --line-buffer --tag '--tagstring x' '--results r'; do
    gives "-u $bad" 2 mpmap -u $bad true ::: 1
done

# The latest line.
is "--latest-line" "b1${nl}b2${nl}b3" "$(mpmap -k --latest-line -s 'echo a; echo b{}' ::: 1 2 3)"
is "--ll, --tag" "x${tab}2" "$(mpmap --ll --tag -s 'seq 2; : {}' ::: x)"
is "--ll: stderr may be the latest" "e${nl}." "$(mpmap --ll -s 'echo o; sleep 0.1; echo e >&2; : {}' ::: x; echo .)"
is "--ll: of what a carriage return left the last" "90%" "$(mpmap --ll printf '10%%\r50%%\r90%%\r%.0s' ::: x)"
is "--ll: empty lines do not count" "a" "$(mpmap --ll printf 'a\n\n\n%.0s' ::: x)"
is "--ll: nothing" "" "$(mpmap --ll true ::: x)"
is "--ll: a long line" 1001 "$(mpmap --ll -s 'head -c 3000000 /dev/zero; : {}' ::: x | wc -c)"
is "--ll: of tries the last" "2" "$(mpmap --ll --retries 2 -s 'echo >>tries; echo {}; wc -l <tries; false' ::: x)"
gives "--ll: messages" 1 mpmap --ll -s 'echo last; kill -9 $$; : {}' ::: x
is "--ll: messages: the line" last "$out"
has "--ll: messages" "job 1 (x): killed by signal 9" "$err"
mpmap --ll --results all -s 'seq {}' ::: 3 >out.txt
is "--ll, --results: all of it" "1 2 3 3" "$(cat all/1/3/stdout out.txt | xargs)"
rm -r all tries
for bad in -u '--results r.json' '--results -.csv'; do
    gives "--ll $bad" 2 mpmap --ll $bad true ::: 1
done
# at_terminal COMMAND: what a terminal of 5 rows and 20 columns shows. Jobs go on when it has
# shown what they wait for: `shows PATTERN`.
at_terminal() {
    echo "stty rows 5 cols 20; PATH=.:\$PATH; $1" >at.sh
    : >typed.txt
    timeout 60 env TERM=xterm script -qfec "sh at.sh" typed.txt </dev/null >/dev/null
    sed '1d;$d' typed.txt | tr -d '\r'
}
if has_terminal; then
    printf '#!/bin/sh\nuntil tr -d "\\r\\033" <typed.txt | tr "\\n" , | grep -q "$1"; do sleep 0.05; done\n' >shows
    chmod +x shows
    esc=$(printf '\033')
    shown=$(at_terminal 'mpmap -k -j2 --ll -s "printf \"%s\" {}; shows Ka,.Kbb,; echo {}{}; shows aaa,.Kbbbbbb," ::: a bb')
    has "--ll: at a terminal" "${esc}[Ka$nl${esc}[Kbb$nl" "$shown"
    has "--ll: drawn anew" "${esc}[2A${esc}[Kaaa$nl${esc}[Kbbbbbb$nl" "$shown"
    shown=$(at_terminal 'mpmap -k -j9 --ll --bar -s "echo {}; shows K1,.K2,.K3,.K4," ::: 1 2 3 4 5 6 7 8 9')
    has "--ll: as many rows as there are" "${esc}[K1$nl${esc}[K2$nl${esc}[K3$nl${esc}[K4$nl${esc}[K" "$shown"
    case $shown in
    *"${esc}[K1$nl${esc}[K2$nl${esc}[K3$nl${esc}[K4$nl${esc}[K5"*) is "--ll: not more" "4 rows" "$shown" ;;
    esac
    shown=$(at_terminal 'mpmap -j1 --ll -s "printf 12345678901234567890123; shows K123; : {}" ::: 1')
    has "--ll: not wider" "${esc}[K1234567890123456789$nl" "$shown"
    shown=$(at_terminal 'mpmap -j1 --ll -s "printf \"a\\033[5mb\\tc\"; shows Ka; : {}" ::: 1')
    has "--ll: does not steer the terminal" "${esc}[Ka [5mb c$nl" "$shown"
    shown=$(at_terminal 'mpmap -j1 --ll -s "printf \"日本語日本語日本語日本語\"; shows K日; : {}" ::: 1')
    has "--ll: wide characters" "${esc}[K日本語日本語日本語$nl" "$shown"
    rm -f at.sh typed.txt shows
fi

# Of a pipe nobody knows how many there are, unless told.
: >progress
{ echo 1; eventually [ -s progress ]; echo 2; } | mpmap --total-jobs 4 --progress-fd 3 true 3>progress
has "--total-jobs" '"total":4,"sure":true' "$(head -1 progress)"
has "--total-jobs: what there was in the end" '"total":2,' "$(tail -1 progress)"
gives "--total-jobs 0" 2 mpmap --total-jobs 0 true ::: 1
rm progress

# Results.
gives "--results DIR" 4 mpmap --results r -s 'echo out {}; echo err >&2; exit 3' ::: a/b '' .. "$(head -c 300 /dev/zero | tr '\0' x)"
is "--results: stdout" "out a/b" "$(cat 'r/1/a\_b/stdout')"
is "--results: stderr" err "$(cat 'r/1/a\_b/stderr')"
has "--results: job.json" '"exit":3,' "$(cat 'r/1/a\_b/job.json')"
is "--results: four of them" 4 "$(find r -name job.json | wc -l)"
mpmap --results two echo ::: a ::: b >/dev/null
is "--results: two arguments" "a b" "$(cat two/1/a/2/b/stdout)"
is "--results FILE.json prints nothing" "" "$(mpmap --results r.json -s 'printf "\377\303\274\n"; : {}' ::: q)"
has "--results FILE.json: bytes" '"stdout":"\udcffü\n","stderr":""}' "$(cat r.json)"
mpmap -j1 --results twice -s 'echo {#}' ::: a b a a >/dev/null
is "--results: equal items, each its own" "1 2 3 4" "$(cat twice/1/a/stdout twice/1/b/stdout 'twice/1/a\3/stdout' 'twice/1/a\4/stdout' | xargs)"
mpmap -j1 --results twice -s 'echo new {#}' ::: a b a a >/dev/null
is "--results: what an earlier run left is replaced" "new 1 new 2 new 3 new 4" "$(cat twice/1/a/stdout twice/1/b/stdout 'twice/1/a\3/stdout' 'twice/1/a\4/stdout' | xargs)"
is "--results: nothing else" 4 "$(find twice -name stdout | wc -l)"
rm -rf twice
gives "--results with --retries" 2 mpmap -j1 --results twice --retries 2 -s 'echo {#}; false' ::: a a
is "--results with --retries: the same place" "1 2" "$(find twice -name stdout | sort | xargs -d '\n' cat | xargs)"
{
    printf 'it,is "a"\nx'
    printf '\0%s\0' "$(head -c 200000 /dev/zero | tr '\0' y)"
} | mpmap -0 -k -a - --results r.csv -s 'printf "%s\n" {1}; echo err >&2; exit 3' ::: b 2>err.txt
is "--results FILE.csv: the columns" "Seq,Host,Starttime,JobRuntime,Send,Receive,Exitval,Signal,Command,V1,V2,Stdout,Stderr" "$(head -1 r.csv)"
if command -v python3 >/dev/null; then
    is "--results FILE.csv, read back" "['1', '3', 'it,is \"a\"\\nx', 'b', 'it,is \"a\"\\nx\\n', 'err\\n'] 13 ['2', '126', 13]" \
        "$(python3 -c 'import csv
a, b, c = csv.reader(open("r.csv", newline=""))
print([b[0], b[6]] + b[9:], len(b), [c[0], c[6], len(c)])')"
fi
has "--results FILE: messages are no part of it" "longer than an argument may be" "$(cat err.txt)"
mpmap -k --results r.tsv echo ::: a b ::: c
is "--results FILE.tsv" "a${tab}c${tab}\"a c" "$(sed -n 2p r.tsv | cut -f10-)"
mpmap --joblog log --results r.jsonl echo ::: 1 2
mpmap --joblog log --results r.jsonl --resume echo ::: 1 2 3
is "--results FILE with --resume" 3 "$(wc -l <r.jsonl)"
gives "--results with a replacement string" 2 mpmap --results 'r/{}' true ::: 1
gives "--results: no such directory" 2 mpmap --results no/r.json true ::: 1
gives "--results: a file in the way" 74 mpmap --results r.json/x true ::: 1

# Without a terminal the bar is silent.
gives "--bar" 0 mpmap --bar true ::: 1
is "--bar without a terminal" "" "$err"
if has_terminal; then
    terminal "sh -c 'stty cols 30; exec mpmap --bar -j1 -s \"sleep 0.4; : {}\" ::: 1 2 3 4'" >bar.txt </dev/null
    esc=$(printf '\033')
    has "--bar on a terminal" "%" "$(cat bar.txt)"
    is "--bar is not wider than the terminal" "" "$(tr '\r' '\n' <bar.txt | sed "s/$esc\[[0-9]*[A-Za-z]//g" | awk 'length > 30')"
    is "--bar is taken away" "$(printf '\r\033[K')" "$(tail -c 4 bar.txt)"
    is "colors on a terminal" 1 "$(terminal "mpmap --tag echo ::: 1" </dev/null | grep -c "$esc\[36m")"
    is "NO_COLOR" 0 "$(NO_COLOR=1 terminal "mpmap --tag echo ::: 1" </dev/null | grep -c "$esc\[36m")"
fi
is "no colors in a file" "1${tab}1" "$(mpmap --tag echo ::: 1)"
mpmap --progress-fd 3 true ::: 1 2 3 3>progress.json
has "--progress-fd" '"done":3,"failed":0,"running":0,"total":3,' "$(tail -1 progress.json)"
# total SOURCES...: what is known of it when the first job runs.
total() {
    rm -f progress
    mpmap --progress-fd 3 -j1 -s 'until [ -s progress ]; do sleep 0.02; done; : {}' "$@" 3>progress
    sed -n '1s/.*"total":\([^,]*\),"sure":\([^,]*\),.*/\1 \2/p' progress
}
is "total: a list" "4 true" "$(total ::: 1 2 3 4)"
is "total: a product, with a linked list" "6 true" "$(total ::: 1 2 3 4 :::+ a b ::: x y z)"
seq 5 >five
is "total: a file, estimated" "5 false" "$(total :::: five)"
is "total: a pipe" "null false" "$(seq 5 | total)"
gives "--progress-fd, closed" 2 mpmap --progress-fd 77 true ::: 1
mpmap -s 'echo >began; until [ -e go ]; do sleep 0.02; done; : {}' ::: item 2>err.txt &
pid=$!
eventually test -e began
kill -USR1 $pid
eventually grep -q 'job 1 (item): slot 1' err.txt || is "SIGUSR1" "a list of jobs" "$(cat err.txt)"
: >go
wait $pid
is "SIGUSR1 ends nothing" 0 $?
# The third takes longer than the others together, however long that was.
begin=$(date +%s)
gives "--summary" 1 mpmap -j1 --summary -s 'test {} != 3 || sleep $(($(date +%s) - '$begin' + 1)); test {} != 1' ::: 0 1 3
has "--summary: numbers" "3 jobs in " "$err"
has "--summary: the slowest" "job 3 (3)" "$(echo "$err" | grep slowest)"
has "--summary: speed-up" "speed-up" "$err"
gives "-t" 0 mpmap -t echo ::: 'a b'
has "-t" "mpmap: job 1: echo 'a b'" "$err"
finish
