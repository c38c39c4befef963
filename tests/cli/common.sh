# SPDX-License-Identifier: MIT
#
# For the shell tests of mpmap: `. "${0%/*}/common.sh"` first, `finish` last. The working
# directory is empty, private, and is emptied by finish.
set -u
failures=0
tab=$(printf '\t')
nl='
'

# is WHAT EXPECTED ACTUAL
is() {
    [ "$2" = "$3" ] && return
    failures=$((failures + 1))
    printf 'FAIL: %s\n  expected: %s\n  got:      %s\n' "$1" "$2" "$3"
}

# has WHAT PART TEXT
has() {
    case $3 in
    *"$2"*) return ;;
    esac
    failures=$((failures + 1))
    printf 'FAIL: %s\n  expected a text with: %s\n  got: %s\n' "$1" "$2" "$3"
}

# gives WHAT STATUS COMMAND...: runs it; $out and $err are what it wrote.
gives() {
    what=$1
    want=$2
    shift 2
    "$@" >out.txt 2>err.txt
    got=$?
    out=$(cat out.txt)
    err=$(cat err.txt)
    is "$what: status" "$want" "$got"
    if [ "$got" != "$want" ]; then
        echo "  stderr: $err"
    fi
}

# eventually CONDITION...: true as soon as the condition holds, within 10 s.
eventually() {
    tries=0
    until "$@"; do
        tries=$((tries + 1))
        [ $tries -lt 500 ] || return 1
        sleep 0.02
    done
}

# gone PID: no such process, or it only waits to be collected.
gone() {
    [ ! -d "/proc/$1" ] || grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null
}

# terminal COMMAND: at a terminal of its own, where what stands on standard input is typed.
terminal() {
    timeout 60 script -qec "$1" /dev/null
}

# has_terminal: script(1) is there and can make one.
has_terminal() {
    terminal true </dev/null >/dev/null 2>&1
}

# sanitized: mpmap was built with a sanitizer, which has memory of its own.
sanitized() {
    nm "$(command -v mpmap)" 2>/dev/null | grep -q '__asan_init\|__tsan_init'
}

finish() {
    rm -rf ./* ./.[!.]*
    [ $failures = 0 ] || echo "$failures failed"
    [ $failures = 0 ]
    exit
}
