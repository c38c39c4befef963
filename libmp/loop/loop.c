// SPDX-License-Identifier: MIT
//
// The event loop of <mp/loop.h>, on libuv.
//
// Timers and signals are libuv's. Descriptors are not: uv_poll_t makes each one
// non-blocking, which is shared with every process that has the same terminal or
// pipe open, and takes five system calls for one that is watched once. So the
// loop has an epoll set of its own, one call a watcher, and libuv watches that
// set as a single descriptor.
//
// Life of a watcher: in the list of its loop from add to close. Closed fd
// watchers stay until the events of the present round are through, since one of
// those may point to them; libuv's go when libuv says so.
#include <mp/loop.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

enum kind { FD, CHILD, TIMER, SIGNAL };
enum { ROUND = 64 }; // events taken at a time

struct mp_watch {
    mp_loop *loop;
    mp_watch *next, **link; // in loop->watches, or next in loop->closed
    enum kind kind;
    bool closed;
    void *arg;
    union {
        mp_fd_fn *fd;
        mp_child_fn *child;
        mp_timer_fn *timer;
        mp_signal_fn *signal;
    } fn;
    union {
        struct {
            int fd, events;
        } io;
        uv_timer_t timer;
        uv_signal_t signal;
    } u;
};

struct mp_loop {
    uv_loop_t uv;
    uv_poll_t poll; // watches epfd
    int epfd;
    int active; // descriptors in the epoll set: while there are any, the loop runs
    bool running, stopped;
    mp_watch *watches, *closed;
};

static mp_watch *watch_new(mp_loop *loop, enum kind kind, void *arg)
{
    mp_watch *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->loop = loop;
    w->kind = kind;
    w->arg = arg;
    w->next = loop->watches;
    w->link = &loop->watches;
    if (w->next)
        w->next->link = &w->next;
    loop->watches = w;
    return w;
}

static void watch_unlink(mp_watch *w)
{
    *w->link = w->next;
    if (w->next)
        w->next->link = w->link;
}

// A watcher that libuv has never seen.
static void watch_discard(mp_watch *w)
{
    watch_unlink(w);
    free(w);
}

static void free_closed(mp_loop *loop)
{
    while (loop->closed) {
        mp_watch *w = loop->closed;
        loop->closed = w->next;
        free(w);
    }
}

static void on_uv_closed(uv_handle_t *h)
{
    free(h->data);
}

static uint32_t to_epoll(int events)
{
    return (events & MP_LOOP_READ ? EPOLLIN : 0u) | (events & MP_LOOP_WRITE ? EPOLLOUT : 0u);
}

static int from_epoll(uint32_t found, int asked)
{
    int events = (found & EPOLLIN ? MP_LOOP_READ : 0) | (found & EPOLLOUT ? MP_LOOP_WRITE : 0);
    if (found & (EPOLLERR | EPOLLHUP))
        events = asked;
    return events & asked;
}

static void count_active(mp_loop *loop, int change)
{
    loop->active += change;
    if (loop->active)
        uv_ref((uv_handle_t *)&loop->poll);
    else
        uv_unref((uv_handle_t *)&loop->poll);
}

// A resting descriptor is out of the set: epoll reports hang-ups to all in it.
static int set_events(mp_watch *w, int events)
{
    int before = w->u.io.events;
    if (events == before)
        return 0;
    struct epoll_event ev = {.events = to_epoll(events), .data.ptr = w};
    int op = !before ? EPOLL_CTL_ADD : !events ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
    if (epoll_ctl(w->loop->epfd, op, w->u.io.fd, &ev) < 0 && events)
        return -errno; // what cannot be taken out is not in: the fd was closed too early
    w->u.io.events = events;
    count_active(w->loop, (events != 0) - (before != 0));
    return 0;
}

static void child_ended(mp_watch *w)
{
    siginfo_t si = {0};
    struct rusage usage;
    memset(&usage, 0, sizeof usage);
    long r;
    do // the raw call: waitid(3) has no room for the usage
        r = syscall(SYS_waitid, P_PIDFD, w->u.io.fd, &si, WEXITED | WNOHANG, &usage);
    while (r < 0 && errno == EINTR);
    if (r == 0 && si.si_pid == 0)
        return; // still running
    set_events(w, 0);
    int code = r < 0 ? MP_ESTATUS : si.si_code == CLD_EXITED ? si.si_status : -si.si_status;
    w->fn.child(w, code, &usage, w->arg);
}

static void dispatch(mp_watch *w, uint32_t found)
{
    if (w->closed)
        return;
    if (w->kind == CHILD) {
        child_ended(w);
        return;
    }
    int events = from_epoll(found, w->u.io.events);
    if (events)
        w->fn.fd(w, events, w->arg);
}

static void on_epoll(uv_poll_t *h, int status, int events)
{
    (void)status, (void)events;
    mp_loop *loop = h->data;
    struct epoll_event ev[ROUND];
    int n = epoll_wait(loop->epfd, ev, ROUND, 0);
    for (int i = 0; i < n; i++)
        dispatch(ev[i].data.ptr, ev[i].events);
}

