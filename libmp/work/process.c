// SPDX-License-Identifier: MIT
//
// The children of this process until their end, and who this process itself is. (How they
// begin: work/start.c.)
//
// A child must not outlive its parent, however that ends. No thread or helper can see
// to it, since they die too, and PR_SET_PDEATHSIG fires when the *thread* that forked
// ends. So each child has a lifeline: a pipe whose only write end is the parent's. The
// child tells the kernel to send SIGKILL to it (F_SETOWN, F_SETSIG, O_ASYNC) when
// something happens at its read end; nothing ever does but the end of the parent, which
// closes the write end. Each child has a pipe of its own, because the receiver of the
// signal belongs to the pipe's read end, which siblings would share.
//
// This holds only if no other process has the write end. Those that this process forks,
// by whatever call, close in a fork hook what they inherited; exec closes it as well;
// and a pipe comes into being under the lock that the hook takes, so no fork sees one
// that is not in the list. What escapes: clone(2) without fork hooks, and a child that
// closes the descriptor itself, which is then merely unprotected.
//
// Nothing is ever written to it: whoever writes to a pipe signals the end of its own write to
// the read end after the reader may have the bytes and be watching it, and would kill it.
//
// A child waits for "go" before it does anything: until then its parent can still give up, as
// if nothing had been started; and its pid cannot pass on to another process before the
// parent holds a pidfd of it, even where SIGCHLD is ignored.
//
// All state is local to the process, under one lock, which the fork hooks hold across
// every fork. The child starts with an empty list; the handles it inherited stay
// readable and belong to nobody in it (their token is the parent's).
#include "work/process.h"
#include "os/fork.h"
#include "os/pidfd.h"

#include <errno.h>
#include <mp/start.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define STATUS_MS 1000 // for the forkserver to write the exit code of a process that has ended

static struct mp_process main_process = {.name = (char[]){"MainProcess"},
                                         .pidfd = -1,
                                         .line_read = -1,
                                         .line_write = -1,
                                         .go = -1,
                                         .talk = {-1, -1},
                                         .status = {-1, -1}};
struct mp__family mp__family = {
    .lock = PTHREAD_MUTEX_INITIALIZER, .current = &main_process, .lifeline = -1};
_Thread_local struct mp_process *mp__starting;

void mp__process_close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

struct mp_process *mp__process_record(void)
{
    struct mp_process *p = calloc(1, sizeof *p);
    if (p)
        p->pidfd = p->line_read = p->line_write = p->go = p->talk[0] = p->talk[1] = p->status[0] =
            p->status[1] = -1;
    return p;
}

// The end of a record whose descriptors are no longer, or not, this process's.
static void forget(struct mp_process *p)
{
    free(p->name);
    free(p);
}

void mp__process_drop(struct mp_process *p)
{
    int *fds[] = {&p->pidfd,   &p->line_read, &p->line_write, &p->go,
                  &p->talk[0], &p->talk[1],   &p->status[0],  &p->status[1]};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        mp__process_close_fd(fds[i]);
    forget(p);
}

void mp__process_unlink(struct mp_process *p)
{
    struct mp_process **at = &mp__family.children;
    while (*at && *at != p)
        at = &(*at)->next;
    if (*at)
        *at = p->next;
}

// ---- forks ---------------------------------------------------------------------

static void before_fork(void)
{
    pthread_mutex_lock(&mp__family.lock);
}

static void after_fork_parent(void)
{
    pthread_mutex_unlock(&mp__family.lock);
}

// Descriptors low to high, to be closed in one call. Those of children that were started one
// after the other lie side by side, so that the hundredth need not close two hundred.
struct run {
    int low, high; // none if low > high
};

static void close_run(const struct run *r)
{
    if (r->low <= r->high && close_range((unsigned)r->low, (unsigned)r->high, 0) < 0)
        for (int fd = r->low; fd <= r->high; fd++) // a filter of system calls forbids it
            close(fd);
}

static void close_in_run(struct run *r, int fd)
{
    if (fd >= 0 && fd == r->low - 1) {
        r->low--;
    } else if (fd >= 0) {
        close_run(r);
        *r = (struct run){fd, fd};
    }
}

