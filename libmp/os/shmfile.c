// SPDX-License-Identifier: MIT
#include "os/shmfile.h"
#include "os/memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <mp/error.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIRECTORY "/dev/shm"
#define LONGEST   64

bool mp__shmfile_is_name(const char *name)
{
    static const char good[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    if (!name || *name == '.')
        return false;
    size_t len = strnlen(name, LONGEST + 1);
    return len > 0 && len <= LONGEST && strspn(name, good) == len;
}

static void path_of(char *path, size_t size, const char *name)
{
    snprintf(path, size, DIRECTORY "/mp-%u-%s", (unsigned)geteuid(), name);
}

int mp__shmfile_new(size_t size)
{
    int fd = open(DIRECTORY, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    // Whatever the umask is.
    int r = fchmod(fd, 0600) < 0 ? -errno : mp__memfd_resize(fd, size);
    if (r == 0)
        return fd;
    close(fd);
    return r;
}

int mp__shmfile_publish(int fd, const char *name)
{
    char from[40], path[128];
    snprintf(from, sizeof from, "/proc/self/fd/%d", fd);
    path_of(path, sizeof path, name);
    return linkat(AT_FDCWD, from, AT_FDCWD, path, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
}

int mp__shmfile_check(int fd)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return MP_EFORMAT;
    if (st.st_uid != geteuid())
        return MP_EUNSAFE;
    // A memfd has no name, and no mode that means anything: it must be sealed.
    int seals = fcntl(fd, F_GET_SEALS);
    bool sealed = seals >= 0 && (seals & F_SEAL_SHRINK);
    return sealed || (st.st_mode & 077) == 0 ? 0 : MP_EUNSAFE;
}

int mp__shmfile_open(const char *name)
{
    char path[128];
    path_of(path, sizeof path, name);
    // Not to be held up by what is no plain file.
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        switch (errno) {
        case ENOENT:
            return MP_ENOTFOUND;
        case ELOOP:
        case EACCES:
        case EPERM:
        case EISDIR:
        case ENXIO:
        case ENODEV:
            return MP_EUNSAFE;
        default:
            return -errno;
        }
    }
    int r = mp__shmfile_check(fd);
    if (r == 0)
        return fd;
    close(fd);
    return r == MP_EFORMAT ? MP_EUNSAFE : r;
}

int mp__shmfile_unlink(const char *name)
{
    char path[128];
    path_of(path, sizeof path, name);
    if (unlink(path) == 0)
        return 0;
    if (errno == ENOENT)
        return MP_ENOTFOUND;
    return errno == EPERM || errno == EACCES || errno == EISDIR ? MP_EUNSAFE : -errno;
}
