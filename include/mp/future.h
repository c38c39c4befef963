// SPDX-License-Identifier: MIT
//
// A future: the result of something that runs elsewhere, before it is there. It is a handle
// inside one process; what runs may be a thread, a worker process, or anything that calls
// mp_future_set_result() one day.
//
//  1. somebody makes it: mp_executor_submit(), or mp_future_new();
//  2. it is pending, then running, then finished with a result or an error; or cancelled
//     while it was pending. Finished and cancelled are done: nothing changes any more;
//  3. wait for it (mp_future_wait(), mp_future_result()), for many (mp_futures_wait(),
//     mp_futures_as_completed()), or have it call you (mp_future_add_done_callback());
//  4. mp_future_free() by whoever was given it. What runs goes on, for its executor has a
//     reference of its own.
//
// References: each call that gives you a future (mp_future_new(), mp_future_hold(), a submit)
// gives you one reference; mp_future_free() drops one; the last one releases the memory. A
// call borrows the reference of its caller for as long as it runs.
//
// An error that nobody looked at (by mp_future_result(), mp_future_error() or
// mp_future_error_text()) is logged when the future is released, at MP_LOG_ERROR.
//
// All calls but those on one iterator may be made from any thread. In a forked child the
// futures of the parent are MP_EOWNER: nobody would complete them there.
//
// Who completes it? Where a thread runs the task, that thread. Where worker processes do,
// their news come to this process, and somebody here has to take them in; libmp starts no
// thread for that. So a future may have a source (mp_future_source): a descriptor that is
// readable when there is news, and a function that takes them in without blocking. Every
// call that waits for such a future, or asks whether it is done, calls that function, and
// sleeps on the descriptor together with all else that it waits for. Any mixture of futures
// can be waited for at once, and no wait polls.
#ifndef MP_FUTURE_H
#define MP_FUTURE_H

#include <mp/base.h>
#include <mp/error.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mp_future mp_future;

// ---- looking and waiting ----

// Waits until it is done, however that ended. 0 when it is. Errors: MP_ETIMEDOUT, MP_EOWNER,
// MP_EINVAL, -ENOMEM. Since 0.1.
MP_API MP_NODISCARD int mp_future_wait(mp_future *f, int timeout_ms);

// Waits as mp_future_wait(), copies the result to buf and returns its size. Errors: those of
// mp_future_wait(); MP_EMSGSIZE (longer than cap; nothing is copied), MP_ECANCELED, or the
// error it finished with: MP_ETASK when the task returned other than 0 (mp_future_status()
// tells what), MP_EWORKERDIED, ... Since 0.1.
MP_API MP_NODISCARD int64_t mp_future_result(mp_future *f, void *buf, size_t cap, int timeout_ms);

// The result where it lies, aligned for anything, and its size (size may be NULL). It is the
// future's, and valid as long as that. NULL unless it has finished with a result. Does not
// block. Since 0.1.
MP_API const void *mp_future_data(mp_future *f, size_t *size);

// Waits as mp_future_wait(). 0 when it finished with a result; else the error it finished
// with, MP_ECANCELED, or an error of the wait. Since 0.1.
MP_API MP_NODISCARD int mp_future_error(mp_future *f, int timeout_ms);

// A text for that error, as exact as it is known: "the task returned 3". "" when there is
// none, or it is not done. Valid as long as the future. Does not block. Since 0.1.
MP_API const char *mp_future_error_text(mp_future *f);

// What the task returned if that was the error (MP_ETASK); else 0. Does not block. Since 0.1.
MP_API int mp_future_status(mp_future *f);

// Whether it runs; was cancelled; is done (finished or cancelled). False for NULL and in a
// forked child. Do not block. Since 0.1.
MP_API bool mp_future_running(mp_future *f);
MP_API bool mp_future_cancelled(mp_future *f);
MP_API bool mp_future_done(mp_future *f);

// Cancels it if it is pending. 0 when it is cancelled, also by an earlier call. Does not
// block. Errors: MP_ESTATE (it runs, or has finished), MP_EOWNER, MP_EINVAL. Since 0.1.
MP_API int mp_future_cancel(mp_future *f);

// A result other than 0 is logged.
typedef int mp_future_fn(mp_future *f, void *arg);

// Has fn(f, arg) called once when f is done: by the thread that completes it (which, for one
// with a source, is a thread that waits), in the order of these calls; or at once, in the
// calling thread, if it is done already. Whoever waits may go on before or after that. No
// lock is held: fn may use f, and free a reference of its own. It should not block, since it
// keeps a worker from its work. Errors: MP_EOWNER, MP_EINVAL, -ENOMEM. Since 0.1.
MP_API int mp_future_add_done_callback(mp_future *f, mp_future_fn *fn, void *arg);

// One more reference, and f. NULL is fine. Since 0.1.
MP_API mp_future *mp_future_hold(mp_future *f);

// Drops a reference. NULL is fine. Since 0.1.
MP_API void mp_future_free(mp_future *f);

// ---- many ----

