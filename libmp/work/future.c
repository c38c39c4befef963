// SPDX-License-Identifier: MIT
//
// One future: its state, its result, and who is told.
//
// The state is one word, written under the lock and read without: whoever sees that it is
// done sees the result, which was written before and never changes again. Observers (those
// who wait) are told under the lock, so that one who unlinks itself is not being called any
// more; callbacks run after it, with a reference that keeps the future alive when the last of
// them frees it.
//
// The room for the result lies behind the future: one allocation for both.
#include "work/future.h"
#include "os/fork.h"

#include <errno.h>
#include <mp/log.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PENDING, RUNNING, CANCELLED, FINISHED };

struct callback {
    struct callback *next;
    mp_future_fn *fn;
    void *arg;
};

struct mp_future {
    uint64_t owner; // token of the process
    atomic_uint refs;
    atomic_int state;
    atomic_bool looked_at; // by somebody who wants to know of an error
    mp_future_source *source;

    pthread_mutex_t lock; // guards the changes of the state, and these two
    struct mp__observer *observers;
    struct callback *callbacks, **last_callback;

    // Written before the state says FINISHED.
    int error, status;
    char *text;
    void *data; // the room, or memory of its own
    size_t size;

    size_t room;
    _Alignas(max_align_t) char result[];
};

int mp__future_usable(const mp_future *f)
{
    if (!f)
        return MP_EINVAL;
    return mp__fork_is_mine(f->owner) ? 0 : MP_EOWNER;
}

static int state(const mp_future *f)
{
    return atomic_load_explicit(&((mp_future *)f)->state, memory_order_acquire);
}

bool mp__future_is_done(const mp_future *f)
{
    return state(f) >= CANCELLED;
}

void mp__future_look(mp_future *f)
{
    if (f->source && !mp__future_is_done(f))
        mp_future_source_progress(f->source, false);
}

// ---- who is told -------------------------------------------------------------------

void mp__future_observe(mp_future *f, struct mp__observer *o)
{
    pthread_mutex_lock(&f->lock);
    o->link = NULL;
    if (mp__future_is_done(f)) {
        o->done(o, f->error != 0);
    } else {
        o->next = f->observers;
        o->link = &f->observers;
        if (o->next)
            o->next->link = &o->next;
        f->observers = o;
    }
    pthread_mutex_unlock(&f->lock);
}

void mp__future_unobserve(mp_future *f, struct mp__observer *o)
{
    pthread_mutex_lock(&f->lock);
    if (o->link) {
        *o->link = o->next;
        if (o->next)
            o->next->link = o->link;
        o->link = NULL;
    }
    pthread_mutex_unlock(&f->lock);
}

static void tell_observers_locked(mp_future *f)
{
    struct mp__observer *o = f->observers;
    f->observers = NULL;
    while (o) {
        struct mp__observer *next = o->next;
        o->link = NULL;
        o->done(o, f->error != 0);
        o = next;
    }
}

static void call(mp_future *f, mp_future_fn *fn, void *arg)
{
    int r = fn(f, arg);
    if (r != 0)
        mp_log(MP_LOG_ERROR, "a callback of a future returned %d%s%s", r, r < 0 ? ": " : "",
               r < 0 ? mp_strerror(r) : "");
}

static void run_callbacks(mp_future *f, struct callback *c)
{
    if (!c)
        return;
    mp_future_hold(f);
    while (c) {
        struct callback *next = c->next;
        call(f, c->fn, c->arg);
        free(c);
        c = next;
    }
    mp_future_free(f);
}

// The end, under the lock, which it releases: publishes the state, and tells everybody.
static void finish_and_unlock(mp_future *f, int end)
{
    atomic_store_explicit(&f->state, end, memory_order_release);
    struct callback *callbacks = f->callbacks;
    f->callbacks = NULL;
    tell_observers_locked(f);
    pthread_mutex_unlock(&f->lock);
    run_callbacks(f, callbacks);
}

int mp_future_add_done_callback(mp_future *f, mp_future_fn *fn, void *arg)
{
    int r = fn ? mp__future_usable(f) : MP_EINVAL;
    if (r < 0)
        return r;
    struct callback *c = malloc(sizeof *c);
    if (!c)
        return -ENOMEM;
    pthread_mutex_lock(&f->lock);
    bool done = mp__future_is_done(f);
    if (!done) {
        *c = (struct callback){.fn = fn, .arg = arg};
        *f->last_callback = c;
        f->last_callback = &c->next;
    }
    pthread_mutex_unlock(&f->lock);
    if (done) {
        free(c);
        call(f, fn, arg);
    }
    return 0;
}

// ---- life --------------------------------------------------------------------------

int mp_future_new(mp_future **out, const mp_future_opts *opts)
{
    static const mp_future_opts defaults;
    if (!out)
        return MP_EINVAL;
    *out = NULL;
    opts = opts ? opts : &defaults;
    if (opts->room > PTRDIFF_MAX - sizeof(struct mp_future))
        return MP_EOVERFLOW;
    uint64_t owner = mp__fork_token();
    struct mp_future *f = owner ? calloc(1, sizeof *f + opts->room) : NULL;
    if (!f)
        return -ENOMEM;
    f->owner = owner;
    f->refs = 1;
    f->source = mp__source_hold(opts->source);
    pthread_mutex_init(&f->lock, NULL);
    f->last_callback = &f->callbacks;
    f->room = opts->room;
    *out = f;
    return 0;
}

mp_future *mp_future_hold(mp_future *f)
{
    if (f)
        atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
    return f;
}

static void log_if_unseen(mp_future *f)
{
    if (state(f) == FINISHED && f->error && !f->looked_at && mp__fork_is_mine(f->owner))
        mp_log(MP_LOG_ERROR, "a future failed, and nobody looked at it: %s",
               mp_future_error_text(f));
}

