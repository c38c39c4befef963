#!/bin/sh
# SPDX-License-Identifier: MIT
# Exit statuses and messages.
. "${0%/*}/common.sh"
PATH=$MP_BIN:/usr/bin:/bin # all of which everybody may search: else what is nowhere is forbidden

gives "all well" 0 mpmap true ::: 1 2 3
is "all well says nothing" "" "$out$err"
gives "three fail" 3 mpmap false ::: 1 2 3
gives "one of three fails" 1 mpmap sh -c 'exit $0' ::: 0 9 0
gives "100 fail" 100 sh -c 'seq 100 | mpmap false'
gives "101 fail" 101 sh -c 'seq 101 | mpmap false'
gives "300 fail" 101 sh -c 'seq 300 | mpmap false'
gives "killed by a signal" 1 mpmap -s 'kill -9 $$; : {}' ::: a
has "killed by a signal" "mpmap: job 1 (a): killed by signal 9 (Killed)" "$err"

gives "not found" 127 mpmap no-such-command ::: 1 2 3
is "not found, said once" "mpmap: no-such-command: command not found in PATH" "$err"
gives "not found by path" 127 mpmap ./no-such-command ::: 1
has "not found by path" "./no-such-command: no such file" "$err"
gives "the empty command" 127 mpmap '' ::: 1
is "the empty command: said" "mpmap: the command is empty" "$err"
gives "a directory" 126 mpmap ./ ::: 1
echo 'echo hello' >script
gives "not executable" 126 mpmap ./script ::: 1
has "not executable" "./script: Permission denied" "$err"
chmod +x script
gives "no #! line" 126 mpmap ./script ::: 1 2
has "no #! line" "without a #! line" "$err"
printf '#!/no/such/interpreter\n' >script2
chmod +x script2
gives "no interpreter" 126 mpmap ./script2 ::: 1
has "no interpreter" "its interpreter is missing" "$err"
mkdir bin
cp script bin/early
PATH_BEFORE=$PATH
PATH=$PWD/nowhere:$PWD/bin:$PATH
chmod -x bin/early
gives "found, but not executable" 126 mpmap early ::: 1
PATH=$PATH_BEFORE
gives "a command from the item that is not there" 2 mpmap -k {} ::: true no-such-command false
has "a command from the item" "job 2 (no-such-command): no-such-command: command not found" "$err"

gives "/dev/full" 74 sh -c 'seq 3 | mpmap echo >/dev/full'
has "/dev/full" "mpmap: standard output: No space left on device" "$err"
gives "/dev/full, --dry-run" 74 sh -c 'seq 3 | mpmap --dry-run echo >/dev/full'
gives "/dev/full, --help" 74 sh -c 'mpmap --help >/dev/full'
gives "stderr is full" 74 sh -c 'mpmap -s "echo {} >&2" ::: 1 2>/dev/full'
gives "a file may not be larger" 74 sh -c 'ulimit -f 1; seq 2000 | mpmap -j1 -n 200 echo >large'
has "a file may not be larger" "mpmap: standard output: File too large" "$err"
gives "and jobs end by the signal" 1 sh -c 'ulimit -f 1; mpmap sh -c "exec head -c 9999 /dev/zero >large" ::: 1'
has "and jobs end by the signal" "killed by signal 25" "$err"
gives "stdout is closed" 74 sh -c 'mpmap echo ::: 1 >&-'
has "stdout is closed" "Bad file descriptor" "$err"
gives "stdout is closed and not needed" 0 sh -c 'mpmap true ::: 1 >&-'
gives "all closed" 0 sh -c 'mpmap true ::: 1 <&- >&- 2>&-'
plain=$(sh -c 'ls /proc/$$/fd; :')
is "nothing of ours is open in jobs" "$plain" "$(mpmap -s 'ls /proc/$$/fd; : {}' ::: 1)"
is "nor with -u" "$plain" "$(mpmap -u -s 'ls /proc/$$/fd; : {}' ::: 1)"
is "jobs have a stdin also when mpmap has none" "/dev/null" \
    "$(mpmap -s 'readlink /proc/$$/fd/0; : {}' ::: 1 <&-)"
is "signals are at their defaults in jobs" "0000000000000000 0000000000000000" \
    "$(trap '' INT PIPE USR1; mpmap grep -hE "^Sig(Ign|Blk)" ::: /proc/self/status | cut -f2 | xargs)"

# The broken pipe: jobs go, and mpmap ends by the signal.
(yes | mpmap echo; echo $? >status) | head -1 >out.txt
is "| head -1" "y 141" "$(cat out.txt status | xargs)"
(
    trap '' PIPE
    (yes 2>/dev/null | mpmap echo 2>/dev/null; echo $? >status) | head -1 >out.txt
)
is "| head -1 with SIGPIPE ignored" "y 74" "$(cat out.txt status | xargs)"
# Also when jobs write themselves.
(yes | mpmap -u echo 2>err.txt; echo $? >status) | head -1 >out.txt
is "-u | head -1" "y 141" "$(cat out.txt status | xargs)"
is "-u | head -1: says nothing" "" "$(cat err.txt)"
finish
