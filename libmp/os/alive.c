// SPDX-License-Identifier: MIT
#include "os/alive.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct look {
    char state;
    long threads;
    unsigned long long start;
};

// Reads /proc/PID/stat. The name, in brackets, may hold anything, brackets too.
static bool look_at(pid_t pid, struct look *l)
{
    char path[32], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    const char *rest = strrchr(text, ')');
    // Field 3 is the state, 20 the number of threads, 22 the start.
    return rest && sscanf(rest + 1,
                          " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d"
                          " %*d %*d %ld %*d %llu",
                          &l->state, &l->threads, &l->start) == 3;
}

uint64_t mp__process_start_of(pid_t pid)
{
    struct look l;
    return look_at(pid, &l) ? l.start : 0;
}

long mp__process_threads(void)
{
    struct look l;
    return look_at(getpid(), &l) ? l.threads : 0;
}

bool mp__process_is_gone(pid_t pid, uint64_t start)
{
    if (kill(pid, 0) < 0 && errno == ESRCH)
        return true;
    struct look l;
    if (!look_at(pid, &l))
        return kill(pid, 0) < 0 && errno == ESRCH;
    if (start && l.start != start)
        return true;
    // A process whose first thread ended before the others looks like a zombie, too.
    return l.state == 'X' || (l.state == 'Z' && l.threads <= 1);
}
