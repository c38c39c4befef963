#!/bin/sh
# SPDX-License-Identifier: MIT
# The daemon from outside: options, configuration, signals, files, systemd.
. "${0%/*}/common.sh"
command -v mpmanager >/dev/null || { echo "SKIP: mpmanager was not built"; exit 77; }

# listens FILE: the log says so.
listens() { grep -qs event=listening "$1"; }

# stop WHAT [now]: ends the daemon by mpctl, and waits until it is gone and another may begin.
stop() {
    pid=$(cat "$(find . -name default.sock.lock)")
    gives "$1" 0 mpctl shutdown ${2:+"$2"}
    eventually gone "$pid"
}

# ---- options ----
gives "--help" 0 mpmanager --help
has "--help" "usage: mpmanager" "$out"
for option in name socket listen dir fsync snapshot-size key-file tls-ca tls-cert tls-key tls-any-client insecure type tasks workers background \
    exit-idle log-level log-file metrics-file no-rings max-clients max-greeting greeting-time \
    max-message max-nodes max-objects max-client-objects max-object-bytes max-bytes max-waiting \
    max-object-waiting max-name max-key max-client-tasks max-out slow-out slow-time alive-time config; do
    has "--help" "--$option" "$out"
    grep -q "Fl -$option\|, -$option" "$MP_SRC/docs/man/mpmanager.8" || is "mpmanager(8) has --$option" yes no
done
gives "--version" 0 mpmanager --version
gives "an unknown option" 64 mpmanager --nonsense
has "an unknown option" "--nonsense" "$err"
gives "no number" 64 mpmanager --max-clients=many
has "no number" "max-clients: 'many'" "$err"
gives "bytes" 64 mpmanager --max-message=1X
gives "too short" 64 mpmanager --max-message=1
gives "seconds" 64 mpmanager --slow-time=-1
gives "a word" 64 mpmanager start
gives "a name with a slash" 64 mpmanager --name=../x
gives "a socket without one" 64 mpmanager --socket=x
gives "a level" 64 mpmanager --log-level=loud
gives "no such file" 78 mpmanager --config=none.conf
echo 'nonsense = 1' >bad.conf
gives "a bad line" 78 mpmanager -c bad.conf
has "a bad line" "bad.conf, line 1: there is no option 'nonsense'" "$err"
printf '# comment\n\nmax-clients = 0x\n' >bad.conf
gives "a bad value" 78 mpmanager -c bad.conf
has "a bad value" "line 3: '0x' is no value for max-clients" "$err"

# ---- places ----
mkdir -m 0777 open
gives "a directory that others may write to" 78 mpmanager --socket=open/x.sock
has "a directory that others may write to" "others may write" "$err"
ln -s open link
gives "a link" 78 mpmanager --socket=link/x.sock

# ---- life ----
printf 'log-level = info\nmax-clients=7\n' >d.conf
mpmanager -c d.conf --log-file=log --metrics-file=metrics &
pid=$!
eventually listens log 2>/dev/null || is "it listens" yes no
gives "ping" 0 mpctl ping
grep -q '^ts=[0-9TZ:.-]* level=info event=listening path=.*/default.sock pid=' log || is "logfmt" yes no
eventually test -s metrics || is "metrics" yes no
has "metrics" "mp_manager_sessions 0" "$(cat metrics)"
gives "a second one" 73 mpmanager
has "a second one" "in use by pid $pid" "$err"
gives "the first serves on" 0 mpctl ping

mv log log.1
printf 'log-level = debug\nname = other\n' >d.conf
kill -HUP $pid
eventually grep -q 'event=reload ok=yes needs_restart="name"' log || is "reload" yes "$(cat log log.1)"
echo 'nonsense' >d.conf
kill -HUP $pid
eventually grep -q 'event=reload ok=no' log || is "a reload that fails" yes "$(cat log)"
gives "reload by mpctl" 1 mpctl reload
has "reload by mpctl" "nonsense" "$err"
gives "it serves on" 0 mpctl ping

kill -TERM $pid
wait $pid
is "SIGTERM" 0 $?
is "its socket is gone" "" "$(find . -name '*.sock')"
gives "nobody is there" 1 mpctl ping
has "nobody is there" "no manager at" "$err"

# ---- after kill -9 ----
mpmanager --log-file=log2 &
pid=$!
eventually listens log2
kill -9 $pid
wait $pid 2>/dev/null
gives "a dead socket" 1 mpctl ping
gives "in the background" 0 mpmanager --background
gives "in the background: it serves" 0 mpctl ping
gives "a second one in the background" 73 mpmanager --background
stop "shutdown"

# ---- started when it is needed ----
gives "connect or start" 0 mpctl -s -m once ping
gives "connect or start: twice" 0 mpctl -s -m once ping
gives "its end" 0 mpctl -m once shutdown

