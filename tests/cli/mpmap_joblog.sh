#!/bin/sh
# SPDX-License-Identifier: MIT
# Joblogs, and what is left out because of them.
. "${0%/*}/common.sh"

# Columns.
gives "joblog" 3 sh -c 'seq 5 | mpmap -j1 --joblog log -s "exit \$(({} % 2))"'
is "its header" "Seq	Host	Starttime	JobRuntime	Send	Receive	Exitval	Signal	Command" "$(head -1 log)"
is "its lines" "1 1 0,2 0 0,3 1 0,4 0 0,5 1 0," "$(tail -n +2 log | awk -F '\t' '{ printf "%s %s %s,", $1, $7, $8 }')"
is "nine columns" 9 "$(awk -F '\t' '{ print NF }' log | sort -u)"
mpmap --joblog log -s 'kill -9 $$; : {}' ::: a 2>/dev/null
is "killed by a signal" "0 9" "$(tail -1 log | awk -F '\t' '{ print $7, $8 }')"
is "replaced" 2 "$(wc -l <log)"
mpmap --joblog +log -s 'printf 12345; : {}' ::: b >/dev/null
is "+ adds" 3 "$(wc -l <log)"
is "received" 5 "$(tail -1 log | cut -f6)"
printf 'a\tb\nc\0' | mpmap -0 --joblog log true
is "tabs and newlines in items" "2 true 'a'\$'\\t''b'\$'\\n''c'" "$(wc -l <log) $(tail -1 log | cut -f9-)"
is "and bash reads it back" "$(printf '<a\tb\nc>')" "$(bash -c "set -- $(tail -1 log | cut -f9-); printf '<%s>\n' \"\$2\"")"

# Leaving out, by command and item.
rm log
run() { mpmap -j1 --joblog log "$@"; }
is "the first run" "1 2 3" "$(seq 3 | run echo | xargs)"
is "--resume: only what is new" "0 9" "$(printf '0\n2\n1\n9\n3\n' | run --resume echo | xargs)"
is "--resume: again" "" "$(printf '0\n2\n1\n9\n3\n' | run --resume echo)"
is "as many of equal ones as have run" "2 2" "$(printf '2\n2\n2\n' | run --resume echo | xargs)"
rm log
is "{%} does not matter" "" "$(seq 20 | mpmap -j4 --joblog log echo {%} {} >/dev/null; seq 20 | mpmap -j3 --joblog log --resume echo {%} {})"
is "-k and --resume" "1 5 21 22" "$(sed -i '/ 5$/d; / 1$/d' log; seq 22 | mpmap -k -j4 --joblog log --resume echo {%} {} | cut -d' ' -f2 | xargs)"
seq 5000 >list
mpmap --joblog log true <list
gives "5000 left out" 0 mpmap -t --joblog log --resume true <list
is "5000 left out: none ran" "" "$err"
rm log
gives "some fail" 2 run -s 'test -e good || exit $(({} % 2)); echo {}' ::: 1 2 3
: >good
is "--resume leaves out failures" "" "$(run --resume -s 'test -e good || exit $(({} % 2)); echo {}' ::: 1 2 3)"
is "--resume-failed does not" "1 3" "$(run --resume-failed -s 'test -e good || exit $(({} % 2)); echo {}' ::: 1 2 3 | xargs)"
is "--resume-failed: then it does" "" "$(run --resume-failed -s 'test -e good || exit $(({} % 2)); echo {}' ::: 1 2 3)"
for log in retry.log retry.json; do
    rm -f good
    printf '1\0002\000a b\nc\0' | mpmap -0 -j1 --joblog $log -s 'test -e good || exit 4; printf "<%s>" {}' >/dev/null
    gives "--retry-failed, $log: still" 3 mpmap --joblog $log --retry-failed
    : >good
    is "--retry-failed, $log" "<1><2><a b${nl}c>" "$(mpmap -k --joblog $log --retry-failed)"
    is "--retry-failed, $log: nothing is left" "" "$(mpmap --joblog $log --retry-failed)"
done

# JSON.
gives "json" 1 mpmap --joblog log.json -s 'printf "\303\274"; exit {}' ::: 7
if command -v jq >/dev/null; then
    is "json: what is in it" '[1,7,0,2,true,"/bin/sh -c '"'"'printf \"\\303\\274\"; exit \"${1}\"'"'"' sh 7"]' \
        "$(jq -c '[.seq, .exit, .signal, .received, .memory_kib > 0, .command]' log.json)"
    printf '\377"\\\n' | mpmap --joblog bytes.json true
    is "json: any bytes" 1 "$(jq -c .seq bytes.json)"
fi
is "json: --resume" "8" "$(mpmap --joblog log.json --resume -s 'printf "\303\274"; exit {}' ::: 7 8 2>/dev/null | wc -c | sed 's/2/8/')"

