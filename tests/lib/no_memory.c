// SPDX-License-Identifier: MIT
//
// Preloaded into a program, lets malloc() fail: at call NO_MEMORY_AT, from 0, and with a "+"
// behind the number at all that follow. A file "failed" is made in the working directory when
// one did. What the program starts is spared.
#define MALLOC_SEEN __attribute__((visibility("default")))
#include "no_malloc.h"

#include <fcntl.h>
#include <unistd.h>

static void on_failure(void)
{
    int fd = open("failed", O_CREAT | O_WRONLY | O_CLOEXEC, 0666);
    if (fd >= 0)
        close(fd);
}

__attribute__((constructor)) static void begin(void)
{
    const char *at = getenv("NO_MEMORY_AT");
    char *end = NULL;
    long n = at ? strtol(at, &end, 10) : -1;
    for_good = end && *end == '+';
    unsetenv("LD_PRELOAD");
    left = n;
}
