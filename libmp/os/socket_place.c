// SPDX-License-Identifier: MIT
//
// A socket file is as safe as the directories above it: who may write there can put his own
// in its place. So the directory is opened once, without following a link, and what was
// opened is what is judged. Two levels are enough: the one that is ours alone, and the one
// in which somebody could have made it before us.
#include "os/socket_place.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <mp/error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_MAX_LENGTH 64

bool mp__socket_name_ok(const char *name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789._-";
    size_t n = strlen(name);
    return n >= 1 && n <= NAME_MAX_LENGTH && name[0] != '.' && strspn(name, allowed) == n;
}

// The directory in which ours is, and what ours is called there.
static const char *base_directory(const char **ours)
{
    struct stat st;
    static _Thread_local char own[32];
    const char *dir = secure_getenv("XDG_RUNTIME_DIR");
    *ours = "mp";
    if (dir && dir[0] == '/' && stat(dir, &st) == 0 && st.st_uid == geteuid())
        return dir;
    snprintf(own, sizeof own, "mp-%u", (unsigned)geteuid());
    *ours = own;
    dir = secure_getenv("TMPDIR");
    return dir && dir[0] == '/' ? dir : "/tmp";
}

int mp__socket_path(char path[MP__SOCKET_PATH], const char *name)
{
    char cwd[PATH_MAX] = "";
    int n;
    if (strchr(name, '/')) {
        if (name[0] != '/' && !getcwd(cwd, sizeof cwd))
            return -errno;
        n = snprintf(path, MP__SOCKET_PATH, "%s%s%s", cwd, *cwd ? "/" : "", name);
    } else {
        const char *ours, *base = base_directory(&ours);
        if (!mp__socket_name_ok(name))
            return MP_EINVAL;
        n = snprintf(path, MP__SOCKET_PATH, "%s/%s/%s.sock", base, ours, name);
    }
    return n > 0 && n < MP__SOCKET_PATH && path[n - 1] != '/' ? 0 : MP_EINVAL;
}

// A directory that others may write to is safe only above ours, and sticky.
static int judge(int fd, bool above, const char **why)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (st.st_uid != geteuid() && st.st_uid != 0) {
        *why = above ? "the directory above belongs to another user"
                     : "its directory belongs to another user";
        return MP_EUNSAFE;
    }
    bool sticky = above && (st.st_mode & S_ISVTX);
    if ((st.st_mode & (S_IWGRP | S_IWOTH)) && !sticky) {
        *why = above ? "others may write to the directory above its own"
                     : "others may write to its directory";
        return MP_EUNSAFE;
    }
    return 0;
}

int mp__socket_directory(const char *path, bool make, const char **why)
{
    char dir[MP__SOCKET_PATH];
    *why = "";
    snprintf(dir, sizeof dir, "%s", path);
    char *slash = strrchr(dir, '/');
    if (!slash)
        return MP_EINVAL;
    slash[slash == dir] = '\0';
    if (make && mkdir(dir, 0700) < 0 && errno != EEXIST)
        return -errno;
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        *why = "its directory is a link, or none";
        return errno == ELOOP || errno == ENOTDIR ? MP_EUNSAFE : -errno;
    }
    int above = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = above < 0 ? -errno : judge(above, true, why);
    if (above >= 0)
        close(above);
    if (r == 0)
        r = judge(fd, false, why);
    if (r < 0) {
        close(fd);
        return r;
    }
    return fd;
}
