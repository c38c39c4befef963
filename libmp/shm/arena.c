// SPDX-License-Identifier: MIT
//
// An arena: one memfd with all of its address space, mapped once and inherited by
// fork() at the same address; memory is taken from the system as it grows.
//
//   | shared head, one page | header block | header block | ... top ... held ... |
//
// Blocks lie one after the other from the first page to `top`, and are never split
// or merged, so the headers alone tell everything: capacity, and whether the block
// is in use. The free lists (one a size class, eight classes a doubling) and the
// counts only repeat it. That is what makes the arena survive a kill -9: a new
// block is complete before `top` moves over it, and who finds the lock's owner dead
// builds lists and counts anew from the headers.
//
// Below `held` the pages are committed (posix_fallocate), so touching a block
// never fails.
#include "shm/arena.h"
#include "os/memfd.h"
#include "shm/mutex.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define DEFAULT_MAX ((size_t)64 << 30)
#define ALIGN       64
#define MIN_STEP    ((size_t)64 << 10)
#define MAX_STEP    ((size_t)1 << 20)
#define CLASS_SHIFT 6 // the smallest capacity: 64
#define CLASSES     ((64 - CLASS_SHIFT) * 8)
#define MAGIC       0x6d702d626c6f636bULL
#define HEAD_SIZE   4096

enum state { BLOCK_FREE, BLOCK_USED };

// Before each block. Its data follows, aligned as it is.
struct block {
    _Alignas(ALIGN) uint64_t magic; // MAGIC ^ its offset
    uint64_t capacity;              // bytes of data
    uint64_t next;                  // in its free list: offset, 0 = the last
    uint32_t state;
};

struct head {
    struct mp__mutex lock; // guards all below and the headers
    uint64_t top;          // offset of the first byte that is no block yet
    uint64_t held;         // bytes committed from offset 0 on
    uint64_t used, blocks;
    uint64_t free[CLASSES]; // offset of the first free block
};
_Static_assert(sizeof(struct head) <= HEAD_SIZE, "the head fits in front of the blocks");

struct mp_arena {
    struct head *head; // also the base address
    size_t size;       // of the mapping
    size_t max;        // as told to the user
    int fd;
    uint64_t number;
    mp_arena *next; // in the registry
};

// The arenas of this process. A fork takes the lock, so that the child finds the
// list whole.
static mp_arena *registry;
static uint64_t youngest;
static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t registry_once = PTHREAD_ONCE_INIT;

static void lock_registry(void)
{
    pthread_mutex_lock(&registry_lock);
}

static void unlock_registry(void)
{
    pthread_mutex_unlock(&registry_lock);
}

static void watch_forks(void)
{
    pthread_atfork(lock_registry, unlock_registry, unlock_registry);
}

static void enter_registry(mp_arena *a)
{
    pthread_once(&registry_once, watch_forks);
    lock_registry();
    a->number = ++youngest;
    a->next = registry;
    registry = a;
    unlock_registry();
}

static void leave_registry(mp_arena *a)
{
    lock_registry();
    for (mp_arena **at = &registry; *at; at = &(*at)->next) {
        if (*at == a) {
            *at = a->next;
            break;
        }
    }
    unlock_registry();
}

uint64_t mp__arena_youngest(void)
{
    lock_registry();
    uint64_t number = youngest;
    unlock_registry();
    return number;
}

bool mp__arena_shares(const void *ptr, size_t size, uint64_t up_to)
{
    bool shares = false;
    lock_registry();
    for (mp_arena *a = registry; a && !shares; a = a->next)
        shares = a->number <= up_to && mp_arena_contains(a, ptr, size);
    unlock_registry();
    return shares;
}

// The class whose blocks hold at least `size` bytes, and its capacity: 64, 128, 192,
// ... 512, 576, ... 1024, 1152, ...: eight steps a doubling, multiples of 64.
static unsigned class_of(size_t size, size_t *capacity)
{
    size_t s = size > ALIGN ? (size + ALIGN - 1) / ALIGN * ALIGN : ALIGN;
    unsigned top = 63 - (unsigned)__builtin_clzll(s);
    size_t step = (size_t)1 << (top - 3);
    size_t eighths = (s - ((size_t)1 << top) + step - 1) / step;
    *capacity = ((size_t)1 << top) + eighths * step;
    return (top - CLASS_SHIFT) * 8 + (unsigned)eighths;
}

