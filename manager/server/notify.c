// SPDX-License-Identifier: MIT
//
// A watchdog that only shows that the loop goes round would hide what matters: whether somebody
// who comes now is let in and gets his answer. So each sign of life is a whole visit: connect,
// hello, a call, its reply.
#include "notify.h"

#include "logfmt.h"
#include "server.h"
#include "wire/calls.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void notify(const char *state)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    const char *path = getenv("NOTIFY_SOCKET");
    size_t n = path ? strlen(path) : 0;
    if (n == 0 || n >= sizeof sa.sun_path || (path[0] != '/' && path[0] != '@'))
        return;
    memcpy(sa.sun_path, path, n);
    if (path[0] == '@')
        sa.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    if (sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&sa,
               size) < 0)
        logfmt(MP_LOG_WARN, "notify_failed", "errno=%d", errno);
    close(fd);
}

enum { PING = MP__HELLO + MP__FRAME + MP__OPEN }; // what comes before the answer

struct watchdog {
    struct server *server;
    int every_ms;
    int fd;
    mp_watch *watch;
    size_t heard;
};

static void visit(void *arg);

static void leave(struct watchdog *w)
{
    mp_watch_close(w->watch);
    w->watch = NULL;
    if (w->fd >= 0)
        close(w->fd);
    w->fd = -1;
}

// Anything behind the greeting is the answer: a refusal would have ended the connection.
static void on_answer(mp_watch *watch, int events, void *arg)
{
    struct watchdog *w = arg;
    char buf[512];
    (void)watch;
    (void)events;
    ssize_t n = recv(w->fd, buf, sizeof buf, MSG_DONTWAIT);
    if (n > 0)
        w->heard += (size_t)n;
    if (n > 0 && w->heard <= PING + MP__FRAME)
        return;
    if (n > 0)
        notify("WATCHDOG=1");
    else
        logfmt(MP_LOG_ERROR, "watchdog", "reason=\"the daemon does not answer itself\"");
    leave(w);
}

static size_t write_visit(uint8_t *p)
{
    static const struct mp__open open_frame = {MP__WIRE_VERSION, 0x10, 0, 1024, {0}};
    mp_buf call = {.data = p + PING + MP__FRAME, .capacity = 64, .borrowed = true, .fixed = true};
    mp__hello_write(p, MP__PROTOCOL_MP);
    mp__frame_write(p + MP__HELLO, MP__FRAME_OPEN, MP__OPEN);
    mp__open_write(p + MP__HELLO + MP__FRAME, &open_frame);
    if (mp_pack(&call, "[iiii]", 1, MP__OP(MANAGER, ping), 0, 0) < 0)
        return 0;
    mp__frame_write(p + PING, MP__FRAME_MESSAGE, call.size);
    return PING + MP__FRAME + call.size;
}

static int go(struct watchdog *w)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    uint8_t say[PING + MP__FRAME + 64];
    size_t n = write_visit(say);
    snprintf(sa.sun_path, sizeof sa.sun_path, "%s", w->server->place.path);
    w->heard = 0;
    w->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (w->fd < 0 || connect(w->fd, (struct sockaddr *)&sa, sizeof sa) < 0 ||
        send(w->fd, say, n, MSG_NOSIGNAL) != (ssize_t)n)
        return -errno;
    return mp_loop_add_fd(w->server->loop, &w->watch, w->fd, MP_LOOP_READ, on_answer, w);
}

static void visit(void *arg)
{
    struct watchdog *w = arg;
    leave(w); // of the visit before, which got no answer
    int r = go(w);
    if (r == -EMFILE || r == -ENFILE)
        notify("WATCHDOG=1"); // those who are in are served
    if (r < 0)
        leave(w);
    if (mp_loop_call_later(w->server->loop, w->every_ms, visit, w) < 0)
        logfmt(MP_LOG_ERROR, "watchdog", "reason=\"no memory\"");
}

struct watchdog *watchdog_begin(struct server *s)
{
    const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    long long us = usec ? atoll(usec) : 0;
    if (us < 3000 || (pid && atoll(pid) != getpid()))
        return NULL;
    struct watchdog *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->server = s;
    w->fd = -1;
    w->every_ms = us / 3000 < 60000 ? (int)(us / 3000) : 60000;
    visit(w);
    return w;
}

void watchdog_end(struct watchdog *w)
{
    if (w)
        leave(w);
    free(w);
}
