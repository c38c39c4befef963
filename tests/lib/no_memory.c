// SPDX-License-Identifier: MIT
//
// Preloaded into a program, lets malloc() fail: at call NO_MEMORY_AT, from 0, and with a "+"
// behind the number at all that follow. A file "failed" is made in the working directory when
// one did. What the program starts is spared.
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#define SEEN __attribute__((visibility("default")))

void *__libc_malloc(size_t size);           // NOLINT: the C library's names
void *__libc_calloc(size_t n, size_t size); // NOLINT
void *__libc_realloc(void *p, size_t size); // NOLINT

static long left = -1; // calls until one fails; -1: none does
static bool for_good;

static bool fails(void)
{
    if (left < 0)
        return false;
    if (left > 0) {
        left--;
        return false;
    }
    left = for_good ? 0 : -1;
    int fd = open("failed", O_CREAT | O_WRONLY | O_CLOEXEC, 0666);
    if (fd >= 0)
        close(fd);
    errno = ENOMEM;
    return true;
}

SEEN void *malloc(size_t size)
{
    return fails() ? NULL : __libc_malloc(size);
}

SEEN void *calloc(size_t n, size_t size)
{
    return fails() ? NULL : __libc_calloc(n, size);
}

SEEN void *realloc(void *p, size_t size)
{
    return fails() ? NULL : __libc_realloc(p, size);
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
