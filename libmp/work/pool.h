// SPDX-License-Identifier: MIT
//
// The inside of a pool in the process that made it: pool_new.c makes it, pool.c ends it, map.c
// and tasks.c have it work.
#ifndef MP_WORK_POOL_H
#define MP_WORK_POOL_H

#include "os/spin.h"
#include "work/image.h"
#include "work/segment.h"
#include "work/tasks.h"

#include <mp/arena.h>
#include <pthread.h>

struct mp_pool {
    uint64_t owner; // token of the process that made it
    mp_pool *next;  // in the registry
    struct mp__segment seg;
    int supervisor; // pidfd
    int wake;       // eventfd: the supervisor shall look at ctl->request, and at the board
    int bell;       // eventfd: news of tasks
    bool one_shot;  // of mp_map(): its workers see what the caller sees, and get no tasks
    bool distant;   // its supervisor is no fork of this process (work/distant.h)
    size_t staging;
    uint64_t arenas;         // the youngest arena that the workers have
    struct mp__image *image; // the code that the workers have
    atomic_bool closed, interrupted, terminated;
    bool shrinks;         // workers may rest
    pthread_mutex_t lock; // held by the one map that runs; guards all below and the segment
    bool shut;            // the workers have been told to end
    struct mp__spin spin;
    char error[600];
    mp_arena *arena; // where long arguments and results of tasks lie
    struct mp__tasks tasks;
    pthread_mutex_t errands; // held by the one mp_pool_everywhere() that runs
    struct {
        uint64_t done, failed, retried;
    } stats; // of tasks; guarded by tasks.lock
};

// What a map is asked to do: the arguments of mp_pool_map() and its sisters.
struct mp__call {
    mp_item_fn *item_fn; // one of them
    mp_range_fn *range_fn;
    const void *in;
    size_t in_size;
    void *out;
    size_t out_size, n;
    void *ctx;
    mp_map_opts opts;
};

// Runs it, under the pool's lock: the result of mp_pool_map(), and pool->error.
int mp__map_run(mp_pool *pool, const struct mp__call *call);

// As mp_pool_new(); one_shot: for one map.
int mp__pool_new(mp_pool **out, const mp_pool_opts *opts, bool one_shot);

// Between pool_new.c and pool.c: a fork for another purpose closes what it has open; and its
// memory, once its supervisor is gone, or there is none.
void mp__pool_enter(mp_pool *pool);
void mp__pool_release(mp_pool *pool);

// Whether the supervisor is gone, and all its workers with it.
bool mp__pool_ended(mp_pool *pool);

// Waits until it is, after a request to terminate; kills it when it does not obey.
void mp__pool_await_end(mp_pool *pool);

// Tells the workers to end, once the pool is closed, no map runs and no task is unfinished.
void mp__pool_shut_if_closed(mp_pool *pool);

// There is work for n workers: calls them, and has those replaced that rest.
void mp__pool_call(mp_pool *pool, int n);

// The supervisor shall look around.
void mp__pool_wake_supervisor(mp_pool *pool);

#endif
