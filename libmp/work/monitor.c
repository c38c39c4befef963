// SPDX-License-Identifier: MIT
//
// An epoll over the pidfds of processes, which are readable from their end on, for ever: so
// nothing depends on when who looks. An end is told by whoever takes its watch out of the
// list. Events carry a number and no pointer, since another thread may have been faster.
//
// A forked child lets go of all monitors: the descriptor would be of no use there.
#include "base/clock.h"
#include "os/fork.h"
#include "work/process.h"

#include <errno.h>
#include <mp/monitor.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define LOOK_MS 50

struct watch {
    mp_process *process;
    void *arg;
    uint64_t number;
    struct watch *next;
};

struct mp_monitor {
    uint64_t owner;
    int epoll;
    struct watch *watches;
    uint64_t count; // watches there ever were
    mp_monitor *next;
};

// Over all monitors and what is in them; held across forks.
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static mp_monitor *monitors;

static void lock_all(void)
{
    pthread_mutex_lock(&lock);
}

static void unlock_all(void)
{
    pthread_mutex_unlock(&lock);
}

static void forget_all(void)
{
    for (mp_monitor *m = monitors; m; m = m->next)
        mp__process_close_fd(&m->epoll);
    monitors = NULL;
    unlock_all();
}

MP__FORK_HOOKS(MP__HOOKS_MONITORS) static void set_hooks(void)
{
    pthread_atfork(lock_all, unlock_all, forget_all);
}

int mp_monitor_new(mp_monitor **out)
{
    if (!out)
        return MP_EINVAL;
    *out = NULL;
    mp_monitor *m = calloc(1, sizeof *m);
    if (!m)
        return -ENOMEM;
    m->owner = mp__fork_token();
    lock_all();
    m->epoll = epoll_create1(EPOLL_CLOEXEC);
    int r = m->epoll < 0 ? -errno : 0;
    if (r == 0) {
        m->next = monitors;
        monitors = m;
    }
    unlock_all();
    if (r == 0)
        *out = m;
    else
        free(m);
    return r;
}

static int usable(const mp_monitor *m)
{
    if (!m)
        return MP_EINVAL;
    return mp__fork_is_mine(m->owner) ? 0 : MP_EOWNER;
}

int mp_monitor_add(mp_monitor *m, mp_process *p, void *arg)
{
    int r = usable(m);
    int fd = r < 0 ? r : mp_process_sentinel(p);
    if (fd < 0)
        return fd;
    struct watch *w = malloc(sizeof *w);
    if (!w)
        return -ENOMEM;
    lock_all();
    *w = (struct watch){p, arg, ++m->count, m->watches};
    struct epoll_event e = {.events = EPOLLIN, .data.u64 = w->number};
    bool added = epoll_ctl(m->epoll, EPOLL_CTL_ADD, fd, &e) == 0;
    if (added)
        m->watches = w;
    else
        r = errno == EEXIST ? MP_EINVAL : -errno;
    unlock_all();
    if (!added)
        free(w);
    return r;
}

// Takes a watch out, by its process or by its number; NULL: it is not there.
static struct watch *take_locked(mp_monitor *m, const mp_process *p, uint64_t number)
{
    struct watch **at = &m->watches;
    while (*at && (*at)->process != p && (*at)->number != number)
        at = &(*at)->next;
    struct watch *w = *at;
    if (w) {
        *at = w->next;
        epoll_ctl(m->epoll, EPOLL_CTL_DEL, mp_process_sentinel(w->process), NULL);
    }
    return w;
}

int mp_monitor_remove(mp_monitor *m, mp_process *p)
{
    int r = p ? usable(m) : MP_EINVAL;
    if (r < 0)
        return r;
    lock_all();
    struct watch *w = take_locked(m, p, 0);
    unlock_all();
    free(w);
    return w ? 0 : MP_ENOTFOUND;
}

// 1: told. 0: another thread was faster.
static int tell(mp_monitor *m, uint64_t number, mp_exit *out)
{
    lock_all();
    struct watch *w = take_locked(m, NULL, number);
    unlock_all();
    if (!w)
        return 0;
    *out = (mp_exit){.process = w->process, .arg = w->arg, .pid = mp_process_pid(w->process)};
    if (mp_process_exitcode(w->process, &out->code) < 0)
        out->code = MP_ESTATUS;
    free(w);
    return 1;
}

// Another thread may take the last of them, and then nothing more happens here.
static int nap(mp__deadline d)
{
    int left = mp__left_ms(d);
    return left < 0 || left > LOOK_MS ? LOOK_MS : left;
}

int mp_monitor_wait(mp_monitor *m, mp_exit *out, int timeout_ms)
{
    mp__deadline d = mp__deadline_in(timeout_ms);
    int r = usable(m);
    if (r < 0)
        return r;
    if (!out || timeout_ms < MP_FOREVER)
        return MP_EINVAL;
    for (;;) {
        lock_all();
        bool any = m->watches != NULL;
        unlock_all();
        if (!any)
            return MP_EOF;
        struct epoll_event e;
        int n = epoll_wait(m->epoll, &e, 1, nap(d));
        if (n > 0 && tell(m, e.data.u64, out))
            return 0;
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0 && mp__left_ns(d) == 0)
            return MP_ETIMEDOUT;
    }
}

int mp_monitor_fd(mp_monitor *m)
{
    int r = usable(m);
    return r < 0 ? r : m->epoll;
}

void mp_monitor_free(mp_monitor *m)
{
    if (!m)
        return;
    lock_all();
    mp_monitor **at = &monitors;
    while (*at && *at != m)
        at = &(*at)->next;
    if (*at)
        *at = m->next;
    mp__process_close_fd(&m->epoll);
    unlock_all();
    for (struct watch *w = m->watches, *next; w; w = next) {
        next = w->next;
        free(w);
    }
    free(m);
}
