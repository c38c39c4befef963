// SPDX-License-Identifier: MIT
//
// A timer that fires, and one that is cancelled before.
//
//   05_timer [SECONDS]
#include "seed.h"

static int say(void *text)
{
    printf("%s\n", (const char *)text);
    return 0;
}

int main(int argc, char **argv)
{
    static char hello[] = "hello, world", never[] = "never";
    int delay = (int)(argument(argc, argv, 3.0) * 1000);
    mp_timer *timer, *cancelled;
    must(mp_timer_start(&timer, delay, say, hello, NULL), "timer");
    must(mp_timer_start(&cancelled, delay, say, never, NULL), "timer");
    must(mp_timer_cancel(cancelled), "cancel");
    must(mp_timer_join(timer, MP_FOREVER), "join");
    must(mp_timer_join(cancelled, MP_FOREVER), "join");
    mp_timer_free(timer);
    mp_timer_free(cancelled);
    return 0;
}
