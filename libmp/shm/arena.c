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
// Who takes a block and is killed before it has told anybody has lost it, though. So a block
// can be taken into a word of shared memory, and given back from it: the arena notes both
// while it does that, and a block whose passing was cut short is in use if the word says so.
//
// Below `held` the pages are committed (posix_fallocate), so touching a block
// never fails.
#include "shm/arena.h"
#include "os/memfd.h"
#include "os/point.h"
#include "shm/mutex.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define ALIGN    64
#define PAIR     ((size_t)128) // of cache lines
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

// All that the blocks say is asked and checked before it is used: another process may
// have written over it. Also without the lock, while others make blocks.
static bool block_is_sound(const mp_arena *a, uint64_t offset)
{
    uint64_t top = __atomic_load_n(&a->head->top, __ATOMIC_ACQUIRE);
    if (offset < MP__ARENA_HEAD || offset % ALIGN || offset > top ||
        top - offset < sizeof(struct block))
        return false;
    const struct block *b = block_at(a, offset);
    return b->magic == (MAGIC ^ offset) && b->capacity % ALIGN == 0 &&
           b->capacity <= top - offset - sizeof *b;
}

// The list it goes to is the one of the largest class that it has room for.
static void push_free(mp_arena *a, uint64_t offset)
{
    struct block *b = block_at(a, offset);
    size_t capacity;
    if (b->capacity == 0)
        return;
    unsigned kind = class_of(b->capacity, &capacity);
    kind -= capacity > b->capacity;
    b->next = a->head->free[kind];
    a->head->free[kind] = offset;
}

static _Atomic uint64_t *word_at(const mp_arena *a, uint64_t offset)
{
    return (_Atomic uint64_t *)(void *)((char *)a->head + offset);
}

// Begins to pass a block to or from a word, or not when that is NULL. Ends it with 0.
static void pass(mp_arena *a, uint64_t offset, const _Atomic uint64_t *word)
{
    if (!word)
        return;
    struct mp__arena_head *h = a->head;
    if (offset)
        h->passing_word = (uint64_t)((const char *)word - (const char *)h);
    __atomic_store_n(&h->passing, offset, __ATOMIC_RELEASE);
    MP__POINT("passing.noted");
}

// Who passed a block was killed: it is in use if the word has it.
static void end_passing(mp_arena *a)
{
    struct mp__arena_head *h = a->head;
    uint64_t offset = h->passing, word = h->passing_word;
    if (offset && block_is_sound(a, offset) && word % 8 == 0 && mp__arena_holds(a, word, 8)) {
        bool in_use = atomic_load(word_at(a, word)) == offset + sizeof(struct block);
        block_at(a, offset)->state = in_use ? BLOCK_USED : BLOCK_FREE;
    }
    __atomic_store_n(&h->passing, 0, __ATOMIC_RELEASE);
}

// The owner of the lock died in the middle: lists and counts anew from the
// headers. A header overwritten by a wild store ends the walk: what lies behind it
// is not given out again.
static void rebuild(mp_arena *a)
{
    struct mp__arena_head *h = a->head;
    end_passing(a);
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
    // A header that was written, but not told by `top` any more: fresh memory is zero.
    uint64_t stale = (uint64_t)sysconf(_SC_PAGESIZE) + sizeof(struct block);
    memset((char *)h + h->top, 0, h->held - h->top < stale ? h->held - h->top : stale);
}

static bool head_is_sound(const mp_arena *a)
{
    const struct mp__arena_head *h = a->head;
    return h->top >= MP__ARENA_HEAD && h->top % ALIGN == 0 && h->top <= h->held &&
           h->held <= a->size;
}

