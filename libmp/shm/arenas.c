// SPDX-License-Identifier: MIT
//
// The arenas that this process has: making and dropping them, and finding the one that an
// address belongs to.
//
// The own arena holds objects for which nobody named another. It is counted, made with
// the first and gone with the last. A forked child finds its parent's in place, and leaves
// it alone: what the child makes goes into an own arena of its own, so that its memory
// goes when the child does.
//
// Where a counted arena was, there are zeros to read afterwards, and the next one comes
// to the same address. So who uses an object after its end is told that it is none.
#include "os/fork.h"
#include "os/memfd.h"
#include "shm/arena.h"
#include "shm/life.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define DEFAULT_MAX ((size_t)64 << 30)

// The arenas of this process. A fork takes the lock, so that the child finds the
// list whole.
static mp_arena *registry;
static uint64_t youngest;
static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t registry_once = PTHREAD_ONCE_INIT;
static _Atomic unsigned departures = 1; // arenas that left; what a thread remembers ends then

// Guarded by registry_lock, too.
static mp_arena *own; // of the process with this fork token
static uint64_t own_of;
static struct {
    void *base;
    size_t size;
} vacated; // where a counted arena was

void mp__arenas_lock(void)
{
    pthread_mutex_lock(&registry_lock);
}

void mp__arenas_unlock(void)
{
    pthread_mutex_unlock(&registry_lock);
}

static void watch_forks(void)
{
    pthread_atfork(mp__arenas_lock, mp__arenas_unlock, mp__arenas_unlock);
}

static void enter_locked(mp_arena *a)
{
    a->number = ++youngest;
    a->refs = 1;
    a->next = registry;
    registry = a;
}

static void leave_locked(mp_arena *a)
{
    for (mp_arena **at = &registry; *at; at = &(*at)->next) {
        if (*at == a) {
            *at = a->next;
            break;
        }
    }
    if (a == own)
        own = NULL;
    atomic_fetch_add(&departures, 1);
}

uint64_t mp__arena_youngest(void)
{
    mp__arenas_lock();
    uint64_t number = youngest;
    mp__arenas_unlock();
    return number;
}

bool mp__arena_shares(const void *ptr, size_t size, uint64_t up_to)
{
    bool shares = false;
    mp__arenas_lock();
    for (mp_arena *a = registry; a && !shares; a = a->next)
        shares = a->number <= up_to && mp_arena_contains(a, ptr, size);
    mp__arenas_unlock();
    return shares;
}

static mp_arena *find(const void *base)
{
    mp__arenas_lock();
    mp_arena *a = registry;
    while (a && a->head != base)
        a = a->next;
    mp__arenas_unlock();
    return a;
}

// What this thread found last, by some bits of the base.
struct memory {
    const void *base;
    mp_arena *arena;
    unsigned departures;
};

mp_arena *mp__arena_at(const void *base)
{
    static __thread struct memory memory[4] __attribute__((tls_model("initial-exec")));
    struct memory *m = &memory[((uintptr_t)base * UINT64_C(0x9e3779b97f4a7c15)) >> 62];
    unsigned now = atomic_load_explicit(&departures, memory_order_relaxed);
    if (m->base != base || m->departures != now || !m->arena)
        *m = (struct memory){base, find(base), now};
    return m->arena;
}

// The default is a lot of address space; a process that may not have that much
// gets a part of what it may have.
static size_t default_max(void)
{
    size_t max = DEFAULT_MAX;
    struct rlimit lim;
    if (getrlimit(RLIMIT_AS, &lim) == 0 && lim.rlim_cur / 4 < max)
        max = lim.rlim_cur / 4;
    if (getrlimit(RLIMIT_FSIZE, &lim) == 0 && lim.rlim_cur / 2 < max)
        max = lim.rlim_cur / 2;
    return max;
}

// Maps the arena's file, at `at` if it is not NULL.
static int map(mp_arena *a, void *at)
{
    void *base =
        mmap(at, a->size, PROT_READ | PROT_WRITE, MAP_SHARED | (at ? MAP_FIXED : 0), a->fd, 0);
    if (base == MAP_FAILED)
        return -errno;
    a->head = base;
    madvise(base, a->size, MADV_DONTDUMP); // a dump would make all its pages
    madvise(base, MP__ARENA_HEAD, MADV_DODUMP);
    return 0;
}

