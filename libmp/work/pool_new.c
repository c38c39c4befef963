// SPDX-License-Identifier: MIT
//
// Making a pool.
//
// Three processes' worth of state, each with one owner: the handle (this process), the
// control block (shared, see control.h), and the list of pids (the supervisor's). The
// handle is filled in before the fork, so that workers that find it in their copy of a
// variable are told MP_EOWNER, and not something worse.
#include "os/fork.h"
#include "os/pidfd.h"
#include "shm/arena.h"
#include "work/distant.h"
#include "work/pool.h"
#include "work/process.h"
#include "work/supervisor.h"

#include <mp/cpu.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/wait.h>

#define DEFAULT_STAGING ((size_t)64 << 20)
#define DEFAULT_NAME    "mp-pool"
#define MAX_DEPTH       8

// Forks the supervisor, with all signals blocked, so that no handler of the user's
// runs in it.
static int fork_supervisor(mp_pool *p, const mp_pool_opts *o, const struct mp__inner *inner)
{
    struct mp__supervisor s = {
        .ctl = p->seg.ctl,
        .arena = p->arena,
        .wake = p->wake,
        .memory = p->seg.fd,
        .name = o->name ? o->name : DEFAULT_NAME,
        .init = o->init,
        .init_arg = o->init_arg,
        .max_tasks = o->max_tasks,
        .idle_ms = o->idle_ms,
        .lines = o->lines,
        .inner = *inner,
    };
    if (p->distant)
        return mp__distant_start(p, o, inner->threads ? inner->threads : -1);
    s.caller = mp__pidfd_open(getpid());
    if (s.caller < 0)
        return s.caller;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &s.mask);
    pid_t pid = mp__fork();
    if (pid == 0) {
        mp__image_is_the_callers();
        mp__supervisor_run(&s);
    }
    pthread_sigmask(SIG_SETMASK, &s.mask, NULL);
    close(s.caller);
    if (pid < 0)
        return pid;
    p->supervisor = mp__pidfd_open(pid);
    if (p->supervisor >= 0)
        return 0;
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return p->supervisor;
}

static int check_opts(const mp_pool_opts *o)
{
    if (o->workers < 0 || o->workers > MP__MAX_WORKERS || o->max_tasks < 0 || o->idle_ms < 0)
        return MP_EINVAL;
    if (!mp_start_name(o->start) || (o->init_arg_size && !o->init_arg))
        return MP_EINVAL;
    return mp__worker_depth() >= MAX_DEPTH ? MP_EDEPTH : 0;
}

// What single tasks need, and a map does not.
static int init_tasks(mp_pool *p)
{
    if (!(p->image = mp__image_new()))
        return -ENOMEM;
    p->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (p->bell < 0)
        return -errno;
    int r = p->distant ? mp__arena_make_apart(&p->arena) : mp__arena_own(&p->arena);
    if (r == 0 && p->distant)
        r = mp__distant_bell(&p->bell);
    if (r == 0)
        r = mp__board_init(&p->seg.ctl->board, (void *)p->seg.slots.base, (void *)p->seg.heap.base,
                           p->bell);
    return r < 0 ? r : mp__tasks_init(p);
}

static int init_pool(mp_pool *p, const mp_pool_opts *o)
{
    int workers = o->workers ? o->workers : mp_cpu_count();
    if (workers > MP__MAX_WORKERS)
        workers = MP__MAX_WORKERS;
    p->shrinks = o->idle_ms > 0;
    p->staging = o->staging ? o->staging : DEFAULT_STAGING;
    p->owner = mp__fork_token();
    if (!p->owner)
        return -ENOMEM;
    mp__spin_init();
    p->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (p->wake < 0)
        return -errno;
    if (!p->one_shot)
        mp__mortem_prepare();
    int r = mp__segment_new(&p->seg, (uint32_t)workers, p->distant);
    if (r == 0)
        r = mp__mutex_init(&p->seg.ctl->output);
    if (r == 0 && !p->one_shot)
        r = init_tasks(p);
    if (r < 0)
        return r;
    p->arenas = p->distant ? 0 : mp__arena_youngest();
    for (int i = 0; i < workers; i++)
        p->seg.ctl->slot[i].first_failed = MP__NOWHERE;
    struct mp__inner inner;
    bool one_each = o->workers == 0 && o->inner_threads == 0; // no need to count the CPUs again
    r = mp__inner_prepare(&inner, one_each ? 1 : o->inner_threads, workers);
    if (r == 0)
        r = fork_supervisor(p, o, &inner);
    mp__inner_free(&inner);
    return r;
}

int mp__pool_new(mp_pool **out, const mp_pool_opts *opts, bool one_shot)
{
    static const mp_pool_opts defaults;
    const mp_pool_opts *o = opts ? opts : &defaults;
    if (!out)
        return MP_EINVAL;
    *out = NULL;
    if (o->error)
        *o->error = NULL;
    int r = check_opts(o);
    if (r < 0)
        return r;
    mp_pool *p = calloc(1, sizeof *p);
    if (!p)
        return -ENOMEM;
    p->supervisor = p->wake = p->bell = p->seg.fd = -1;
    p->one_shot = one_shot;
    p->distant = mp__start_method(o->start, o->context) != MP_START_FORK;
    pthread_mutex_init(&p->lock, NULL);
    pthread_mutex_init(&p->tasks.lock, NULL);
    pthread_mutex_init(&p->errands, NULL);
    *out = p; // before the fork: see above
    r = init_pool(p, o);
    if (r < 0) {
        *out = NULL;
        mp__tasks_free(p);
        mp__pool_release(p);
        return r;
    }
    mp__pool_enter(p);
    return 0;
}

int mp_pool_new(mp_pool **out, const mp_pool_opts *opts)
{
    return mp__pool_new(out, opts, false);
}
