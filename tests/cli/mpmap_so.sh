#!/bin/sh
# SPDX-License-Identifier: MIT
# --so: C functions over records.
. "${0%/*}/common.sh"

lib=$(dirname "$(command -v mpmap)")/../lib
lines=$lib/plugin_lines.so
if [ ! -e "$lines" ]; then
    echo "skipped: the examples are not built"
    exit 77
fi

is "a function" "ABC${nl}${nl}D E" "$(printf 'abc\n\nd e' | mpmap --so "$lines:upper")"
is "with an argument" "b${nl}e" "$(printf 'a b c\n d  e f\n' | mpmap --so "$lines:field" 2)"
is "over a list" "A${nl}B C" "$(mpmap --so "$lines:upper" ::: a 'b c')"
is "-0" "A${nl}B${nl}C" "$(printf 'a\nb\0c\0' | mpmap -0 --so "$lines:upper")"
printf 'x\ny\n' >list
is "-a" "X${nl}Y" "$(mpmap -a list --so "$lines:upper")"
is "nothing" "" "$(mpmap --so "$lines:upper" </dev/null)"
seq 200000 >list
for j in 1 2 7; do
    mpmap -j$j --so "$lines:upper" <list >out.txt
    cmp list out.txt || is "in order, all of it, -j$j" same different
    cat list | mpmap -j$j --so "$lines:upper" >out.txt
    cmp list out.txt || is "through a pipe, -j$j" same different
done
is "long records" "300000${nl}5000000${nl}1" \
    "$({ head -c 300000 /dev/zero; echo; head -c 5000000 /dev/zero; echo; echo x; } | mpmap --so "$lines:length")"

is "plugin_match" "b1${nl}b2" "$(printf 'a\nb1\nc\nb2\n' | mpmap --so "$lib/plugin_match.so:match" '^b')"
gives "plugin_match without a pattern" 74 sh -c "echo a | mpmap --so $lib/plugin_match.so:match"

gives "records that fail" 10 sh -c "seq 20 | mpmap --so $lines:even"
is "records that fail: the others" "$(seq 2 2 20)" "$out"
has "records that fail: named" "mpmap: record 3 (3): the function returned 1" "$err"
has "records that fail: how many" "10 records failed in all" "$err"
gives "more than 100 fail" 101 sh -c "seq 1001 | mpmap --so $lines:even"

gives "no such library" 2 mpmap --so ./nothing.so:f ::: 1
has "no such library" "nothing.so: cannot open shared object file" "$err"
gives "no such function" 2 mpmap --so "$lines:nothing" ::: 1
has "no such function" "has no function nothing" "$err"
gives "not a library" 2 mpmap --so ./list:f ::: 1
for bad in x :f x: ''; do
    gives "--so '$bad'" 2 mpmap --so "$bad" ::: 1
    has "--so '$bad'" "not of the form LIB:FUNCTION" "$err"
done
gives "/dev/full" 74 sh -c "seq 10 | mpmap --so $lines:upper >/dev/full"
(yes | mpmap --so "$lines:upper"; echo $? >status) | head -1 >out.txt
is "| head -1" "Y 141" "$(cat out.txt status | xargs)"

# A long record takes as long as its bytes, not as their square: that took a minute.
is "a very long record" 200000000 \
    "$({ head -c 200000000 /dev/zero; echo; } | timeout 30 mpmap --so "$lines:length")"

# Input that trickles: each result is there before the next record is sent.
mkfifo in outp
mpmap --so "$lines:upper" <in >outp &
exec 3>in 4<outp
for word in one two; do
    echo $word >&3
    read -r answer <&4
    is "a pipe that trickles" "$(echo $word | tr a-z A-Z)" "$answer"
done
exec 3>&- 4<&-
wait

# Records that are no lines, and what a worker does first.
if command -v cc >/dev/null && [ -n "${MP_SRC:-}" ]; then
    cat >kinds.c <<'END'
