#!/bin/sh
# SPDX-License-Identifier: MIT
#
# shellcheck disable=SC2086,SC2046 # lists of words are meant to be
#
# run.sh SECONDS [TARGET ...]: builds fuzz_TARGET.c with clang's libFuzzer, the sanitizers
# and those files of the library that it needs, and runs it for so long on its corpus, one on
# each CPU at a time; without a target, all of them. What it finds new stays in FUZZ_DIR (a temporary directory
# without), and so does the input that broke something. Exit 77: cannot be run here.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$(dirname "$here")")
seconds=${1:?usage: run.sh SECONDS [TARGET ...]}
shift
[ $# -gt 0 ] || set -- pack frames manager replay

command -v clang >/dev/null || {
    echo "SKIP: no clang"
    exit 77
}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
echo 'int LLVMFuzzerTestOneInput(const char *d, unsigned long n);
      int LLVMFuzzerTestOneInput(const char *d, unsigned long n) { return d && n ? 0 : 0; }' >"$tmp/try.c"
clang -fsanitize=fuzzer,address,undefined -o "$tmp/try" "$tmp/try.c" 2>/dev/null || {
    echo "SKIP: clang has no libFuzzer (Debian: libclang-rt-14-dev)"
    exit 77
}

# What a target is made of, beside itself.
sources() {
    case $1 in
    pack) echo base/err.c wire/buf.c wire/check.c wire/format.c wire/pack.c wire/unpack.c ;;
    frames) echo base/err.c wire/buf.c ../manager/server/socket.c ;;
    manager | replay)
        echo base/err.c wire/buf.c wire/calls.c wire/check.c wire/format.c wire/pack.c wire/unpack.c \
            loop/timers.c ../manager/core/*.c ../manager/types/*.c
        ;;
    *)
        echo "run.sh: no target '$1'" >&2
        exit 2
        ;;
    esac
}

# All of it once, on all CPUs, into an archive from which each target takes what it needs.
ccache=$(command -v ccache || true)
packages="libsodium $(pkg-config --exists msgpack && echo msgpack || echo msgpack-c)"
flags="-std=gnu11 -D_GNU_SOURCE -g -O1 -I../include -I. -I../manager
    -fsanitize=address,undefined -fno-sanitize-recover=all $(pkg-config --cflags $packages)"
cd "$root/libmp"
for target; do
    sources "$target" >/dev/null # ends this if there is no such target
done
for target; do
    printf '%s\n' $(sources "$target") "$here/fuzz_$target.c"
done | sort -u >"$tmp/sources"
# shellcheck disable=SC2016
xargs -P "$(nproc)" -I FILE sh -c 'out=$1/$(echo "$2" | tr / _).o; shift 2; exec "$@" -o "$out"' \
    compile "$tmp" FILE $ccache clang $flags -fsanitize=fuzzer-no-link -c FILE <"$tmp/sources"
ar rc "$tmp/library.a" $(grep -v /fuzz_ "$tmp/sources" | tr / _ | sed "s|^|$tmp/|; s|\$|.o|")

dir=${FUZZ_DIR:-$tmp}
run() {
    target=$1
    clang $flags -fsanitize=fuzzer -o "$tmp/fuzz_$target" \
        "$tmp/$(echo "$here/fuzz_$target.c" | tr / _).o" "$tmp/library.a" $(pkg-config --libs $packages)
    mkdir -p "$dir/$target"
    if ! "$tmp/fuzz_$target" -max_total_time="$seconds" -timeout=60 -rss_limit_mb=512 \
        -malloc_limit_mb=64 -max_len=4096 -artifact_prefix="$dir/$target-" -print_final_stats=1 \
        "$dir/$target" "$here/corpus/$target" >"$tmp/log.$target" 2>&1; then
        tail -60 "$tmp/log.$target"
        echo "FAIL: fuzz_$target; inputs in hexadecimal:"
        for f in "$dir/$target"-*; do
            [ -f "$f" ] && od -An -tx1 "$f"
        done
        return 1
    fi
    echo "fuzz_$target: $(awk '/number_of_executed_units/ { print $2 }' "$tmp/log.$target") inputs, nothing found"
}

failed=0
while [ $# -gt 0 ]; do
    running=
    while [ $# -gt 0 ] && [ "$(echo $running | wc -w)" -lt "$(nproc)" ]; do
        run "$1" &
        running="$running $!"
        shift
    done
    for pid in $running; do
        wait "$pid" || failed=1
    done
done
exit $failed
