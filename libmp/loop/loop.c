// SPDX-License-Identifier: MIT
//
// The event loop of <mp/loop.h>: its life and its rounds; see loop.h beside this file for
// what a round is.
#include "loop/loop.h"

#include "base/clock.h"
#include "loop/coro.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

// While calls wait, the kernel is asked this often.
#define LOOK_EVERY_NS 50000

_Thread_local mp_loop *mp__loop_here;

// ---- life ----

// A page that the kernel wipes in forked children. NULL without memory.
static uint8_t *page_of_life(void)
{
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    if (madvise(p, size, MADV_WIPEONFORK) < 0) {
        munmap(p, size);
        return NULL;
    }
    *p = 1;
    return p;
}

static void release(mp_loop *loop)
{
    if (loop->inbox)
        mp__inbox_drop(loop->inbox);
    if (loop->alive)
        munmap((void *)loop->alive, (size_t)sysconf(_SC_PAGESIZE));
    mp__ready_free(&loop->ready);
    free(loop);
}

int mp_loop_new(mp_loop **out)
{
    if (!out)
        return MP_EINVAL;
    *out = NULL;
    mp_loop *loop = calloc(1, sizeof *loop);
    if (!loop)
        return -ENOMEM;
    mp__timers_init(&loop->timers);
    int err = -ENOMEM;
    loop->alive = page_of_life();
    if (!loop->alive || mp__ready_init(&loop->ready) < 0)
        goto fail;
    loop->inbox = mp__inbox_new();
    if (!loop->inbox) {
        err = -errno;
        goto fail;
    }
    err = mp__watch_open(loop);
    if (err)
        goto fail;
    *out = loop;
    return 0;
fail:
    release(loop);
    return err;
}

// In a forked child, too: nothing here reaches what the parent has.
static void shut(mp_loop *loop)
{
    mp__debug_free(loop);
    mp__inbox_close(loop->inbox);
    mp__coro_drop_all(loop);
    mp__future_drop_all(loop);
    mp__watch_shut(loop);
    mp__timers_free(&loop->timers);
    loop->closed = true;
}

int mp_loop_close(mp_loop *loop)
{
    int err = mp__loop_check(loop);
    if (err)
        return err == MP_ECLOSED ? 0 : err;
    if (loop->running)
        return MP_ESTATE;
    shut(loop);
    return 0;
}

void mp_loop_free(mp_loop *loop)
{
    if (!loop)
        return;
    if (!loop->closed)
        shut(loop);
    release(loop);
}

// ---- rounds ----

static void run_ready(mp_loop *loop)
{
    struct ready *r = &loop->ready;
    for (uint64_t end = r->tail; r->head != end && *loop->alive;) {
        struct ready_call c = r->ring[r->head++ & r->mask];
        if (c.fn)
            mp__loop_call(loop, c.fn, c.arg);
    }
}

static void run_timers(mp_loop *loop, int64_t now)
{
    mp_loop_call_fn *fn;
    void *arg;
    uint32_t before = loop->timers.order; // not those that they start
    while (*loop->alive && mp__timers_take(&loop->timers, now, before, &fn, &arg))
        mp__loop_call(loop, fn, arg);
}

// How long the kernel may keep us.
static int64_t time_to_wait(mp_loop *loop, int64_t now)
{
    if (!mp__ready_is_empty(&loop->ready) || loop->stopped || (loop->until && loop->until->done))
        return 0;
    int64_t next = mp__timers_next(&loop->timers);
    return next == MP__NEVER ? MP__NEVER : next > now ? next - now : 0;
}

static void look(mp_loop *loop, int64_t now)
{
    int64_t wait = time_to_wait(loop, now);
    if (wait == 0 && now - loop->looked < LOOK_EVERY_NS)
        return;
    if (wait > 0) {
        mp__inbox_doze(loop->inbox, true);
        if (!mp__inbox_is_empty(loop->inbox) || loop->stopped)
            wait = 0;
    }
    mp__watch_look(loop, wait);
    mp__inbox_doze(loop->inbox, false);
    loop->looked = wait > 0 ? mp__now() : now;
}

static bool something_left(mp_loop *loop)
{
    return !mp__ready_is_empty(&loop->ready) || loop->timers.count || loop->active || loop->tasks ||
           loop->wrapped || !mp__inbox_is_empty(loop->inbox);
}

static void turn(mp_loop *loop, bool until_empty)
{
    mp__inbox_run(loop->inbox);
    run_ready(loop);
    int64_t now = mp__now();
    if (loop->timers.count)
        run_timers(loop, now);
    if (*loop->alive && (!until_empty || something_left(loop)))
        look(loop, now);
}

