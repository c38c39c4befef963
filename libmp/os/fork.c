// SPDX-License-Identifier: MIT
#include "os/fork.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <sys/mman.h>
#include <unistd.h>

static const uint64_t no_page; // what mp__fork_page points to before the first token
const uint64_t *mp__fork_page = &no_page;

static _Atomic(uint64_t *) page;

// Tokens differ along a line of descent, which is where handles are inherited: a
// child's is its parent's plus one in the upper half, and its pid in the lower.
static uint64_t generation = 1;

static uint64_t *make_page(void)
{
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    uint64_t *other = NULL;
    uint64_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    if (madvise(p, size, MADV_WIPEONFORK) < 0) {
        munmap(p, size);
        return NULL;
    }
    if (atomic_compare_exchange_strong(&page, &other, p))
        return p;
    munmap(p, size); // another thread was first
    return other;
}

static uint64_t *get_page(void)
{
    uint64_t *p = atomic_load(&page);
    if (!p)
        p = make_page();
    if (p) // whoever made it: nobody goes on before it is in use
        __atomic_store_n(&mp__fork_page, p, __ATOMIC_RELEASE);
    return p;
}

uint64_t mp__fork_token(void)
{
    uint64_t *p = get_page();
    if (!p)
        return 0;
    uint64_t seen = __atomic_load_n(p, __ATOMIC_ACQUIRE);
    if (seen)
        return seen;
    // First use in this process: of two threads one wins, both get the same.
    uint64_t mine =
        (__atomic_add_fetch(&generation, 1, __ATOMIC_RELAXED) << 32) | (uint32_t)getpid();
    if (__atomic_compare_exchange_n(p, &seen, mine, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return mine;
    return seen;
}

// Most processes have nothing to flush, and fflush() is three pages of the C library.
static void flush(void)
{
    if (__fpending(stdout))
        fflush(stdout);
    if (__fpending(stderr))
        fflush(stderr);
}

pid_t mp__fork(void)
{
    flush();
    pid_t pid = fork();
    if (pid < 0)
        return -errno;
    if (pid == 0)
        mp__fork_token();
    return pid;
}

_Noreturn void mp__fork_exit(int code)
{
    flush();
    _exit(code & 0xff);
}
