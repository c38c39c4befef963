#!/bin/sh
# SPDX-License-Identifier: MIT
# Control groups, of either version: limits of a job, and figures of our own group as a reason
# to wait. Needs root, as a rule. tools/dev/vm-test runs it where there is version 2 only.
. "${0%/*}/common.sh"

# place CONTROLLER: the directory in which groups with it can be made; $v2: that of version 2,
# where what was not allowed to groups before is not in the end.
: >allowed
v2=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts)
place() {
    if [ -n "$v2" ] && grep -qw "$1" "$v2/cgroup.controllers"; then
        if ! grep -qw "$1" "$v2/cgroup.subtree_control" && echo "+$1" 2>/dev/null >"$v2/cgroup.subtree_control"; then
            echo "$1" >>allowed
        fi
        echo "$v2"
    else
        echo "$(awk -v c="$1" '$3 == "cgroup" && ("," $4 ",") ~ ("," c ",") { print $2; exit }' /proc/self/mounts)$(
            awk -F: -v c="$1" '("," $2 ",") ~ ("," c ",") && $3 != "/" { print $3 }' /proc/self/cgroup)"
    fi
}
as_it_was() {
    while read -r controller; do
        echo "-$controller" >"$v2/cgroup.subtree_control"
    done <allowed
}
before=$(cat "$v2/cgroup.subtree_control" 2>/dev/null)
memory=$(place memory)/mptest.$$
cpu=$(place cpu)/mptest.$$
# Not every container that lets groups be made lets them have limits.
usable() {
    mkdir "$memory" && { [ "$cpu" = "$memory" ] || mkdir "$cpu"; } &&
        { ls "$memory/memory.max" || ls "$memory/memory.limit_in_bytes"; } &&
        { ls "$cpu/cpu.max" || ls "$cpu/cpu.cfs_quota_us"; } &&
        sh -c 'echo 0 >"$1/cgroup.procs" && echo 0 >"$2/cgroup.procs"' sh "$memory" "$cpu"
}
usable >/dev/null 2>&1 || {
    rmdir "$memory" "$cpu" 2>/dev/null
    as_it_was
    echo "skipped: no control groups with limits can be made here"
    rm allowed
    exit 77
}
is_v2() { [ -e "$memory/memory.max" ]; }

# inside COMMAND...: in these groups, alone as version 2 wants it.
export memory cpu
cat >inside <<'END'
#!/bin/sh
echo 0 >"$memory/cgroup.procs"
echo 0 >"$cpu/cgroup.procs"
exec "$@"
END
chmod +x inside
groups_left() { find "$memory" "$cpu" -mindepth 1 -type d; }

# ---- limits -------------------------------------------------------------------------------

eats='head -c $((1000000 * $1)) /dev/zero | tail -c +0 | tail >/dev/null; echo "done $1"'
gives "--mem" 1 ./inside mpmap -k --mem 64M --joblog log.json sh -c "set -e; $eats" sh ::: 1 300 2
has "--mem: told" "mpmap: job 2 (300): out of memory: more than the 64 MiB of --mem: killed by the kernel" "$err"
is "--mem: not as a signal" "" "$(echo "$err" | grep signal)"
has "--mem: the others" "done 1${nl}" "$out$nl"
has "--mem: the others" "done 2" "$out"
is "--mem: logged" "1 2" "$(grep -c '"out_of_memory":true' log.json) $(grep -c '"out_of_memory":false' log.json)"
is "--mem: no group is left" "" "$(groups_left)"
gives "--mem: of a part that nobody asks for" 1 ./inside mpmap --mem 64M -s "setsid sh -c '$eats' sh 300 & wait \$!; : {}" ::: a
has "--mem: of a part: told" "job 1 (a): out of memory" "$err"
gives "--mem, too little for any program" 2 ./inside mpmap -j1 --mem 4K true ::: 1 2
has "--mem, too little: told" "mpmap: job 2 (2): out of memory" "$err"
gives "--mem --retries" 0 ./inside mpmap --mem 64M --retries 2 sh -c "echo >>tries; test \$(wc -l <tries) = 2 || set -- 300; set -e; $eats" sh ::: 1
is "--mem --retries: a group of its own each time" "2 done 1" "$(wc -l <tries) $out"