static int enter(mp_loop *loop)
{
    int err = mp__loop_check(loop);
    if (err)
        return err;
    // A child forked in a callback has its parent's loop there, and may run one of its own.
    if (mp_loop_current())
        return MP_ESTATE;
    if (atomic_exchange(&loop->running, true))
        return MP_ESTATE;
    mp__loop_here = loop;
    mp__coro_thread_enter();
    return 0;
}

static int leave(mp_loop *loop)
{
    mp__loop_here = NULL;
    atomic_store(&loop->stopped, false);
    atomic_store(&loop->running, false);
    return *loop->alive ? 0 : MP_EOWNER;
}

// Not in a child that a callback forked and that came back from it.
static bool goes_on(const mp_loop *loop)
{
    return !loop->stopped && *loop->alive;
}

int mp_loop_run(mp_loop *loop)
{
    int err = enter(loop);
    if (err)
        return err;
    while (goes_on(loop) && something_left(loop))
        turn(loop, true);
    return leave(loop);
}

int mp_loop_run_forever(mp_loop *loop)
{
    int err = enter(loop);
    if (err)
        return err;
    while (goes_on(loop))
        turn(loop, false);
    return leave(loop);
}

int mp_loop_run_until_complete(mp_loop *loop, struct mp_coro *task)
{
    if (!task || task->loop != loop)
        return MP_EINVAL;
    int err = enter(loop);
    if (err)
        return err;
    loop->until = mp_coro_share(task);
    while (goes_on(loop) && !task->done)
        turn(loop, false);
    err = leave(loop);
    loop->until = NULL;
    if (!err)
        err = task->done ? mp_coro_result(task, NULL) : MP_ECANCELED;
    mp_coro_free(task);
    return err;
}

void mp_loop_stop(mp_loop *loop)
{
    if (!loop || !*loop->alive)
        return;
    atomic_store(&loop->stopped, true);
    mp__inbox_ring(loop->inbox);
}

bool mp_loop_is_running(const mp_loop *loop)
{
    return loop && *loop->alive && loop->running;
}

mp_loop *mp_loop_current(void)
{
    mp_loop *loop = mp__loop_here;
    return loop && *loop->alive ? loop : NULL;
}

int64_t mp_loop_time(const mp_loop *loop)
{
    (void)loop; // all loops have one clock
    return mp__now() / 1000000;
}

// ---- calls ----

int64_t mp_loop_call_soon(mp_loop *loop, mp_loop_call_fn *fn, void *arg)
{
    int err = mp__loop_check(loop);
    if (__builtin_expect(err || !fn, 0))
        return err ? err : MP_EINVAL;
    return mp__ready_push(&loop->ready, fn, arg);
}

struct posted {
    struct note note;
    mp_loop_call_fn *fn;
    void *arg;
};

static void run_posted(struct note *n, bool dropped)
{
    struct posted p = *(struct posted *)n;
    free(n);
    if (dropped)
        return;
    mp_loop *loop = mp__loop_here;
    mp__loop_call(loop, p.fn, p.arg);
}

int mp_loop_call_soon_threadsafe(mp_loop *loop, mp_loop_call_fn *fn, void *arg)
{
    if (!loop || !fn)
        return MP_EINVAL;
    if (!*loop->alive)
        return MP_EOWNER;
    struct posted *p = malloc(sizeof *p);
    if (!p)
        return -ENOMEM;
    *p = (struct posted){.note.run = run_posted, .fn = fn, .arg = arg};
    int err = mp__inbox_push(loop->inbox, &p->note);
    if (err)
        free(p);
    return err;
}

static int64_t call_at(mp_loop *loop, int64_t when_ns, mp_loop_call_fn *fn, void *arg)
{
    int err = mp__loop_check(loop);
    if (err || !fn)
        return err ? err : MP_EINVAL;
    return mp__timers_add(&loop->timers, when_ns, fn, arg);
}

int64_t mp_loop_call_later(mp_loop *loop, int ms, mp_loop_call_fn *fn, void *arg)
{
    if (ms < 0)
        return MP_EINVAL;
    return call_at(loop, mp__now() + (int64_t)ms * 1000000, fn, arg);
}

int64_t mp_loop_call_at(mp_loop *loop, int64_t when, mp_loop_call_fn *fn, void *arg)
{
    if (when > MP__NEVER / 1000000) // in some 300,000 years
        return MP_EINVAL;
    return call_at(loop, when < 0 ? 0 : when * 1000000, fn, arg);
}

int mp_loop_cancel(mp_loop *loop, int64_t call)
{
    int err = mp__loop_check(loop);
    if (err || call <= 0)
        return err ? err : MP_EINVAL;
    if (call & MP__TIMER_HANDLE)
        return mp__timers_cancel(&loop->timers, call);
    return mp__ready_cancel(&loop->ready, (uint64_t)call);
}
