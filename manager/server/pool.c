// SPDX-License-Identifier: MIT
//
// The daemon's side of the pool: it is forked before the first client comes, and once more,
// a second later, if it ends. What it was at then has failed, by the end of its session; what
// waits goes on waiting, for the next. The first is waited for; the daemon, which serves others
// by then, waits for no later one: it hears at its end why it was not ready.
#include "pool.h"

#include "base/clock.h"
#include "child.h"
#include "logfmt.h"
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RESTART_MS = 1000, END_MS = 3000 };

static void on_restart(void *arg);

static void again(struct server *s)
{
    if (s->stopping)
        return;
    s->pool.restart = mp_loop_call_later(s->loop, RESTART_MS, on_restart, s);
    if (s->pool.restart < 0)
        logfmt(MP_LOG_ERROR, "pool", "reason=\"no memory\"");
}

static void on_end(mp_watch *w, int code, const struct rusage *usage, void *arg)
{
    struct server *s = arg;
    struct child_report report = {0};
    char quoted[LOGFMT_QUOTED];
    (void)w;
    (void)usage;
    (void)child_hear(s->pool.report, 0, &report); // the first's was heard before
    logfmt(MP_LOG_ERROR, "pool_ended", "pid=%d code=%d text=%s", (int)s->pool.pid, code,
           logfmt_quote(quoted, report.text));
    mp_watch_close(s->pool.watch);
    close(s->pool.report);
    close(s->pool.pidfd);
    s->pool.watch = NULL;
    s->pool.pid = 0;
    again(s);
}

// What a terminal sends to all is for the daemon, which ends it; and it does not outlive that.
static void settle_in(const struct options *o, pid_t daemon)
{
    sigset_t none;
    int null = o->background ? open("/dev/null", O_RDWR | O_CLOEXEC) : -1;
    for (int fd = 0; null >= 0 && fd < 3; fd++)
        dup2(null, fd); // whoever waits for the end of these waits for the daemon's start only
    sigemptyset(&none);
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGTERM, SIG_DFL);
    signal(SIGPIPE, SIG_DFL);
    pthread_sigmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != daemon)
        _exit(1);
}

static int start(struct server *s)
{
    const struct options *o = s->options;
    const struct pool_plan plan = {s->place.path, o->tasks.items, o->tasks.count, (int)o->workers};
    pid_t daemon = getpid();
    struct child_report report = {0};
    int fd;
    pid_t pid = child_begin(&fd);
    if (pid == 0) {
        settle_in(o, daemon);
        _exit(pool_host(&plan, fd, &report));
    }
    if (pid < 0)
        return (int)pid;
    s->pool.pid = pid;
    s->pool.report = fd;
    s->pool.pidfd = mp__pidfd_open(pid);
    int r = s->pool.pidfd < 0
                ? s->pool.pidfd
                : mp_loop_add_child(s->loop, &s->pool.watch, s->pool.pidfd, on_end, s);
    logfmt(r < 0 ? MP_LOG_ERROR : MP_LOG_INFO, "pool", "pid=%d error=%s", (int)pid,
           r < 0 ? mp_err_name(r) : "none");
    if (r < 0) { // nobody would hear of its end
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        close(fd);
        if (s->pool.pidfd >= 0)
            close(s->pool.pidfd);
        s->pool.pid = 0;
    }
    return r;
}

static void on_restart(void *arg)
{
    struct server *s = arg;
    s->pool.restart = 0;
    if (start(s) < 0)
        again(s);
}

int pool_begin(struct server *s, char *text, size_t size)
{
    struct child_report report = {0};
    if (s->options->tasks.count == 0 && !s->options->own_tasks)
        return 0;
    int r = start(s);
    if (r == 0)
        r = child_hear(s->pool.report, CHILD_READY_MS, &report);
    if (r < 0)
        snprintf(text, size, "%s", *report.text ? report.text : mp_strerror(r));
    return r;
}

bool pool_is(const struct server *s, pid_t pid)
{
    return pid > 0 && pid == s->pool.pid;
}

// Its session has ended, so it does; if it is stuck, it is helped.
void pool_end(struct server *s)
{
    int code;
    if (s->pool.pid == 0)
        return;
    mp_watch_close(s->pool.watch);
    if (mp__pidfd_wait(s->pool.pidfd, mp__deadline_in(END_MS)) < 0) {
        mp__pidfd_kill(s->pool.pidfd, SIGKILL);
        mp__pidfd_wait(s->pool.pidfd, MP__NEVER);
    }
    mp__pidfd_reap(s->pool.pidfd, &code, NULL);
    close(s->pool.pidfd);
    close(s->pool.report);
    s->pool.pid = 0;
}
