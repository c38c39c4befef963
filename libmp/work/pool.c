// SPDX-License-Identifier: MIT
//
// The life of a pool: made, closed or terminated, joined, freed.
//
// Three processes' worth of state, each with one owner: the handle (this process), the
// control block (shared, see control.h), and the list of pids (the supervisor's). The
// handle is filled in before the fork, so that workers that find it in their copy of a
// variable are told MP_EOWNER, and not something worse.
//
// close() must not block, and a map may be running in another thread. So it only sets
// a flag, and whoever finds the lock free after that (close() itself, or the last map)
// tells the workers to end.
#include "work/pool.h"
#include "base/clock.h"
#include "os/fork.h"
#include "os/pidfd.h"
#include "os/trace.h"
#include "shm/arena.h"
#include "work/distant.h"
#include "work/process.h"
#include "work/supervisor.h"
#include "work/worker.h"

#include <mp/cpu.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>

#define DEFAULT_STAGING ((size_t)64 << 20)
#define DEFAULT_NAME    "mp-pool"
#define MAX_DEPTH       8
#define OBEY_MS         1000 // for a supervisor to end when told to
#define DYING_MS        100  // for workers to be gone after a killed supervisor

// The pools of this process, so that a fork for another purpose can close their
// descriptors. The fork takes the lock, so that the child finds the list whole.
static mp_pool *registry;
static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;

static void lock_registry(void)
{
    pthread_mutex_lock(&registry_lock);
}

static void unlock_registry(void)
{
    pthread_mutex_unlock(&registry_lock);
}

static void close_fds(mp_pool *p)
{
    int *fds[] = {&p->supervisor, &p->wake, &p->bell, &p->seg.fd};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
        if (*fds[i] >= 0)
            close(*fds[i]);
        *fds[i] = -1;
    }
}

static void forget_pools(void)
{
    for (mp_pool *p = registry; p; p = p->next)
        close_fds(p);
    registry = NULL;
    unlock_registry();
}

MP__FORK_HOOKS(MP__HOOKS_POOLS) static void watch_forks(void)
{
    pthread_atfork(lock_registry, unlock_registry, forget_pools);
}

static void enter_registry(mp_pool *p)
{
    lock_registry();
    p->next = registry;
    registry = p;
    unlock_registry();
}

static void leave_registry(mp_pool *p)
{
    lock_registry();
    for (mp_pool **at = &registry; *at; at = &(*at)->next) {
        if (*at == p) {
            *at = p->next;
            break;
        }
    }
    unlock_registry();
}

// ---- making one ----

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

static void release(mp_pool *p)
{
    if (p->seg.ctl)
        mp__segment_free(&p->seg);
    p->seg.fd = -1;
    close_fds(p);
    if (p->arena)
        mp__arena_drop(p->arena, false);
    if (p->distant)
        (void)mp_process_active_children(NULL, 0); // which drops what is known of its supervisor
    pthread_mutex_destroy(&p->lock);
    pthread_mutex_destroy(&p->tasks.lock);
    pthread_mutex_destroy(&p->errands);
    free(p->image);
    free(p);
}

static int new_pool(mp_pool **out, const mp_pool_opts *opts, bool one_shot)
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
        release(p);
        return r;
    }
    enter_registry(p);
    return 0;
}

int mp_pool_new(mp_pool **out, const mp_pool_opts *opts)
{
    return new_pool(out, opts, false);
}

// ---- its end ----

// After the supervisor was killed, the kernel has killed the workers; this waits until
// they are really gone, since they might still write into an arena. The pids are only
// waited for, so one that was used again costs nothing but time.
static void await_orphans(mp_pool *p)
{
    struct mp__control *ctl = p->seg.ctl;
    mp__deadline d = mp__deadline_in(DYING_MS);
    for (uint32_t i = 0; i < ctl->workers; i++) {
        pid_t pid = atomic_load(&ctl->slot[i].pid);
        int fd = pid > 0 ? mp__pidfd_open(pid) : -1;
        if (fd < 0)
            continue;
        (void)mp__pidfd_wait(fd, d);
        close(fd);
    }
}

bool mp__pool_ended(mp_pool *p)
{
    if (p->supervisor < 0)
        return true;
    int code = 0;
    if (!mp__pidfd_ended(p->supervisor))
        return false;
    if (mp__pidfd_reap(p->supervisor, &code, NULL) != 0 || code < 0)
        await_orphans(p);
    return true;
}