# ---- persistence and a custom type ----
type=$(find "$MP_BIN/.." -name type_account.so | head -n 1)
if [ -n "$type" ]; then
    mkdir -m 700 store
    gives "no such type" 78 mpmanager --type=none.so
    gives "a bad fsync" 78 mpmanager --dir=store --fsync=sometimes
    gives "with a store" 0 mpmanager --background --type="$type" --dir=store --fsync=always
    gives "a custom type" 0 mpctl methods account
    has "a custom type" "so much, when it is there" "$out"
    gives "set" 0 mpctl set prices tea 3.5
    gives "its object" 0 mpctl new till account
    is "its method" 7 "$(mpctl call till add 7)"
    gives "it waits" 1 mpctl -t 10 call till take 8
    has "it waits" "timed out" "$err"
    gives "its error" 1 mpctl call till add -1
    has "its error" "to take, call take" "$err"
    gives "a second one for the same store" 73 mpmanager --name=other --dir=store
    pid=$(cat "$(find . -name default.sock.lock)")
    kill -9 "$pid"
    eventually gone "$pid"
    gives "after kill -9" 0 mpmanager --background --type="$type" --dir=store
    is "what was acknowledged is there" 3.5 "$(mpctl get prices tea)"
    is "custom types are kept" 9 "$(mpctl call till add 2)"
    gives "snapshot" 0 mpctl snapshot
    is "after the snapshot" 12 "$(mpctl call till add 3)"
    stop "shutdown"
    gives "after a shutdown" 0 mpmanager --background --log-level=off --type="$type" --dir=store
    is "after a shutdown" 12 "$(mpctl call till take 0)"
    stop "its end" now
else
    echo "SKIP: the examples were not built: no custom type"
fi

# ---- limits: test_manager_core.c has those of the core, these are options of the daemon's ----
gives "limits" 0 mpmanager --background --log-level=error --max-name=6 --max-key=8 --max-nodes=20 \
    --max-object-bytes=1K --max-bytes=1500 --max-objects=3 --max-client-objects=2 --max-message=4K
gives "limits: within" 0 mpctl set prices tea 1
gives "limits: a name" 1 mpctl set pricesss tea 1
gives "limits: a key" 1 mpctl set prices a-key-that-is-longer 1
gives "limits: values in a message" 1 mpctl set prices tea '[1,2,3,4,5,6,7,8,9,0,1,2,3,4,5,6,7,8,9,0]'
gives "limits: an object" 1 mpctl set prices tea "$(head -c 1500 /dev/zero | tr '\0' x)"
has "limits: an object" "limit" "$err"
gives "limits: a message" 1 mpctl set prices tea "$(head -c 5000 /dev/zero | tr '\0' x)"
gives "limits: one more" 0 mpctl set a b "$(head -c 900 /dev/zero | tr '\0' x)"
gives "limits: and one more" 0 mpctl set c d 1
gives "limits: in all" 1 mpctl set c d "$(head -c 850 /dev/zero | tr '\0' x)"
gives "limits: objects" 1 mpctl set e f 1
has "limits: objects" "limit" "$err"
stop "its end"

# ---- tasks ----
tasks=$(find "$MP_BIN/.." -name tasks_text.so | head -n 1)
if [ -n "$tasks" ]; then
    gives "no such tasks" 78 mpmanager --tasks=none.so
    gives "no tasks in it" 78 mpmanager --tasks="$type"
    has "no tasks in it" "MP_TASK" "$err"
    gives "too many workers" 64 mpmanager --tasks="$tasks" --workers=5000
    gives "a Pool without tasks" 0 mpmanager --background
    gives "a Pool without tasks" 1 mpctl new pool Pool
    has "a Pool without tasks" "cannot do that" "$err"
    stop "its end"
    # What the daemon has beside it holds nobody's output open.
    is "with tasks" "" "$(mpmanager --background --log-level=error --tasks="$tasks" --workers=2 2>&1)"
    gives "a Pool" 0 mpctl new pool Pool
    is "a Pool: apply" 6 "$(mpctl call pool apply words '"to be or not to be"')"
    is "a Pool: map" "[1, 2, 0]" "$(mpctl call pool map words '["one", "and two", ""]')"
    is "a Pool: its tasks" '["repeat", "words"]' "$(mpctl call pool tasks)"
    gives "a Pool: a failure" 1 mpctl call pool map words '["one", 2]'
    has "a Pool: a failure" "task 1: the task returned" "$err"
    has "a Pool: seen" "tasks" "$(mpctl clients)"
    has "a Pool: as a whole" '"failed": 1' "$(mpctl get pool)"
    stop "its end"
else
    echo "SKIP: the examples were not built: no tasks"
fi

# ---- systemd ----
if command -v python3 >/dev/null; then
    gives "sd_notify" 0 python3 "$MP_SRC/tests/lib/notify.py" mpmanager
    is "sd_notify" "READY WATCHDOG RELOADING READY STOPPING" "$out"
fi
if systemd-analyze --help 2>/dev/null | grep -q -- --offline; then
    # The program need not be installed.
    sed 's|^ExecStart=.*|ExecStart=/bin/true|' "$MP_BIN/../mpmanager.service" >mpmanager.service
    gives "the unit" 0 systemd-analyze security --offline=yes --threshold=20 ./mpmanager.service
else
    echo "SKIP: no systemd-analyze that judges units offline is installed"
fi
finish