#include <fcntl.h>
#include <mp/plugin.h>
#include <stdlib.h>
#include <unistd.h>
int hex(const char *r, size_t n, mp_out *out, void *ctx)
{
    (void)ctx;
    for (size_t i = 0; i < n; i++)
        if (mp_out_printf(out, "%02x", (unsigned char)r[i]))
            return -1;
    return mp_out_putc(out, '\n');
}
int state(const char *r, size_t n, mp_out *out, void *ctx)
{
    mp_plugin_args *args = ctx;
    return (void)n, mp_out_printf(out, "%s %s\n", (char *)args->state, r);
}
int state_init(mp_plugin_args *args)
{
    args->state = strdup(args->argv[0]);
    return args->state ? 0 : -1;
}
int never(const char *r, size_t n, mp_out *out, void *ctx)
{
    return (void)r, (void)n, (void)ctx, mp_out_puts(out, "x");
}
int never_init(mp_plugin_args *args)
{
    return (void)args, 1;
}
int meet(const char *r, size_t n, mp_out *out, void *ctx)
{
    const char *other = *r == '1' ? "met2" : "met1";
    (void)n, (void)ctx;
    close(open(*r == '1' ? "met1" : "met2", O_CREAT, 0600));
    while (access(other, F_OK) < 0)
        usleep(1000);
    return mp_out_printf(out, "%s\n", r);
}
int die(const char *r, size_t n, mp_out *out, void *ctx)
{
    (void)n, (void)ctx;
    if (*r == 'c')
        abort();
    return mp_out_write(out, r, n);
}
END
    cc -shared -fPIC -I"$MP_SRC/include" -o kinds.so kinds.c || is "the plugin compiles" yes no
    is "init" "hello a${nl}hello b" "$(printf 'a\nb\n' | mpmap --so kinds.so:state hello)"
    gives "an init that fails" 74 sh -c 'echo a | mpmap --so kinds.so:never'
    has "an init that fails" "init did not return 0" "$err"
    is "fixed records" "616263${nl}6465660a" "$(printf 'abcdef' | mpmap --records 3 --so kinds.so:hex | sed '2s/$/0a/')"
    is "the last is shorter" "6162${nl}63" "$(printf 'abc' | mpmap --records 2 --so kinds.so:hex)"
    is "many fixed records" "$(seq 100000 199999 | cksum)" \
        "$(seq 100000 199999 | mpmap --records 7 --so kinds.so:die | cksum)"
    gives "a fixed record that crashes" 1 sh -c 'printf aabbccdd | mpmap --records 2 --so kinds.so:die'
    is "a fixed record that crashes: the others" aabbdd "$out"
    # Each needs the other to run.
    is "few short records have all workers" "1${nl}2" \
        "$(printf '1\n2\n' | timeout 60 mpmap -j2 --so kinds.so:meet)"
    rm met1 met2
    is "a record that comes while another is in work" "1${nl}2" \
        "$({ echo 1; until [ -e met1 ]; do sleep 0.01; done; echo 2; } | timeout 60 mpmap -j2 --so kinds.so:meet)"
    rm met1 met2
    # 1, "a", [1, 2], {"k": nil}, a float, bin, str8, ext, array16, -1
    printf '\001\241a\222\001\002\201\241k\300\312\001\002\003\004\304\002xy\331\003abc\307\002\005xy\334\000\002\001\241b\377' >values
    is "msgpack" "01 a161 920102 81a16bc0 ca01020304 c4027879 d903616263 c702057879 dc000201a162 ff" \
        "$(mpmap --records msgpack -a values --so kinds.so:hex | xargs)"
    for j in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do cat values values values values; done >more
    for j in 1 2 3 4 5 6 7 8 9 10; do cat more; done >values
    is "many values" "6400 $(cksum <values)" "$(mpmap --records msgpack -a values --so kinds.so:hex | wc -l) $(mpmap --records msgpack -a values --so kinds.so:die | cksum)"
    gives "half a value" 74 sh -c "printf '\\001\\331\\003ab' | mpmap --records msgpack --so kinds.so:hex"
    is "half a value: the whole ones" 01 "$out"
    has "half a value" "ends within a value, after record 1" "$err"
    gives "no msgpack" 74 sh -c "printf '\\301' | mpmap --records msgpack --so kinds.so:hex"
    has "no msgpack" "not msgpack" "$err"
    gives "no msgpack after some" 74 sh -c "printf '\\001\\002\\301' | mpmap --records msgpack --so kinds.so:hex"
    is "no msgpack after some: those" "01${nl}02" "$out"
    has "no msgpack after some" "not msgpack, after record 2" "$err"
fi
for bad in x '' 0 -1; do
    gives "--records '$bad'" 2 mpmap --records "$bad" --so "$lines:upper" </dev/null
done
gives "--records without --so" 2 mpmap --records 3 echo
gives "--unordered without --so" 2 mpmap --unordered echo ::: 1
for option in --joblog=log --results=r --timeout=1 --retries=2 --halt=now,fail=1 --tag --bar --mem=1G \
    --load=1 --summary --nice=3 --progress-fd=1 -d, --trim=lr --csv -n2 -X -p -u -s; do
    gives "--so with $option" 2 mpmap $option --so "$lines:upper" ::: a
    has "--so with $option" "--so" "$err"
done

# A function that crashes costs the record it was at.
if command -v cc >/dev/null && [ -n "${MP_SRC:-}" ]; then
    cat >crash.c <<'END'
