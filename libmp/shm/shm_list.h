// SPDX-License-Identifier: MIT
//
// How a shared list lies in memory, and how it stays whole.
//
//   list ── array: bounds, slot slot slot slot slot slot slot
//                               └─ item: size, bytes
//
// The bounds (one word) say which slots are the list; there is room in front and behind. A
// slot outside the bounds is 0, but for moments: an item that is added at an end is taken
// into its slot first (one step, as the arena does it), then the bounds take it in; one that
// is removed there leaves the bounds first. So who finds the lock's owner dead frees what
// is outside. All else is published in one store, too: a slot for an item that is set,
// the place of another array for changes in the middle and for growth.
//
// What such changes need is in hands, as in a dict's shard (shm_dict.h): after a death, what
// the list has is let go of, the rest is freed. Readers take no lock: version and checks,
// as there.
#ifndef MP_SHM_SHM_LIST_H
#define MP_SHM_SHM_LIST_H

#include "shm/mutex.h"
#include "shm/object.h"
#include "shm/racing.h"

#include <mp/shm_list.h>

#define MP__LIST_VERSION  1
#define MP__LIST_MAX_LEN  (UINT64_C(1) << 31)
#define MP__LIST_MAX_SIZE (UINT64_C(1) << 47) // of items: sums never overflow

struct mp__list_item {
    uint64_t size;
    uint64_t words[]; // zeros behind the bytes
};

struct mp__list_array {
    uint64_t capacity;       // constant
    _Atomic uint64_t bounds; // first slot << 32 | number of items
    _Atomic uint64_t slot[]; // offsets
};

enum mp__list_hand { MP__NEW_ITEM, MP__OLD_ITEM, MP__NEW_ARRAY, MP__OLD_ARRAY, MP__LIST_HANDS };

struct mp_shm_list {
    struct mp__object object;
    // Readers look at these.
    _Alignas(128) _Atomic uint64_t version;
    _Atomic uint64_t array; // offset, 0: none, and the list is empty
    // Writers only, and not in the line that comes along with the readers'.
    _Alignas(128) struct mp__mutex lock;
    _Atomic uint64_t hand[MP__LIST_HANDS]; // guarded by lock, as all below
    uint64_t recovered;                    // owners that died
    uint8_t closed;            // the list is being freed. No bool, since damage may be any number
    _Atomic uint32_t visitors; // who has the lock or is about to. Not guarded
};

// What was read of the array, once, and checked: the memory may say something else by now,
// if the lock is not held.
struct mp__list_view {
    struct mp__list_array *array; // NULL: there is none
    uint64_t capacity, first, len;
};

// ---- shm_list_array.c ----

// MP_EFORMAT: damaged, or what was read is gone meanwhile; so with all that follows.
int mp__list_view(const mp_shm_list *l, struct mp__list_view *v);

// The item in the i-th slot from the first on.
int mp__list_item(const mp_shm_list *l, const struct mp__list_view *v, uint64_t i,
                  struct mp__list_item **item, uint64_t *size);

// The i-th item for an index that may be negative; MP_EINDEX.
int64_t mp__list_index(const struct mp__list_view *v, int64_t index);

// Takes the lock, puts the list in order if its owner died, and looks at it. MP_EINVAL: it
// was freed meanwhile; MP_EBROKEN.
int mp__list_lock(mp_shm_list *l, struct mp__list_view *v);
void mp__list_unlock(mp_shm_list *l);

// Changes, with the lock. All or nothing: -ENOMEM, MP_EOVERFLOW.
int mp__list_add_last(mp_shm_list *l, struct mp__list_view *v, const mp_shm_list_item *items,
                      size_t n);
int mp__list_insert(mp_shm_list *l, struct mp__list_view *v, uint64_t i,
                    const mp_shm_list_item *item);
int mp__list_set(mp_shm_list *l, const struct mp__list_view *v, uint64_t i,
                 const mp_shm_list_item *item);
int mp__list_remove(mp_shm_list *l, const struct mp__list_view *v, uint64_t i);
void mp__list_clear(mp_shm_list *l, const struct mp__list_view *v);

#endif
