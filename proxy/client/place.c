// SPDX-License-Identifier: MIT
//
// The way to a manager. A local one is believed when nobody else could have put its socket
// there, and the process that listens is of this user, or root's.
//
// One that is not there is started, if that is wished. Several may find at once that it is not
// there, and all of them start one: the daemons settle it among themselves, by the lock beside
// the socket, and those that come second end and say so. Then their starters just connect.
#include "session.h"

#include "os/pidfd.h"
#include "os/program.h"
#include "os/socket_place.h"

#include <errno.h>
#include <limits.h>
#include <mp/spawn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CONNECT_MS 10000
#define RETRY_US   2000
#define IN_USE     73 // what a daemon that comes second ends with

// ---- where ---------------------------------------------------------------------------

static char *copy(const char *text, bool *failed)
{
    char *s = text ? strdup(text) : NULL;
    *failed = *failed || (text && !s);
    return s;
}

static int copy_url(mp_url_opts *to, const mp_url_opts *from)
{
    bool failed = false;
    *to = *from;
    to->key_file = copy(from->key_file, &failed);
    to->tls_ca = copy(from->tls_ca, &failed);
    to->tls_cert = copy(from->tls_cert, &failed);
    to->tls_key = copy(from->tls_key, &failed);
    to->tls_name = copy(from->tls_name, &failed);
    to->error = NULL;
    return failed ? -ENOMEM : 0;
}

int mp__whither_read(struct mp__whither *w, const char *where, const mp_manager_opts *o)
{
    static const mp_url_opts none;
    char path[MP__SOCKET_PATH];
    bool failed = false;
    where = where ? where : "default";
    memset(w, 0, sizeof *w);
    w->start = o->start;
    w->connect_ms = o->connect_ms ? o->connect_ms : CONNECT_MS;
    w->is_url = strstr(where, "://") && strncmp(where, "ipc://", 6) != 0;
    if (strncmp(where, "ipc://", 6) == 0)
        where += 6;
    int r = copy_url(&w->url, o->url ? o->url : &none);
    if (r == 0 && !w->is_url)
        r = mp__socket_path(path, where);
    if (r == 0) {
        w->where = copy(w->is_url ? where : path, &failed);
        w->name = copy(w->is_url || strchr(where, '/') ? NULL : where, &failed);
    }
    if (r < 0 || failed) {
        mp__whither_free(w);
        return r < 0 ? r : -ENOMEM;
    }
    return 0;
}

void mp__whither_free(struct mp__whither *w)
{
    const char *texts[] = {w->where,        w->name,        w->url.key_file, w->url.tls_ca,
                           w->url.tls_cert, w->url.tls_key, w->url.tls_name};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        free((char *)texts[i]);
    memset(w, 0, sizeof *w);
}

// ---- a local one ---------------------------------------------------------------------

static int check_listener(int fd)
{
    struct ucred who;
    socklen_t size = sizeof who;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) < 0)
        return -errno;
    return who.uid == geteuid() || who.uid == 0 ? 0 : MP_EUNSAFE;
}

static int open_socket(const char *path, mp__deadline d)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    const char *why;
    memcpy(sa.sun_path, path, strlen(path) + 1);
    int dir = mp__socket_directory(path, false, &why);
    if (dir < 0)
        return dir;
    close(dir);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int r = fd < 0 ? -errno : 0;
    while (r == 0 && connect(fd, (struct sockaddr *)&sa, sizeof sa) < 0) {
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN) // its queue is full: others come as well
            r = -errno;
        else if (mp__left_ns(d) == 0)
            r = MP_ETIMEDOUT;
        else
            usleep(RETRY_US);
    }
    if (r == 0)
        r = check_listener(fd);
    if (r == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return r;
}

static int connect_local(const char *path, struct mp__link *l, mp__deadline d)
{
    int fd = open_socket(path, d);
    if (fd < 0)
        return fd;
    int r = mp__link_greet(l, fd, d);
    if (r < 0)
        mp__link_release(l);
    return r;
}