int mp_loop_new(mp_loop **out)
{
    if (!out)
        return MP_EINVAL;
    *out = NULL;
    mp_loop *loop = calloc(1, sizeof *loop);
    if (!loop)
        return -ENOMEM;
    int err = uv_loop_init(&loop->uv); // libuv's errors are -errno
    if (err)
        goto fail;
    loop->epfd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epfd < 0) {
        err = -errno;
        goto fail_uv;
    }
    err = uv_poll_init(&loop->uv, &loop->poll, loop->epfd);
    if (err)
        goto fail_epoll;
    loop->poll.data = loop;
    uv_poll_start(&loop->poll, UV_READABLE, on_epoll);
    uv_unref((uv_handle_t *)&loop->poll);
    *out = loop;
    return 0;
fail_epoll:
    close(loop->epfd);
fail_uv:
    uv_loop_close(&loop->uv);
fail:
    free(loop);
    return err;
}

int mp_loop_run(mp_loop *loop)
{
    if (!loop)
        return MP_EINVAL;
    if (loop->running)
        return MP_ESTATE;
    loop->running = true;
    // libuv forgets a stop once a run returns; one that came before must hold.
    while (!loop->stopped && uv_run(&loop->uv, UV_RUN_ONCE))
        free_closed(loop);
    loop->running = loop->stopped = false;
    return 0;
}

void mp_loop_stop(mp_loop *loop)
{
    if (loop)
        loop->stopped = true;
}

int mp_loop_add_fd(mp_loop *loop, mp_watch **out, int fd, int events, mp_fd_fn *fn, void *arg)
{
    if (out)
        *out = NULL;
    if (!loop || !out || !fn || events & ~(MP_LOOP_READ | MP_LOOP_WRITE))
        return MP_EINVAL;
    mp_watch *w = watch_new(loop, FD, arg);
    if (!w)
        return -ENOMEM;
    w->fn.fd = fn;
    w->u.io.fd = fd;
    int err = set_events(w, events);
    if (err) {
        watch_discard(w);
        return err;
    }
    *out = w;
    return 0;
}

int mp_watch_set_events(mp_watch *w, int events)
{
    if (!w || w->closed || w->kind != FD || events & ~(MP_LOOP_READ | MP_LOOP_WRITE))
        return MP_EINVAL;
    return set_events(w, events);
}

int mp_loop_add_child(mp_loop *loop, mp_watch **out, int pidfd, mp_child_fn *fn, void *arg)
{
    if (out)
        *out = NULL;
    if (!loop || !out || !fn)
        return MP_EINVAL;
    mp_watch *w = watch_new(loop, CHILD, arg);
    if (!w)
        return -ENOMEM;
    w->fn.child = fn;
    w->u.io.fd = pidfd;
    int err = set_events(w, MP_LOOP_READ);
    if (err) {
        watch_discard(w);
        return err;
    }
    *out = w;
    return 0;
}

static void on_timer(uv_timer_t *h)
{
    mp_watch *w = h->data;
    w->fn.timer(w, w->arg);
}

int mp_loop_add_timer(mp_loop *loop, mp_watch **out, int ms, mp_timer_fn *fn, void *arg)
{
    if (out)
        *out = NULL;
    if (!loop || !out || !fn || ms < 0)
        return MP_EINVAL;
    mp_watch *w = watch_new(loop, TIMER, arg);
    if (!w)
        return -ENOMEM;
    w->fn.timer = fn;
    uv_timer_init(&loop->uv, &w->u.timer);
    w->u.timer.data = w;
    uv_update_time(&loop->uv); // or the time spent in this callback would count
    uv_timer_start(&w->u.timer, on_timer, (uint64_t)ms, 0);
    *out = w;
    return 0;
}

static void on_signal(uv_signal_t *h, int sig)
{
    mp_watch *w = h->data;
    w->fn.signal(w, sig, w->arg);
}

int mp_loop_add_signal(mp_loop *loop, mp_watch **out, int sig, mp_signal_fn *fn, void *arg)
{
    if (out)
        *out = NULL;
    if (!loop || !out || !fn || sig <= 0 || sig > SIGRTMAX || sig == SIGKILL || sig == SIGSTOP)
        return MP_EINVAL;
    mp_watch *w = watch_new(loop, SIGNAL, arg);
    if (!w)
        return -ENOMEM;
    int err = uv_signal_init(&loop->uv, &w->u.signal);
    if (err) {
        watch_discard(w);
        return err;
    }
    w->fn.signal = fn;
    w->u.signal.data = w;
    err = uv_signal_start(&w->u.signal, on_signal, sig);
    if (err) {
        mp_watch_close(w);
        return err;
    }
    *out = w;
    return 0;
}

void mp_watch_close(mp_watch *w)
{
    if (!w || w->closed)
        return;
    w->closed = true;
    watch_unlink(w);
    if (w->kind == TIMER || w->kind == SIGNAL) {
        uv_close(w->kind == TIMER ? (uv_handle_t *)&w->u.timer : (uv_handle_t *)&w->u.signal,
                 on_uv_closed);
        return;
    }
    set_events(w, 0);
    w->next = w->loop->closed;
    w->loop->closed = w;
}

void mp_loop_free(mp_loop *loop)
{
    if (!loop)
        return;
    while (loop->watches)
        mp_watch_close(loop->watches);
    free_closed(loop);
    uv_close((uv_handle_t *)&loop->poll, NULL);
    uv_run(&loop->uv, UV_RUN_DEFAULT); // lets libuv finish its closing
    uv_loop_close(&loop->uv);
    close(loop->epfd);
    free(loop);
}