static int lock(mp_arena *a)
{
    int r = mp__mutex_lock(&a->head->lock, MP__NEVER);
    if (r < 0 && r != MP_EOWNERDEAD)
        return r;
    bool sound = head_is_sound(a);
    if (r == MP_EOWNERDEAD) {
        if (sound)
            rebuild(a);
        mp__mutex_consistent(&a->head->lock);
    }
    if (!sound)
        mp__mutex_unlock(&a->head->lock);
    return sound ? 0 : MP_EFORMAT;
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
    uint64_t need = (end + page - 1) / page * page;
    uint64_t want = (h->held + step) / page * page;
    want = want < need ? need : want > a->size ? a->size : want;
    int r = mp__memfd_commit(a->fd, h->held, want - h->held);
    if (r < 0 && want > need) { // just what is needed, then
        want = need;
        r = mp__memfd_commit(a->fd, h->held, want - h->held);
    }
    if (r < 0)
        return r == -ENOSPC || r == -EFBIG ? -ENOMEM : r;
    __atomic_store_n(&h->held, want, __ATOMIC_RELEASE);
    madvise(h, want, MADV_DODUMP);
    return 0;
}

int mp__arena_init(mp_arena *a, enum mp__purpose purpose)
{
    struct mp__arena_head *h = a->head;
    mp__sign_make(&h->sign, a->size, a->max, purpose);
    h->top = MP__ARENA_HEAD;
    h->held = MP__ARENA_HEAD;
    return mp__mutex_init(&h->lock);
}

// Whether the file has the pages that its head claims, but for a few of a copy with holes:
// gigabytes that never were are not to be committed for a damaged one.
static bool has_pages(const mp_arena *a, uint64_t held)
{
    struct stat st;
    return fstat(a->fd, &st) == 0 && (uint64_t)st.st_blocks * 512 + MAX_STEP >= held;
}

int mp__arena_check(mp_arena *a)
{
    uint64_t held = a->head->held;
    if (!mp__mutex_is_sound(&a->head->lock) || !head_is_sound(a) || held > a->size ||
        !has_pages(a, held))
        return MP_EFORMAT;
    int r = mp__memfd_commit(a->fd, 0, held); // costs nothing for what is there
    if (r == 0)
        madvise(a->head, held, MADV_DODUMP);
    return r == -ENOSPC || r == -EFBIG ? -ENOMEM : r;
}

// Takes a free block of these classes whose data is aligned. Few are looked at.
static uint64_t pop_free(mp_arena *a, unsigned from, unsigned to, size_t align)
{
    for (unsigned kind = from; kind < to; kind++) {
        uint64_t *link = &a->head->free[kind];
        for (int looks = 0; *link && looks < 32; looks++) {
            uint64_t offset = *link;
            if (!block_is_sound(a, offset) || block_at(a, offset)->state != BLOCK_FREE) {
                rebuild(a); // somebody wrote over the lists
                return 0;
            }
            struct block *b = block_at(a, offset);
            if ((offset + sizeof *b) % align == 0) {
                *link = b->next;
                return offset;
            }
            link = &b->next;
        }
    }
    return 0;
}

static void write_block(mp_arena *a, uint64_t offset, size_t capacity)
{
    struct block *b = block_at(a, offset);
    b->capacity = capacity;
    b->state = BLOCK_FREE;
    b->magic = MAGIC ^ offset;
}

// A block behind the others; the gap that aligning its data leaves is a free block, too.
static int new_block(mp_arena *a, size_t capacity, size_t align, uint64_t *offset)
{
    struct mp__arena_head *h = a->head;
    uint64_t top = h->top, at = (top + sizeof(struct block) + align - 1) / align * align;
    at -= sizeof(struct block);
    if (capacity > a->size || at > a->size || a->size - at < sizeof(struct block) + capacity)
        return -ENOMEM;
    uint64_t end = at + sizeof(struct block) + capacity;
    int r = hold(a, end);
    if (r < 0)
        return r;
    if (at > top)
        write_block(a, top, at - top - sizeof(struct block));
    write_block(a, at, capacity);
    *offset = at;
    MP__POINT("arena.block");
    __atomic_store_n(&h->top, end, __ATOMIC_RELEASE); // from here on they exist
    if (at > top)
        push_free(a, top);
    return 0;
}