static struct block *block_at(const mp_arena *a, uint64_t offset)
{
    return (struct block *)(void *)((char *)a->head + offset);
}

static bool block_is_sound(const mp_arena *a, uint64_t offset)
{
    const struct head *h = a->head;
    if (offset < HEAD_SIZE || offset > h->top || h->top - offset < sizeof(struct block) + ALIGN)
        return false;
    const struct block *b = block_at(a, offset);
    return b->magic == (MAGIC ^ offset) && b->capacity <= h->top - offset - sizeof *b;
}

static void push_free(mp_arena *a, uint64_t offset)
{
    struct block *b = block_at(a, offset);
    size_t capacity;
    unsigned kind = class_of(b->capacity, &capacity);
    b->next = a->head->free[kind];
    a->head->free[kind] = offset;
}

// The owner of the lock died in the middle: lists and counts anew from the
// headers. A header overwritten by a wild store ends the walk: what lies behind it
// is not given out again.
static void rebuild(mp_arena *a)
{
    struct head *h = a->head;
    for (unsigned i = 0; i < CLASSES; i++)
        h->free[i] = 0;
    h->used = h->blocks = 0;
    for (uint64_t at = HEAD_SIZE; at < h->top && block_is_sound(a, at);) {
        struct block *b = block_at(a, at);
        if (b->state == BLOCK_USED) {
            h->used += b->capacity;
            h->blocks++;
        } else {
            push_free(a, at);
        }
        at += sizeof *b + b->capacity;
    }
}

static int lock(mp_arena *a)
{
    int r = mp__mutex_lock(&a->head->lock, MP__NEVER);
    if (r != MP_EOWNERDEAD)
        return r;
    rebuild(a);
    mp__mutex_consistent(&a->head->lock);
    return 0;
}

static void unlock(mp_arena *a)
{
    mp__mutex_unlock(&a->head->lock);
}

// Commits memory up to `end`, and some more while the arena grows, since each step
// is a system call. What is committed goes into core dumps from then on.
static int hold(mp_arena *a, uint64_t end)
{
    struct head *h = a->head;
    if (end <= h->held)
        return 0;
    uint64_t step = h->held < MIN_STEP ? MIN_STEP : h->held > MAX_STEP ? MAX_STEP : h->held;
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t want = h->held + step > end ? h->held + step : end;
    want = (want + page - 1) / page * page;
    if (want > a->size)
        want = a->size;
    int r = mp__memfd_commit(a->fd, h->held, want - h->held);
    if (r < 0)
        return r == -ENOSPC || r == -EFBIG ? -ENOMEM : r;
    h->held = want;
    madvise(h, want, MADV_DODUMP);
    return 0;
}

static int init_head(mp_arena *a)
{
    struct head *h = a->head;
    h->top = HEAD_SIZE;
    h->held = HEAD_SIZE;
    return mp__mutex_init(&h->lock);
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

static int map_arena(mp_arena *a)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    a->size = (HEAD_SIZE + a->max + page - 1) / page * page;
    a->fd = mp__memfd_new("mp-arena", a->size);
    if (a->fd < 0)
        return a->fd;
    void *base = NULL;
    int r = mp__memfd_commit(a->fd, 0, HEAD_SIZE);
    if (r == 0)
        r = mp__memfd_map(a->fd, a->size, &base);
    if (!base) {
        close(a->fd);
        return r;
    }
    a->head = base;
    madvise(base, a->size, MADV_DONTDUMP); // a dump would make all its pages
    madvise(base, HEAD_SIZE, MADV_DODUMP);
    return 0;
}

int mp_arena_new(mp_arena **out, const mp_arena_opts *opts)
{
    if (!out)
        return MP_EINVAL;
    *out = NULL;
    size_t max = opts && opts->max ? opts->max : default_max();
    if (max > SIZE_MAX / 4)
        return -ENOMEM;
    mp_arena *a = calloc(1, sizeof *a);
    if (!a)
        return -ENOMEM;
    a->max = max;
    int r = map_arena(a);
    if (!a->head) {
        free(a);
        return r;
    }
    r = init_head(a);
    if (r < 0) {
        munmap(a->head, a->size);
        close(a->fd);
        free(a);
        return r;
    }
    enter_registry(a);
    *out = a;
    return 0;
}

