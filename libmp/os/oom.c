// SPDX-License-Identifier: MIT
#include "os/oom.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define MOST 16384 // bytes of /proc/vmstat: 200 lines of some 20

static size_t read_all(const char *path, char *buf, size_t size)
{
    size_t len = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    for (ssize_t n; len < size && (n = read(fd, buf + len, size - len)) > 0;)
        len += (size_t)n;
    close(fd);
    return len;
}

int64_t mp__oom_kills(void)
{
    static const char key[] = "\noom_kill ";
    char buf[MOST];
    size_t len = read_all("/proc/vmstat", buf, sizeof buf);
    const char *at = memmem(buf, len, key, sizeof key - 1), *end = buf + len;
    if (!at)
        return -1;
    int64_t n = 0;
    for (at += sizeof key - 1; at < end && *at >= '0' && *at <= '9'; at++)
        n = n * 10 + (*at - '0');
    return n;
}
