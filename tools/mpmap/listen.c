// SPDX-License-Identifier: MIT
//
// When a job's output is listened to. Each time we wake to read, a job loses its CPU, and
// most jobs are over in a few milliseconds: what those wrote is taken at their end, from a
// pipe that holds it all. So only one that has grown older is read from as it writes.
//
// A pipe that is full stops its job. Where one job wrote much, the next is likely to, and
// is listened to from the start. So are all with --line-buffer: who wrote first comes first; and
// with --latest-line.
#include "state.h"

enum {
    YOUTH_MS = 5,
    LOUD = 16 * 1024, // bytes; a pipe holds 64 KiB
};

static void wait_for_age(struct run *r);

static void on_age(mp_watch *w, void *arg)
{
    struct run *r = arg;
    int64_t now = mp_loop_time(r->loop);
    bool young = false;
    mp_watch_close(w);
    r->youth = NULL;
    for (struct job *j = r->live; j; j = j->next) {
        bool grown = now - job_began_ms(j) >= YOUTH_MS;
        if (!j->listening && grown)
            job_listen(j);
        young |= !j->listening;
    }
    if (young)
        wait_for_age(r);
}

static void wait_for_age(struct run *r)
{
    if (mp_loop_add_timer(r->loop, &r->youth, YOUTH_MS, on_age, r) == 0)
        return;
    r->youth = NULL;
    for (struct job *j = r->live; j; j = j->next)
        if (!j->listening)
            job_listen(j);
}

void listen_started(struct run *r, struct job *j)
{
    if (!r->launch.capture)
        return;
    if (r->loud || r->launch.lines || r->launch.latest)
        job_listen(j);
    else if (!r->youth)
        wait_for_age(r);
}

void listen_ended(struct run *r, const struct job *j)
{
    r->loud = j->wrote > LOUD;
}
