// SPDX-License-Identifier: MIT
#include "points.h"

#include <mp/event.h>

static void *make(void)
{
    mp_event *e;
    mp_assert_ok(mp_event_new(&e, NULL));
    return e;
}

// One sets what another waits for, or waits in vain.
static void set_wait_clear(void *e)
{
    int r = mp_event_wait(e, 1);
    mptest_require(r == 0 || r == MP_ETIMEDOUT);
    mptest_require(mp_event_set(e) == 0);
    mptest_require(mp_event_clear(e) == 0);
}

static void it_is_up_or_down(void *e)
{
    mp_assert_err(mp_event_wait(e, 0), mp_event_is_set(e) ? 0 : MP_ETIMEDOUT);
    mp_assert_ok(mp_event_set(e));
    mp_assert_ok(mp_event_wait(e, 0));
    mp_assert_ok(mp_event_clear(e));
    mp_assert_err(mp_event_wait(e, 0), MP_ETIMEDOUT);
}

static void end(void *e)
{
    mp_event_free(e);
}

KILL_AT_POINTS(event, .points = "event.", .make = make, .round = set_wait_clear,
               .check = it_is_up_or_down, .end = end)

KILL_AT_POINTS(sleepers, .points = "sleepers.", .make = make, .round = set_wait_clear,
               .check = it_is_up_or_down, .end = end)
