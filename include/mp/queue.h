// SPDX-License-Identifier: MIT
//
// A queue hands items from any number of processes and threads to any number of others.
// An item is bytes of any size, and it is in the queue when mp_queue_put() returns: no
// thread of ours carries it there, and nothing is lost when the producer exits or is
// killed afterwards.
//
//  1. mp_queue_new() before the fork, or mp_queue_attach() by name in any process; children
//     use the handle they inherit;
//  2. mp_queue_put() and mp_queue_get() anywhere, from any thread;
//  3. to end: mp_queue_shutdown(), after which consumers get what is left and then MP_EOF;
//     or mp_queue_join(), which waits until every item was reported with
//     mp_queue_task_done();
//  4. mp_queue_free() in each process that made or attached it; last in the one that made it.
//
// From other machines: see mp_queue_serve() below.
//
// Any participant may be killed at any instruction; the others go on. A consumer that is
// killed loses at most the item that it was just being given; with opts->ack not even
// that: an item belongs to the queue until it is acknowledged, and goes to another consumer
// when the one that has it dies.
//
// Memory that somebody wrote over is noticed where it would lead astray: MP_EPROTO from any call
// that puts, gets or acknowledges, or items that make no sense.
//
// Items come out in the order in which they went in, whoever put them (MP_FIFO). With
// several consumers, each takes a few at a time when there are many, so two consumers may
// finish neighbours in either order; one that is idle takes from the hand of one that is
// slow.
#ifndef MP_QUEUE_H
#define MP_QUEUE_H

#include <mp/base.h>
#include <mp/error.h>
#include <mp/url.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mp_queue mp_queue;

typedef enum mp_queue_kind {
    MP_FIFO,     // first in, first out
    MP_LIFO,     // last in, first out
    MP_PRIORITY, // the lowest priority number first; among equals, first in
} mp_queue_kind;

typedef struct mp_queue_opts {
    const char *name; // to be found by mp_queue_attach(); NULL: for this process and its children
    mp_queue_kind kind;
    bool ack;         // items are redelivered unless acknowledged
    size_t max_items; // 0 = no limit but max_bytes. What a consumer has in its hand is not
                      // counted: up to 15 items of an MP_FIFO of 32 and more; or, with ack,
                      // those that were not acknowledged
    size_t max_bytes; // of items in the queue, some overhead included; 0 = 256 MiB. Memory is
                      // taken as it is needed. In an MP_FIFO without ack, items of up to 2 KiB
                      // (at most 1 GiB) and longer ones are counted apart
} mp_queue_opts;

// Makes a queue. Does not block. Errors: MP_EINVAL (an unknown kind, not a name), -EEXIST
// (the name is in use), -ENOMEM, -EMFILE, -ENOSPC. Since 0.1.
MP_API MP_NODISCARD int mp_queue_new(mp_queue **out, const mp_queue_opts *opts);

// Attaches to the queue of that name. Errors: as mp_arena_attach(). Since 0.1.
MP_API MP_NODISCARD int mp_queue_attach(mp_queue **out, const char *name);

// Puts size bytes at data as one item; size 0 is an item. Blocks while the queue is full, up
// to timeout_ms. Errors: MP_ETIMEDOUT (full), MP_EMSGSIZE (larger than max_bytes),
// MP_ECLOSED (after mp_queue_shutdown()), MP_EINVAL, -ENOMEM. Since 0.1.
MP_API MP_NODISCARD int mp_queue_put(mp_queue *q, const void *data, size_t size, int timeout_ms);

// As mp_queue_put(), with a priority (MP_PRIORITY only, else MP_ESTATE). mp_queue_put() has
// priority 0. Since 0.1.
MP_API MP_NODISCARD int mp_queue_put_priority(mp_queue *q, int64_t priority, const void *data,
                                              size_t size, int timeout_ms);

typedef struct mp_slice {
    const void *data;
    size_t size;
} mp_slice;

// Puts n items in one go, waiting for room as mp_queue_put() does, and returns how many went
// in: less than n only when timeout_ms was over or the queue was shut down. An error is
// returned only if none did. Since 0.1.
MP_API MP_NODISCARD int64_t mp_queue_put_many(mp_queue *q, const mp_slice *items, size_t n,
                                              int timeout_ms);

