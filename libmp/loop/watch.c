// SPDX-License-Identifier: MIT
//
// Watchers: what the loop learns from the kernel.
//
// Signals are libuv's. Descriptors are not: uv_poll_t makes each one non-blocking, which
// is shared with every process that has the same terminal or pipe open, and takes five
// system calls for one that is watched once. So the loop has an epoll set of its own,
// one call a watcher, and libuv watches that set as a single descriptor.
//
// Life of a watcher: in the list of its loop from add to close. Closed ones stay until
// the events of the present look are through, since one of those may point to them;
// libuv's go when libuv says so.
#include "loop/loop.h"

#include "base/clock.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum kind { FD, CHILD, TIMER, SIGNAL };
enum { ROUND = 64 }; // events taken at a time

struct mp_watch {
    mp_loop *loop;
    mp_watch *next, **link; // in loop->watches, or next in loop->closed_watches
    enum kind kind;
    bool closed;
    void *arg;
    union {
        mp_loop_fd_fn *fd;
        mp_loop_child_fn *child;
        mp_loop_timer_fn *timer;
        mp_loop_signal_fn *signal;
    } fn;
    union {
        struct {
            int fd, events;
        } io;
        int64_t call; // of the timer
        uv_signal_t signal;
    } u;
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

// A watcher that nobody has seen.
static void watch_discard(mp_watch *w)
{
    watch_unlink(w);
    free(w);
}

void mp__watch_free_closed(mp_loop *loop)
{
    while (loop->closed_watches) {
        mp_watch *w = loop->closed_watches;
        loop->closed_watches = w->next;
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

// A resting descriptor is out of the set: epoll reports hang-ups to all in it.
static int set_events(mp_watch *w, int events)
{
    int before = w->u.io.events;
    if (events == before)
        return 0;
    struct epoll_event ev = {.events = to_epoll(events), .data.ptr = w};
    int op = !before ? EPOLL_CTL_ADD : !events ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
    // A forked child has the same set as its parent: hands off.
    if (*w->loop->alive && epoll_ctl(w->loop->epfd, op, w->u.io.fd, &ev) < 0 && events)
        return -errno; // what cannot be taken out is not in: the fd was closed too early
    w->u.io.events = events;
    w->loop->active = w->loop->active + (events != 0) - (before != 0);
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

static void tell(mp_watch *w, uint32_t found)
{
    if (w->kind == CHILD) {
        child_ended(w);
        return;
    }
    int events = from_epoll(found, w->u.io.events);
    if (events)
        w->fn.fd(w, events, w->arg);
}

static void dispatch(mp_watch *w, uint32_t found)
{
    struct debug *d = w->loop->debug;
    if (w->closed)
        return;
    if (d)
        mp__debug_begin(d, w->kind == CHILD ? (void *)w->fn.child : (void *)w->fn.fd, NULL);
    tell(w, found);
    if (d)
        mp__debug_end(d);
}

static void hear_bell(mp_loop *loop)
{
    uint64_t count;
    while (read(loop->inbox->bell, &count, sizeof count) < 0 && errno == EINTR)
        ;
}

static void on_epoll(uv_poll_t *h, int status, int events)
{
    (void)status, (void)events;
    mp_loop *loop = h->data;
    struct epoll_event ev[ROUND];
    int n = epoll_wait(loop->epfd, ev, ROUND, 0);
    for (int i = 0; i < n; i++) {
        if (ev[i].data.ptr)
            dispatch(ev[i].data.ptr, ev[i].events);
        else
            hear_bell(loop);
    }
}

// libuv ends the program where its first loop finds no descriptors for its pipe of signals, after
// those of epoll and of its rings: so that may only begin where there are so many.
static int room_for_libuv(void)
{
    enum { NEEDS = 5 };
    int fd[NEEDS], n = 0, err = 0;
    while (n < NEEDS && (fd[n] = epoll_create1(EPOLL_CLOEXEC)) >= 0)
        n++;
    if (n < NEEDS)
        err = -errno;
    while (n > 0)
        close(fd[--n]);
    return err;
}

int mp__watch_open(mp_loop *loop)
{
    static atomic_bool begun;
    int err = atomic_load(&begun) ? 0 : room_for_libuv();
    if (err)
        return err;
    err = uv_loop_init(&loop->uv); // libuv's errors are -errno
    if (err)
        return err;
    atomic_store(&begun, true);
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};
    loop->epfd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epfd < 0 || epoll_ctl(loop->epfd, EPOLL_CTL_ADD, loop->inbox->bell, &ev) < 0) {
        err = -errno;
        goto fail;
    }
    err = uv_poll_init(&loop->uv, &loop->poll, loop->epfd);
    if (err)
        goto fail;
    loop->poll.data = loop;
    uv_timer_init(&loop->uv, &loop->alarm);
    uv_poll_start(&loop->poll, UV_READABLE, on_epoll);
    return 0;
fail:
    if (loop->epfd >= 0)
        close(loop->epfd);
    uv_loop_close(&loop->uv);
    return err;
}

static void on_alarm(uv_timer_t *t)
{
    // It ends the wait; also one that has not begun, when the time was over before libuv polled.
    uv_stop(t->loop);
}

void mp__watch_look(mp_loop *loop, int64_t wait_ns)
{
    uv_timer_stop(&loop->alarm);
    if (wait_ns > 0 && wait_ns != MP__NEVER) {
        uv_update_time(&loop->uv); // or the time spent in callbacks would count
        uv_timer_start(&loop->alarm, on_alarm, (uint64_t)(wait_ns + 999999) / 1000000, 0);
    }
    uv_run(&loop->uv, wait_ns > 0 ? UV_RUN_ONCE : UV_RUN_NOWAIT);
    mp__watch_free_closed(loop);
}

void mp__watch_shut(mp_loop *loop)
{
    // A child has libuv's own set in common with its parent, until it gets another.
    if (!*loop->alive && uv_loop_fork(&loop->uv) < 0)
        return;
    while (loop->watches)
        mp_watch_close(loop->watches);
    mp__watch_free_closed(loop);
    uv_close((uv_handle_t *)&loop->poll, NULL);
    uv_close((uv_handle_t *)&loop->alarm, NULL);
    uv_run(&loop->uv, UV_RUN_DEFAULT); // lets libuv finish its closing
    uv_loop_close(&loop->uv);
    close(loop->epfd);
}

// ---- the watchers ----

static int check_new(mp_loop *loop, mp_watch **out, bool valid)
{
    if (out)
        *out = NULL;
    int err = mp__loop_check(loop);
    return err ? err : out && valid ? 0 : MP_EINVAL;
}

int mp_loop_add_fd(mp_loop *loop, mp_watch **out, int fd, int events, mp_loop_fd_fn *fn, void *arg)
{
    int err = check_new(loop, out, fn && !(events & ~(MP_LOOP_READ | MP_LOOP_WRITE)));
    if (err)
        return err;
    mp_watch *w = watch_new(loop, FD, arg);
    if (!w)
        return -ENOMEM;
    w->fn.fd = fn;
    w->u.io.fd = fd;
    err = set_events(w, events);
    if (err) {
        watch_discard(w);
        return err;
    }
    *out = w;
    return 0;
}

// A descriptor, or the error for which there is none.
static int add_readable(mp_loop *loop, mp_watch **out, int fd, mp_loop_fd_fn *fn, void *arg)
{
    return fd < 0 ? fd : mp_loop_add_fd(loop, out, fd, MP_LOOP_READ, fn, arg);
}

int mp_loop_add_pipe(mp_loop *loop, mp_watch **out, mp_pipe *pipe, mp_loop_fd_fn *fn, void *arg)
{
    int err = check_new(loop, out, fn && pipe);
    return err ? err : add_readable(loop, out, mp_pipe_fd(pipe), fn, arg);
}

int mp_loop_add_queue(mp_loop *loop, mp_watch **out, mp_queue *queue, mp_loop_fd_fn *fn, void *arg)
{
    int err = check_new(loop, out, fn && queue);
    return err ? err : add_readable(loop, out, mp_queue_fd(queue), fn, arg);
}

int mp_watch_set_events(mp_watch *w, int events)
{
    if (!w || w->closed || w->kind != FD || events & ~(MP_LOOP_READ | MP_LOOP_WRITE))
        return MP_EINVAL;
    int err = mp__loop_check(w->loop);
    return err ? err : set_events(w, events);
}

int mp_loop_add_child(mp_loop *loop, mp_watch **out, int pidfd, mp_loop_child_fn *fn, void *arg)
{
    int err = check_new(loop, out, fn != NULL);
    if (err)
        return err;
    mp_watch *w = watch_new(loop, CHILD, arg);
    if (!w)
        return -ENOMEM;
    w->fn.child = fn;
    w->u.io.fd = pidfd;
    err = set_events(w, MP_LOOP_READ);
    if (err) {
        watch_discard(w);
        return err;
    }
    *out = w;
    return 0;
}

static void on_timer(void *arg)
{
    mp_watch *w = arg;
    w->fn.timer(w, w->arg);
}

int mp_loop_add_timer(mp_loop *loop, mp_watch **out, int ms, mp_loop_timer_fn *fn, void *arg)
{
    int err = check_new(loop, out, fn && ms >= 0);
    if (err)
        return err;
    mp_watch *w = watch_new(loop, TIMER, arg);
    if (!w)
        return -ENOMEM;
    w->fn.timer = fn;
    w->u.call = mp_loop_call_later(loop, ms, on_timer, w);
    if (w->u.call < 0) {
        watch_discard(w);
        return -ENOMEM;
    }
    *out = w;
    return 0;
}

static void on_signal(uv_signal_t *h, int sig)
{
    mp_watch *w = h->data;
    struct debug *d = w->loop->debug;
    if (d)
        mp__debug_begin(d, (void *)w->fn.signal, NULL);
    w->fn.signal(w, sig, w->arg);
    if (d)
        mp__debug_end(d);
}

int mp_loop_add_signal(mp_loop *loop, mp_watch **out, int sig, mp_loop_signal_fn *fn, void *arg)
{
    int err =
        check_new(loop, out, fn && sig > 0 && sig <= SIGRTMAX && sig != SIGKILL && sig != SIGSTOP);
    if (err)
        return err;
    mp_watch *w = watch_new(loop, SIGNAL, arg);
    if (!w)
        return -ENOMEM;
    err = uv_signal_init(&loop->uv, &w->u.signal);
    if (err) {
        watch_discard(w);
        return err;
    }
    w->fn.signal = fn;
    w->u.signal.data = w;
    loop->active++;
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
    if (w->kind == SIGNAL) {
        w->loop->active--;
        uv_close((uv_handle_t *)&w->u.signal, on_uv_closed);
        return;
    }
    if (w->kind == TIMER)
        mp__timers_cancel(&w->loop->timers, w->u.call);
    else
        set_events(w, 0);
    w->next = w->loop->closed_watches;
    w->loop->closed_watches = w;
}
