// SPDX-License-Identifier: MIT
//
// The memory that the three parties of a pool share: the caller (the process that
// made the pool), its supervisor, and the workers. It is mapped before the first
// fork, so addresses in it are the same for all.
//
// A job is one pass over a schedule. Its life:
//
//   caller      writes `job`, next = 0, then epoch + 1: the job is open
//   worker      joined = epoch; fence; is it still open? then claims chunks until
//               there are none; joined = 0
//   caller      when next ran past the last chunk: closed = epoch; fence; when no
//               slot has joined = epoch the job is over, and `job` the caller's again
//
// So a worker that wakes late, is stopped, or is just being forked delays nobody
// unless it joined. `active` and `bell` only say when to look: truth is in the slots.
//
// A claim, and how it survives kill -9 at any instruction:
//
//   c = next++; at = nowhere; claim = c + 1; run it; finished[n] = c; n++
//
// and when there are enough of them, `hand`: done[finished[...]] = 1; n = 0. Workers finish
// neighbouring chunks at the same time, so entering each at once would send the line of
// done[] back and forth between them, which costs more than a tiny task. The supervisor
// enters what a dead worker had finished.
//
// The supervisor copies claim and at of a dead worker into a death record. A chunk
// that is neither done nor in a record when all have left was claimed by a worker
// that died between `next++` and `claim`: it never started, and is run in another
// pass. The item form stores `at` before each item, so a death costs that item only.
//
// Streams: large arrays that the workers do not see are copied in while the job runs. `limit`
// is the number of chunks copied in so far: who sees all of them claimed waits before it claims
// one, and says so in `awaits`. The first that waits spins, the others sleep until there is more
// than it can take. When the arrays are larger than the staging memory, chunk c lies in slot
// c % window of it.
#ifndef MP_WORK_CONTROL_H
#define MP_WORK_CONTROL_H

#include "os/futex.h"
#include "work/board.h"
#include "work/mortem.h"
#include "work/schedule.h"

#include <limits.h>
#include <mp/pool.h>
#include <stdatomic.h>

#define MP__LINE        _Alignas(128) // two cache lines, which are fetched in pairs
#define MP__MAX_WORKERS MP__BOARD_PLACES
#define MP__MAX_DEATHS  64 // records the supervisor can be ahead of the caller
#define MP__NOWHERE     UINT64_MAX
#define MP__HAND        60 // chunks a worker finishes before it enters them, at most

// What done[chunk] says. A worker sets the first two, the caller the others.
enum mp__chunk_state {
    MP__CHUNK_OPEN,
    MP__CHUNK_DONE,
    MP__CHUNK_FAILED, // done, but tasks in it returned non-zero
    MP__CHUNK_DEAD,   // its worker died: settled by the death record
    MP__CHUNK_LOST,   // claimed by a worker that died before it started
};

// An array as the tasks of a job see it; all zero when there is none.
struct mp__side {
    uintptr_t base;  // where item 0 lies, or would lie if it belonged to the pass
    size_t size;     // of an item
    size_t slot;     // bytes of a slot, when in a window
    uint32_t window; // slots; 0: the array lies there in full
};

struct mp__job {
    mp_item_fn *item_fn; // one of them is set
    mp_range_fn *range_fn;
    void *ctx;
    struct mp__side in, out;
    int *status;     // by item, zeroed; NULL: nobody asked
    uint32_t deaths; // records written before the job
    uint32_t stride; // in a stream: the bell rings every so many chunks; 0: no stream
    uint32_t hand;   // chunks a worker may finish before it enters them in done[]
    struct mp__schedule schedule;
};

// A worker's place. Written by the worker, read by others when it is dead or out.
struct mp__slot {
    MP__LINE _Atomic uint64_t claim; // chunk + 1, 0 = none
    _Atomic uint64_t at;             // the item it is at
    _Atomic uint32_t n_finished;
    uint32_t finished[MP__HAND];      // chunks in which no task failed
    MP__LINE _Atomic uint32_t joined; // epoch of the job it takes part in, 0 = none
    _Atomic uint32_t awaits;          // whether it waits in a stream, with nothing claimed
    _Atomic uint32_t up;              // it has come as far as waiting for jobs
    _Atomic int32_t pid;
    _Atomic uint32_t retires;        // it gave nonsense: to end when it has done what it is at
    _Atomic uint32_t rests;          // empty, since there was nothing to do: see mp__pool_call()
    _Atomic uint32_t errand;         // a slot of the board that is for this worker alone, + 1
    _Atomic uint64_t tasks, busy_ns; // of all workers that were in this place; see board.h
    _Atomic uint32_t task;           // the slot of the board that it has, + 1; 0 = none
    int32_t first_status;            // of the lowest item that failed
    uint64_t first_failed;           // that item, or nowhere
    uint64_t failed;                 // items that failed since the caller reset it
    struct mp__crash crash;          // of the present worker
};