typedef enum mp_futures_until {
    MP_ALL_DONE,    // each is done
    MP_FIRST_DONE,  // at least one is
    MP_FIRST_ERROR, // one finished with an error (cancelled is none), or each is done
} mp_futures_until;

// Waits until the condition holds for the n futures at list, from whatever sources, and
// returns how many are done then; 0 at once when n is 0. Errors: MP_ETIMEDOUT, MP_EINVAL (a
// NULL among them), MP_EOWNER, -ENOMEM. Since 0.1.
MP_API MP_NODISCARD int64_t mp_futures_wait(mp_future *const *list, size_t n,
                                            mp_futures_until until, int timeout_ms);

typedef struct mp_completed mp_completed;

// Makes an iterator over n futures in the order in which they are done. It holds references
// of its own; the list may go. One thread at a time may use it. Errors: MP_EINVAL,
// MP_EOWNER, -ENOMEM. Since 0.1.
MP_API MP_NODISCARD int mp_futures_as_completed(mp_completed **out, mp_future *const *list,
                                                size_t n);

// Waits for the next one that is done, stores it at *f (which may be NULL; the reference stays
// the iterator's), and returns its index in the list. Errors: MP_EOF (each was told),
// MP_ETIMEDOUT, MP_EOWNER, MP_EINVAL. Since 0.1.
MP_API MP_NODISCARD int64_t mp_completed_next(mp_completed *it, mp_future **f, int timeout_ms);

// Releases the iterator, at any time. NULL is fine. Since 0.1.
MP_API void mp_completed_free(mp_completed *it);

// ---- for those who implement: completing ----

typedef struct mp_future_source mp_future_source;

typedef struct mp_future_opts {
    size_t room;              // bytes that lie ready for the result; see mp_future_room()
    mp_future_source *source; // who completes it; NULL: somebody on a thread of his own
} mp_future_opts;

// Makes a pending future. Keep a reference until you have completed it: the others may drop
// theirs at any time. Errors: MP_EINVAL, MP_EOVERFLOW, -ENOMEM. Since 0.1.
MP_API MP_NODISCARD int mp_future_new(mp_future **out, const mp_future_opts *opts);

// The room of opts->room bytes for the result, zeroed, aligned for anything: write the result
// there before mp_future_set_result(), and it need not be copied. Since 0.1.
MP_API void *mp_future_room(mp_future *f);

// Pending becomes running (Python's set_running_or_notify_cancel()). Call it before the work:
// MP_ECANCELED says not to do it. Errors: MP_ESTATE (it runs or has finished), MP_EOWNER,
// MP_EINVAL. Since 0.1.
MP_API MP_NODISCARD int mp_future_set_running(mp_future *f);

// Finishes it with size bytes: copied, unless data is the room. Wakes who waits, then runs
// the callbacks. Hold no lock that a callback might want. Errors: MP_ESTATE (done already,
// also by a cancel; nothing changes), MP_EOWNER, MP_EINVAL, -ENOMEM. Since 0.1.
MP_API int mp_future_set_result(mp_future *f, const void *data, size_t size);

// Finishes it with a negative error. status: what the task returned, with MP_ETASK, else 0.
// text is copied; NULL: made from the other two. Errors: as above. Since 0.1.
MP_API int mp_future_set_error(mp_future *f, int error, int status, const char *text);

// ---- for those who implement: sources ----

typedef struct mp_future_source_ops {
    // Takes in what is new, and completes the futures concerned. Must not block. With arm,
    // somebody is going to sleep: from now on the descriptor shall become readable when there
    // is news, so raise the flag that makes it so, and then look. Called by any thread that
    // waits, by several at a time, and again from a callback of a future that it completes:
    // so hold no lock while completing. Also called every 50 ms while somebody sleeps.
    void (*progress)(void *arg, bool arm);
    // Asks whether a pending future may be cancelled: 0, and its task will not run; or
    // MP_ESTATE. May be NULL: then a pending one always may.
    int (*cancel)(void *arg, mp_future *f);
} mp_future_source_ops;

// Makes a source. fd (-1: none) stays yours; ops must stay valid. Errors: MP_EINVAL, -ENOMEM.
// Since 0.1.
MP_API MP_NODISCARD int mp_future_source_new(mp_future_source **out, int fd,
                                             const mp_future_source_ops *ops, void *arg);

// Ends a source, when each of its futures is done: afterwards nobody is in its functions, nor
// sleeps on its descriptor. Waits for those who are, so not from a callback. NULL is fine.
// Since 0.1.
MP_API void mp_future_source_free(mp_future_source *s);

// The source of a future, valid as long as that; NULL if it has none. Its descriptor, or -1;
// and its progress function. For event loops: watch the descriptor, and make progress(false)
// when it is readable, then progress(true) before going back to sleep. Since 0.1.
MP_API mp_future_source *mp_future_get_source(mp_future *f);
MP_API int mp_future_source_fd(mp_future_source *s);
MP_API void mp_future_source_progress(mp_future_source *s, bool arm);

#ifdef __cplusplus
}
#endif
#endif