void mp__pool_await_end(mp_pool *p)
{
    if (mp__pidfd_wait(p->supervisor, mp__deadline_in(OBEY_MS)) == MP_ETIMEDOUT) {
        mp__pidfd_kill(p->supervisor, SIGKILL); // stopped, perhaps
        (void)mp__pidfd_wait(p->supervisor, MP__NEVER);
    }
    mp__pool_ended(p);
}

void mp__pool_wake_supervisor(mp_pool *p)
{
    uint64_t one = 1;
    ssize_t n = write(p->wake, &one, sizeof one);
    (void)n; // full: then it is awake anyhow
}

static void request(mp_pool *p, enum mp__request what)
{
    atomic_store(&p->seg.ctl->request, what);
    mp__pool_wake_supervisor(p);
}

void mp__pool_shut_if_closed(mp_pool *p)
{
    atomic_thread_fence(memory_order_seq_cst);
    if (!atomic_load(&p->closed) || atomic_load(&p->tasks.unfinished) ||
        pthread_mutex_trylock(&p->lock) != 0)
        return;
    if (!p->shut) {
        struct mp__control *ctl = p->seg.ctl;
        p->shut = true;
        if (!atomic_load(&p->terminated))
            request(p, MP__CLOSE);
        atomic_store(&ctl->closed, atomic_load(&ctl->epoch) + 1);
        atomic_fetch_add(&ctl->epoch, 1);
        mp__call_workers(ctl, INT_MAX);
    }
    pthread_mutex_unlock(&p->lock);
}

int mp_pool_close(mp_pool *p)
{
    if (!p)
        return MP_EINVAL;
    if (!mp__fork_is_mine(p->owner))
        return MP_EOWNER;
    atomic_store(&p->closed, true);
    mp__tasks_progress(p, false);
    mp__pool_shut_if_closed(p);
    return 0;
}

int mp_pool_terminate(mp_pool *p)
{
    if (!p)
        return MP_EINVAL;
    if (!mp__fork_is_mine(p->owner))
        return MP_EOWNER;
    atomic_store(&p->terminated, true);
    atomic_store(&p->closed, true);
    request(p, MP__TERMINATE);
    mp__ring_caller(p->seg.ctl);
    mp__board_ring(&p->seg.ctl->board);
    return 0;
}

// For signal handlers: stores, and bells.
int mp_pool_interrupt(mp_pool *p)
{
    if (!p)
        return MP_EINVAL;
    if (!mp__fork_is_mine(p->owner))
        return MP_EOWNER;
    if (atomic_exchange(&p->interrupted, true))
        return mp_pool_terminate(p);
    atomic_store(&p->closed, true);
    mp__ring_caller(p->seg.ctl);
    mp__board_ring(&p->seg.ctl->board);
    return 0;
}

static bool all_finished(void *arg)
{
    mp_pool *p = arg;
    return atomic_load(&p->tasks.unfinished) == 0;
}

int mp_pool_join(mp_pool *p, int timeout_ms)
{
    mp__deadline d = mp__deadline_in(timeout_ms);
    if (!p || timeout_ms < MP_FOREVER)
        return MP_EINVAL;
    if (!mp__fork_is_mine(p->owner))
        return MP_EOWNER;
    if (!atomic_load(&p->closed))
        return MP_ESTATE;
    mp__pool_shut_if_closed(p); // a signal handler could not
    int r = mp__tasks_await(p, all_finished, p, d);
    if (r == 0)
        r = mp__pidfd_wait(p->supervisor, d);
    if (r == 0)
        mp__pool_ended(p);
    return r;
}

void mp_pool_free(mp_pool *p)
{
    if (!p)
        return;
    if (!mp__fork_is_mine(p->owner)) {
        // The segment stays mapped: this may be one of its workers.
        free(p->image);
        free(p);
        return;
    }
    mp_pool_terminate(p);
    mp__pool_await_end(p);
    mp__tasks_free(p);
    leave_registry(p);
    release(p);
}

// ---- its work ----