# At most once: what has begun is not run again.
rm -f log
mpmap -j1 --at-most-once --joblog log true ::: 1
is "the times of a start and an end" "" "$(sed 1d log | awk -F "$tab" '$3 < 1000000000')"
is "a line for the start" "-1 -1" "$(sed -n 2p log | awk -F '\t' '{ print $7, $8 }')"
sed -i '$d' log
gives "--at-most-once --resume, unknown" 1 mpmap --at-most-once --joblog log --resume true ::: 1 2
has "it is named" "job 1 (1): unknown" "$err"
is "the other one ran" "2 0" "$(tail -1 log | cut -f1,7 | xargs)"

# Files that are none.
gives "missing directory" 2 mpmap --joblog no/log true ::: 1
has "missing directory: said" "mpmap: --joblog no/log: No such file" "$err"
gives "a directory" 2 mpmap --joblog . true ::: 1
mkfifo fifo
gives "a FIFO" 2 mpmap --joblog fifo true ::: 1
has "a FIFO: said" "is not a file" "$err"
gives "standard output" 2 mpmap --joblog - true ::: 1
echo precious >text
gives "a text" 2 mpmap --joblog text true ::: 1
is "a text is left" precious "$(cat text)"
ln -s text link
gives "a link to a text" 2 mpmap --joblog link --resume true ::: 1
gives "no joblog" 2 mpmap --resume true ::: 1
mpmap --joblog other sh -c : ::: 1 2
gives "of another command" 2 mpmap --joblog other --resume echo ::: 1
has "of another command: said" "is the joblog of another command" "$err"
mpmap --joblog locked -s 'echo >began; until [ -e go ]; do sleep 0.02; done; : {}' ::: 1 &
eventually test -e began
gives "two on one joblog" 2 mpmap --joblog locked --resume true ::: 1
has "two on one joblog: said" "another mpmap is writing it" "$err"
: >go
wait
is "two on one joblog: the first goes on" 2 "$(wc -l <locked)"
rm -f log
seq 3 | mpmap -j1 --joblog log true
truncate -s -7 log
gives "a torn line" 0 sh -c 'seq 3 | mpmap -v -j1 --joblog log --resume true'
has "a torn line: said" "log: its last line is torn" "$err"
has "a torn line: only its job runs" "true 3" "$err"
is "a torn line: mended" 4 "$(wc -l <log)"
printf 'rubbish\n' >>log
gives "a damaged line" 0 sh -c 'seq 3 | mpmap --joblog log --resume true'
has "a damaged line: said" "log: line 5 is damaged" "$err"
for line in '"key":null' '"key":1' '"key":"0"' '"key":"00000000000000000000000000000000","command":null' '"key":{}'; do
    printf '%s\n' "{\"seq\":1,$line}" >log.json
    gives "a damaged line of JSON, $line" 0 mpmap --joblog log.json --resume true ::: 1
    is "a damaged line of JSON, $line: what is missing is run" 2 "$(wc -l <log.json)"
done

# A full disk: nothing is lost in silence.
if mkdir full && mount -t tmpfs -o size=64k tmpfs full 2>/dev/null; then
    gives "a joblog on a full disk" 74 sh -c 'seq 3000 | mpmap --joblog full/log true "$(head -c 200 /dev/zero | tr "\\0" x)"'
    has "a full disk: said" "full/log: No space left on device: not logged" "$err"
    is "a full disk: whole lines" "" "$(tail -c 1 full/log)"
    rm -f full/*
    gives "results on a full disk" 74 mpmap --results full/r -s 'head -c 200000 /dev/zero; : {}' ::: 1
    has "results on a full disk: said" "full/r: No space left on device: incomplete" "$err"
    gives "results on a full disk, with a joblog" 74 mpmap --joblog log.full --results full/s -s 'head -c 200000 /dev/zero; : {}' ::: 1
    is "results on a full disk: not logged, so that the job is run again" 1 "$(wc -l <log.full)"
    rm -rf full/*
    gives "a table on a full disk" 74 sh -c 'seq 1000 | mpmap -j1 --results full/r.csv -s "echo >>ran.full; head -c 9000 /dev/zero; : {}"'
    has "a table on a full disk: said" "--results full/r.csv: No space left on device: incomplete: job " "$err"
    is "a table on a full disk: no more jobs are run" yes "$([ "$(wc -l <ran.full)" -lt 100 ] && echo yes)"
    rm -rf full/*
    gives "output on a full disk" 74 env TMPDIR="$PWD/full" mpmap -s 'head -c 3000000 /dev/zero; : {}' ::: 1
    has "output on a full disk: said" "output truncated" "$err"
    umount full
else
    echo "not tested: a full disk (no privilege to mount one)"
fi
finish
