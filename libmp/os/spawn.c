// SPDX-License-Identifier: MIT
//
// mp_spawn(): clone with the parent's memory, parent suspended until the exec.
//
// The child runs in our address space, so it only makes system calls, allocates
// nothing, and tells of a failure by storing errno where the parent looks. All
// signals are blocked from before the clone until the child has reset every
// handler: a handler of ours that ran in the child would run on our data.
//
// The program is looked up in the parent: the search needs memory and, when the
// caller has done it once, is not needed again.
#include "os/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// The kernel's sigset_t, and its sigaction: the C library's wrappers keep two
// signals for themselves.
typedef unsigned long kernel_sigset[_NSIG / 8 / sizeof(unsigned long)];
enum { LAST_SIGNAL = 64 };

struct child {
    const char *path;
    char *const *argv, *const *env;
    const mp_spawn_opts *opts;
    int keep; // a descriptor that stays open, or -1
    pid_t parent;
    int err; // written by the child
};

// The child's stack lies in the caller's frame: system calls need little of it.
enum { CHILD_STACK = 16 * 1024 };

// What runs in the child: a sanitizer would mark that stack as its own, for ever.
#define CHILD __attribute__((no_sanitize("address", "thread")))

CHILD static void signal_mask(const kernel_sigset *set, kernel_sigset *old)
{
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, set, old, sizeof *set);
}

CHILD static void child_default_signals(const sigset_t *changed)
{
    // An all-zero struct of the kernel's is SIG_DFL without flags on every architecture.
    static const unsigned long deflt[8];
    for (int sig = 1; sig <= LAST_SIGNAL; sig++)
        if (sig != SIGKILL && sig != SIGSTOP && (!changed || sigismember(changed, sig)))
            syscall(SYS_rt_sigaction, sig, deflt, NULL, sizeof(kernel_sigset));
}

CHILD static int child_keep_above_stdio(int fd, int target)
{
    if (fd < 0 || fd > 2 || fd == target)
        return fd;
    return fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

// Puts fds at 0, 1, 2. Sources that lie there themselves are moved away first,
// so that no one overwrites another.
CHILD static int child_descriptors(const int *fds)
{
    int from[3];
    for (int i = 0; i < 3; i++) {
        from[i] = child_keep_above_stdio(fds[i], i);
        if (fds[i] >= 0 && from[i] < 0)
            return -1;
    }
    for (int i = 0; i < 3; i++) {
        int fd = from[i];
        if (fd == MP_SPAWN_NULL) {
            int null = open("/dev/null", O_RDWR | O_CLOEXEC);
            if (null < 0)
                return -1;
            fd = null;
        }
        if (fd == i ? fcntl(fd, F_SETFD, 0) < 0 : fd >= 0 && dup2(fd, i) < 0)
            return -1;
    }
    return 0;
}

CHILD static int child_join(const int *groups)
{
    for (; groups && *groups >= 0; groups++)
        if (write(*groups, "0", 1) < 0) // who writes it
            return -1;
    return 0;
}

CHILD static int child_bind_to_parent(pid_t parent)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return -1;
    if (getppid() != parent) // it ended before the prctl could bind us
        _exit(127);
    return 0;
}

CHILD static int child_main(void *arg)
{
    static const kernel_sigset none;
    struct child *c = arg;
    const mp_spawn_opts *o = c->opts;
    child_default_signals(o->signals);
    bool ok = child_join(o->groups) == 0 && (!o->own_group || setpgid(0, 0) == 0) &&
              (!o->die_with_caller || child_bind_to_parent(c->parent) == 0) &&
              (!o->cwd || chdir(o->cwd) == 0) && (!o->fds || child_descriptors(o->fds) == 0) &&
              (c->keep < 0 || fcntl(c->keep, F_SETFD, 0) == 0);
    if (ok) {
        signal_mask(&none, NULL);
        execve(c->path, c->argv, c->env);
    }
    c->err = errno;
    _exit(127);
}

static int start(struct child *c, pid_t *pid, int *pidfd)
{
    kernel_sigset all, old;
    __attribute__((aligned(16))) char stack[CHILD_STACK];
    memset(&all, 0xff, sizeof all);
    int fd = -1;
    int flags = CLONE_VM | CLONE_VFORK | SIGCHLD | (pidfd ? CLONE_PIDFD : 0);
    signal_mask(&all, &old);
    int r = clone(child_main, stack + sizeof stack, flags, c, &fd);
    int err = r < 0 ? errno : c->err;
    if (r > 0 && err) { // never ran: take its status, it is nobody else's business
        while (waitpid(r, NULL, __WALL) < 0 && errno == EINTR)
            ;
        if (fd >= 0)
            close(fd);
    }
    signal_mask(&old, NULL);
    if (err)
        return -err;
    if (pid)
        *pid = r;
    if (pidfd)
        *pidfd = fd;
    return 0;
}

static bool check_fds(const int *fds)
{
    for (int i = 0; fds && i < 3; i++)
        if (fds[i] < MP_SPAWN_NULL)
            return false;
    return true;
}

int mp__spawn_keeping(pid_t *pid, int *pidfd, char *const argv[], const mp_spawn_opts *opts,
                      int keep)
{
    static const mp_spawn_opts defaults;
    char found[PATH_MAX];
    if (!argv || !argv[0])
        return MP_EINVAL;
    struct child c = {.opts = opts ? opts : &defaults, .argv = argv, .keep = keep};
    if (!check_fds(c.opts->fds))
        return -EBADF;
    c.path = c.opts->path;
    if (!c.path) {
        int err = mp_spawn_find(argv[0], found, sizeof found);
        if (err)
            return err;
        c.path = found;
    }
    c.env = c.opts->env ? c.opts->env : environ;
    c.parent = c.opts->die_with_caller ? getpid() : 0;
    return start(&c, pid, pidfd);
}

int mp_spawn(pid_t *pid, int *pidfd, char *const argv[], const mp_spawn_opts *opts)
{
    return mp__spawn_keeping(pid, pidfd, argv, opts, -1);
}

// 0 when path is a file that may be executed.
static int check_file(const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EACCES;
    return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0 ? -errno : 0;
}

static int join(char *buf, size_t size, const char *dir, size_t dir_len, const char *name)
{
    size_t len = strlen(name), slash = dir_len > 0; // an empty entry is the working directory
    if (dir_len + slash + len + 1 > size)
        return -ENAMETOOLONG;
    memcpy(buf, dir, dir_len);
    if (slash)
        buf[dir_len] = '/';
    memcpy(buf + dir_len + slash, name, len + 1);
    return 0;
}

int mp_spawn_find(const char *name, char *buf, size_t size)
{
    if (!name || !buf)
        return MP_EINVAL;
    if (!*name)
        return -ENOENT;
    if (strchr(name, '/')) {
        int err = join(buf, size, "", 0, name);
        return err ? err : check_file(buf);
    }
    const char *p = getenv("PATH");
    if (!p)
        p = "/bin:/usr/bin";
    int result = -ENOENT;
    for (;; p++) {
        size_t n = strcspn(p, ":");
        int err = join(buf, size, p, n, name);
        if (!err)
            err = check_file(buf);
        if (!err)
            return 0;
        if (err != -ENOENT && err != -ENOTDIR)
            result = err; // as execvp: a better reason than "not found", unless a later one fits
        p += n;
        if (!*p)
            return result;
    }
}
