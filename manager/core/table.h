// SPDX-License-Identifier: MIT
//
// A hash table that keeps the order in which keys came, as Python's dicts do: entries lie in an
// array in that order, and an index of places in it is what is searched. Removed entries leave
// holes until the next growth. Each entry has a serial, larger than all before it, so that a
// cursor finds its place again whatever happened meanwhile.
#ifndef MP_MANAGER_TABLE_H
#define MP_MANAGER_TABLE_H

#include "core/value.h"

struct mp__entry {
    uint64_t serial;
    uint32_t hash;
    bool there;           // not a hole
    struct mp__value key; // never an object
    struct mp__value value;
};

struct mp__table {
    struct mp__entry *entries;
    uint32_t *index; // 1 << bits places
    uint32_t used, room, count, filled;
    unsigned bits;
    uint64_t serial; // of the last entry
};

#define MP__ENTRY_COST sizeof(struct mp__entry)

// Returns the entry of a key, or NULL.
struct mp__entry *mp__table_find(const struct mp__table *t, const void *key, size_t size,
                                 uint32_t hash);

// Adds a key that is not there, with an empty value; -ENOMEM. Entries may move.
int mp__table_add(struct mp__table *t, const void *key, size_t size, uint32_t hash,
                  struct mp__entry **out);

// Removes an entry, whose value was given up before. Entries do not move.
void mp__table_remove(struct mp__table *t, struct mp__entry *e);

// Forgets everything, likewise.
void mp__table_free(struct mp__table *t);

// The first entry from e on that is no hole, and the last one; NULL.
struct mp__entry *mp__table_from(const struct mp__table *t, struct mp__entry *e);
struct mp__entry *mp__table_last(const struct mp__table *t);

// The first entry with a serial above that; NULL.
struct mp__entry *mp__table_behind(const struct mp__table *t, uint64_t serial);

#define MP__TABLE_EACH(t, e)                                                                       \
    for (struct mp__entry *e = mp__table_from(t, (t)->entries); e; e = mp__table_from(t, e + 1))

#endif
