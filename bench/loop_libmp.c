// SPDX-License-Identifier: MIT
//
// libmp's event loop and tasks: calls that ask for themselves again, a million timers, two
// tasks that take turns.
#include "common.h"

#include <mp/coro.h>
#include <mp/loop.h>

enum { CHAINS = 64, TIMERS = 1000000, TURNS = 1000 };

static mp_loop *loop;
static uint64_t calls;
static double end;

static void check(int64_t r, const char *what)
{
    if (r < 0)
        die("%s: %s", what, mp_strerror(r));
}

// ---- call_soon ----

static void again(void *arg)
{
    if (++calls % 4096 == 0 && now() > end)
        mp_loop_stop(loop);
    check(mp_loop_call_soon(loop, again, arg), "call_soon");
}

static void soon(double seconds)
{
    for (int i = 0; i < CHAINS; i++)
        check(mp_loop_call_soon(loop, again, NULL), "call_soon");
    double start = now();
    end = start + seconds;
    check(mp_loop_run_forever(loop), "run");
    report("loop_soon", "libmp", (double)calls / (now() - start), "calls/s");
}

// ---- timers ----

static void fire(void *arg)
{
    (void)arg;
    calls++;
}

static void timers(double seconds)
{
    (void)seconds;
    uint64_t x = 12345;
    double start = now();
    for (int i = 0; i < TIMERS; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        check(mp_loop_call_later(loop, (int)(x >> 33) % 100, fire, NULL), "call_later");
    }
    check(mp_loop_run(loop), "run");
    if (calls != TIMERS)
        die("%llu timers came", (unsigned long long)calls);
    report("loop_timers", "libmp", (now() - start) * 1e3, "ms");
}

// ---- tasks ----

static int take_turns(void *arg)
{
    uint64_t *turns = arg;
    while (now() < end)
        for (int i = 0; i < TURNS; i++, ++*turns)
            check(mp_coro_sleep(0), "sleep");
    return 0;
}

static void switches(double seconds)
{
    uint64_t turns[2] = {0, 0};
    double start = now();
    end = start + seconds;
    for (int i = 0; i < 2; i++)
        check(mp_coro_start(NULL, loop, take_turns, &turns[i], NULL), "task");
    check(mp_loop_run(loop), "run");
    double took = now() - start;
    if (turns[0] > turns[1] + 2 * TURNS || turns[1] > turns[0] + 2 * TURNS)
        die("the tasks did not take turns");
    report("task_switch", "libmp", took / (double)(turns[0] + turns[1]) * 1e9, "ns");
}

int main(int argc, char **argv)
{
    double seconds = seconds_from(argc > 2 ? argv[2] : NULL);
    const char *test = argc > 1 ? argv[1] : "";
    check(mp_loop_new(&loop), "loop");
    if (strcmp(test, "soon") == 0)
        soon(seconds);
    else if (strcmp(test, "timers") == 0)
        timers(seconds);
    else if (strcmp(test, "switch") == 0)
        switches(seconds);
    else
        die("usage: %s soon|timers|switch [SECONDS]", argv[0]);
    mp_loop_free(loop);
    return 0;
}
