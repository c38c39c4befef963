// SPDX-License-Identifier: MIT
//
// The array of a shared list: looking at it, with or without the lock, and changing it with
// the lock. See shm_list.h for the rules. All stores that matter to who comes after a death
// are releases, so they happen in the order written here.
#include "os/point.h"
#include "shm/shm_list.h"

#include <errno.h>

#define MIN_CAPACITY 8

static void put(_Atomic uint64_t *word, uint64_t value)
{
    atomic_store_explicit(word, value, memory_order_release);
}

static uint64_t get(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

// ---- looking ----

MP__RACING int mp__list_view(const mp_shm_list *l, struct mp__list_view *v)
{
    *v = (struct mp__list_view){NULL, 0, 0, 0};
    uint64_t offset = atomic_load_explicit(&l->array, memory_order_acquire);
    if (!offset)
        return 0;
    if (offset % 64 || !mp__object_holds(l, offset, sizeof *v->array))
        return MP_EFORMAT;
    struct mp__list_array *a = mp__object_at(l, offset);
    uint64_t capacity = mp__racing_word(&a->capacity);
    uint64_t bounds = atomic_load_explicit(&a->bounds, memory_order_acquire);
    uint64_t first = bounds >> 32, len = (uint32_t)bounds;
    if (capacity > UINT32_MAX || first > capacity || len > capacity - first ||
        !mp__object_holds(l, offset, sizeof *a + capacity * sizeof *a->slot))
        return MP_EFORMAT;
    *v = (struct mp__list_view){a, capacity, first, len};
    return 0;
}

MP__RACING int mp__list_item(const mp_shm_list *l, const struct mp__list_view *v, uint64_t i,
                             struct mp__list_item **item, uint64_t *size)
{
    uint64_t offset = atomic_load_explicit(&v->array->slot[v->first + i], memory_order_acquire);
    if (offset % 64 || !mp__object_holds(l, offset, sizeof **item))
        return MP_EFORMAT;
    *item = mp__object_at(l, offset);
    *size = mp__racing_word(&(*item)->size);
    if (*size > MP__LIST_MAX_SIZE || !mp__object_holds(l, offset, sizeof **item + *size))
        return MP_EFORMAT;
    return 0;
}

int64_t mp__list_index(const struct mp__list_view *v, int64_t index)
{
    int64_t len = (int64_t)v->len, i = index < 0 ? index + len : index;
    return i >= 0 && i < len ? i : MP_EINDEX;
}

// ---- the hands, and after a death ----

static void drop(mp_shm_list *l, enum mp__list_hand hand)
{
    mp__object_release_from(l, &l->hand[hand]);
}

// Frees what the slots outside the bounds have.
static void sweep(mp_shm_list *l, const struct mp__list_view *v)
{
    for (uint64_t i = 0; i < v->capacity; i++)
        if (i < v->first || i >= v->first + v->len)
            mp__object_release_from(l, &v->array->slot[i]);
}

static bool has_item(const struct mp__list_view *v, uint64_t offset)
{
    for (uint64_t i = 0; i < v->len; i++)
        if (offset && get(&v->array->slot[v->first + i]) == offset)
            return true;
    return false;
}

static void recover(mp_shm_list *l)
{
    struct mp__list_view v;
    bool damaged = mp__list_view(l, &v) < 0;
    mp__version_turn(&l->version); // the owner may have died before it did
    for (enum mp__list_hand h = 0; h < MP__LIST_HANDS; h++) {
        uint64_t offset = get(&l->hand[h]);
        MP__POINT("list.recovering");
        if (damaged || offset == get(&l->array) || has_item(&v, offset))
            put(&l->hand[h], 0);
        else
            drop(l, h);
        MP__POINT("list.recovering");
    }
    sweep(l, &v);
    l->recovered++;
}

int mp__list_lock(mp_shm_list *l, struct mp__list_view *v)
{
    atomic_fetch_add_explicit(&l->visitors, 1, memory_order_relaxed);
    int r = mp__mutex_lock(&l->lock, MP__NEVER);
    bool held = r == 0 || r == MP_EOWNERDEAD;
    if (r == MP_EOWNERDEAD) {
        recover(l);
        mp__mutex_consistent(&l->lock);
        r = 0;
    }
    if (r == 0)
        r = l->closed ? MP_EINVAL : mp__list_view(l, v);
    if (r == 0)
        return 0;
    if (held)
        mp__mutex_unlock(&l->lock);
    atomic_fetch_sub_explicit(&l->visitors, 1, memory_order_release);
    return r;
}

void mp__list_unlock(mp_shm_list *l)
{
    mp__mutex_unlock(&l->lock);
    atomic_fetch_sub_explicit(&l->visitors, 1, memory_order_release);
}

// ---- items ----

// Takes an item into a word, complete.
static int take_item(mp_shm_list *l, const mp_shm_list_item *from, _Atomic uint64_t *word)
{
    if (from->size > MP__LIST_MAX_SIZE)
        return -ENOMEM;
    uint64_t words = from->size / 8 + (from->size % 8 != 0);
    int r = mp__object_alloc_into(l, sizeof(struct mp__list_item) + 8 * words, word);
    if (r < 0)
        return r;
    struct mp__list_item *item = mp__object_at(l, get(word));
    item->size = from->size;
    if (words) {
        item->words[words - 1] = 0;
        memcpy(item->words, from->data, from->size);
    }
    MP__POINT("list.taken");
    return 0;
}

static void set_bounds(struct mp__list_view *v, uint64_t first, uint64_t len)
{
    v->first = first;
    v->len = len;
    put(&v->array->bounds, first << 32 | len);
}

// ---- other arrays ----

// Makes an array into a hand, with slots for `len` items in its middle.
static int take_array(mp_shm_list *l, uint64_t len, struct mp__list_view *v)
{
    if (len > MP__LIST_MAX_LEN)
        return MP_EOVERFLOW;
    uint64_t capacity = len > MIN_CAPACITY / 2 ? len + len / 2 + 1 : MIN_CAPACITY;
    size_t slots = capacity * sizeof(uint64_t);
    int r = mp__object_alloc_into(l, sizeof *v->array + slots, &l->hand[MP__NEW_ARRAY]);
    if (r < 0)
        return r;
    struct mp__list_array *a = mp__object_at(l, get(&l->hand[MP__NEW_ARRAY]));
    a->capacity = capacity;
    memset(a->slot, 0, slots);
    *v = (struct mp__list_view){a, capacity, (capacity - len) / 2, len};
    set_bounds(v, v->first, v->len);
    return 0;
}

static void copy_slots(const struct mp__list_view *to, uint64_t at,
                       const struct mp__list_view *from, uint64_t begin, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        atomic_store_explicit(&to->array->slot[to->first + at + i],
                              get(&from->array->slot[from->first + begin + i]),
                              memory_order_relaxed);
}

// The list changes over to the array in the hand.
static void publish_array(mp_shm_list *l)
{
    put(&l->hand[MP__OLD_ARRAY], get(&l->array));
    MP__POINT("list.array held");
    put(&l->array, get(&l->hand[MP__NEW_ARRAY]));
    MP__POINT("list.array changed");
    put(&l->hand[MP__NEW_ARRAY], 0);
    put(&l->hand[MP__NEW_ITEM], 0);
    mp__version_turn(&l->version);
    MP__POINT("list.array unlinked");
    drop(l, MP__OLD_ARRAY);
}

// An array with room for `more` items in all, the same items in its middle.
static int move_to_array(mp_shm_list *l, struct mp__list_view *v, uint64_t room)
{
    struct mp__list_view new;
    int r = take_array(l, room, &new);
    if (r < 0)
        return r;
    set_bounds(&new, (new.capacity - v->len) / 2, v->len);
    copy_slots(&new, 0, v, 0, v->len);
    publish_array(l);
    *v = new;
    return 0;
}

// ---- changes ----

int mp__list_add_last(mp_shm_list *l, struct mp__list_view *v, const mp_shm_list_item *items,
                      size_t n)
{
    int r = 0;
    if (n > MP__LIST_MAX_LEN || v->len + n > MP__LIST_MAX_LEN)
        return MP_EOVERFLOW;
    if (v->capacity - v->first - v->len < n)
        r = move_to_array(l, v, v->len + 2 * n);
    if (r < 0)
        return r;
    for (size_t i = 0; r == 0 && i < n; i++)
        r = take_item(l, &items[i], &v->array->slot[v->first + v->len + i]);
    if (r == 0 && n) {
        MP__POINT("list.added");
        set_bounds(v, v->first, v->len + n);
        return 0;
    }
    sweep(l, v);
    return r;
}

static int add_first(mp_shm_list *l, struct mp__list_view *v, const mp_shm_list_item *item)
{
    int r = v->len < MP__LIST_MAX_LEN ? 0 : MP_EOVERFLOW;
    if (r == 0 && v->first == 0)
        r = move_to_array(l, v, v->len + 2);
    if (r == 0)
        r = take_item(l, item, &v->array->slot[v->first - 1]);
    if (r == 0) {
        MP__POINT("list.added in front");
        set_bounds(v, v->first - 1, v->len + 1);
    }
    return r;
}

int mp__list_insert(mp_shm_list *l, struct mp__list_view *v, uint64_t i,
                    const mp_shm_list_item *item)
{
    if (i == v->len)
        return mp__list_add_last(l, v, item, 1);
    if (i == 0)
        return add_first(l, v, item);
    struct mp__list_view new;
    int r = take_item(l, item, &l->hand[MP__NEW_ITEM]);
    if (r < 0)
        return r;
    r = take_array(l, v->len + 1, &new);
    if (r < 0) {
        drop(l, MP__NEW_ITEM);
        return r;
    }
    copy_slots(&new, 0, v, 0, i);
    put(&new.array->slot[new.first + i], get(&l->hand[MP__NEW_ITEM]));
    copy_slots(&new, i + 1, v, i, v->len - i);
    publish_array(l);
    return 0;
}

int mp__list_set(mp_shm_list *l, const struct mp__list_view *v, uint64_t i,
                 const mp_shm_list_item *item)
{
    int r = take_item(l, item, &l->hand[MP__NEW_ITEM]);
    if (r < 0)
        return r;
    _Atomic uint64_t *slot = &v->array->slot[v->first + i];
    put(&l->hand[MP__OLD_ITEM], get(slot));
    MP__POINT("list.set held");
    put(slot, get(&l->hand[MP__NEW_ITEM]));
    MP__POINT("list.set");
    put(&l->hand[MP__NEW_ITEM], 0);
    mp__version_turn(&l->version);
    MP__POINT("list.set retired");
    drop(l, MP__OLD_ITEM);
    return 0;
}

// Removing at an end needs no memory.
static void remove_at_end(mp_shm_list *l, struct mp__list_view v, uint64_t i)
{
    _Atomic uint64_t *slot = &v.array->slot[v.first + i];
    set_bounds(&v, v.first + (i == 0), v.len - 1);
    MP__POINT("list.end removed");
    mp__version_turn(&l->version);
    mp__object_release_from(l, slot);
    if (v.capacity > MIN_CAPACITY && v.len < v.capacity / 8)
        move_to_array(l, &v, v.len); // a large one does as well
}

int mp__list_remove(mp_shm_list *l, const struct mp__list_view *v, uint64_t i)
{
    if (i == 0 || i == v->len - 1) {
        remove_at_end(l, *v, i);
        return 0;
    }
    struct mp__list_view new;
    int r = take_array(l, v->len - 1, &new);
    if (r < 0)
        return r;
    copy_slots(&new, 0, v, 0, i);
    copy_slots(&new, i, v, i + 1, v->len - 1 - i);
    put(&l->hand[MP__OLD_ITEM], get(&v->array->slot[v->first + i]));
    MP__POINT("list.remove held");
    publish_array(l);
    drop(l, MP__OLD_ITEM);
    return 0;
}

void mp__list_clear(mp_shm_list *l, const struct mp__list_view *v)
{
    struct mp__list_view none = *v;
    if (!v->array)
        return;
    set_bounds(&none, 0, 0);
    MP__POINT("list.cleared");
    mp__version_turn(&l->version);
    sweep(l, &none);
    put(&l->hand[MP__OLD_ARRAY], get(&l->array));
    put(&l->array, 0);
    MP__POINT("list.array cleared");
    mp__version_turn(&l->version);
    drop(l, MP__OLD_ARRAY);
}
