// SPDX-License-Identifier: MIT
//
// A server in a forked child. It watches a pidfd of its owner, so that it ends with it and takes
// its files along, whatever became of the owner; and it closes all that it inherited, so that
// nobody waits for the end of something that only the manager has open still.
#include <mp/manager_start.h>

#include "child.h"
#include "logfmt.h"
#include "os/fork.h"
#include "os/pidfd.h"
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

struct mp_manager_process {
    uint64_t owner;
    pid_t pid;
    int pidfd;
    bool ended;
    char path[MP__SOCKET_PATH];
};

// ---- the child -----------------------------------------------------------------------

static void on_owner(mp_watch *w, int events, void *arg)
{
    (void)w;
    (void)events;
    server_stop(arg, true);
}

static void on_term(mp_watch *w, int sig, void *arg)
{
    (void)w;
    (void)sig;
    server_stop(arg, true);
}

static int watch_owner(struct server *s, pid_t owner)
{
    static mp_watch *owner_watch, *term; // as long as the process
    int fd = mp__pidfd_open(owner);
    if (fd < 0 || getppid() != owner)
        return MP_EBROKEN;
    int r = mp_loop_add_fd(s->loop, &owner_watch, fd, MP_LOOP_READ, on_owner, s);
    return r < 0 ? r : mp_loop_add_signal(s->loop, &term, SIGTERM, on_term, s);
}

static int begin(struct server **s, const struct options *o, const char *path, pid_t owner,
                 struct child_report *report)
{
    int r = server_new(s, o, report->text, sizeof report->text);
    if (r == 0)
        r = watch_owner(*s, owner);
    if (r == 0)
        r = server_listen(*s, path, report->text, sizeof report->text);
    if (r == 0)
        r = pool_begin(*s, report->text, sizeof report->text);
    return r;
}

_Noreturn static void child(const mp_manager_start_opts *opts, const char *path, pid_t owner,
                            int fd)
{
    struct child_report report = {0};
    struct options o;
    struct server *s = NULL;
    signal(SIGPIPE, SIG_IGN);
    logfmt_open("off", NULL);
    options_defaults(&o);
    o.types = opts->types;
    o.max_clients = opts->max_clients ? opts->max_clients : o.max_clients;
    o.own_tasks = opts->workers != 0;
    o.workers = opts->workers > 0 ? (size_t)opts->workers : 0;
    report.err = begin(&s, &o, path, owner, &report);
    int r = child_tell(fd, &report) && report.err == 0 ? server_run(s) : report.err;
    if (s && report.err == 0) {
        char lock[MP__SOCKET_PATH + 8]; // nobody else will ever want this place
        snprintf(lock, sizeof lock, "%s.lock", path);
        unlink(lock);
    }
    server_free(s);
    mp__fork_exit(r < 0);
}

// ---- the owner -----------------------------------------------------------------------

static int choose_path(char path[MP__SOCKET_PATH], const char *wish)
{
    char name[64];
    uint64_t random;
    if (wish)
        return strchr(wish, '/') ? mp__socket_path(path, wish) : MP_EINVAL;
    if (getrandom(&random, sizeof random, 0) != sizeof random)
        return -errno;
    snprintf(name, sizeof name, "own-%d-%016llx", (int)getpid(), (unsigned long long)random);
    return mp__socket_path(path, name);
}

static int fork_server(mp_manager_process *p, const mp_manager_start_opts *opts,
                       struct child_report *report)
{
    pid_t owner = getpid();
    int fd;
    p->pid = child_fork(&fd, report);
    if (p->pid == 0)
        child(opts, p->path, owner, fd);
    if (p->pid > 0)
        p->pidfd = mp__pidfd_open(p->pid);
    return p->pid < 0 ? (int)p->pid : p->pidfd < 0 ? p->pidfd : 0;
}

int mp_manager_start(mp_manager_process **out, const mp_manager_start_opts *opts)
{
    static const mp_manager_start_opts defaults;
    struct child_report report = {0};
    if (!out)
        return MP_EINVAL;
    *out = NULL;
    opts = opts ? opts : &defaults;
    mp_manager_process *p = calloc(1, sizeof *p);
    if (!p)
        return -ENOMEM;
    p->pidfd = -1;
    p->owner = mp__fork_token();
    int r = opts->workers < -1 || opts->workers > 1024 ? MP_EINVAL : 0;
    if (r == 0)
        r = p->owner ? choose_path(p->path, opts->path) : -ENOMEM;
    if (r == 0)
        r = fork_server(p, opts, &report);
    if (r < 0) {
        if (opts->error && opts->error_size)
            snprintf(opts->error, opts->error_size, "%s",
                     *report.text ? report.text : mp_strerror(r));
        mp_manager_process_free(p);
        return r;
    }
    *out = p;
    return 0;
}

const char *mp_manager_process_path(const mp_manager_process *p)
{
    return p ? p->path : NULL;
}

int mp_manager_process_stop(mp_manager_process *p, int timeout_ms)
{
    int code;
    if (!p || timeout_ms < MP_FOREVER)
        return MP_EINVAL;
    if (!mp__fork_is_mine(p->owner))
        return MP_EOWNER;
    if (p->ended || p->pidfd < 0)
        return 0;
    mp__pidfd_kill(p->pidfd, SIGTERM);
    if (mp__pidfd_wait(p->pidfd, mp__deadline_in(timeout_ms)) < 0) {
        mp__pidfd_kill(p->pidfd, SIGKILL);
        mp__pidfd_wait(p->pidfd, MP__NEVER);
    }
    mp__pidfd_reap(p->pidfd, &code, NULL);
    p->ended = true;
    return 0;
}

void mp_manager_process_free(mp_manager_process *p)
{
    if (!p)
        return;
    (void)mp_manager_process_stop(p, 1000);
    if (p->pidfd >= 0)
        close(p->pidfd);
    free(p);
}
