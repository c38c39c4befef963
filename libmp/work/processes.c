// SPDX-License-Identifier: MIT
//
// An executor over processes: a pool behind the executor's table.
//
// A task is an mp_item_fn; in the pool it is the argument of run_item(), a task of the pool,
// which has room for the result of its own. What mp_thread_fail() said in the worker comes
// back as the result of a task that failed, and becomes the text of its future. A map without
// a timeout is the pool's own map, whose arrays go the pool's faster way.
#include "os/pidfd.h"
#include "work/executor.h"
#include "work/image.h"
#include "work/pool.h"
#include "work/thread.h"

#include <errno.h>
#include <mp/function.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct processes {
    struct mp_executor base; // the first member
    mp_pool *pool;
};

// The argument of run_item(): the item lies behind it, unless in_size is 0.
struct item {
    alignas(max_align_t) struct mp__task what;
};

static struct processes *processes_of(mp_executor *e)
{
    return (struct processes *)e;
}

// ---- in a worker -------------------------------------------------------------------

static int give(mp_task *task, int status, const void *room, size_t size)
{
    if (status == 0)
        return mp_task_result(task, room, size);
    const char *text = mp__thread_failure();
    if (*text)
        (void)!mp_task_result(task, text, strlen(text) + 1);
    return status;
}

static int run_item(mp_task *task, const void *arg, size_t size, void *ctx)
{
    const struct item *i = arg;
    const struct mp__task *what = &i->what;
    alignas(max_align_t) char little[1024];
    void *room = what->out_size <= sizeof little ? memset(little, 0, what->out_size)
                                                 : calloc(1, what->out_size);
    (void)size, (void)ctx;
    if (!room)
        return -ENOMEM;
    mp__thread_failure(); // of earlier ones
    mp_item_fn *fn = mp__image_here(what->fn);
    int r = fn(what->in_size ? i + 1 : what->in, room, what->ctx);
    r = give(task, r, room, what->out_size);
    if (room != little)
        free(room);
    return r;
}
MP_TASK(run_item);

// ---- operations --------------------------------------------------------------------

static int submit(mp_executor *e, mp_future **out, const struct mp__task *what)
{
    mp_pool *pool = processes_of(e)->pool;
    if (what->out_size > PTRDIFF_MAX / 2 || what->in_size > PTRDIFF_MAX / 2 - sizeof(struct item))
        return MP_EOVERFLOW;
    if (!mp__image_has(pool->image, (void (*)(void))what->fn))
        return MP_ENOFUNC;
    size_t size = sizeof(struct item) + what->in_size;
    alignas(max_align_t) char little[1024];
    struct item *i = size <= sizeof little ? (void *)little : malloc(size);
    if (!i)
        return -ENOMEM;
    memset(i, 0, sizeof *i);
    i->what = *what;
    if (what->in_size)
        memcpy(i + 1, what->in, what->in_size);
    int r = mp__pool_submit(out, pool, run_item, i, size);
    if ((void *)i != little)
        free(i);
    return r;
}

static int map(mp_executor *e, const struct mp__mapping *m)
{
    return mp_pool_map(processes_of(e)->pool, m->fn, m->in, m->in_size, m->out, m->out_size, m->n,
                       m->ctx, &(mp_map_opts){.chunk = m->chunk, .status = m->status});
}

static int shut(mp_executor *e, mp_shutdown how)
{
    mp_pool *pool = processes_of(e)->pool;
    int r = mp_pool_close(pool);
    if (r == 0 && how == MP_DROP)
        mp__tasks_drop(pool);
    return r;
}

static int join(mp_executor *e, mp__deadline d)
{
    return mp_pool_join(processes_of(e)->pool, mp__left_ms(d));
}

// The pid is a worker's for as long as the worker's place says so, and that is looked at
// again when the pidfd is there.
static void signal_worker(mp_pool *pool, int number, int sig)
{
    mp_worker_stats before, now;
    if (mp_pool_get_worker_stats(pool, number, &before) < 0 || before.pid <= 0)
        return;
    int fd = mp__pidfd_open(before.pid);
    if (fd < 0)
        return;
    if (mp_pool_get_worker_stats(pool, number, &now) == 0 && now.pid == before.pid)
        mp__pidfd_kill(fd, sig);
    close(fd);
}

static int signal_workers(mp_executor *e, int sig)
{
    int r = shut(e, MP_DROP);
    for (int i = 0; r == 0 && i < e->workers; i++)
        signal_worker(processes_of(e)->pool, i, sig);
    return r;
}

static void release(mp_executor *e)
{
    struct processes *x = processes_of(e);
    if (shut(e, MP_DRAIN) == 0)
        (void)!join(e, MP__NEVER);
    mp_pool_free(x->pool);
    free(x);
}

static const struct mp__executor_ops ops = {
    .submit = submit,
    .map = map,
    .shutdown = shut,
    .join = join,
    .signal_workers = signal_workers,
    .free = release,
};

int mp_executor_new_processes(mp_executor **out, const mp_executor_opts *opts)
{
    static const mp_executor_opts defaults;
    if (!out)
        return MP_EINVAL;
    *out = NULL;
    opts = opts ? opts : &defaults;
    struct processes *x = calloc(1, sizeof *x);
    if (!x)
        return -ENOMEM;
    int r = mp_pool_new(&x->pool, &(mp_pool_opts){.workers = opts->workers,
                                                  .name = opts->name ? opts->name : "Executor",
                                                  .init = opts->initializer,
                                                  .init_arg = opts->initializer_arg,
                                                  .max_tasks = opts->max_tasks});
    if (r < 0) {
        free(x);
        return r;
    }
    x->base.owner = x->pool->owner;
    x->base.ops = &ops;
    x->base.workers = mp_pool_workers(x->pool);
    *out = &x->base;
    return 0;
}
