// SPDX-License-Identifier: MIT
//
// The table; see core/table.h. The index is searched linearly from a key's place on. It is made
// anew when the entries are full or it is three quarters full, removed places included, so a
// search always ends at an empty place.
#include "core/table.h"

#include <errno.h>
#include <stdlib.h>

#define EMPTY   UINT32_MAX
#define REMOVED (UINT32_MAX - 1)
#define LEAST   3 // bits

static void enter(struct mp__table *t, uint32_t hash, uint32_t place)
{
    uint32_t mask = (UINT32_C(1) << t->bits) - 1, i = hash & mask;
    while (t->index[i] != EMPTY)
        i = (i + 1) & mask;
    t->index[i] = place;
    t->filled++;
}

// Moves the entries together, into arrays with room for half as many more.
static int rebuild(struct mp__table *t)
{
    unsigned bits = LEAST;
    while ((UINT64_C(1) << bits) * 5 / 8 <= (uint64_t)t->count + t->count / 2 + 1)
        bits++;
    if (bits > 31)
        return -ENOMEM;
    uint32_t room = (uint32_t)((UINT64_C(1) << bits) * 5 / 8);
    struct mp__entry *entries = malloc(room * sizeof *entries);
    uint32_t *index = malloc((sizeof *index) << bits);
    if (!entries || !index) {
        free(entries);
        free(index);
        return -ENOMEM;
    }
    struct mp__table new = {entries, index, 0, room, t->count, 0, bits, t->serial};
    memset(index, 0xff, (sizeof *index) << bits);
    MP__TABLE_EACH(t, e)
    {
        enter(&new, e->hash, new.used);
        new.entries[new.used++] = *e;
    }
    free(t->entries);
    free(t->index);
    t->entries = entries;
    t->index = index;
    t->used = new.used;
    t->room = room;
    t->filled = new.filled;
    t->bits = bits;
    return 0;
}

// Where in the index the entry of a key is.
static uint32_t *search(const struct mp__table *t, const void *key, size_t size, uint32_t hash)
{
    if (t->count == 0)
        return NULL;
    uint32_t mask = (UINT32_C(1) << t->bits) - 1;
    for (uint32_t i = hash & mask; t->index[i] != EMPTY; i = (i + 1) & mask) {
        if (t->index[i] == REMOVED)
            continue;
        const struct mp__entry *e = &t->entries[t->index[i]];
        if (e->hash == hash && e->key.size == size &&
            memcmp(mp__value_data(&e->key), key, size) == 0)
            return &t->index[i];
    }
    return NULL;
}

struct mp__entry *mp__table_find(const struct mp__table *t, const void *key, size_t size,
                                 uint32_t hash)
{
    uint32_t *place = search(t, key, size, hash);
    return place ? &t->entries[*place] : NULL;
}

int mp__table_add(struct mp__table *t, const void *key, size_t size, uint32_t hash,
                  struct mp__entry **out)
{
    int r = 0;
    if (t->used == t->room || t->filled >= (UINT64_C(3) << t->bits) / 4)
        r = rebuild(t);
    if (r < 0)
        return r;
    struct mp__entry *e = &t->entries[t->used];
    *e = (struct mp__entry){.serial = t->serial + 1, .hash = hash, .there = true};
    r = mp__value_copy(&e->key, key, size);
    if (r < 0)
        return r;
    t->serial++;
    enter(t, hash, t->used++);
    t->count++;
    *out = e;
    return 0;
}

void mp__table_remove(struct mp__table *t, struct mp__entry *e)
{
    uint32_t *place = search(t, mp__value_data(&e->key), e->key.size, e->hash);
    *place = REMOVED;
    mp__value_free(&e->key);
    e->there = false;
    t->count--;
    while (t->used > 0 && !t->entries[t->used - 1].there)
        t->used--;
}

void mp__table_free(struct mp__table *t)
{
    MP__TABLE_EACH(t, e)
    mp__value_free(&e->key);
    free(t->entries);
    free(t->index);
    *t = (struct mp__table){.serial = t->serial};
}

struct mp__entry *mp__table_from(const struct mp__table *t, struct mp__entry *e)
{
    struct mp__entry *end = t->entries ? t->entries + t->used : NULL;
    while (e != end && !e->there)
        e++;
    return e == end ? NULL : e;
}

struct mp__entry *mp__table_last(const struct mp__table *t)
{
    return t->used ? &t->entries[t->used - 1] : NULL; // never a hole
}

struct mp__entry *mp__table_behind(const struct mp__table *t, uint64_t serial)
{
    uint32_t low = 0, high = t->used;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (t->entries[mid].serial <= serial)
            low = mid + 1;
        else
            high = mid;
    }
    return t->entries ? mp__table_from(t, t->entries + low) : NULL;
}
