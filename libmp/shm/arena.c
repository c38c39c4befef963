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
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ALIGN    64
#define MIN_STEP ((size_t)64 << 10)
#define MAX_STEP ((size_t)1 << 20)
#define MAGIC    0x6d702d626c6f636bULL

enum state { BLOCK_FREE, BLOCK_USED };

// Before each block. Its data follows, aligned as it is.
struct block {
    _Alignas(ALIGN) uint64_t magic; // MAGIC ^ its offset
    uint64_t capacity;              // bytes of data
    uint64_t next;                  // in its free list: offset, 0 = the last
    uint32_t state;
};

// The class whose blocks hold at least `size` bytes, and its capacity: 64, 128, 192,
// ... 512, 576, ... 1024, 1152, ...: eight steps a doubling, multiples of 64.
static unsigned class_of(size_t size, size_t *capacity)
{
    size_t s = size > ALIGN ? (size + ALIGN - 1) / ALIGN * ALIGN : ALIGN;
    unsigned top = 63 - (unsigned)__builtin_clzll(s);
    size_t step = (size_t)1 << (top - 3);
    size_t eighths = (s - ((size_t)1 << top) + step - 1) / step;
    *capacity = ((size_t)1 << top) + eighths * step;
    return (top - MP__CLASS_SHIFT) * 8 + (unsigned)eighths;
}

static struct block *block_at(const mp_arena *a, uint64_t offset)
{
    return (struct block *)(void *)((char *)a->head + offset);
}

static bool block_is_sound(const mp_arena *a, uint64_t offset)
{
    const struct mp__arena_head *h = a->head;
    if (offset < MP__ARENA_HEAD || offset > h->top ||
        h->top - offset < sizeof(struct block) + ALIGN)
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
    struct mp__arena_head *h = a->head;
    for (unsigned i = 0; i < MP__CLASSES; i++)
        h->free[i] = 0;
    h->used = h->blocks = 0;
    for (uint64_t at = MP__ARENA_HEAD; at < h->top && block_is_sound(a, at);) {
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
    struct mp__arena_head *h = a->head;
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
    __atomic_store_n(&h->held, want, __ATOMIC_RELEASE);
    madvise(h, want, MADV_DODUMP);
    return 0;
}

int mp__arena_init(mp_arena *a)
{
    struct mp__arena_head *h = a->head;
    h->top = MP__ARENA_HEAD;
    h->held = MP__ARENA_HEAD;
    return mp__mutex_init(&h->lock);
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
    struct mp__arena_head *h = a->head;
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

// *fresh becomes whether it was never used, and so is zero.
static int take_block(mp_arena *a, size_t size, uint64_t *offset, bool *fresh)
{
    size_t capacity;
    unsigned kind = class_of(size, &capacity);
    *fresh = false;
    *offset = pop_free(a, kind, kind + 1);
    if (*offset)
        return 0;
    int r = new_block(a, capacity, offset);
    *fresh = r == 0;
    if (r < 0)
        *offset = pop_free(a, kind + 1, MP__CLASSES);
    return *offset ? 0 : r;
}

// *data becomes the offset of its data.
static int allocate(mp_arena *a, size_t size, uint64_t *data, bool *fresh)
{
    if (size > a->max)
        return -ENOMEM;
    int r = lock(a);
    if (r < 0)
        return r;
    uint64_t offset = 0;
    r = take_block(a, size, &offset, fresh);
    if (r == 0) {
        struct block *b = block_at(a, offset);
        __atomic_store_n(&b->state, BLOCK_USED, __ATOMIC_RELEASE);
        a->head->used += b->capacity;
        a->head->blocks++;
        *data = offset + sizeof *b;
    }
    unlock(a);
    return r;
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
    uint64_t data;
    bool fresh;
    int r = allocate(a, bytes, &data, &fresh);
    if (r == 0)
        *ptr = (char *)a->head + data;
    return r;
}

int mp__arena_take(mp_arena *a, size_t size, uint64_t *offset)
{
    bool fresh;
    int r = allocate(a, size, offset, &fresh);
    if (r == 0 && !fresh)
        memset((char *)a->head + *offset, 0, size);
    return r;
}

int mp__arena_give(mp_arena *a, uint64_t data)
{
    if (data % ALIGN || data < MP__ARENA_HEAD + sizeof(struct block) || data >= a->size)
        return MP_EINVAL;
    uint64_t offset = data - sizeof(struct block);
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

int mp_arena_free(mp_arena *a, void *ptr)
{
    if (!a)
        return MP_EINVAL;
    if (!ptr)
        return 0;
    if (!mp_arena_contains(a, ptr, 0))
        return MP_EINVAL;
    return mp__arena_give(a, (uint64_t)((char *)ptr - (char *)a->head));
}

bool mp__arena_holds(const mp_arena *a, uint64_t offset, uint64_t size)
{
    uint64_t held = __atomic_load_n(&a->head->held, __ATOMIC_RELAXED);
    if (held > a->size)
        held = a->size;
    return offset >= MP__ARENA_HEAD && offset <= held && size <= held - offset;
}

bool mp_arena_contains(const mp_arena *a, const void *ptr, size_t size)
{
    if (!a || !ptr)
        return false;
    uintptr_t first = (uintptr_t)a->head + MP__ARENA_HEAD + sizeof(struct block);
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
    const struct mp__arena_head *h = a->head;
    *out = (mp_arena_stats){a->max, h->held, h->used, h->blocks};
    unlock(a);
    return 0;
}