void mp_future_free(mp_future *f)
{
    if (!f || atomic_fetch_sub(&f->refs, 1) != 1)
        return;
    log_if_unseen(f);
    for (struct callback *c = f->callbacks, *next; c; c = next) {
        next = c->next; // of one that nobody completed
        free(c);
    }
    if (mp__fork_is_mine(f->owner)) // a lock from before a fork may be held for ever
        pthread_mutex_destroy(&f->lock);
    mp__source_drop(f->source);
    if (f->data != f->result)
        free(f->data);
    free(f->text);
    free(f);
}

mp_future_source *mp_future_get_source(mp_future *f)
{
    return f ? f->source : NULL;
}

// ---- completing --------------------------------------------------------------------

void *mp_future_room(mp_future *f)
{
    return f ? f->result : NULL;
}

int mp_future_set_running(mp_future *f)
{
    int r = mp__future_usable(f);
    if (r < 0)
        return r;
    int seen = PENDING;
    if (atomic_compare_exchange_strong(&f->state, &seen, RUNNING))
        return 0;
    return seen == CANCELLED ? MP_ECANCELED : MP_ESTATE;
}

// Where a result of that size goes: NULL if there is no memory.
static void *place_for(mp_future *f, const void *data, size_t size)
{
    if (size <= f->room)
        return f->result;
    void *own = malloc(size);
    if (own)
        memcpy(own, data, size);
    return own;
}

int mp_future_set_result(mp_future *f, const void *data, size_t size)
{
    int r = mp__future_usable(f);
    if (r < 0)
        return r;
    if ((!data && size) || (data == f->result && size > f->room))
        return MP_EINVAL;
    void *place = place_for(f, data, size);
    if (!place)
        return -ENOMEM;
    pthread_mutex_lock(&f->lock);
    if (mp__future_is_done(f)) {
        pthread_mutex_unlock(&f->lock);
        if (place != f->result)
            free(place);
        return MP_ESTATE;
    }
    if (place == f->result && data != place && size)
        memcpy(place, data, size);
    f->data = place;
    f->size = size;
    finish_and_unlock(f, FINISHED);
    return 0;
}

int mp_future_set_error(mp_future *f, int error, int status, const char *text)
{
    int r = mp__future_usable(f);
    if (r < 0)
        return r;
    if (error >= 0)
        return MP_EINVAL;
    char made[48], *copy = NULL;
    if (!text && error == MP_ETASK) {
        snprintf(made, sizeof made, "the task returned %d", status);
        text = made;
    }
    if (text)
        copy = strdup(text); // without memory for it there is the table's text
    pthread_mutex_lock(&f->lock);
    if (mp__future_is_done(f)) {
        pthread_mutex_unlock(&f->lock);
        free(copy);
        return MP_ESTATE;
    }
    f->error = error;
    f->status = status;
    f->text = copy;
    finish_and_unlock(f, FINISHED);
    return 0;
}

// Pending becomes cancelled, nothing else does.
int mp__future_withdrawn(mp_future *f)
{
    pthread_mutex_lock(&f->lock);
    int seen = PENDING; // somebody may be setting it running, who takes no lock
    if (!atomic_compare_exchange_strong(&f->state, &seen, CANCELLED)) {
        pthread_mutex_unlock(&f->lock);
        return seen == CANCELLED ? 0 : MP_ESTATE;
    }
    finish_and_unlock(f, CANCELLED);
    return 0;
}

int mp_future_cancel(mp_future *f)
{
    int r = mp__future_usable(f);
    if (r < 0)
        return r;
    mp__future_look(f);
    if (state(f) == PENDING && f->source) {
        r = MP_ESTATE;
        if (mp__source_enter(f->source)) {
            r = mp__source_cancel(f->source, f);
            mp__source_leave(f->source);
        }
        if (r < 0)
            return r;
    }
    return mp__future_withdrawn(f);
}

// ---- looking -----------------------------------------------------------------------

// The state as it is now, news included; PENDING for a handle that is not valid here.
static int present(mp_future *f)
{
    if (mp__future_usable(f) < 0)
        return PENDING;
    mp__future_look(f);
    return state(f);
}

bool mp_future_running(mp_future *f)
{
    return present(f) == RUNNING;
}

bool mp_future_cancelled(mp_future *f)
{
    return present(f) == CANCELLED;
}

bool mp_future_done(mp_future *f)
{
    return present(f) >= CANCELLED;
}

int mp_future_error(mp_future *f, int timeout_ms)
{
    int r = mp_future_wait(f, timeout_ms);
    if (r < 0)
        return r;
    if (state(f) == CANCELLED)
        return MP_ECANCELED;
    f->looked_at = true;
    return f->error;
}

int64_t mp_future_result(mp_future *f, void *buf, size_t cap, int timeout_ms)
{
    if (!buf && cap)
        return MP_EINVAL;
    int r = mp_future_error(f, timeout_ms);
    if (r < 0)
        return r;
    if (f->size > cap)
        return MP_EMSGSIZE;
    if (f->size)
        memcpy(buf, f->data, f->size);
    return (int64_t)f->size;
}

const void *mp_future_data(mp_future *f, size_t *size)
{
    bool has = present(f) == FINISHED && !f->error;
    if (size)
        *size = has ? f->size : 0;
    return has ? f->data : NULL;
}

const char *mp_future_error_text(mp_future *f)
{
    if (mp__future_usable(f) < 0 || state(f) != FINISHED || !f->error)
        return "";
    f->looked_at = true;
    return f->text ? f->text : mp_strerror(f->error);
}

int mp_future_status(mp_future *f)
{
    return present(f) == FINISHED ? f->status : 0;
}