// Leaves zeros where the arena was, and keeps the place for the next one. It costs
// address space only.
static void vacate(mp_arena *a)
{
    void *base = mmap(a->head, a->size, PROT_READ,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    if (base == MAP_FAILED) {
        munmap(a->head, a->size);
        return;
    }
    madvise(base, a->size, MADV_DONTDUMP);
    mp__arenas_lock();
    void *old = vacated.base;
    size_t old_size = vacated.size;
    vacated.base = base;
    vacated.size = a->size;
    mp__arenas_unlock();
    if (old)
        munmap(old, old_size);
}

// A vacated place for `size` bytes, or NULL.
static void *vacated_place(size_t size)
{
    void *base = NULL;
    mp__arenas_lock();
    if (vacated.base && vacated.size == size) {
        base = vacated.base;
        vacated.base = NULL;
    }
    mp__arenas_unlock();
    return base;
}

static void destroy(mp_arena *a)
{
    if (a->head) {
        mp__life_leave(a);
        if (a->in_use) // the thread that still uses it knows nothing but addresses
            munmap((char *)a->head + a->head->held, a->size - a->head->held);
        else if (a->counted)
            vacate(a);
        else
            munmap(a->head, a->size);
    }
    if (a->fd >= 0)
        close(a->fd);
    free(a);
}

// Makes an arena that the registry does not know yet.
static int make(mp_arena **out, size_t max, bool counted)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (max >= (size_t)1 << MP__ARENA_BITS)
        return -ENOMEM;
    mp_arena *a = calloc(1, sizeof *a);
    if (!a)
        return -ENOMEM;
    a->max = max;
    a->counted = counted;
    a->size = (MP__ARENA_HEAD + a->max + page - 1) / page * page;
    a->fd = mp__memfd_new("mp-arena", a->size);
    int r = a->fd < 0 ? a->fd : mp__memfd_commit(a->fd, 0, MP__ARENA_HEAD);
    if (r == 0)
        r = map(a, counted ? vacated_place(a->size) : NULL);
    if (r == 0)
        r = mp__arena_init(a);
    if (r < 0) {
        destroy(a);
        return r;
    }
    *out = a;
    return 0;
}

static void enter(mp_arena *a)
{
    pthread_once(&registry_once, watch_forks);
    mp__arenas_lock();
    enter_locked(a);
    mp__arenas_unlock();
}

int mp_arena_new(mp_arena **out, const mp_arena_opts *opts)
{
    if (!out)
        return MP_EINVAL;
    *out = NULL;
    mp_arena *a;
    int r = make(&a, opts && opts->max ? opts->max : default_max(), false);
    if (r < 0)
        return r;
    enter(a);
    *out = a;
    return 0;
}

// The own arena, if it is this process's.
static mp_arena *own_locked(void)
{
    return own && mp__fork_is_mine(own_of) ? own : NULL;
}

int mp__arena_own(mp_arena **out)
{
    pthread_once(&registry_once, watch_forks);
    mp__arenas_lock();
    mp_arena *a = own_locked();
    if (a)
        a->refs++;
    mp__arenas_unlock();
    if (a) {
        *out = a;
        return 0;
    }
    mp_arena *mine;
    int r = make(&mine, default_max(), true);
    if (r < 0)
        return r;
    uint64_t token = mp__fork_token();
    mp__arenas_lock();
    a = own_locked();
    if (a) {
        a->refs++; // another thread was first
    } else {
        enter_locked(mine);
        own = a = mine;
        own_of = token;
    }
    mp__arenas_unlock();
    if (a != mine)
        destroy(mine);
    *out = a;
    return 0;
}

void mp__arena_drop(mp_arena *a, bool in_use)
{
    mp__arenas_lock();
    a->in_use |= in_use;
    bool last = --a->refs == 0;
    if (last)
        leave_locked(a);
    mp__arenas_unlock();
    if (last)
        destroy(a);
}

void mp_arena_delete(mp_arena *a)
{
    if (a)
        mp__arena_drop(a, false);
}
