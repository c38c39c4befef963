// SPDX-License-Identifier: MIT
//
// The handle of a pool until its end: closed or terminated, joined, freed. pool_new.c makes it.
//
// close() must not block, and a map may be running in another thread. So it only sets
// a flag, and whoever finds the lock free after that (close() itself, or the last map)
// tells the workers to end.
#include "work/pool.h"
#include "os/fork.h"
#include "os/pidfd.h"
#include "shm/arena.h"

#include <mp/process.h>
#include <signal.h>
#include <stdlib.h>

#define OBEY_MS  1000 // for a supervisor to end when told to
#define DYING_MS 100  // for workers to be gone after a killed supervisor

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

void mp__pool_enter(mp_pool *p)
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

// ---- its end ----

void mp__pool_release(mp_pool *p)
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
    mp__pool_release(p);
}

// ---- looking ----

const char *mp_pool_error(mp_pool *p)
{
    return p ? p->error : "";
}

int mp_pool_workers(const mp_pool *p)
{
    return p ? (int)atomic_load(&p->seg.ctl->wanted) : MP_EINVAL;
}
