#!/bin/sh
# SPDX-License-Identifier: MIT
# When jobs are started, ended and tried again.
. "${0%/*}/common.sh"

# limited FILE OPTION...: mpmap with a time limit, within which the job comes as far as to write the
# FILE; it is longer where the machine is slow.
limited() {
    file=$1
    shift
    for limit in 0.3 1.0 3.0 10.0 30.0; do
        rm -f "$file"
        mpmap --timeout $limit "$@" >limited.out 2>limited.err
        status=$?
        [ ! -s "$file" ] || break
    done
    cat limited.out
    cat limited.err >&2
    [ -s "$file" ] && return $status
}

# Too slow: the job and what it has started go, wherever it is.
gives "--timeout" 1 limited left -s 'setsid sleep 1000 & echo $! >left; sleep {}' ::: 500
has "--timeout: said" "job 1 (500): took longer than $limit s: ended" "$err"
eventually gone "$(cat left)" || is "--timeout: what left its group is gone" yes no
gives "a job that leaves processes behind" 0 mpmap -s 'setsid sleep 1000 & echo $! >left; : {}' ::: a
has "a job that leaves processes behind is told of" "job 1 (a): left processes in the background" "$err"
kill "$(cat left)"
gives "--timeout, percent of the median" 1 mpmap -j1 --timeout 1000% -s 'sleep {}' ::: 0.1 0.1 0.1 100
has "--timeout, percent: said" "job 4 (100): took longer" "$err"
gives "--term-seq" 1 limited up --term-seq USR1,60000,KILL -s 'trap "echo asked; exit 1" USR1; echo >up; while :; do sleep 0.05; done; : {}' ::: a
is "--term-seq: the first signal" "asked" "$out"
gives "--timeout, and it ends as if all were well" 1 limited up --term-seq TERM,60000,KILL --joblog log -s 'trap "exit 0" TERM; echo >up; while :; do sleep 0.05; done; : {}' ::: a
is "--timeout: logged with the signal" "0 15" "$(sed 1d log | cut -f7,8 | tr '\t' ' ')"
gives "--timeout --retries, the same" 1 limited again --retries 2 -s 'test -e once && echo >again; : >once; trap "exit 0" TERM; while :; do sleep 0.05; done; : {}' ::: a
gives "--term-seq, deaf" 1 limited up --term-seq TERM,50,KILL -s 'trap "" TERM; echo >up; while :; do sleep 0.05; done; : {}' ::: a
for bad in 0 -1 5x 1e308 '' abc -5%; do
    gives "--timeout '$bad'" 2 mpmap --timeout="$bad" true ::: 1
done
for bad in '' FOO TERM,x TERM,-1 99; do
    gives "--term-seq '$bad'" 2 mpmap --term-seq="$bad" true ::: 1
done

# Again.
gives "--retries" 1 mpmap --retries 3 -s 'echo x >>tries.{}; echo try; test $(wc -l <tries.{}) -ge {}' ::: 1 2 3 4
is "--retries: how often" "1 2 3 3" "$(for i in 1 2 3 4; do wc -l <tries.$i; done | xargs)"
is "--retries: only the last try is printed" 4 "$(echo "$out" | wc -l)"
rm -f tries.*
gives "--retries with -k" 0 mpmap -k -j2 --retries 5 -s 'echo x >>tries.{}; echo {}; test $(wc -l <tries.{}) -ge $((4 - {}))' ::: 1 2 3
is "--retries with -k: the order" "1${nl}2${nl}3" "$out"
rm -f tries.*
gives "--retry-on another code" 1 mpmap --retries 3 --retry-on 7 -s 'echo x >>tries.{}; exit 8' ::: 1
is "--retry-on another code: once" 1 "$(wc -l <tries.1)"
gives "--retry-on this code" 1 mpmap --retries 3 --retry-on 1,5-9 -s 'echo x >>tries.{}; exit 8' ::: 2
is "--retry-on this code: thrice" 3 "$(wc -l <tries.2)"
gives "--retry-on signal" 1 mpmap --retries 2 --retry-on signal -s 'echo x >>tries.{}; kill -9 $$' ::: 3
is "--retry-on signal: twice" 2 "$(wc -l <tries.3)"
begin=$(date +%s%N)
gives "--retry-delay" 1 mpmap --retries 3 --retry-delay 0.2 false ::: 1
is "--retry-delay doubles" yes "$([ $((($(date +%s%N) - begin) / 1000000)) -ge 600 ] && echo yes)"
gives "--retries, more than there are numbers" 2 mpmap --retries 99999999999999999999 true ::: 1
gives "--retries, many" 0 mpmap --retries 1000000000 true ::: 1
gives "--retry-delay alone" 2 mpmap --retry-delay 1 true ::: 1
gives "--retry-on nonsense" 2 mpmap --retries 2 --retry-on x true ::: 1
gives "--retries with --pipe" 2 mpmap --retries 2 --pipe cat </dev/null

# Stopping early.
gives "--halt now,fail=1" 7 mpmap -j2 --halt now,fail=1 -s 'echo {}; case {} in
    1) until [ -e two ]; do sleep 0.02; done ;;
    *) : >two; sleep 1000 ;;
    esac; exit 7' ::: 1 2 3