// Lets go of all children, of the own lifeline, which protects who it was made for, and
// of what is known about the parent. Whoever made this fork puts new ones in place. The records
// are left as they are: a write would cost the child a copy of each page that has some.
static void after_fork_child(void)
{
    struct run run = {0, -1};
    for (struct mp_process *p = mp__family.children, *next; p; p = next) {
        next = p->next;
        close_in_run(&run, p->pidfd);
        close_in_run(&run, p->line_write);
        for (int i = 0; i < 2; i++) {
            close_in_run(&run, p->talk[i]);
            close_in_run(&run, p->status[i]);
        }
        if (p != mp__starting) {
            close_in_run(&run, p->line_read);
            close_in_run(&run, p->go);
        }
        if (p->freed)
            forget(p);
    }
    close_run(&run);
    mp__family.children = NULL;
    mp__family.named = 0;
    mp__process_close_fd(&mp__family.lifeline);
    if (mp__family.parent)
        mp__process_close_fd(&mp__family.parent->pidfd);
    if (!mp__starting) {
        mp__family.parent = NULL;
        mp__family.current->pid = getpid();
    }
    pthread_mutex_unlock(&mp__family.lock);
}

MP__FORK_HOOKS(MP__HOOKS_FAMILY) static void set_hooks(void)
{
    pthread_atfork(before_fork, after_fork_parent, after_fork_child);
}

// ---- end -----------------------------------------------------------------------

// The exit code of a process that has ended and was forked by the forkserver, which is just
// about to write it; MP_ESTATUS if it died before. MP_EAGAIN: it has stopped.
static int read_status(const struct mp_process *p, int *code)
{
    if (mp__pidfd_wait(p->status[0], mp__deadline_in(STATUS_MS)) < 0) // readable, as they become
        return MP_EAGAIN;
    return read(p->status[0], code, sizeof *code) == sizeof *code ? 0 : MP_ESTATUS;
}

static int reap(const struct mp_process *p, int *code)
{
    if (p->status[0] < 0)
        return mp__pidfd_reap(p->pidfd, code, NULL);
    return mp__pidfd_ended(p->pidfd) ? read_status(p, code) : MP_EAGAIN;
}

void mp__process_look(struct mp_process *p)
{
    int code;
    if (p->ended || p->pidfd < 0)
        return;
    int r = reap(p, &code);
    if (r == MP_EAGAIN)
        return;
    p->ended = true;
    p->code = r == 0 ? code : MP_ESTATUS;
    mp__process_close_fd(&p->line_write);
    mp__process_close_fd(&p->status[0]);
}

// Buries those that were freed while they ran. The others are their owners' to look at.
void mp__process_collect(void)
{
    for (struct mp_process **at = &mp__family.children; *at;) {
        struct mp_process *p = *at;
        if (p->freed)
            mp__process_look(p);
        if (p->freed && p->ended && !p->pins) {
            *at = p->next;
            mp__process_drop(p);
        } else {
            at = &p->next;
        }
    }
}

// Whether this process may ask for the end of p.
static int usable(const mp_process *p)
{
    if (!p)
        return MP_EINVAL;
    return mp__fork_is_mine(p->owner) ? 0 : MP_EOWNER;
}

static int send_signal(mp_process *p, int sig)
{
    int r = usable(p);
    if (r < 0)
        return r;
    pthread_mutex_lock(&mp__family.lock);
    if (!p->ended)
        r = mp__pidfd_kill(p->pidfd, sig);
    pthread_mutex_unlock(&mp__family.lock);
    return r;
}

// Only the parent holds the other end of the lifeline.
static bool parent_is_gone(void)
{
    struct pollfd p = {.fd = mp__family.lifeline, .events = POLLIN};
    return poll(&p, 1, 0) > 0;
}

// A pidfd of the parent, made when it is first wanted. The pid is still the parent's if
// that is there afterwards.
static int parent_sentinel_locked(void)
{
    struct mp_process *parent = mp__family.parent;
    if (parent->pidfd >= 0)
        return parent->pidfd;
    int fd = mp__pidfd_open(parent->pid);
    if (fd >= 0 && parent_is_gone()) {
        close(fd);
        fd = -ESRCH;
    }
    if (fd >= 0)
        parent->pidfd = fd;
    return fd;
}

// ---- the public calls ----------------------------------------------------------

