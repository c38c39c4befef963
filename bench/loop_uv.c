// SPDX-License-Identifier: MIT
//
// libuv: a million timers of its own.
#include "common.h"

#include <uv.h>

enum { TIMERS = 1000000 };

static uint64_t calls;

static void fire(uv_timer_t *t)
{
    (void)t;
    calls++;
}

int main(void)
{
    uv_loop_t *loop = uv_default_loop();
    uv_timer_t *timer = allocate(TIMERS * sizeof *timer);
    uint64_t x = 12345;
    double start = now();
    for (int i = 0; i < TIMERS; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        uv_timer_init(loop, &timer[i]);
        if (uv_timer_start(&timer[i], fire, (x >> 33) % 100, 0) < 0)
            die("uv_timer_start");
    }
    uv_run(loop, UV_RUN_DEFAULT);
    if (calls != TIMERS)
        die("%llu timers came", (unsigned long long)calls);
    report("loop_timers", "libuv", (now() - start) * 1e3, "ms");
    return 0;
}