struct mp__death {
    uint32_t epoch;    // of the job
    int32_t pid, code; // exit code, or -signal
    uint32_t mortem;   // its number: see mortem.h
    uint64_t claim, at;
};

enum mp__request { MP__RUN, MP__CLOSE, MP__TERMINATE };

struct mp__control {
    // The caller says, the workers wait for.
    MP__LINE _Atomic uint32_t epoch; // number of the latest job, never 0 in one
    _Atomic uint32_t call;           // futex: changes when there is work, or a request
    _Atomic uint32_t dozing;         // how many workers sleep on it (or died there)
    _Atomic uint32_t closed;         // jobs up to this one are not to be joined
    _Atomic uint32_t request;        // enum mp__request
    _Atomic uint32_t wanted;         // workers there shall be: in the places below
    _Atomic uint32_t workers;        // places that were ever used
    MP__LINE _Atomic uint32_t limit;
    _Atomic uint32_t food; // futex: changes when those who sleep for the limit shall look
    MP__LINE _Atomic uint32_t starving; // how many sleep on it (or died there)
    _Atomic uint32_t hungry;            // how many wait, awake or asleep (or died there)
    MP__LINE _Atomic uint64_t next;
    // The workers and the supervisor say, the caller waits for.
    MP__LINE _Atomic uint32_t active; // workers in the job, more or less
    MP__LINE _Atomic uint32_t bell;   // futex
    _Atomic uint32_t caller_sleeps;   // set and cleared by the caller alone
    // The supervisor says.
    MP__LINE _Atomic uint32_t died; // workers, however they ended
    _Atomic uint32_t deaths;        // records written; record n is at n % MP__MAX_DEATHS
    _Atomic uint32_t deaths_taken;  // by the caller
    struct mp__death death[MP__MAX_DEATHS];
    struct mp__mortems mortems;

    struct mp__board board;

    MP__LINE struct mp__job job;
    _Atomic uint8_t *done; // enum mp__chunk_state, by chunk

    MP__LINE _Atomic uint32_t resting; // some places may rest
    struct mp__mutex output;           // of those that print by lines

    struct mp__slot slot[]; // MP__MAX_WORKERS, committed as they are needed
};

// Tells the caller that there is something to see. Who rings does not clear the flag: it
// may just have been raised by a caller that saw this ring already, and sleeps for the next.
static inline void mp__ring_caller(struct mp__control *c)
{
    atomic_fetch_add(&c->bell, 1);
    if (atomic_load(&c->caller_sleeps))
        mp__futex_wake(&c->bell, INT_MAX);
}

// Calls n workers: there is work, or the end.
static inline void mp__call_workers(struct mp__control *c, int n)
{
    atomic_fetch_add(&c->call, 1);
    if (atomic_load(&c->dozing))
        mp__futex_wake(&c->call, n);
}

// Has n of those look that sleep until more is copied in.
static inline void mp__feed_workers(struct mp__control *c, int n)
{
    if (atomic_load(&c->starving)) {
        atomic_fetch_add(&c->food, 1);
        mp__futex_wake(&c->food, n);
    }
}

// Enters in done[] what a worker has finished: done by itself, or by the supervisor after
// its death, at whatever point of this that came.
static inline void mp__enter_finished(struct mp__control *c, struct mp__slot *slot)
{
    uint32_t n = atomic_load_explicit(&slot->n_finished, memory_order_relaxed);
    for (uint32_t i = 0; i < n && i < MP__HAND; i++) {
        uint32_t chunk = slot->finished[i] % MP__MAX_CHUNKS;
        atomic_store_explicit(&c->done[chunk], MP__CHUNK_DONE, memory_order_release);
    }
    atomic_store_explicit(&slot->n_finished, 0, memory_order_release);
}

// Whether job `epoch` may no longer be joined.
static inline bool mp__job_closed(struct mp__control *c, uint32_t epoch)
{
    return (int32_t)(atomic_load(&c->closed) - epoch) >= 0;
}

// Where items from `begin` on lie, which belong to `chunk`; NULL without an array.
static inline void *mp__side_at(const struct mp__side *s, uint32_t chunk, size_t begin)
{
    if (s->window)
        return (void *)(s->base + (size_t)(chunk % s->window) * s->slot);
    return (void *)(s->base + begin * s->size);
}

#endif