int mp_process_join(mp_process *p, int timeout_ms)
{
    int r = usable(p);
    if (r < 0)
        return r;
    if (timeout_ms < MP_FOREVER)
        return MP_EINVAL;
    r = mp__pidfd_wait(p->pidfd, mp__deadline_in(timeout_ms));
    if (r < 0)
        return r;
    pthread_mutex_lock(&mp__family.lock);
    mp__process_look(p);
    pthread_mutex_unlock(&mp__family.lock);
    return 0;
}

int mp_process_exitcode(mp_process *p, int *code)
{
    int r = usable(p);
    if (r < 0)
        return r;
    if (!code)
        return MP_EINVAL;
    pthread_mutex_lock(&mp__family.lock);
    mp__process_look(p);
    if (!p->ended)
        r = MP_EAGAIN;
    else if (p->code == MP_ESTATUS)
        r = MP_ESTATUS;
    else
        *code = p->code;
    pthread_mutex_unlock(&mp__family.lock);
    return r;
}

bool mp_process_is_alive(mp_process *p)
{
    if (!p)
        return false;
    pthread_mutex_lock(&mp__family.lock);
    bool alive;
    if (p == mp__family.current) {
        alive = true;
    } else if (p == mp__family.parent) {
        alive = !parent_is_gone();
    } else {
        bool mine = mp__fork_is_mine(p->owner);
        if (mine)
            mp__process_look(p);
        alive = mine && !p->ended;
    }
    pthread_mutex_unlock(&mp__family.lock);
    return alive;
}

int mp_process_terminate(mp_process *p)
{
    return send_signal(p, SIGTERM);
}

int mp_process_kill(mp_process *p)
{
    return send_signal(p, SIGKILL);
}

int mp_process_interrupt(mp_process *p)
{
    return send_signal(p, SIGINT);
}

int mp_process_sentinel(mp_process *p)
{
    if (!p)
        return MP_EINVAL;
    pthread_mutex_lock(&mp__family.lock);
    int r = usable(p);
    if (p == mp__family.parent)
        r = parent_sentinel_locked();
    else if (r == 0)
        r = p->pidfd;
    pthread_mutex_unlock(&mp__family.lock);
    return r;
}

pid_t mp_process_pid(const mp_process *p)
{
    return p ? p->pid : MP_EINVAL;
}

const char *mp_process_name(const mp_process *p)
{
    return p ? p->name : NULL;
}

bool mp_process_daemon(const mp_process *p)
{
    return p && p->daemon;
}

void mp_process_free(mp_process *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&mp__family.lock);
    bool mine = mp__fork_is_mine(p->owner);
    bool gone = p != mp__family.current && p != mp__family.parent;
    if (gone && mine) {
        mp__process_look(p);
        p->freed = true;
        gone = p->ended && !p->pins;
        if (gone)
            mp__process_unlink(p);
    }
    pthread_mutex_unlock(&mp__family.lock);
    if (gone && mine)
        mp__process_drop(p);
    else if (gone)
        forget(p);
}

const mp_process *mp_process_current(void)
{
    pthread_mutex_lock(&mp__family.lock);
    struct mp_process *p = mp__family.current;
    if (!p->pid)
        p->pid = getpid();
    pthread_mutex_unlock(&mp__family.lock);
    return p;
}

mp_process *mp_process_parent(void)
{
    pthread_mutex_lock(&mp__family.lock);
    struct mp_process *p = mp__family.parent;
    pthread_mutex_unlock(&mp__family.lock);
    return p;
}

void *mp_process_argument(size_t *size)
{
    const struct mp_process *p = mp_process_current();
    if (size)
        *size = p->arg_size;
    return p->arg;
}

mp_handle *mp_process_handle(size_t i)
{
    const struct mp_process *p = mp_process_current();
    return i < p->n_handles ? &p->handles[i] : NULL;
}

size_t mp_process_active_children(mp_process **list, size_t cap)
{
    size_t n = 0;
    pthread_mutex_lock(&mp__family.lock);
    mp__process_collect();
    for (struct mp_process *p = mp__family.children; p; p = p->next) {
        mp__process_look(p);
        if (p->pidfd < 0 || p->ended || p->freed)
            continue;
        if (list && n < cap)
            list[n] = p;
        n++;
    }
    pthread_mutex_unlock(&mp__family.lock);
    return n;
}