spin='i=0; while [ $i -lt 150000 ]; do i=$((i + 1)); done'
throttled='cat "$cpu"/mpmap.*.1/cpu.stat | awk "/nr_throttled/ { print (\$2 > 0) }"'
# On a busy machine it may be a while until a job gets more than its share.
until_throttled="i=0; until [ \"\$($throttled)\" = 1 ] || [ \$i -gt 300 ]; do i=\$((i + 1)); done; $throttled; : {}"
is "--cpus" 1 "$(./inside mpmap --cpus 0.05 -s "$until_throttled" ::: a)"
is "--cpus: enough" 0 "$(./inside mpmap --cpus 100 -s "$spin; $throttled; : {}" ::: a)"
is "--cpus --mem" 1 "$(./inside mpmap --cpus 0.05 --mem 64M -s "$until_throttled" ::: a)"
is "no group is left" "" "$(groups_left)"

# What a job has left keeps its group, but not for longer than it lives.
is "a group that was left is removed while others run" "mpmap.3" "$(./inside mpmap -j1 --mem 64M --results -.tsv -s 'case {} in
    1) setsid sleep 1000 >/dev/null 2>&1 & echo $! >left ;;
    2) kill $(cat left); while grep -q "^State:.[^Z]" /proc/$(cat left)/status 2>/dev/null; do sleep 0.02; done ;;
    3) ls -d "$memory"/mpmap.*.[1-9] | sed "s,.*/mpmap.[0-9]*,mpmap," >groups ;;
    esac' ::: 1 2 3 >/dev/null; cat groups)"
is "no group is left by it" "" "$(groups_left)"

# However mpmap ends, and whatever the job did about its environment.
./inside mpmap --mem 64M --cpus 1 -s 'echo $$ >job; sleep 1000; : {}' ::: 1 2>/dev/null &
pid=$!
eventually test -s job || is "the job began" yes no
kill -KILL $pid
wait $pid 2>/dev/null
eventually test -z "$(groups_left)" || eventually sh -c 'test -z "$(find "$memory" "$cpu" -mindepth 1 -type d)"' ||
    is "kill -9: no group is left" "" "$(groups_left)"
is "kill -9: no job is left" gone "$(gone "$(cat job)" && echo gone)"
if is_v2; then
    is "version 2: as it was" "" "$(cat "$memory/cgroup.subtree_control")"
    gives "--timeout ends what has no environment" 1 ./inside mpmap --mem 64M --timeout 5 -s \
        'env -i setsid sleep 1000 & echo $! >hidden; sleep 1000; : {}' ::: a
    eventually gone "$(cat hidden)" || is "what has no environment is gone" yes no
    # Who shares our group keeps it from having limits: refused, and nothing is changed.
    ./inside sleep 1000 &
    eventually test -s "$memory/cgroup.procs"
    gives "--mem in a group with others in it" 2 ./inside mpmap --mem 64M true ::: 1
    has "--mem in a group with others: told" "may not make groups with limits here" "$err"
    kill $!
    wait
    is "refused: no group is left" "" "$(groups_left)"
fi

# ---- reasons to wait ----------------------------------------------------------------------

# --memfree, of 400 MiB that the group has. A hog takes as many MB as it is told.
limit=$((400 * 1024 * 1024))
if is_v2; then
    echo $limit >"$memory/memory.max"
    echo 0 2>/dev/null >"$memory/memory.swap.max"
else
    echo $limit >"$memory/memory.limit_in_bytes"