// Takes the next item into buf and returns its size. One that is longer than cap stays where
// it is: MP_EMSGSIZE, and mp_queue_next_size() tells its size. Blocks up to timeout_ms while
// the queue is empty. With opts->ack the item counts as this process's until
// mp_queue_task_done() or mp_queue_ack(). Errors: MP_ETIMEDOUT (empty), MP_EOF (shut down, and
// nothing is left), MP_EMSGSIZE, MP_EINVAL, -ENOMEM. Since 0.1.
MP_API MP_NODISCARD int64_t mp_queue_get(mp_queue *q, void *buf, size_t cap, int timeout_ms);

// As mp_queue_get(), into memory of its own, to be released with free(); never NULL on
// success. Since 0.1.
MP_API MP_NODISCARD int64_t mp_queue_get_new(mp_queue *q, void **data, int timeout_ms);

// Takes up to n items: waits for the first as mp_queue_get() does, then takes what is there.
// They lie one behind the other in buf, each aligned to 8; items[i] tells where and how long.
// With opts->ack it takes one, as mp_queue_task_done() would know only the last. Returns how
// many. Errors: as mp_queue_get(). Since 0.1.
MP_API MP_NODISCARD int64_t mp_queue_get_many(mp_queue *q, void *buf, size_t cap, mp_slice *items,
                                              size_t n, int timeout_ms);

// Returns the size of the item that a get would take now (another consumer may be faster);
// waits for one as mp_queue_get() does. Since 0.1.
MP_API MP_NODISCARD int64_t mp_queue_next_size(mp_queue *q, int timeout_ms);

// ---- acknowledging (opts->ack) ----

typedef struct mp_queue_item {
    uint64_t tag;      // names this delivery to mp_queue_ack(); never 0
    int64_t priority;  // 0 unless MP_PRIORITY
    uint32_t attempts; // deliveries before this one: 0 the first time
} mp_queue_item;

// As mp_queue_get(), and tells what is known of the item: for those who hold several at a
// time. Only with opts->ack; else MP_ESTATE. Since 0.1.
MP_API MP_NODISCARD int64_t mp_queue_get_item(mp_queue *q, void *buf, size_t cap,
                                              mp_queue_item *item, int timeout_ms);

// The item was dealt with: the queue forgets it. Errors: MP_ENOTHELD (not this process's:
// acknowledged before, or given to another because this process gave it back), MP_ESTATE,
// MP_EINVAL. Since 0.1.
MP_API int mp_queue_ack(mp_queue *q, uint64_t tag);

// The item goes back, to be the next again. Errors as mp_queue_ack(). Since 0.1.
MP_API int mp_queue_return(mp_queue *q, uint64_t tag);

// ---- joining ----

// Reports one item as dealt with; with opts->ack the one that this handle got last.
// Errors: MP_EBOUND (more often than items were put), MP_ENOTHELD (with ack: nothing is
// held), MP_EINVAL. Since 0.1.
MP_API int mp_queue_task_done(mp_queue *q);

// Waits until every item that was put has been reported. A consumer that dies without
// reporting leaves its item unreported for good, unless opts->ack; then those in the hands of
// the dead come back when somebody gets. Counts fewer than 2^28 unreported items. Errors:
// MP_ETIMEDOUT, MP_ECLOSED (freed meanwhile), MP_EINVAL. Since 0.1.
MP_API MP_NODISCARD int mp_queue_join(mp_queue *q, int timeout_ms);

// ---- looking, waiting, ending ----

// Returns the number of items that can be taken (those held for an acknowledgement not
// counted). Others change it at any time. Errors: MP_EINVAL. Since 0.1.
MP_API MP_NODISCARD int64_t mp_queue_size(mp_queue *q);

// Whether it holds none, or as many as it may. False for a handle that is not valid.
// Since 0.1.
MP_API bool mp_queue_empty(mp_queue *q);
MP_API bool mp_queue_full(mp_queue *q);

// Returns a descriptor for poll(2), epoll(7) or an event loop: readable whenever a get would
// not block, and now and then for nothing, so get with timeout 0. It stays the queue's. From
// this call on gets of this process cost a system call or two more. A process that is killed
// rings nobody: for what it held unacknowledged, or was just putting, look once in a while as
// well, by a timer. mp_wait() does so, and takes queues as they are. Errors: MP_ENOTSUP (attached
// by name), MP_EINVAL. Since 0.1.
MP_API MP_NODISCARD int mp_queue_fd(mp_queue *q);