// Takes a free block of this class, or of a larger one when there is no new room.
static uint64_t pop_free(mp_arena *a, unsigned from, unsigned to)
{
    for (unsigned kind = from; kind < to; kind++) {
        uint64_t offset = a->head->free[kind];
        if (offset) {
            a->head->free[kind] = block_at(a, offset)->next;
            return offset;
        }
    }
    return 0;
}

static int new_block(mp_arena *a, size_t capacity, uint64_t *offset)
{
    struct head *h = a->head;
    if (capacity > a->size || a->size - h->top < sizeof(struct block) + capacity)
        return -ENOMEM;
    uint64_t end = h->top + sizeof(struct block) + capacity;
    int r = hold(a, end);
    if (r < 0)
        return r;
    struct block *b = block_at(a, h->top);
    b->capacity = capacity;
    b->state = BLOCK_FREE;
    b->magic = MAGIC ^ h->top;
    *offset = h->top;
    __atomic_store_n(&h->top, end, __ATOMIC_RELEASE); // from here on it exists
    return 0;
}

static int take_block(mp_arena *a, size_t size, uint64_t *offset)
{
    size_t capacity;
    unsigned kind = class_of(size, &capacity);
    *offset = pop_free(a, kind, kind + 1);
    if (*offset)
        return 0;
    int r = new_block(a, capacity, offset);
    if (r < 0)
        *offset = pop_free(a, kind + 1, CLASSES);
    return *offset ? 0 : r;
}

int mp_arena_alloc(mp_arena *a, void **ptr, size_t n, size_t size)
{
    if (ptr)
        *ptr = NULL;
    if (!a || !ptr)
        return MP_EINVAL;
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes))
        return MP_EOVERFLOW;
    if (bytes > a->max)
        return -ENOMEM;
    int r = lock(a);
    if (r < 0)
        return r;
    uint64_t offset = 0;
    r = take_block(a, bytes, &offset);
    if (r == 0) {
        struct block *b = block_at(a, offset);
        __atomic_store_n(&b->state, BLOCK_USED, __ATOMIC_RELEASE);
        a->head->used += b->capacity;
        a->head->blocks++;
        *ptr = b + 1;
    }
    unlock(a);
    return r;
}

int mp_arena_free(mp_arena *a, void *ptr)
{
    if (!a)
        return MP_EINVAL;
    if (!ptr)
        return 0;
    if ((uintptr_t)ptr % ALIGN || !mp_arena_contains(a, ptr, 0))
        return MP_EINVAL;
    uint64_t offset = (uint64_t)((char *)ptr - (char *)a->head) - sizeof(struct block);
    int r = lock(a);
    if (r < 0)
        return r;
    if (block_is_sound(a, offset) && block_at(a, offset)->state == BLOCK_USED) {
        struct block *b = block_at(a, offset);
        __atomic_store_n(&b->state, BLOCK_FREE, __ATOMIC_RELEASE);
        push_free(a, offset);
        a->head->used -= b->capacity;
        a->head->blocks--;
    } else {
        r = MP_EINVAL;
    }
    unlock(a);
    return r;
}

bool mp_arena_contains(const mp_arena *a, const void *ptr, size_t size)
{
    if (!a || !ptr)
        return false;
    uintptr_t first = (uintptr_t)a->head + HEAD_SIZE + sizeof(struct block);
    uintptr_t end = (uintptr_t)a->head + a->size;
    uintptr_t p = (uintptr_t)ptr;
    return p >= first && p <= end && size <= end - p;
}

int mp_arena_get_stats(mp_arena *a, mp_arena_stats *out)
{
    if (!a || !out)
        return MP_EINVAL;
    int r = lock(a);
    if (r < 0)
        return r;
    const struct head *h = a->head;
    *out = (mp_arena_stats){a->max, h->held, h->used, h->blocks};
    unlock(a);
    return 0;
}

void mp_arena_delete(mp_arena *a)
{
    if (!a)
        return;
    leave_registry(a);
    munmap(a->head, a->size);
    close(a->fd);
    free(a);
}
