// SPDX-License-Identifier: MIT
//
// The main thread of mpproxy: descriptors, timers, and work that NNG's threads leave to it.
// Everything that makes or frees an object happens here, so objects live at least until the
// end of the round in which they were used.
#ifndef MP_PROXY_LOOP_H
#define MP_PROXY_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The struct that one of the following is a member of.
#define OWNER_OF(p, type, member) ((type *)(void *)((char *)(p)-offsetof(type, member)))

// A descriptor that is watched.
struct source {
    void (*ready)(struct source *s, uint32_t events);
};

// Something to be done by the main thread once, however often it was posted before.
struct work {
    void (*run)(struct work *w);
    struct work *next;
    bool posted;
};

// Rings once. Main thread only.
struct timer {
    void (*ring)(struct timer *t);
    int64_t at; // on the monotonic clock in ns; 0: not set
    struct timer *next, *prev;
};

int loop_init(void);

int loop_watch(int fd, uint32_t events, struct source *s); // -errno
void loop_unwatch(int fd);

// From any thread.
void loop_post(struct work *w);
// Takes back what was posted and not yet run, before the object is freed. Main thread.
void loop_cancel(struct work *w);

void loop_set_timer(struct timer *t, int64_t ns_from_now);
void loop_stop_timer(struct timer *t);

// Runs until loop_end().
void loop_run(void);
void loop_end(void);

#endif
