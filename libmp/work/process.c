// SPDX-License-Identifier: MIT
//
// Processes that are forks of this one.
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
// The lifeline also makes the start certain. The child waits at it for a byte, "go":
// until then its parent can still give up, as if nothing had been started; and its pid
// cannot pass on to another process before the parent holds a pidfd of it, even where
// SIGCHLD is ignored.
//
// All state is local to the process, under one lock, which the fork hooks hold across
// every fork. The child starts with an empty list; the handles it inherited stay
// readable and belong to nobody in it (their token is the parent's).
#include "base/clock.h"
#include "base/log.h"
#include "channel/give.h"
#include "os/fork.h"
#include "os/pidfd.h"
#include "work/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <mp/process.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

// A child, as its parent sees it; or this process and its parent, as they are seen from
// inside. The first group never changes, the second is guarded by the lock.
struct mp_process {
    uint64_t owner; // token of the process that started it; 0: not to be joined by anybody
    pid_t pid;
    bool daemon;
    char *name;

    int pidfd;      // sentinel; -1 if there is none (yet)
    int line_read;  // lifeline: here only while it starts, then the child's
    int line_write; // held until it has ended
    bool ended;     // its status was taken, or is lost
    int code;       // exit code, -signal or MP_ESTATUS
    bool freed;     // by the user, while it ran: to be dropped at its end
    int pins;       // exit handlers that wait for it: not to be dropped
    struct mp_process *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t hooks_once = PTHREAD_ONCE_INIT;
static int hooks_error;

// Guarded by the lock.
static struct mp_process *children;
static unsigned children_named;
static struct mp_process main_process = {
    .name = (char[]){"MainProcess"}, .pidfd = -1, .line_read = -1, .line_write = -1};
static struct mp_process *current = &main_process;
static struct mp_process *parent;
static int lifeline = -1;   // our own, if this is a child
static uint64_t exit_token; // the process that called mp_runtime_init()

// The child that this thread is just forking.
static _Thread_local struct mp_process *starting;

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void drop(struct mp_process *p)
{
    close_fd(&p->pidfd);
    close_fd(&p->line_read);
    close_fd(&p->line_write);
    free(p->name);
    free(p);
}

static void unlink_locked(struct mp_process *p)
{
    struct mp_process **at = &children;
    while (*at && *at != p)
        at = &(*at)->next;
    if (*at)
        *at = p->next;
}

// ---- forks ---------------------------------------------------------------------

static void before_fork(void)
{
    pthread_mutex_lock(&lock);
}

static void after_fork_parent(void)
{
    pthread_mutex_unlock(&lock);
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

static void close_in_run(struct run *r, int *fd)
{
    if (*fd >= 0 && *fd == r->low - 1) {
        r->low--;
    } else if (*fd >= 0) {
        close_run(r);
        *r = (struct run){*fd, *fd};
    }
    *fd = -1;
}

// Lets go of all children, of the own lifeline, which protects who it was made for, and
// of what is known about the parent. Whoever made this fork puts new ones in place.
static void after_fork_child(void)
{
    struct run run = {0, -1};
    for (struct mp_process *p = children, *next; p; p = next) {
        next = p->next;
        p->next = NULL;
        close_in_run(&run, &p->pidfd);
        close_in_run(&run, &p->line_write);
        if (p != starting)
            close_in_run(&run, &p->line_read);
        if (p->freed)
            drop(p);
    }
    close_run(&run);
    children = NULL;
    children_named = 0;
    close_fd(&lifeline);
    if (parent)
        close_fd(&parent->pidfd);
    if (!starting) {
        parent = NULL;
        current->pid = getpid();
    }
    pthread_mutex_unlock(&lock);
}

static void set_hooks(void)
{
    hooks_error = -pthread_atfork(before_fork, after_fork_parent, after_fork_child);
}

// ---- in the child --------------------------------------------------------------

static bool parent_is_gone(void)
{
    struct pollfd p = {.fd = lifeline, .events = POLLIN};
    return poll(&p, 1, 0) > 0;
}

// Waits for "go", then has the kernel watch the lifeline. A parent that died before
// that is seen by looking once more.
static void hold_lifeline(int fd)
{
    char go;
    ssize_t n;
    do
        n = read(fd, &go, 1);
    while (n < 0 && errno == EINTR);
    if (n != 1)
        _exit(0);
    fcntl(fd, F_SETOWN, getpid());
    fcntl(fd, F_SETSIG, SIGKILL);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_ASYNC);
    lifeline = fd;
    if (parent_is_gone())
        _exit(0);
}

// Takes p as this process. No lock: there is no other thread yet.
static void become(struct mp_process *p)
{
    p->pid = getpid();
    p->owner = 0;
    p->next = current; // so that the ancestors' records are not lost
    parent = current;
    current = p;
    prctl(PR_SET_NAME, p->name);
    mp__log_process_name(p->name);
}

static _Noreturn void run_child(struct mp_process *p, mp_process_fn *fn, void *arg)
{
    int fd = p->line_read;
    p->line_read = -1;
    starting = NULL;
    become(p);
    hold_lifeline(fd);
    mp_log(MP_LOG_DEBUG, "started");
    int code = fn(arg);
    mp__thread_await_all();
    mp_log(MP_LOG_DEBUG, "ends with %d", code & 0xff);
    mp__fork_exit(code);
}

// ---- start ---------------------------------------------------------------------

// A record with a lifeline, in the list. The pipe is made under the lock, so that no
// fork of another thread passes it on unseen.
static int add_child(struct mp_process **out, const mp_process_opts *opts)
{
    struct mp_process *p = calloc(1, sizeof *p);
    if (!p)
        return -ENOMEM;
    *p = (struct mp_process){.pidfd = -1, .line_read = -1, .line_write = -1};
    p->owner = mp__fork_token();
    p->daemon = opts->daemon;

    int line[2], err = 0;
    pthread_mutex_lock(&lock);
    if (opts->name)
        p->name = strdup(opts->name);
    else if (asprintf(&p->name, "Process-%u", children_named + 1) < 0)
        p->name = NULL;
    if (!p->name || !p->owner) {
        err = -ENOMEM;
    } else if (pipe2(line, O_CLOEXEC) < 0) {
        err = -errno;
    } else {
        p->line_read = line[0];
        p->line_write = line[1];
        p->next = children;
        children = p;
        children_named++;
        if (!current->pid)
            current->pid = getpid();
    }
    pthread_mutex_unlock(&lock);
    if (err)
        drop(p);
    else
        *out = p;
    return err;
}

static void remove_child(struct mp_process *p)
{
    pthread_mutex_lock(&lock);
    unlink_locked(p);
    pthread_mutex_unlock(&lock);
    drop(p);
}

static void end_giving(mp_pipe *const *give, size_t n, bool given)
{
    for (size_t i = 0; i < n; i++)
        mp__pipe_give_end(give[i], given);
}

// Returns how many there are, or an error and nothing is begun.
static int begin_giving(mp_pipe *const *give)
{
    int n = 0;
    for (; give && give[n]; n++) {
        int r = mp__pipe_give_begin(give[n]);
        if (r < 0) {
            end_giving(give, (size_t)n, false);
            return r;
        }
    }
    return n;
}

// Forks, and says "go" when the child can be watched; otherwise it ends unused.
static int fork_child(struct mp_process *p, mp_process_fn *fn, void *arg)
{
    starting = p;
    pid_t pid = mp__fork();
    if (pid == 0)
        run_child(p, fn, arg);
    starting = NULL;
    if (pid < 0)
        return (int)pid;

    pthread_mutex_lock(&lock);
    p->pid = pid;
    int fd = mp__pidfd_open(pid);
    if (fd >= 0) {
        p->pidfd = fd;
        (void)!write(p->line_write, "", 1); // we still hold the read end: no SIGPIPE
    } else {
        close_fd(&p->line_write);
    }
    close_fd(&p->line_read);
    pthread_mutex_unlock(&lock);
    if (fd < 0)
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ;
    return fd < 0 ? fd : 0;
}

// ---- end -----------------------------------------------------------------------

// Takes the status if p has ended.
static void look_locked(struct mp_process *p)
{
    int code;
    if (p->ended || p->pidfd < 0)
        return;
    int r = mp__pidfd_reap(p->pidfd, &code, NULL);
    if (r == MP_EAGAIN)
        return;
    p->ended = true;
    p->code = r == 0 ? code : MP_ESTATUS;
    close_fd(&p->line_write);
}

// Buries those that were freed while they ran. The others are their owners' to look at.
static void collect_locked(void)
{
    for (struct mp_process **at = &children; *at;) {
        struct mp_process *p = *at;
        if (p->freed)
            look_locked(p);
        if (p->freed && p->ended && !p->pins) {
            *at = p->next;
            drop(p);
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
    pthread_mutex_lock(&lock);
    if (!p->ended)
        r = mp__pidfd_kill(p->pidfd, sig);
    pthread_mutex_unlock(&lock);
    return r;
}

// A pidfd of the parent, made when it is first wanted. The pid is still the parent's if
// we are still its child afterwards.
static int parent_sentinel_locked(void)
{
    if (parent->pidfd >= 0)
        return parent->pidfd;
    int fd = mp__pidfd_open(parent->pid);
    if (fd >= 0 && getppid() != parent->pid) {
        close(fd);
        fd = -ESRCH;
    }
    if (fd >= 0)
        parent->pidfd = fd;
    return fd;
}

// ---- the public calls ----------------------------------------------------------

int mp_process_start(mp_process **out, mp_process_fn *fn, void *arg, const mp_process_opts *opts)
{
    static const mp_process_opts defaults;
    struct mp_process *p = NULL;
    if (!out)
        return MP_EINVAL;
    *out = NULL;
    if (!fn)
        return MP_EINVAL;
    opts = opts ? opts : &defaults;
    pthread_once(&hooks_once, set_hooks);
    if (hooks_error)
        return hooks_error;
    pthread_mutex_lock(&lock);
    collect_locked();
    pthread_mutex_unlock(&lock);

    int n = begin_giving(opts->give);
    if (n < 0)
        return n;
    int r = add_child(&p, opts);
    if (r == 0) {
        r = fork_child(p, fn, arg);
        if (r < 0)
            remove_child(p);
    }
    end_giving(opts->give, (size_t)n, r == 0);
    if (r < 0)
        return r;
    *out = p;
    mp_log(MP_LOG_DEBUG, "started %s, pid %d", mp_process_name(p), (int)mp_process_pid(p));
    return 0;
}

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
    pthread_mutex_lock(&lock);
    look_locked(p);
    pthread_mutex_unlock(&lock);
    return 0;
}

int mp_process_exitcode(mp_process *p, int *code)
{
    int r = usable(p);
    if (r < 0)
        return r;
    if (!code)
        return MP_EINVAL;
    pthread_mutex_lock(&lock);
    look_locked(p);
    if (!p->ended)
        r = MP_EAGAIN;
    else if (p->code == MP_ESTATUS)
        r = MP_ESTATUS;
    else
        *code = p->code;
    pthread_mutex_unlock(&lock);
    return r;
}

bool mp_process_is_alive(mp_process *p)
{
    if (!p)
        return false;
    pthread_mutex_lock(&lock);
    bool alive;
    if (p == current) {
        alive = true;
    } else if (p == parent) {
        alive = getppid() == p->pid;
    } else {
        bool mine = mp__fork_is_mine(p->owner);
        if (mine)
            look_locked(p);
        alive = mine && !p->ended;
    }
    pthread_mutex_unlock(&lock);
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

int mp_process_sentinel(mp_process *p)
{
    if (!p)
        return MP_EINVAL;
    pthread_mutex_lock(&lock);
    int r = usable(p);
    if (p == parent)
        r = parent_sentinel_locked();
    else if (r == 0)
        r = p->pidfd;
    pthread_mutex_unlock(&lock);
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
    pthread_mutex_lock(&lock);
    bool gone = p != current && p != parent;
    if (gone && mp__fork_is_mine(p->owner)) {
        look_locked(p);
        p->freed = true;
        gone = p->ended && !p->pins;
        if (gone)
            unlink_locked(p);
    }
    pthread_mutex_unlock(&lock);
    if (gone)
        drop(p);
}

const mp_process *mp_process_current(void)
{
    pthread_once(&hooks_once, set_hooks);
    pthread_mutex_lock(&lock);
    struct mp_process *p = current;
    if (!p->pid)
        p->pid = getpid();
    pthread_mutex_unlock(&lock);
    return p;
}

mp_process *mp_process_parent(void)
{
    pthread_mutex_lock(&lock);
    struct mp_process *p = parent;
    pthread_mutex_unlock(&lock);
    return p;
}

size_t mp_process_active_children(mp_process **list, size_t cap)
{
    size_t n = 0;
    pthread_mutex_lock(&lock);
    collect_locked();
    for (struct mp_process *p = children; p; p = p->next) {
        look_locked(p);
        if (p->pidfd < 0 || p->ended || p->freed)
            continue;
        if (list && n < cap)
            list[n] = p;
        n++;
    }
    pthread_mutex_unlock(&lock);
    return n;
}

// ---- the end of the program ----------------------------------------------------

static struct mp_process *pin_a_running_child(void)
{
    pthread_mutex_lock(&lock);
    struct mp_process *p = children;
    while (p && (p->ended || p->pidfd < 0))
        p = p->next;
    if (p)
        p->pins++;
    pthread_mutex_unlock(&lock);
    return p;
}

static void at_exit(void)
{
    struct mp_process *p;
    if (!mp__fork_is_mine(exit_token))
        return;
    mp__thread_await_all();
    pthread_mutex_lock(&lock);
    for (p = children; p; p = p->next)
        if (p->daemon && !p->ended && p->pidfd >= 0)
            mp__pidfd_kill(p->pidfd, SIGKILL);
    pthread_mutex_unlock(&lock);

    while ((p = pin_a_running_child())) {
        mp__pidfd_wait(p->pidfd, MP__NEVER);
        pthread_mutex_lock(&lock);
        look_locked(p);
        if (!p->ended) // a debugger holds its status back
            p->code = MP_ESTATUS;
        p->ended = true;
        p->pins--;
        collect_locked();
        pthread_mutex_unlock(&lock);
    }
}

int mp_runtime_init(void)
{
    static bool registered; // guarded by the lock; forked children inherit both
    uint64_t token = mp__fork_token();
    if (!token)
        return -ENOMEM;
    pthread_once(&hooks_once, set_hooks);
    pthread_mutex_lock(&lock);
    if (!registered && atexit(at_exit) == 0)
        registered = true;
    exit_token = token;
    bool ok = registered;
    pthread_mutex_unlock(&lock);
    return ok ? hooks_error : -ENOMEM;
}
