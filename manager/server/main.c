// SPDX-License-Identifier: MIT
//
// mpmanager: a server, its options, and its place in the system.
#include "base/clock.h"
#include "logfmt.h"
#include "notify.h"
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <mp/error.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

// As in sysexits.h.
enum { OK = 0, MISUSE = 64, OS_ERROR = 71, IN_USE = 73, BAD_CONFIG = 78 };

#define METRICS_MS 10000

struct daemon {
    int argc;
    char **argv;
    struct options options;
    struct server *server;
    int ready; // who waits for us to be ready reads the other end; -1
};

static int complain(const char *what, const char *why)
{
    fprintf(stderr, "mpmanager: %s%s%s\n", what, *what ? ": " : "", why);
    return -1;
}

// ---- in the background ---------------------------------------------------------------

// Waits until the daemon can be connected to, or has ended.
static int await_ready(int fd, pid_t pid)
{
    char byte;
    int status;
    ssize_t n;
    do
        n = read(fd, &byte, 1);
    while (n < 0 && errno == EINTR);
    if (n == 1)
        return OK;
    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
        return OS_ERROR;
    return WEXITSTATUS(status);
}

static void go_background(struct daemon *d)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0) {
        complain("", strerror(errno));
        exit(OS_ERROR);
    }
    pid_t pid = fork();
    if (pid < 0) {
        complain("", strerror(errno));
        exit(OS_ERROR);
    }
    if (pid > 0) {
        close(fds[1]);
        _exit(await_ready(fds[0], pid));
    }
    close(fds[0]);
    d->ready = fds[1];
    setsid();
}

// From now on nobody's terminal, nor his pipes.
static void let_go(struct daemon *d)
{
    if (d->ready < 0)
        return;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; null >= 0 && fd < 3; fd++)
        dup2(null, fd);
    if (null > 2)
        close(null);
    if (write(d->ready, "", 1) < 0)
        logfmt(MP_LOG_WARN, "starter_gone", "errno=%d", errno);
    close(d->ready);
    d->ready = -1;
}

// ---- signals, reload, metrics --------------------------------------------------------

static int reload(void *arg, char *text, size_t size)
{
    struct daemon *d = arg;
    char quoted[LOGFMT_QUOTED];
    notify("RELOADING=1");
    int r = options_reload(&d->options, d->argc, d->argv, text, size);
    if (r == 0 && logfmt_open(d->options.log_level, d->options.log_file) < 0) {
        snprintf(text, size, "log-level or log-file cannot be used");
        r = -1;
    }
    if (r == 0)
        server_new_options(d->server);
    logfmt(r < 0 ? MP_LOG_ERROR : MP_LOG_INFO, "reload", "ok=%s %s=%s", r < 0 ? "no" : "yes",
           r < 0 ? "reason" : "needs_restart", logfmt_quote(quoted, text));
    notify("READY=1");
    return r < 0 ? MP_EINVAL : 0;
}

static void on_hup(mp_watch *w, int sig, void *arg)
{
    char text[400];
    (void)w;
    (void)sig;
    (void)!reload(arg, text, sizeof text);
}

static void on_term(mp_watch *w, int sig, void *arg)
{
    struct daemon *d = arg;
    (void)w;
    logfmt(MP_LOG_INFO, "signal", "signal=%d", sig);
    server_stop(d->server, false);
}

// The old file or the new one, never half of it.
static void write_metrics(const struct server *s, const char *file)
{
    static char text[32768];
    char temporary[4096];
    size_t n = admin_metrics(s, text, sizeof text);
    if (snprintf(temporary, sizeof temporary, "%s.new", file) >= (int)sizeof temporary)
        return;
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    bool ok = fd >= 0 && write(fd, text, n) == (ssize_t)n;
    if (fd >= 0)
        close(fd);
    if (!ok || rename(temporary, file) < 0)
        logfmt(MP_LOG_WARN, "metrics", "errno=%d", errno);
}

