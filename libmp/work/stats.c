// SPDX-License-Identifier: MIT
//
// What a pool tells of itself: read from where it is written, without stopping anybody.
#include "os/fork.h"
#include "work/pool.h"

#include <stdio.h>

static int check(const mp_pool *p, const void *out)
{
    if (!p || !out)
        return MP_EINVAL;
    return mp__fork_is_mine(p->owner) ? 0 : MP_EOWNER;
}

static mp_worker_state state(const struct mp__slot *s)
{
    if (atomic_load(&s->pid) <= 0)
        return MP_WORKER_NONE;
    if (atomic_load(&s->task) || atomic_load(&s->joined))
        return MP_WORKER_BUSY;
    return atomic_load(&s->up) ? MP_WORKER_IDLE : MP_WORKER_STARTING;
}

int mp_pool_get_stats(mp_pool *p, mp_pool_stats *out)
{
    int r = check(p, out);
    if (r < 0)
        return r;
    mp__tasks_progress(p, false);
    struct mp__control *ctl = p->seg.ctl;
    *out = (mp_pool_stats){.workers = (int)ctl->wanted,
                           .ended_workers = atomic_load(&ctl->died),
                           .waiting = atomic_load(&ctl->board.ready),
                           .unfinished = atomic_load(&p->tasks.unfinished)};
    pthread_mutex_lock(&p->tasks.lock);
    out->done = p->stats.done;
    out->failed = p->stats.failed;
    out->retried = p->stats.retried;
    pthread_mutex_unlock(&p->tasks.lock);
    for (uint32_t i = 0; i < ctl->workers; i++) {
        out->alive += atomic_load(&ctl->slot[i].pid) > 0;
        out->busy += state(&ctl->slot[i]) == MP_WORKER_BUSY;
        out->busy_ns += atomic_load(&ctl->slot[i].busy_ns);
    }
    return 0;
}

// Resident memory of a process, 0 if it is gone.
static size_t resident(pid_t pid)
{
    char name[40];
    unsigned long pages = 0;
    snprintf(name, sizeof name, "/proc/%d/statm", (int)pid);
    FILE *f = fopen(name, "re");
    if (!f)
        return 0;
    if (fscanf(f, "%*u %lu", &pages) != 1)
        pages = 0;
    fclose(f);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

int mp_pool_get_worker_stats(mp_pool *p, int worker, mp_worker_stats *out)
{
    int r = check(p, out);
    if (r < 0)
        return r;
    if (worker < 0 || (uint32_t)worker >= p->seg.ctl->workers)
        return MP_EINDEX;
    const struct mp__slot *s = &p->seg.ctl->slot[worker];
    *out = (mp_worker_stats){.pid = atomic_load(&s->pid),
                             .state = state(s),
                             .tasks = atomic_load(&s->tasks),
                             .busy_ns = atomic_load(&s->busy_ns)};
    if (out->pid > 0)
        out->resident = resident(out->pid);
    return 0;
}