fi
hog='(head -c $1000000 /dev/zero; exec sleep 1000) | tail >/dev/null'
printf '#!/bin/sh\n%s\n' "$(echo "$hog" | sed 's/\$1000000/"${1}000000"/')" >hog
chmod +x hog
used() { cat "$memory/memory.usage_in_bytes" "$memory/memory.current" 2>/dev/null; }
takes() { [ "$(used)" -gt "$1" ]; }
./inside setsid ./hog 250 &
hog=$!
eventually takes 240000000 || is "the hog has memory" yes "$(used)"
./inside mpmap --memfree 250M -s 'echo went; : {}' ::: 1 >went 2>state &
pid=$!
sleep 0.5
is "--memfree holds" "" "$(cat went)"
kill -USR1 $pid
eventually grep -q 'waits: too little memory is free' state || is "--memfree: why" "too little" "$(cat state)"
kill -KILL -$hog
wait $hog 2>/dev/null
wait $pid
is "--memfree goes on" "0 went" "$? $(cat went)"

# The youngest of two goes when there is less than half, and is run again when there is more.
gives "--memfree takes back" 0 ./inside timeout 60 mpmap -k -j2 --memfree 250M --joblog log.json -s '
    echo >>began.{}
    if [ {} = old ]; then
        until [ "$(wc -l <began.young 2>/dev/null)" = 2 ]; do sleep 0.05; done
    elif [ "$(wc -l <began.young)" = 1 ]; then
        setsid ./hog 330
    fi
    echo {}' ::: old young
is "--memfree takes back: all ends well" "old${nl}young" "$out"
is "--memfree takes back: the youngest" "1 2" "$(wc -l <began.old) $(wc -l <began.young)"
is "--memfree takes back: that was no try" 2 "$(grep -c '"tries":1,' log.json)"
is "--memfree takes back: what it had started" "" "$(pgrep -f 'hog 330')"

# --pressure on the CPUs, of the group: more that want to run than there are CPUs.
pressed=$v2/mptest.$$
[ -d "$pressed" ] || mkdir "$pressed" 2>/dev/null
if [ -n "$v2" ] && cat "$pressed/cpu.pressure" >/dev/null 2>&1; then
    export pressed
    pressure() { awk '/^some/ { sub("avg10=", "", $2); print int($2) }' "$pressed/cpu.pressure"; }
    above() { [ "$(pressure)" -ge "$1" ]; }
    cpu_of_ours=$(sed -n 's/^Cpus_allowed_list:[^0-9]*\([0-9]*\).*/\1/p' /proc/self/status)
    export cpu_of_ours
    hogs=
    for i in 1 2 3 4; do
        sh -c 'echo 0 >"$pressed/cgroup.procs"; exec taskset -c $cpu_of_ours sh -c "while :; do :; done"' &
        hogs="$hogs $!"
    done
    eventually above 20 || is "there is pressure" yes "$(cat "$pressed/cpu.pressure")"
    sh -c 'echo 0 >"$pressed/cgroup.procs"; exec "$@"' sh mpmap --pressure cpu=15 -s 'echo went; : {}' ::: 1 >went 2>state &
    pid=$!
    sleep 0.5
    is "--pressure holds" "" "$(cat went)"
    kill -USR1 $pid
    eventually grep -q 'waits: the pressure on the CPUs is too high' state || is "--pressure: why" "the pressure" "$(cat state)"
    kill $hogs
    wait $pid
    is "--pressure goes on" "0 went" "$? $(cat went)"
    wait
else
    echo "not tested: --pressure: there are no control groups of version 2 with it"
fi

rmdir "$memory" "$cpu" "$pressed" 2>/dev/null
as_it_was
is "what may be limited is as before" "$before" "$(cat "$v2/cgroup.subtree_control" 2>/dev/null)"
is "our groups are gone" "" "$(ls -d "$memory" "$cpu" "$pressed" 2>/dev/null)"
finish