static void on_metrics(void *arg)
{
    struct daemon *d = arg;
    if (d->options.metrics_file)
        write_metrics(d->server, d->options.metrics_file);
    if (mp_loop_call_later(d->server->loop, METRICS_MS, on_metrics, d) < 0)
        logfmt(MP_LOG_ERROR, "metrics", "reason=\"no memory\"");
}

static int watch_signals(struct daemon *d)
{
    static mp_watch *watches[3]; // as long as the loop
    mp_loop *loop = d->server->loop;
    int r = mp_loop_add_signal(loop, &watches[0], SIGHUP, on_hup, d);
    if (r == 0)
        r = mp_loop_add_signal(loop, &watches[1], SIGTERM, on_term, d);
    if (r == 0)
        r = mp_loop_add_signal(loop, &watches[2], SIGINT, on_term, d);
    return r;
}

// ---- the life ------------------------------------------------------------------------

static int place(struct daemon *d)
{
    char path[MP__SOCKET_PATH], text[400] = "";
    const char *name = d->options.socket ? d->options.socket : d->options.name;
    bool is_path = strchr(name, '/') != NULL;
    if (mp__socket_path(path, name) < 0 || is_path != (d->options.socket != NULL)) {
        complain(name, "is no name (A-Z a-z 0-9 . _ -, up to 64) or no path of a socket");
        return MISUSE;
    }
    int r = server_listen(d->server, path, text, sizeof text);
    if (r < 0) {
        complain(path, text);
        return r == -EADDRINUSE || r == -EEXIST ? IN_USE : BAD_CONFIG;
    }
    logfmt(MP_LOG_INFO, "listening", "path=%s pid=%d", path, (int)getpid());
    r = pool_begin(d->server, text, sizeof text);
    if (r < 0) {
        complain("tasks", text);
        return BAD_CONFIG;
    }
    r = remote_open(d->server, text, sizeof text);
    if (r < 0) {
        complain("", *text ? text : mp_strerror(r));
        return r == -EADDRINUSE ? IN_USE : BAD_CONFIG;
    }
    return OK;
}

static int serve(struct daemon *d)
{
    char text[400];
    int r = server_new(&d->server, &d->options, text, sizeof text);
    if (r < 0) {
        complain("", text);
        return r == MP_ESTATE                            ? IN_USE
               : d->options.dir || d->options.type.count ? BAD_CONFIG
                                                         : OS_ERROR;
    }
    r = watch_signals(d);
    if (r < 0) {
        complain("", mp_strerror(r));
        return OS_ERROR;
    }
    d->server->reload = reload;
    d->server->reload_arg = d;
    int code = place(d);
    if (code != OK)
        return code;
    on_metrics(d);
    let_go(d);
    notify("READY=1");
    struct watchdog *dog = watchdog_begin(d->server);
    r = server_run(d->server);
    if (r == 0 && d->server->failed)
        r = -EIO;
    notify("STOPPING=1");
    watchdog_end(dog);
    return r < 0 ? OS_ERROR : OK;
}

int main(int argc, char **argv)
{
    struct daemon d = {.argc = argc, .argv = argv, .ready = -1};
    char text[400] = "";
    int r = options_read(&d.options, argc, argv, text, sizeof text);
    bool ok = r == 0 && logfmt_open(d.options.log_level, d.options.log_file) == 0;
    if (!ok) {
        if (r <= 0)
            complain("", r < 0 ? text : "log-level or log-file cannot be used");
        int code = r > 0              ? (fflush(stdout) ? OS_ERROR : OK)
                   : d.options.config ? BAD_CONFIG
                                      : MISUSE;
        options_free(&d.options);
        return code;
    }
    signal(SIGPIPE, SIG_IGN);
    if (d.options.background)
        go_background(&d);
    int code = serve(&d);
    server_free(d.server);
    logfmt(MP_LOG_INFO, "ended", "code=%d", code);
    options_free(&d.options);
    return code;
}