#include <mp/plugin.h>
#include <stdlib.h>
#include <unistd.h>
// The record "wait" takes until there is a file "go".
int wait_for(const char *r, size_t n, mp_out *out, void *ctx)
{
    (void)n, (void)ctx;
    while (*r == 'w' && access("go", F_OK) < 0)
        usleep(1000);
    return mp_out_printf(out, "%s\n", r);
}
int crash(const char *r, size_t n, mp_out *out, void *ctx)
{
    long i = atol(r);
    (void)n, (void)ctx;
    if (i == 7)
        abort();
    if (i == 30)
        _exit(0);
    if (i == 50)
        sleep(1000);
    return mp_out_printf(out, "%s\n", r);
}
int all(const char *r, size_t n, mp_out *out, void *ctx)
{
    (void)r, (void)n, (void)out, (void)ctx;
    abort();
}
// Each writes its record; some then fail, in one of three ways.
int late(const char *r, size_t n, mp_out *out, void *ctx)
{
    long i = atol(r);
    (void)n, (void)ctx;
    for (int k = 0; k < 1000 && i % 500 == 3; k++)
        if (mp_out_puts(out, "lost\n"))
            return -1;
    if (mp_out_printf(out, "%s\n", r))
        return -1;
    if (i == 3 || i == 2503)
        abort();
    if (i == 1503)
        _exit(9);
    return i % 500 == 3 ? 5 : 0;
}
END
    cc -shared -fPIC -I"$MP_SRC/include" -o crash.so crash.c || is "the plugin compiles" yes no
    gives "a function that crashes" 2 sh -c 'seq 40 | mpmap --so crash.so:crash'
    is "a function that crashes: the others" "$(seq 40 | grep -vx '7\|30')" "$out"
    has "a function that crashes: the record" "record 7 (7): the function crashed" "$err"
    has "a function that exits: the record" "record 30 (30): the function crashed" "$err"

    # The numbers are those of the input, whatever the ranges and batches; what a record
    # wrote before it failed is dropped. (The worker's id is not known to us.)
    cat >expected <<'END'
mpmap: record 3 (3): the function crashed
mpmap: record 503 (503): the function returned 5
mpmap: record 1003 (1003): the function returned 5
mpmap: record 1503 (1503): the function crashed
mpmap: record 2003 (2003): the function returned 5
mpmap: record 2503 (2503): the function crashed
END
    seq 3000 >list
    for j in 1 2 7; do
        gives "failures of all kinds, -j$j" 6 mpmap -j$j -a list --so crash.so:late
        is "failures of all kinds, -j$j: told" "$(cat expected)" \
            "$(echo "$err" | sed 's/crashed: .*/crashed/')"
        is "failures of all kinds, -j$j: the others" \
            "$(grep -vx '3\|503\|1003\|1503\|2003\|2503' list)" "$out"
    done
    has "the cause of a crash" "was killed by signal 6 (Aborted)" "$(echo "$err" | grep 'record 3 ')"
    has "that of another" "exited with code 9" "$(echo "$err" | grep 'record 1503 ')"

    # As they come: a record that takes long does not hold up what others have, and the numbers
    # of those that fail are those of the input all the same.
    mkfifo come
    { echo wait; seq 100; } | mpmap -j2 --unordered --so crash.so:wait_for >come &
    exec 3<come
    is "--unordered: the others come first" "$(seq 100)" "$(head -100 <&3 | sort -n)"
    : >go
    is "--unordered: the slow one comes last" wait "$(cat <&3)"
    exec 3<&-
    wait
    gives "--unordered: failures of all kinds" 6 mpmap -j7 --unordered -a list --so crash.so:late
    is "--unordered: told" "$(cat expected)" "$(echo "$err" | sed 's/crashed: .*/crashed/')"
    is "--unordered: the others" "$(grep -vx '3\|503\|1003\|1503\|2003\|2503' list)" "$(echo "$out" | sort -n)"

    # Input that pauses.
    gives "failures after a pause" 6 sh -c \
        '{ head -1000 list; sleep 0.5; tail -2000 list; } | mpmap --so crash.so:late'
    is "failures after a pause: told" "$(cat expected)" \
        "$(echo "$err" | sed 's/crashed: .*/crashed/')"
    gives "all crash" 101 sh -c 'seq 300 | mpmap -j2 --so crash.so:all'
    is "all crash: told" "$(seq 8 | sed 's/.*/record & (&)/')" \
        "$(echo "$err" | sed -n 's/^mpmap: \(record .*)\): the function crashed: .*/\1/p')"
    has "all crash: how many" "300 records failed in all" "$err"

    seq 50 | mpmap --so crash.so:crash >out.txt &
    pid=$!
    sleep 0.5
    kill -KILL $pid
    wait $pid 2>/dev/null # and no worker is left: the runner looks
fi
finish
