// SPDX-License-Identifier: MIT
//
// A malloc() that fails when a test wants it to: once, after `left` calls, or, with for_good, from
// there on. Whoever includes it says by on_failure() what is to be noted then, and by MALLOC_SEEN
// whether shared libraries are to have it as well.
#ifndef MPTEST_NO_MALLOC_H
#define MPTEST_NO_MALLOC_H

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#ifndef MALLOC_SEEN
#define MALLOC_SEEN
#endif

static long left = -1; // calls until one fails; -1: none does
static bool for_good;

static void on_failure(void);

static bool fails(void)
{
    if (left < 0)
        return false;
    if (left > 0) {
        left--;
        return false;
    }
    left = for_good ? 0 : -1;
    on_failure();
    errno = ENOMEM;
    return true;
}

void *__libc_malloc(size_t size);           // NOLINT: the C library's names
void *__libc_calloc(size_t n, size_t size); // NOLINT
void *__libc_realloc(void *p, size_t size); // NOLINT

MALLOC_SEEN void *malloc(size_t size)
{
    return fails() ? NULL : __libc_malloc(size);
}

MALLOC_SEEN void *calloc(size_t n, size_t size)
{
    return fails() ? NULL : __libc_calloc(n, size);
}

MALLOC_SEEN void *realloc(void *p, size_t size)
{
    return fails() ? NULL : __libc_realloc(p, size);
}

#endif
