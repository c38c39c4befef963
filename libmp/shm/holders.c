// SPDX-License-Identifier: MIT
#include "shm/holders.h"
#include "os/point.h"
#include "shm/arena.h"
#include "shm/object.h"

#define STRIDE 128 // bytes from count to count: two cache lines, as they are fetched together

_Static_assert(MP__HOLDERS_CHUNKS == MP__PLACES_CHUNKS, "a count for each place");

static size_t chunk_size(unsigned chunk)
{
    return (size_t)STRIDE << (chunk + 3);
}

// The first count of a chunk; NULL if it is not there.
static char *chunk_at(const mp_arena *a, struct mp__holders *h, unsigned chunk)
{
    uint64_t offset = atomic_load_explicit(&h->chunk[chunk], memory_order_acquire);
    if (offset == 0 || offset % 64 || !mp__arena_holds(a, offset, chunk_size(chunk)))
        return NULL;
    return (char *)a->head + offset;
}

static mp__held *count_at(char *chunk, uint32_t i)
{
    return (mp__held *)(void *)(chunk + (size_t)i * STRIDE);
}

static int make_chunk(mp_arena *a, struct mp__holders *h, unsigned chunk)
{
    uint64_t offset, none = 0;
    int r = mp__arena_take(a, chunk_size(chunk), true, &offset);
    if (r < 0)
        return r;
    MP__POINT("holders.grown");
    if (!atomic_compare_exchange_strong(&h->chunk[chunk], &none, offset))
        mp__arena_give(a, offset); // another process was first
    return 0;
}

// The count of this process, whoever it was before.
static int find_mine(mp_arena *a, struct mp__holders *h, mp__life life, mp__held **mine)
{
    unsigned chunk;
    uint32_t i = mp__place_chunk(mp__life_place(life), &chunk);
    char *at = chunk_at(a, h, chunk);
    if (!at) {
        int r = make_chunk(a, h, chunk);
        at = r < 0 ? NULL : chunk_at(a, h, chunk);
        if (!at)
            return r < 0 ? r : MP_EFORMAT;
    }
    *mine = count_at(at, i);
    return 0;
}

int mp__holders_mine(void *obj, struct mp__holders *h, mp__held **mine, uint32_t *left)
{
    mp__life life;
    mp_arena *a = mp__arena_at(mp__object_base(obj));
    int r = a ? mp__life_in(a, &life) : MP_EINVAL;
    if (r == 0)
        r = find_mine(a, h, life, mine);
    if (r < 0)
        return r;
    *left = 0;
    uint64_t held = atomic_load_explicit(*mine, memory_order_relaxed);
    while (held >> 32 != mp__life_number(life)) // of one who had this place before
        if (atomic_compare_exchange_weak(*mine, &held, (uint64_t)mp__life_number(life) << 32)) {
            *left = mp__held_count(held);
            break;
        }
    return 0;
}

// A walk over the counts that are not 0.
struct walk {
    unsigned chunk;
    uint32_t i;
    char *at; // the chunk, NULL before its first count
    mp__held *count;
    uint64_t held; // what the count was
    mp__life life; // whose it is
};

static bool walk_on(const void *obj, struct mp__holders *h, struct walk *w)
{
    const mp_arena *a = mp__arena_at(mp__object_base(obj));
    if (!a)
        return false;
    for (; w->chunk < MP__HOLDERS_CHUNKS; w->chunk++, w->i = 0, w->at = NULL) {
        if (!w->at)
            w->at = chunk_at(a, h, w->chunk);
        while (w->at && w->i < 8u << w->chunk) {
            mp__life place = (8u << w->chunk) - 8 + w->i;
            w->count = count_at(w->at, w->i++);
            w->held = atomic_load(w->count);
            w->life = place << 32 | w->held >> 32;
            if (mp__held_count(w->held))
                return true;
        }
    }
    return false;
}

uint64_t mp__holders_reap(void *obj, struct mp__holders *h)
{
    uint64_t sum = 0;
    for (struct walk w = {0}; walk_on(obj, h, &w);) {
        if (mp__life_over(obj, w.life) &&
            atomic_compare_exchange_strong(w.count, &w.held, w.held >> 32 << 32)) {
            sum += mp__held_count(w.held);
            MP__POINT("holders.reaped");
        }
    }
    return sum;
}

uint64_t mp__holders_sum(void *obj, struct mp__holders *h)
{
    uint64_t sum = 0;
    for (struct walk w = {0}; walk_on(obj, h, &w);)
        sum += mp__held_count(w.held);
    return sum;
}

bool mp__holders_any(void *obj, struct mp__holders *h)
{
    for (struct walk w = {0}; walk_on(obj, h, &w);)
        if (!mp__life_over(obj, w.life))
            return true;
    return false;
}

void mp__holders_release(void *obj, struct mp__holders *h)
{
    for (unsigned chunk = 0; chunk < MP__HOLDERS_CHUNKS; chunk++) {
        uint64_t offset = atomic_exchange(&h->chunk[chunk], 0);
        if (offset)
            mp__object_release(obj, offset);
    }
}
