// SPDX-License-Identifier: MIT
//
// Threads: pthreads with a name, a result, and a join that takes a timeout.
//
// pthread_join() cannot give up, so the end of a thread is a word that joiners sleep on; the
// first who sees it then calls pthread_join(), which takes only as long as the thread needs to
// leave. A record belongs to the handle and to the running thread, and goes with the last.
//
// The living are in a list under one lock, which the fork hooks hold across every fork. In the
// child only the thread that forked lives: the list is emptied but for it, and it becomes the
// main thread. The records of the others stay for those who hold handles, as the parent's.
#include "work/thread.h"
#include "os/fork.h"
#include "os/futex.h"

#include <errno.h>
#include <limits.h>
#include <mp/log.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FAILURE_SIZE 256

enum { RUNS, ENDED };

struct mp_thread {
    uint64_t owner; // token of the process
    atomic_uint refs;
    bool started; // by us: it may be joined
    bool daemon;
    char *name;
    mp_thread_fn *fn;
    void *arg;
    pthread_t id;
    atomic_int native_id;
    atomic_bool reaped; // somebody has joined or detached it

    _Atomic uint32_t state; // RUNS, ENDED; joiners sleep on it
    int result;             // written before ENDED
    char *text;

    mp_thread *next, **link; // in the list of the living, guarded by the lock
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key; // its destructor ends the records of threads that are not ours
static _Atomic(mp_thread_hook *) hook;

// Guarded by the lock.
static mp_thread main_record = {.refs = 1, .name = (char[]){"MainThread"}};
static mp_thread *main_thread = &main_record;
static mp_thread *living;
static unsigned named, dummies;

static _Thread_local mp_thread *current;
static _Thread_local char failure[FAILURE_SIZE];

// ---- records -----------------------------------------------------------------------

static void drop(mp_thread *t)
{
    if (t == &main_record || atomic_fetch_sub(&t->refs, 1) != 1)
        return;
    free(t->name);
    free(t->text);
    free(t);
}

static void link_locked(mp_thread *t)
{
    t->next = living;
    t->link = &living;
    if (t->next)
        t->next->link = &t->next;
    living = t;
}

static void unlink_locked(mp_thread *t)
{
    if (!t->link)
        return;
    *t->link = t->next;
    if (t->next)
        t->next->link = t->link;
    t->link = NULL;
}

// The end of a thread, in it: no longer among the living, and its joiners wake.
static void end(mp_thread *t)
{
    pthread_mutex_lock(&lock);
    unlink_locked(t);
    pthread_mutex_unlock(&lock);
    atomic_store(&t->state, ENDED);
    mp__futex_wake(&t->state, INT_MAX);
    drop(t);
}

static void end_dummy(void *t)
{
    current = NULL;
    end(t);
}

// ---- forks -------------------------------------------------------------------------

static void before_fork(void)
{
    pthread_mutex_lock(&lock);
}

static void after_fork_parent(void)
{
    pthread_mutex_unlock(&lock);
}

static void after_fork_child(void)
{
    while (living)
        unlink_locked(living);
    named = dummies = 0;
    main_thread = current ? current : &main_record;
    if (main_record.owner) { // else this part of libmp is not in use
        main_thread->owner = mp__fork_token();
        main_thread->native_id = gettid();
    }
    if (current && current != &main_record)
        link_locked(current);
    pthread_mutex_unlock(&lock);
}

// Threads started before this are unknown; the first of the process is known by its number.
static void init(void)
{
    main_record.owner = mp__fork_token();
    main_record.native_id = getpid();
    if (gettid() == getpid())
        current = &main_record;
    pthread_key_create(&key, end_dummy);
}

MP__FORK_HOOKS(MP__HOOKS_THREADS) static void set_hooks(void)
{
    pthread_atfork(before_fork, after_fork_parent, after_fork_child);
}

// ---- running -----------------------------------------------------------------------

int mp_thread_fail(int error, const char *format, ...)
{
    va_list args;
    if (!format)
        return error;
    va_start(args, format);
    vsnprintf(failure, sizeof failure, format, args);
    va_end(args);
    return error;
}

const char *mp__thread_failure(void)
{
    static _Thread_local char taken[FAILURE_SIZE];
    memcpy(taken, failure, sizeof taken);
    failure[0] = '\0';
    return taken;
}

static void tell_failure(mp_thread *t)
{
    mp_thread_hook *told = atomic_load(&hook);
    const char *text = t->text ? t->text : t->result < 0 ? mp_strerror(t->result) : "";
    if (told)
        told(t, t->result, text);
    else
        mp_log(MP_LOG_ERROR, "thread %s failed with %d%s%s", t->name, t->result, *text ? ": " : "",
               text);
}

// Also when the thread is cancelled or calls pthread_exit(): then the result is what was set
// before it began.
static void finish(void *arg)
{
    mp_thread *t = arg;
    const char *text = mp__thread_failure();
    if (t->result != 0 && *text)
        t->text = strdup(text);
    if (t->result != 0)
        tell_failure(t);
    end(t);
}

static void *run(void *arg)
{
    mp_thread *t = arg;
    current = t;
    t->native_id = gettid();
    t->result = MP_ECANCELED;
    char seen[16]; // by ps
    snprintf(seen, sizeof seen, "%s", t->name);
    pthread_setname_np(pthread_self(), seen);
    pthread_cleanup_push(finish, t);
    t->result = t->fn(t->arg);
    pthread_cleanup_pop(1);
    return NULL;
}

static mp_thread *new_record(const mp_thread_opts *opts, const char *format, unsigned number)
{
    mp_thread *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->owner = mp__fork_token();
    t->refs = 1;
    t->daemon = opts->daemon;
    if (opts->name)
        t->name = strdup(opts->name);
    else if (asprintf(&t->name, "%s-%u", format, number) < 0)
        t->name = NULL;
    if (t->owner && t->name)
        return t;
    drop(t);
    return NULL;
}

static int create(mp_thread *t, size_t stack_size)
{
    pthread_attr_t attr;
    int r = pthread_attr_init(&attr);
    if (r)
        return -r;
    if (stack_size)
        r = pthread_attr_setstacksize(&attr, stack_size);
    if (r == 0) {
        // Under the lock, so that nobody sees it before its id is known.
        pthread_mutex_lock(&lock);
        r = pthread_create(&t->id, &attr, run, t);
        if (r == 0)
            link_locked(t);
        pthread_mutex_unlock(&lock);
    }
    pthread_attr_destroy(&attr);
    return r == EINVAL ? MP_EINVAL : -r;
}

static int start(mp_thread **out, mp_thread_fn *fn, void *arg, const mp_thread_opts *opts)
{
    static const mp_thread_opts defaults;
    opts = opts ? opts : &defaults;
    pthread_once(&once, init);
    pthread_mutex_lock(&lock);
    unsigned number = opts->name ? 0 : ++named;
    pthread_mutex_unlock(&lock);
    mp_thread *t = new_record(opts, "Thread", number);
    if (!t)
        return -ENOMEM;
    t->started = true;
    t->fn = fn;
    t->arg = arg;
    t->refs = 2;
    *out = t; // the thread may look at it
    int r = create(t, opts->stack_size);
    if (r < 0) {
        *out = NULL;
        t->refs = 1;
        drop(t);
    }
    return r;
}

int mp_thread_start(mp_thread **out, mp_thread_fn *fn, void *arg, const mp_thread_opts *opts)
{
    if (!out)
        return MP_EINVAL;
    *out = NULL;
    return fn ? start(out, fn, arg, opts) : MP_EINVAL;
}

static int run_object(void *arg)
{
    mp_runnable *object = arg;
    return object->run(object);
}

int mp_thread_start_object(mp_runnable *object, const mp_thread_opts *opts)
{
    if (!object)
        return MP_EINVAL;
    object->thread = NULL;
    return object->run ? start(&object->thread, run_object, object, opts) : MP_EINVAL;
}

// ---- waiting for the end -----------------------------------------------------------

static int usable(const mp_thread *t)
{
    if (!t)
        return MP_EINVAL;
    if (!mp__fork_is_mine(t->owner))
        return MP_EOWNER;
    return t->started ? 0 : MP_ESTATE;
}

static bool has_ended(mp_thread *t)
{
    return atomic_load(&t->state) == ENDED;
}

// Once for each thread: what the system keeps of it.
static void reap(mp_thread *t)
{
    if (t == current || atomic_exchange(&t->reaped, true))
        return;
    if (has_ended(t))
        pthread_join(t->id, NULL);
    else
        pthread_detach(t->id);
}

static int await_end(mp_thread *t, mp__deadline d)
{
    while (!has_ended(t))
        if (mp__left_ns(d) == 0 || mp__futex_wait(&t->state, RUNS, d) == MP_ETIMEDOUT)
            return has_ended(t) ? 0 : MP_ETIMEDOUT;
    return 0;
}

int mp_thread_join(mp_thread *t, int timeout_ms)
{
    int r = usable(t);
    if (r < 0)
        return r;
    if (timeout_ms < MP_FOREVER)
        return MP_EINVAL;
    if (t == current)
        return MP_ESTATE;
    r = await_end(t, mp__deadline_in(timeout_ms));
    if (r == 0)
        reap(t);
    return r;
}

void mp_thread_free(mp_thread *t)
{
    if (!t || !t->started)
        return;
    if (!mp__fork_is_mine(t->owner)) {
        drop(t); // the thread's own reference went nowhere: a copy of the record stays
        return;
    }
    if (t == current && !atomic_exchange(&t->reaped, true))
        pthread_detach(t->id);
    else
        reap(t);
    drop(t);
}

// A thread that is no daemon, held; NULL if there is none but the calling one.
static mp_thread *hold_one(void)
{
    pthread_mutex_lock(&lock);
    mp_thread *t = living; // who has ended, and may be freed, is not in the list
    // NOLINTNEXTLINE(clang-analyzer-unix.Malloc)
    while (t && (t->daemon || !t->started || t == current || t == main_thread))
        t = t->next;
    if (t)
        atomic_fetch_add(&t->refs, 1);
    pthread_mutex_unlock(&lock);
    return t;
}

void mp__thread_await_all(void)
{
    mp_thread *t;
    while ((t = hold_one())) {
        await_end(t, MP__NEVER);
        drop(t);
    }
}

// ---- looking -----------------------------------------------------------------------

int mp_thread_result(mp_thread *t, int *result)
{
    int r = result ? usable(t) : MP_EINVAL;
    if (r < 0)
        return r;
    if (!has_ended(t))
        return MP_EAGAIN;
    *result = t->result;
    return 0;
}

const char *mp_thread_error(mp_thread *t)
{
    if (usable(t) < 0 || !has_ended(t) || t->result == 0)
        return "";
    return t->text ? t->text : t->result < 0 ? mp_strerror(t->result) : "";
}

bool mp_thread_is_alive(mp_thread *t)
{
    return t && mp__fork_is_mine(t->owner) && !has_ended(t);
}

const char *mp_thread_name(const mp_thread *t)
{
    return t ? t->name : NULL;
}

bool mp_thread_daemon(const mp_thread *t)
{
    return t && t->daemon;
}

int mp_thread_native_id(const mp_thread *t)
{
    return t ? atomic_load(&((mp_thread *)t)->native_id) : 0;
}

mp_thread *mp_thread_current(void)
{
    pthread_once(&once, init);
    if (!current && gettid() == getpid())
        current = &main_record;
    if (current)
        return current;
    pthread_mutex_lock(&lock);
    unsigned number = ++dummies;
    pthread_mutex_unlock(&lock);
    mp_thread *t = new_record(&(mp_thread_opts){.daemon = true}, "Dummy", number);
    if (!t || pthread_setspecific(key, t) != 0) {
        if (t)
            drop(t);
        return NULL;
    }
    t->native_id = gettid();
    current = t;
    pthread_mutex_lock(&lock);
    link_locked(t);
    pthread_mutex_unlock(&lock);
    return t;
}

mp_thread *mp_thread_main(void)
{
    pthread_once(&once, init);
    pthread_mutex_lock(&lock);
    mp_thread *t = main_thread;
    pthread_mutex_unlock(&lock);
    return t;
}

size_t mp_thread_enumerate(mp_thread **list, size_t cap)
{
    size_t n = 0;
    pthread_once(&once, init);
    pthread_mutex_lock(&lock);
    if (list && n < cap)
        list[n] = main_thread;
    n++;
    for (mp_thread *t = living; t; t = t->next) {
        if (t == main_thread)
            continue;
        if (list && n < cap)
            list[n] = t;
        n++;
    }
    pthread_mutex_unlock(&lock);
    return n;
}

size_t mp_thread_count(void)
{
    return mp_thread_enumerate(NULL, 0);
}

mp_thread_hook *mp_thread_set_hook(mp_thread_hook *new_hook)
{
    return atomic_exchange(&hook, new_hook);
}