// *fresh becomes whether it was never used, and so is zero.
static int take_block(mp_arena *a, size_t size, size_t align, uint64_t *offset, bool *fresh)
{
    size_t capacity;
    unsigned kind = class_of(size, &capacity);
    *fresh = false;
    *offset = pop_free(a, kind, kind + 1, align);
    if (*offset)
        return 0;
    int r = new_block(a, capacity, align, offset);
    *fresh = r == 0;
    if (r < 0)
        *offset = pop_free(a, kind + 1, MP__CLASSES, align);
    return *offset ? 0 : r;
}

// *data becomes the offset of its data, as *word does if that is not NULL.
static int allocate(mp_arena *a, size_t size, size_t align, uint64_t *data, bool *fresh,
                    _Atomic uint64_t *word)
{
    if (size > a->max)
        return -ENOMEM;
    int r = lock(a);
    if (r < 0)
        return r;
    uint64_t offset = 0;
    r = take_block(a, size, align, &offset, fresh);
    if (r == 0) {
        struct mp__arena_head *h = a->head;
        struct block *b = block_at(a, offset);
        *data = offset + sizeof *b;
        pass(a, offset, word);
        MP__POINT("arena.found");
        __atomic_store_n(&b->state, BLOCK_USED, __ATOMIC_RELEASE);
        MP__POINT("arena.used");
        h->used += b->capacity;
        h->peak = h->peak > h->used ? h->peak : h->used;
        h->blocks++;
        if (word)
            atomic_store_explicit(word, *data, memory_order_release);
        pass(a, 0, word);
    }
    unlock(a);
    return r;
}

int mp_arena_alloc_aligned(mp_arena *a, void **ptr, size_t n, size_t size, size_t align)
{
    if (ptr)
        *ptr = NULL;
    if (!mp__arena_is(a) || !ptr || align == 0 || (align & (align - 1)) ||
        align > (size_t)sysconf(_SC_PAGESIZE))
        return MP_EINVAL;
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes))
        return MP_EOVERFLOW;
    uint64_t data;
    bool fresh;
    int r = allocate(a, bytes, align < ALIGN ? ALIGN : align, &data, &fresh, NULL);
    if (r == 0)
        *ptr = (char *)a->head + data;
    return r;
}

int mp_arena_alloc(mp_arena *a, void **ptr, size_t n, size_t size)
{
    return mp_arena_alloc_aligned(a, ptr, n, size, ALIGN);
}

int mp__arena_take(mp_arena *a, size_t size, bool zeroed, uint64_t *offset)
{
    bool fresh;
    int r = allocate(a, size, size >= PAIR ? PAIR : ALIGN, offset, &fresh, NULL);
    if (r == 0 && zeroed && !fresh)
        memset((char *)a->head + *offset, 0, size);
    return r;
}

int mp__arena_take_into(mp_arena *a, size_t size, _Atomic uint64_t *word)
{
    uint64_t data;
    bool fresh;
    return allocate(a, size, ALIGN, &data, &fresh, word);
}

static int give_locked(mp_arena *a, uint64_t data, _Atomic uint64_t *word)
{
    if (data % ALIGN || data < MP__ARENA_HEAD + sizeof(struct block) || data >= a->size)
        return MP_EINVAL;
    uint64_t offset = data - sizeof(struct block);
    struct block *b = block_at(a, offset);
    if (!block_is_sound(a, offset) || b->state != BLOCK_USED)
        return MP_EINVAL;
    pass(a, offset, word);
    if (word)
        atomic_store_explicit(word, 0, memory_order_release);
    __atomic_store_n(&b->state, BLOCK_FREE, __ATOMIC_RELEASE);
    MP__POINT("arena.freed");
    push_free(a, offset);
    a->head->used -= b->capacity;
    a->head->blocks--;
    pass(a, 0, word);
    return 0;
}