// ---- starting one --------------------------------------------------------------------

static int find_program(char *path, size_t size, char *text, size_t text_size)
{
    static const char *const places[] = {MP__MANAGER_FROM_LIB, "mpmanager", "../bin/mpmanager",
                                         MP__MANAGER_INSTALLED, NULL};
    char tried[400];
    const char *wish = secure_getenv("MP_MANAGER");
    if (wish && *wish) {
        snprintf(path, size, "%s", wish);
        return 0;
    }
    int r = mp__program_find(path, size, places, tried, sizeof tried);
    if (r < 0)
        snprintf(text, text_size, "mpmanager was not found; looked for %s", tried);
    return r;
}

// The program that is started ends when the daemon it leaves behind can be connected to.
static int await_start(int pidfd, mp__deadline d, char *text, size_t size)
{
    int code = 0;
    int r = mp__pidfd_wait(pidfd, d);
    if (r == 0)
        r = mp__pidfd_reap(pidfd, &code, NULL);
    if (r < 0) {
        snprintf(text, size, "mpmanager was started, but is not ready: %s", mp_strerror(r));
        if (r == MP_ETIMEDOUT) {
            mp__pidfd_kill(pidfd, SIGKILL);
            mp__pidfd_wait(pidfd, mp__deadline_in(1000));
            mp__pidfd_reap(pidfd, &code, NULL);
        }
        return r == MP_ESTATUS ? 0 : r; // somebody else took its status: look for yourself
    }
    if (code == 0 || code == IN_USE)
        return 0;
    snprintf(text, size, "mpmanager ended with %d when it was started", code);
    return MP_EBROKEN;
}

static int start(const struct mp__whither *w, mp__deadline d, char *text, size_t size)
{
    char path[PATH_MAX];
    char *argv[] = {(char *)"mpmanager",          (char *)"--background",
                    (char *)"--exit-idle",        (char *)(w->name ? "--name" : "--socket"),
                    w->name ? w->name : w->where, NULL};
    int fds[3] = {MP_SPAWN_NULL, MP_SPAWN_NULL, MP_SPAWN_NULL}, pidfd = -1;
    int r = find_program(path, sizeof path, text, size);
    if (r == 0)
        r = mp_spawn(NULL, &pidfd, argv, &(mp_spawn_opts){.path = path, .fds = fds});
    if (r < 0) {
        if (!*text)
            snprintf(text, size, "%.200s cannot be started: %s", path, mp_strerror(r));
        return r;
    }
    r = await_start(pidfd, d, text, size);
    close(pidfd);
    return r;
}

static bool is_missing(int r)
{
    return r == -ENOENT || r == -ECONNREFUSED;
}

static int go_local(const struct mp__whither *w, struct mp__link *l, char *text, size_t size)
{
    mp__deadline d = mp__deadline_in(w->connect_ms);
    int r = connect_local(w->where, l, d);
    if (!is_missing(r) || !w->start)
        return r;
    r = start(w, d, text, size);
    if (r < 0)
        return r;
    // It may be another's, who has the lock and does not listen yet.
    while (is_missing(r = connect_local(w->where, l, d)) && mp__left_ns(d) > 0)
        usleep(RETRY_US);
    return r;
}

static int go_far(const struct mp__whither *w, struct mp__link *l, char *text, size_t size)
{
    mp_url_opts o = w->url;
    o.connect_ms = w->connect_ms;
    o.error = text;
    o.error_size = size;
    mp__link_init(l);
    return mp_connect(&l->pipe, w->where, &o);
}

int mp__whither_go(const struct mp__whither *w, struct mp__link *l, char *text, size_t size)
{
    *text = '\0';
    int r = w->is_url ? go_far(w, l, text, size) : go_local(w, l, text, size);
    if (r < 0 && !*text)
        snprintf(text, size, "no manager at %.120s: %s", w->where, mp_strerror(r));
    return r;
}
