// SPDX-License-Identifier: MIT
//
// A lock beside the socket decides whose the place is, before anybody looks at the socket: it
// is the kernel's (flock), so it ends with its owner however that died, and nobody has to
// connect to a living daemon to find out whether it lives. Who has the lock may remove a
// socket that is left over; who has not goes away. The lock file itself stays for ever: if it
// were removed, two daemons could hold locks on two files of the same name.
#include "place.h"

#include <errno.h>
#include <fcntl.h>
#include <mp/error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 1024

static void say(char *text, size_t size, const char *what)
{
    snprintf(text, size, "%s", what);
}

// Who has the lock wrote its pid into it.
static void name_owner(int lock, char *text, size_t size)
{
    char buf[32];
    ssize_t n = pread(lock, buf, sizeof buf - 1, 0);
    buf[n > 0 ? n : 0] = '\0';
    long pid = strtol(buf, NULL, 10);
    if (pid > 0)
        snprintf(text, size, "in use by pid %ld", pid);
    else
        snprintf(text, size, "in use by another daemon");
}

static int take_lock(struct place *p, char *text, size_t size)
{
    char path[MP__SOCKET_PATH + 8], pid[32];
    snprintf(path, sizeof path, "%s.lock", p->path);
    p->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (p->lock < 0)
        return -errno;
    if (flock(p->lock, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK)
            return -errno;
        name_owner(p->lock, text, size);
        return -EADDRINUSE;
    }
    int n = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    if (ftruncate(p->lock, 0) < 0 || pwrite(p->lock, pid, (size_t)n, 0) != n)
        return -errno;
    return 0;
}

// Somebody may listen there without a lock: another program.
static bool somebody_listens(const struct sockaddr_un *sa)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return true;
    int r = connect(fd, (const struct sockaddr *)sa, sizeof *sa);
    bool refused = r < 0 && errno == ECONNREFUSED;
    close(fd);
    return !refused;
}

static int clear_way(const struct sockaddr_un *sa, char *text, size_t size)
{
    struct stat st;
    if (lstat(sa->sun_path, &st) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISSOCK(st.st_mode) || st.st_uid != geteuid()) {
        say(text, size, "there is a file that is no socket of this user's; it is not removed");
        return -EEXIST;
    }
    if (somebody_listens(sa)) {
        say(text, size, "another program listens there");
        return -EADDRINUSE;
    }
    return unlink(sa->sun_path) < 0 && errno != ENOENT ? -errno : 0;
}

static int listen_there(struct place *p, const struct sockaddr_un *sa)
{
    struct stat st;
    p->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (p->listener < 0)
        return -errno;
    mode_t before = umask(077);
    int r = bind(p->listener, (const struct sockaddr *)sa, sizeof *sa) < 0 ? -errno : 0;
    umask(before);
    if (r == 0 && (lstat(p->path, &st) < 0 || listen(p->listener, BACKLOG) < 0))
        r = -errno;
    if (r == 0) {
        p->dev = st.st_dev;
        p->ino = st.st_ino;
    }
    return r;
}

int place_take(struct place *p, const char *path, char *text, size_t size)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    const char *why;
    *p = (struct place)PLACE_NONE;
    *text = '\0';
    snprintf(p->path, sizeof p->path, "%s", path);
    memcpy(sa.sun_path, p->path, sizeof sa.sun_path);
    int dir = mp__socket_directory(path, true, &why);
    int r = dir < 0 ? dir : 0;
    if (dir >= 0)
        close(dir);
    else if (*why)
        say(text, size, why);
    if (r == 0)
        r = take_lock(p, text, size);
    if (r == 0)
        r = clear_way(&sa, text, size);
    if (r == 0)
        r = listen_there(p, &sa);
    if (r < 0) {
        if (!*text)
            say(text, size, mp_strerror(r));
        place_leave(p);
    }
    return r;
}

void place_leave(struct place *p)
{
    struct stat st;
    if (p->listener >= 0)
        close(p->listener);
    if (p->ino && lstat(p->path, &st) == 0 && st.st_dev == p->dev && st.st_ino == p->ino)
        unlink(p->path);
    if (p->lock >= 0)
        close(p->lock);
    *p = (struct place)PLACE_NONE;
}