typedef enum mp_shutdown {
    MP_DRAIN, // what is in the queue can still be taken
    MP_DROP,  // it is thrown away
} mp_shutdown;

// Ends the queue for everybody: puts fail with MP_ECLOSED at once, also those that wait;
// gets take what is left, then fail with MP_EOF. With MP_DROP nothing is left, and what was
// unreported counts as reported. Idempotent; async-signal-safe with MP_DRAIN. Errors: MP_EINVAL.
// Since 0.1.
MP_API int mp_queue_shutdown(mp_queue *q, mp_shutdown how);

// Releases the handle. No other thread of this process may use it meanwhile, not even to wait:
// mp_queue_shutdown() ends its wait, then join it. In the process that made it, the queue and all
// in it are gone, so let the other processes be through with it first, by a shutdown, too; then
// they end, or free their handles. Whoever comes later is told, MP_EINVAL, and so is who still
// sleeps in it (MP_ECLOSED in mp_queue_join()); but a process that is just at work in it may damage
// what its memory is used for next. One with a name stays until mp_shm_unlink() and the last
// process that has it. NULL is fine. Since 0.1.
MP_API void mp_queue_free(mp_queue *q);

// ---- from other machines ----
//
// mp_queue_serve() puts a queue on the network, mp_queue_connect() reaches it from another program:
// the handle is a queue for all calls above. A put has returned when the item is in the queue
// over there. What a consumer got without acknowledging it goes to others when its connection
// ends, however it ended; without opts->ack in mp_queue_opts that holds for what it was just being
// given: the item goes to the end of the queue then.
//
// Other programs may put and get as well, over nanomsg's PIPELINE protocol: what a PUSH socket
// of libnng, nanomsg or nngcat sends to the URL is put, and a PULL socket there gets, without
// acknowledging: an item is gone when it is on its way, and as many are as its buffers hold. A
// listener with a key lets nobody in that is not of libmp.
//
// What is different with a remote handle:
//
//   - a call takes a round trip, also with timeout 0, so put and get many at a time in a
//     stream. It takes longer than timeout_ms only when the other side says nothing, by
//     opts.alive_ms at most;
//   - MP_EBROKEN: the connection is lost, and the handle can only be freed; connect once more. A
//     put, or an acknowledgement, that ends so may have been done or not;
//   - it belongs to the process that made it: MP_EOWNER in a fork. Any number of threads may use
//     it; puts of several threads go one after the other;
//   - mp_queue_shutdown() ends the queue for all, and is not async-signal-safe; mp_queue_free()
//     ends only this handle;
//   - mp_queue_task_done() is about the queue: it is MP_EBOUND when all were reported;
//   - it cannot be sent through a pipe: MP_ENOTSUP.

// Serves q at url, which is one as in mp/url.h, with its opts (opts->pipe.max_size: 0 = as long
// as an item of q may be). *out is a listener: mp_listener_url() tells the real address,
// mp_listener_close() and mp_listener_free() end it and all its connections; mp_accept() is
// MP_ENOTSUP. A process of its own does the work, and ends with this one; mp_listener_fd() becomes
// readable should it end before. Free the listener before the queue. With MP_TRANSPORT=nng nothing
// changes: queues without a URL stay in shared memory, since what holds for them when
// a process is killed could not hold over a wire.
// Errors: as mp_listen(); MP_EINVAL (not a queue), MP_ENOTSUP (q is remote itself). Since 0.1.
MP_API MP_NODISCARD int mp_queue_serve(mp_listener **out, mp_queue *q, const char *url,
                                       const mp_url_opts *opts);

// Reaches the queue that is served at url. Blocks as mp_connect() does.
// Errors: as mp_connect(); MP_EPROTO (no queue of libmp is there), MP_EVERSION, MP_EINVAL (also:
// opts->foreign). Since 0.1.
MP_API MP_NODISCARD int mp_queue_connect(mp_queue **out, const char *url, const mp_url_opts *opts);

#ifdef __cplusplus
}
#endif
#endif
