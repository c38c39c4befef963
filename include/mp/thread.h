// SPDX-License-Identifier: MIT
//
// Threads: a function of this program that runs beside its caller, in the same memory.
//
//  1. mp_thread_start() with a function and its argument; or, for an object that runs itself,
//     put an mp_runnable first into your struct and give it to mp_thread_start_object();
//  2. the thread calls the function; what that returns is its result: 0, or a failure;
//  3. mp_thread_join() waits for the end, mp_thread_result() tells the result;
//  4. mp_thread_free() in any thread. One that still runs is not disturbed.
//
// Failures: a thread that returns other than 0 has failed. The hook is told
// (mp_thread_set_hook()), by default the log at MP_LOG_ERROR. mp_thread_fail() gives a failure
// its text.
//
// The end of the program: when main() returns or exit() is called, all threads end with it,
// wherever they are. In programs that called mp_runtime_init(), and in processes started by
// mp_process_start(), the end first waits for the threads that are not daemons.
//
// fork(): a child has only the thread that forked, which is its main thread. Handles of the
// parent's threads are MP_EOWNER there, and not alive.
//
// What threads need to work together is what processes use: mp_lock, mp_rlock, mp_condition,
// mp_semaphore, mp_event, mp_barrier, mp_rwlock; and mp_queue, of all three kinds, which
// copies bytes: to hand on something large, put a pointer to it.
#ifndef MP_THREAD_H
#define MP_THREAD_H

#include <mp/base.h>
#include <mp/error.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mp_thread mp_thread;

// What a thread runs. The result is 0, or a failure: an error, or a number of your own.
typedef int mp_thread_fn(void *arg);

typedef struct mp_thread_opts {
    const char *name;  // copied; NULL = "Thread-N", N counting. ps shows the first 15 bytes
    bool daemon;       // the end of the program does not wait for it
    size_t stack_size; // bytes; 0 = the system's default (mostly 8 MiB, used as needed)
} mp_thread_opts;

// Starts a thread that runs fn(arg). opts may be NULL. Errors: MP_EINVAL, -EAGAIN (too many
// threads), -ENOMEM. Since 0.1.
MP_API MP_NODISCARD int mp_thread_start(mp_thread **out, mp_thread_fn *fn, void *arg,
                                        const mp_thread_opts *opts);

// The first member of a struct that runs itself.
typedef struct mp_runnable {
    int (*run)(struct mp_runnable *self);
    mp_thread *thread; // set by the start; join and free it as any other
} mp_runnable;

// Starts a thread that runs object->run(object). The object is yours, and must live until
// the thread has ended. Errors: as mp_thread_start(). Since 0.1.
MP_API MP_NODISCARD int mp_thread_start_object(mp_runnable *object, const mp_thread_opts *opts);

// Waits for the end, up to timeout_ms. 0 when it ended, also when it had already; any thread
// may join, and again. Errors: MP_ETIMEDOUT, MP_ESTATE (a thread that joins itself, or one
// that mp_thread_start() did not start), MP_EOWNER, MP_EINVAL. Since 0.1.
MP_API MP_NODISCARD int mp_thread_join(mp_thread *t, int timeout_ms);

// Stores what its function returned. One that ended by pthread_exit() or pthread_cancel() has
// MP_ECANCELED. Does not block. Errors: MP_EAGAIN (still running), MP_ESTATE (not started by
// mp_thread_start()), MP_EOWNER, MP_EINVAL. Since 0.1.
MP_API MP_NODISCARD int mp_thread_result(mp_thread *t, int *result);

// The text of its failure, when it has ended with one; else "". Valid as long as the handle.
// Since 0.1.
MP_API const char *mp_thread_error(mp_thread *t);

// Whether it still runs. False for NULL and for a thread of another process. Since 0.1.
MP_API bool mp_thread_is_alive(mp_thread *t);

// Its name, whether it is a daemon, and its number in the system (gettid(); 0 before it has
// begun). They outlive its end. For NULL: NULL, false, 0. Since 0.1.
MP_API const char *mp_thread_name(const mp_thread *t);
MP_API bool mp_thread_daemon(const mp_thread *t);
MP_API int mp_thread_native_id(const mp_thread *t);

// Releases the handle. NULL is fine. Since 0.1.
MP_API void mp_thread_free(mp_thread *t);

// ---- who there is ----

// The calling thread: a handle that is not to be freed, valid until the thread ends. One that
// mp_thread_start() did not start, say by pthread_create(), is a daemon named "Dummy-N". NULL
// only when there is no memory for it. Since 0.1.
MP_API mp_thread *mp_thread_current(void);

// The main thread, named "MainThread"; in a forked child, the one that forked. Not to be freed.
// Since 0.1.
MP_API mp_thread *mp_thread_main(void);

// Writes up to cap handles of living threads to list (NULL when cap is 0), the main one first,
// and returns how many there are. They stay their owners'; one that somebody else may free
// meanwhile is not yours to use. Threads unknown to libmp are not among them. Since 0.1.
MP_API size_t mp_thread_enumerate(mp_thread **list, size_t cap);

// How many there are. Since 0.1.
MP_API size_t mp_thread_count(void);

// ---- failures ----

// Notes a text for the failure of the calling thread, and returns error, so that a function may
// end with `return mp_thread_fail(-ENOENT, "no file %s", name);`. Cut at 255 bytes. In a task
// of an executor over threads it is the text of the future. Since 0.1.
MP_API int mp_thread_fail(int error, const char *format, ...) MP_PRINTF(2, 3);

// Told of each thread that failed, in that thread, when its function has returned.
typedef void mp_thread_hook(mp_thread *t, int result, const char *text);

// Sets the hook of this process; NULL = the log. Returns the one before. Since 0.1.
MP_API mp_thread_hook *mp_thread_set_hook(mp_thread_hook *hook);

#ifdef __cplusplus
}
#endif
#endif