is "--halt now: what was written is printed" "1${nl}2" "$out"
gives "--halt soon,fail=1" 3 mpmap -j1 --halt soon,fail=1 -s 'echo {}; exit {}' ::: 0 3 4
is "--halt soon: no more" "0${nl}3" "$out"
gives "--halt soon,fail=2" 2 mpmap -j1 --halt soon,fail=2 -s 'exit {}' ::: 5 0 6 7
gives "--halt now,success=1" 0 mpmap -j1 --halt now,success=1 -s 'echo {}; exit {}' ::: 5 0 6
is "--halt success: no more" "5${nl}0" "$out"
gives "--halt soon,done=3" 0 mpmap -j1 --halt soon,done=3 echo ::: 1 2 3 4
is "--halt done: no more" 3 "$(echo "$out" | wc -l)"
gives "--halt soon,success=2" 0 mpmap -j1 --halt soon,success=2 -s 'exit {}' ::: 1 0 2 0 3
for how in fail=2 fail=20%; do
    gives "--halt soon,$how" 2 mpmap -j1 --halt soon,$how -s 'echo {}; exit {}' ::: 0 1 0 0 0 2 3 4 5 0
    is "--halt soon,$how: no more" "0 1 0 0 0 2" "$(echo "$out" | xargs)"
done
gives "--halt soon,fail=50%" 50 sh -c 'seq 100 | mpmap -j1 --halt soon,fail=50% false'
gives "--halt soon,done=30%" 0 sh -c 'seq 20 | mpmap -k -j1 --halt soon,done=30% echo'
is "--halt soon,done=30%: of all" "1 2 3 4 5 6" "$(echo "$out" | xargs)"
gives "--halt with a percentage of blocks" 2 mpmap --pipe --halt now,fail=10% cat </dev/null
gives "--halt never with one" 0 mpmap --halt never --pipe cat </dev/null
gives "--halt, endless input" 1 sh -c 'yes 2>/dev/null | mpmap --halt now,fail=1 false'
gives "--halt 2, as it was" 4 mpmap -j1 --halt 2 -s 'exit {}' ::: 4 5
gives "--halt with -k" 9 mpmap -k -j2 --halt now,fail=1 -s 'sleep 0.{}; echo {}; exit 9' ::: 3 1 2
for bad in '' now soon,fail now,fail=0 now,fail=101% later,fail=1 now,fail=1x x; do
    gives "--halt '$bad'" 2 mpmap --halt="$bad" true ::: 1
done

# Reasons to wait.
begin=$(date +%s%N)
gives "--delay" 0 mpmap -j4 --delay 0.2 true ::: 1 2 3
is "--delay waits" yes "$([ $((($(date +%s%N) - begin) / 1000000)) -ge 400 ] && echo yes)"
begin=$(date +%s%N)
gives "--delay, a short one" 0 sh -c 'seq 200 | mpmap -j4 --delay 0.005 true'
took=$((($(date +%s%N) - begin) / 1000000))
# 250 ms for each, which it was once, are 50 s.
is "--delay, a short one: $took ms" yes "$([ $took -ge 950 ] && [ $took -lt 40000 ] && echo yes)"
gives "no reason to wait" 0 mpmap --load 100000 --memfree 1M --pressure 100 true ::: 1
is "--memfree waits" "" "$(timeout 0.5 mpmap --memfree 100000G echo ::: 1)"
# More processes want to run than --load allows, by sixty that count for nothing else.
runnable() { sed 's,/.*,,; s/.* //' /proc/loadavg; }
loaded() { [ "$(runnable)" -gt $((load + 10)) ]; }
load=$(($(runnable) + 20))
hogs=
for i in $(seq 60); do
    nice -n 19 sh -c 'while :; do :; done' &
    hogs="$hogs $!"
done
eventually loaded || is "the machine is loaded" yes "$(cat /proc/loadavg)"
mpmap --load $load -s 'echo went; : {}' ::: 1 >went.txt 2>state.txt &
pid=$!
sleep 0.5
is "--load holds" "" "$(cat went.txt)"
kill -USR1 $pid
eventually grep -q 'waits: the load is too high' state.txt || is "--load: why" "the load is too high" "$(cat state.txt)"
kill $hogs
wait $pid
is "--load goes on" "0 went" "$? $(cat went.txt)"
wait
sleep 1000 &
first=$!
mpmap --after $first -s 'echo went; : {}' ::: 1 >after.txt &
second=$!
sleep 0.2
is "--after waits" "" "$(cat after.txt)"
kill $first
wait $second
is "--after goes on" went "$(cat after.txt)"
gives "--after one that is gone" 0 mpmap --after $first true ::: 1
for bad in '--after x' '--load 0' '--load x' '--memfree x' '--pressure 0' '--pressure cpu=101' '--pressure disk=5' \
    '--delay -1' '--nice 20' '--nice x' '--priority 0' '--cpus 0' '--mem 0'; do
    gives "$bad" 2 mpmap $bad true ::: 1