// Arrays that are not given come with size 0, and the other way round; two may be the
// same, but not overlap otherwise.
static int check_arrays(const struct mp__call *c)
{
    size_t in, out;
    if ((!c->in && c->in_size) || (!c->out && c->out_size))
        return MP_EINVAL;
    if (__builtin_mul_overflow(c->n, c->in_size, &in) ||
        __builtin_mul_overflow(c->n, c->out_size, &out) || in > PTRDIFF_MAX || out > PTRDIFF_MAX)
        return MP_EOVERFLOW;
    if (c->in == c->out && c->in_size == c->out_size)
        return 0;
    uintptr_t a = (uintptr_t)c->in, b = (uintptr_t)c->out;
    return in && out && a < b + out && b < a + in ? MP_EINVAL : 0;
}

static int check_call(const mp_pool *p, const struct mp__call *c)
{
    void (*fn)(void) = c->item_fn ? (void (*)(void))c->item_fn : (void (*)(void))c->range_fn;
    if (!fn || (c->opts.ctx_size && !c->ctx))
        return MP_EINVAL;
    if (c->opts.status && c->n > PTRDIFF_MAX / sizeof(int))
        return MP_EOVERFLOW;
    int r = check_arrays(c);
    if (r < 0)
        return r;
    return p->one_shot || mp__image_has(p->image, fn) ? 0 : MP_ENOFUNC;
}

static int run_traced(mp_pool *p, const struct mp__call *call)
{
    void (*fn)(void) =
        call->item_fn ? (void (*)(void))call->item_fn : (void (*)(void))call->range_fn;
    MP__TRACE2(map_begin, call->n, fn);
    int r = mp__map_run(p, call);
    MP__TRACE3(map_end, call->n, fn, r);
    return r;
}

static int map(mp_pool *p, const struct mp__call *call)
{
    if (!p)
        return MP_EINVAL;
    if (!mp__fork_is_mine(p->owner))
        return MP_EOWNER;
    int r = check_call(p, call);
    if (r < 0)
        return r;
    pthread_mutex_lock(&p->lock);
    if (atomic_load(&p->terminated))
        r = MP_ECANCELED;
    else if (atomic_load(&p->closed))
        r = MP_ECLOSED;
    else
        r = run_traced(p, call);
    pthread_mutex_unlock(&p->lock);
    mp__pool_shut_if_closed(p);
    return r;
}

static mp_map_opts copy_opts(const mp_map_opts *opts)
{
    return opts ? *opts : (mp_map_opts){0};
}

int mp_pool_map(mp_pool *pool, mp_item_fn *fn, const void *in, size_t in_size, void *out,
                size_t out_size, size_t n, void *ctx, const mp_map_opts *opts)
{
    return map(pool,
               &(struct mp__call){fn, NULL, in, in_size, out, out_size, n, ctx, copy_opts(opts)});
}

int mp_pool_map_range(mp_pool *pool, mp_range_fn *fn, const void *in, size_t in_size, void *out,
                      size_t out_size, size_t n, void *ctx, const mp_map_opts *opts)
{
    return map(pool,
               &(struct mp__call){NULL, fn, in, in_size, out, out_size, n, ctx, copy_opts(opts)});
}

const char *mp_pool_error(mp_pool *p)
{
    return p ? p->error : "";
}

int mp_pool_workers(const mp_pool *p)
{
    return p ? (int)atomic_load(&p->seg.ctl->wanted) : MP_EINVAL;
}

// ---- one map, and no pool to keep ----

static int map_once(const struct mp__call *call)
{
    mp_pool *p;
    char **error = call->opts.error;
    if (error)
        *error = NULL;
    const mp_pool one = {.one_shot = true};
    int r = check_call(&one, call);
    if (r < 0)
        return r;
    r = new_pool(&p, &(mp_pool_opts){.workers = call->opts.workers, .start = MP_START_FORK}, true);
    if (r < 0)
        return r;
    r = map(p, call);
    if (r < 0 && error)
        *error = strdup(p->error);
    mp_pool_free(p);
    return r;
}

int mp_map(mp_item_fn *fn, const void *in, size_t in_size, void *out, size_t out_size, size_t n,
           void *ctx, const mp_map_opts *opts)
{
    return map_once(
        &(struct mp__call){fn, NULL, in, in_size, out, out_size, n, ctx, copy_opts(opts)});
}

int mp_map_range(mp_range_fn *fn, const void *in, size_t in_size, void *out, size_t out_size,
                 size_t n, void *ctx, const mp_map_opts *opts)
{
    return map_once(
        &(struct mp__call){NULL, fn, in, in_size, out, out_size, n, ctx, copy_opts(opts)});
}
