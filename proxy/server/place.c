// SPDX-License-Identifier: MIT
#include "place.h"

#include "wire/frame.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define LOCK_TRIES 20 // of 5 ms
#define PROBE_MS   100

static int directory_length(const char *path)
{
    return (int)(strrchr(path, '/') - path);
}

// A lock on the directory: nobody of ours looks and removes at the same time. Somebody else may
// hold it for ever; then it is done without, and the move is safe still. -1: there is none.
static int lock_directory(const char *path)
{
    char dir[108];
    int n = directory_length(path);
    snprintf(dir, sizeof dir, "%.*s", n ? n : 1, path);
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; fd >= 0 && i < LOCK_TRIES && flock(fd, LOCK_EX | LOCK_NB) < 0; i++)
        usleep(5000);
    return fd;
}

// Says half a hello and, if the listener is a foreign one, the rest: libnng 1.5.2 stops to
// listen for ever when somebody connects and says nothing.
static void part_politely(int fd)
{
    uint8_t hello[MP__HELLO], theirs[MP__HELLO];
    struct pollfd p = {.fd = fd, .events = POLLIN};
    mp__hello_write(hello, 0x10);
    if (send(fd, hello, MP__HELLO_COMMON, MSG_NOSIGNAL) == MP__HELLO_COMMON &&
        poll(&p, 1, PROBE_MS) > 0 &&
        recv(fd, theirs, sizeof theirs, MSG_DONTWAIT) == (ssize_t)sizeof theirs)
        (void)!send(fd, hello + MP__HELLO_COMMON, MP__HELLO - MP__HELLO_COMMON, MSG_NOSIGNAL);
}

static bool somebody_listens(const char *path)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return true; // cannot be known
    snprintf(sa.sun_path, sizeof sa.sun_path, "%s", path);
    int r = connect(fd, (struct sockaddr *)&sa, sizeof sa);
    bool dead = r < 0 && errno == ECONNREFUSED;
    if (r == 0)
        part_politely(fd);
    close(fd);
    return !dead;
}

static int clear_way(const char *path, char *text, size_t size)
{
    struct stat st;
    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISSOCK(st.st_mode)) {
        snprintf(text, size, "there is a file that is no socket, which is not removed");
        return -EEXIST;
    }
    if (somebody_listens(path)) {
        snprintf(text, size, "the address is in use: somebody listens there");
        return -EADDRINUSE;
    }
    if (st.st_uid != geteuid()) {
        snprintf(text, size, "there is a dead socket of another user, which is not removed");
        return -EEXIST;
    }
    return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

int place_prepare(struct place *p, const char *path, char *text, size_t size)
{
    uint32_t random;
    *text = '\0';
    *p = (struct place){.ino = 0};
    snprintf(p->path, sizeof p->path, "%s", path);
    if (getrandom(&random, sizeof random, 0) != sizeof random)
        return -EAGAIN;
    int n = snprintf(p->temporary, sizeof p->temporary, "%.*s/.mp%06x", directory_length(path),
                     path, random & 0xffffff);
    if (n >= (int)sizeof p->temporary) {
        snprintf(text, size, "its directory's path is too long: use a shorter one");
        return -ENAMETOOLONG;
    }
    int lock = lock_directory(path);
    int err = lock < 0 && errno != EACCES ? -errno : clear_way(path, text, size);
    if (lock >= 0)
        close(lock);
    if (err && !*text)
        snprintf(text, size, "%s", strerror(-err));
    return err;
}

int place_take(struct place *p, char *text, size_t size)
{
    struct stat st;
    int err = 0;
    if (lstat(p->temporary, &st) < 0 ||
        syscall(SYS_renameat2, AT_FDCWD, p->temporary, AT_FDCWD, p->path, 1 /* NOREPLACE */) < 0)
        err = -errno;
    if (err == -EEXIST)
        err = -EADDRINUSE; // somebody was quicker
    if (err)
        snprintf(text, size, "%s", strerror(-err));
    p->dev = st.st_dev;
    p->ino = err ? 0 : st.st_ino;
    return err;
}

void place_leave(struct place *p)
{
    struct stat st;
    if (!p->ino)
        return;
    int lock = lock_directory(p->path);
    if (lstat(p->path, &st) == 0 && st.st_dev == p->dev && st.st_ino == p->ino)
        unlink(p->path);
    if (lock >= 0)
        close(lock);
    p->ino = 0;
}