done
nicer=$(($(nice) + 3))
is "--nice" "$nicer" "$(mpmap --nice $nicer -s 'nice; : {}' ::: 1)"
mpmap --mem 1G true ::: 1 2>err.txt || has "--mem is refused where it cannot be" "mpmap: --mem: " "$(cat err.txt)"

# Another order, another number.
is "--priority" "10 9 2 x" "$(printf '2\n10\nx\n9\n' | mpmap -j1 --priority 1 echo | xargs)"
is "--priority, lowest first" "2 9 10 x" "$(printf '2\n10\nx\n9\n' | mpmap -j1 --priority -1 echo | xargs)"
is "--shuf: all, once" "$(seq 100 | sort)" "$(seq 100 | mpmap --shuf echo | sort)"
is "--shuf: another order" yes "$([ "$(seq 100 | mpmap -j1 --shuf echo)" != "$(seq 100)" ] && echo yes)"
echo 1 >number
mpmap -j number -s 'echo >began.{}; until [ -e go ]; do sleep 0.02; done' ::: 1 2 3 &
pid=$!
eventually test -e began.1 || is "-j FILE: the first job" yes no
is "-j FILE: one at a time" "" "$(ls began.2 2>/dev/null)"
echo 3 >number
eventually test -e began.3 || is "-j FILE is read again" yes no
: >go
wait $pid
is "-j FILE: status" 0 $?

# -p asks at the terminal, also when the items come from elsewhere.
if has_terminal; then
    seq 4 >four
    printf 'y\nn\nYes\n\n' | terminal "mpmap -p -j1 -s 'echo {} >>went' <four; echo status \$?" >asked.txt
    is "-p: what was said yes to" "1 3" "$(xargs <went)"
    is "-p: asks about each" 4 "$(grep -o '?\.\.\.' asked.txt | wc -l)"
    has "-p: a no is no failure" "status 0" "$(cat asked.txt)"
else
    echo "not tested: -p: there is no script(1) to make a terminal"
fi
setsid -w mpmap -p echo ::: 1 >out.txt 2>err.txt
is "-p without a terminal" "2 mpmap: -p: no terminal to ask at: No such device or address" "$? $(cat err.txt)"

# Few descriptors: all the jobs, or a message; nothing between.
if ! sanitized; then # which need some themselves
    gives "ulimit -n 6" 74 sh -c "ulimit -n 6; exec mpmap true ::: 1"
    for n in 7 8 9 10 11 12 13 14 15 16 20; do
        sh -c "ulimit -n $n; exec mpmap true ::: $(seq 20 | xargs)" 2>err.txt
        got=$?
        case $got in
        0) ;;
        74) has "ulimit -n $n: said" "see ulimit -n" "$(cat err.txt)" ;;
        *) is "ulimit -n $n: status" "0 or 74" "$got" ;;
        esac
    done
fi
jobs=500
[ -z "${MP_TEST_LONG:-}" ] || jobs=20000
gives "$jobs jobs at ulimit -n 64" 0 sh -c "ulimit -n 64; seq $jobs | mpmap -j0 true"

# Where, and with what.
mkdir there
printf '#!/bin/sh\necho "$1 in ${PWD##*/}"\n' >there/program
chmod +x there/program
is "--workdir" "a in there" "$(mpmap --workdir there ./program ::: a)"
is "--wd: the program is found by PATH" "there" "$(mpmap --wd there -s 'echo ${PWD##*/}; : {}' ::: a)"
is "--wd: names among the options count from here" "a in there" \
    "$(mpmap --wd there --joblog log --results all ./program ::: a; ls log all/1/a/stdout >/dev/null || echo missing)"
gives "--wd: no such program there" 127 mpmap --wd there ./nothing ::: a
has "--wd: no such program there" "./nothing: no such file" "$err"
for bad in nowhere log ... '{}' ''; do
    gives "--wd '$bad'" 2 mpmap --wd "$bad" echo ::: a
    has "--wd '$bad'" "--workdir $bad: " "$err"
done
rm -r there log all
is "--process-slot-var" "0 1" "$(SLOT=x mpmap -j2 --process-slot-var SLOT -s 'echo $SLOT; : >slot.{}; until [ -e slot.1 ] && [ -e slot.2 ]; do sleep 0.02; done' ::: 1 2 | sort | xargs)"
rm slot.*
is "--process-slot-var: once" 1 "$(SLOT=x mpmap --process-slot-var SLOT env ::: 2>&1 a=b | grep -c ^SLOT=)"
for bad in '' a=b "$(head -c 200 /dev/zero | tr '\0' x)"; do
    gives "--process-slot-var '$bad'" 2 mpmap --process-slot-var "$bad" true ::: 1
done
: >out.txt
mpmap -j2 -k --no-keep-order -s 'until [ {} = 2 ] || [ -s out.txt ]; do sleep 0.02; done; echo {}' ::: 1 2 >out.txt
is "-k --no-keep-order" "2 1" "$(xargs <out.txt)"
gives "-u --group" 0 mpmap -u --group --tag true ::: 1
gives "-t --silent" 0 mpmap -t --silent true ::: 1
is "-t --silent: says nothing" "" "$err"
finish