int mp__arena_give(mp_arena *a, uint64_t data)
{
    int r = lock(a);
    if (r < 0)
        return r;
    r = give_locked(a, data, NULL);
    unlock(a);
    return r;
}

void mp__arena_give_from(mp_arena *a, _Atomic uint64_t *word)
{
    if (!atomic_load_explicit(word, memory_order_relaxed) || lock(a) < 0)
        return;
    uint64_t data = atomic_load_explicit(word, memory_order_relaxed);
    if (data && give_locked(a, data, word) < 0)
        atomic_store_explicit(word, 0, memory_order_release);
    unlock(a);
}

int mp_arena_free(mp_arena *a, void *ptr)
{
    if (!mp__arena_is(a))
        return MP_EINVAL;
    if (!ptr)
        return 0;
    if (!mp_arena_contains(a, ptr, 0))
        return MP_EINVAL;
    return mp__arena_give(a, (uint64_t)((char *)ptr - (char *)a->head));
}

uint64_t mp__arena_held(const mp_arena *a)
{
    uint64_t held = __atomic_load_n(&a->head->held, __ATOMIC_RELAXED);
    return held < a->size ? held : a->size;
}

bool mp__arena_holds(const mp_arena *a, uint64_t offset, uint64_t size)
{
    uint64_t held = mp__arena_held(a);
    return offset >= MP__ARENA_HEAD && offset <= held && size <= held - offset;
}

bool mp__arena_has_block(const mp_arena *a, uint64_t data, uint64_t size)
{
    if (!mp__arena_holds(a, data, size) || data % ALIGN ||
        data < MP__ARENA_HEAD + sizeof(struct block))
        return false;
    uint64_t offset = data - sizeof(struct block);
    const struct block *b = block_at(a, offset);
    return block_is_sound(a, offset) && b->state == BLOCK_USED && size <= b->capacity;
}

bool mp__arena_spans(const mp_arena *a, const void *ptr, size_t size)
{
    if (!ptr)
        return false;
    uintptr_t first = (uintptr_t)a->head + MP__ARENA_HEAD + sizeof(struct block);
    uintptr_t end = (uintptr_t)a->head + a->size;
    uintptr_t p = (uintptr_t)ptr;
    return p >= first && p <= end && size <= end - p;
}

bool mp_arena_contains(const mp_arena *a, const void *ptr, size_t size)
{
    return mp__arena_is(a) && mp__arena_spans(a, ptr, size);
}

uint64_t mp_arena_offset(const mp_arena *a, const void *ptr)
{
    return mp_arena_contains(a, ptr, 0) ? (uint64_t)((const char *)ptr - (const char *)a->head) : 0;
}

void *mp_arena_at(const mp_arena *a, uint64_t offset, size_t size)
{
    return mp__arena_is(a) && mp__arena_holds(a, offset, size) ? (char *)a->head + offset : NULL;
}

int mp_arena_set_root(mp_arena *a, const void *ptr)
{
    uint64_t offset = mp_arena_offset(a, ptr);
    if (!mp__arena_is(a) || (ptr && !mp__arena_holds(a, offset, 0)))
        return MP_EINVAL;
    atomic_store_explicit(&a->head->root, offset, memory_order_release);
    return 0;
}

void *mp_arena_root(const mp_arena *a, size_t size)
{
    if (!mp__arena_is(a))
        return NULL;
    return mp_arena_at(a, atomic_load_explicit(&a->head->root, memory_order_acquire), size);
}

int mp_arena_get_stats(mp_arena *a, mp_arena_stats *out)
{
    if (!mp__arena_is(a) || !out)
        return MP_EINVAL;
    int r = lock(a);
    if (r < 0)
        return r;
    const struct mp__arena_head *h = a->head;
    *out = (mp_arena_stats){a->max, h->held, h->used, h->peak, h->blocks};
    unlock(a);
    return 0;
}
