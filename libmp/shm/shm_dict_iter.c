// SPDX-License-Identifier: MIT
//
// Going through a dict that others change. Tables have their entries in the order of the
// highest bits of their hashes, whatever their size; so the iterator goes through the hashes
// of a shard from 0 to the highest, a stretch at a time, and copies all entries whose hash is
// in the stretch while it has the lock. Each hash is in one stretch, so a key comes once,
// also when the table grew or shrank between two stretches.
#include "shm/shm_dict.h"

#include <errno.h>
#include <stdlib.h>

#define STRETCH_SLOTS 32                  // at a time; so the lock is not held for long
#define STRETCH_BYTES (UINT64_C(1) << 20) // more than that: a slot at a time

struct mp_shm_dict_iter {
    mp_shm_dict *d;
    uint64_t shard;      // in which to go on
    uint64_t from;       // at this hash
    char *copies, *next; // of the last stretch; which to give next
    uint64_t left;       // copies to give
};

// One stretch of hashes, as long as the lock is held.
struct stretch {
    struct mp__slots slots;
    uint64_t first, last;  // hashes
    uint64_t begin, homes; // slots where the search for them begins
    uint64_t items, bytes; // that it has; bytes for their copies
};

// In memory of the iterator's, one after the other: sizes, then key and value with zeros
// behind, up to the next word.
struct copy {
    uint64_t key_size, size;
    uint64_t words[];
};

static uint64_t words_with_zero(uint64_t bytes)
{
    return bytes / 8 + 1;
}

static uint64_t copy_bytes(uint64_t key_size, uint64_t size)
{
    return sizeof(struct copy) + 8 * (words_with_zero(key_size) + words_with_zero(size));
}

static struct stretch stretch_from(const struct mp__slots *t, uint64_t from, uint64_t slots)
{
    struct stretch st = {.slots = *t, .first = from, .last = UINT64_MAX};
    st.begin = mp__slot_home(t, from);
    st.homes = mp__slot_count(t) - st.begin;
    if (st.homes > slots) {
        st.homes = slots;
        st.last = ((st.begin + slots) << (64 - t->bits)) - 1;
    }
    return st;
}

// Calls what() for each entry of the stretch: those lie from its first slot on, the last
// ones before the first empty slot behind it.
static int each_item(const mp_shm_dict *d, struct stretch *st,
                     void (*what)(struct stretch *, const struct mp__item *, void *), void *arg)
{
    uint64_t mask = mp__slot_count(&st->slots) - 1;
    for (uint64_t n = 0; n <= mask; n++) {
        uint64_t slot =
            atomic_load_explicit(&st->slots.slot[(st->begin + n) & mask], memory_order_relaxed);
        struct mp__item item;
        if (slot == MP__SLOT_EMPTY && n >= st->homes)
            break;
        if (!mp__slot_offset(slot))
            continue;
        if (mp__dict_item(d, slot, st->slots.reach, &item) < 0)
            return MP_EFORMAT;
        if (item.hash >= st->first && item.hash <= st->last)
            what(st, &item, arg);
    }
    return 0;
}

static void measure(struct stretch *st, const struct mp__item *i, void *arg)
{
    (void)arg;
    st->items++;
    st->bytes += copy_bytes(i->key_size, i->size);
}

// *arg is where to copy to. What does not fit what was measured has been changed by
// somebody without the lock.
static void copy_item(struct stretch *st, const struct mp__item *i, void *arg)
{
    char **to = arg;
    uint64_t bytes = copy_bytes(i->key_size, i->size), key_words = words_with_zero(i->key_size);
    if (!st->items || bytes > st->bytes)
        return;
    struct copy *c = (struct copy *)(void *)*to;
    *c = (struct copy){i->key_size, i->size};
    c->words[key_words - 1] = 0;
    c->words[key_words + words_with_zero(i->size) - 1] = 0;
    mp__racing_copy(c->words, i->entry->words, i->key_size);
    mp__racing_copy(c->words + key_words, mp__item_value(i), i->size);
    *to += bytes;
    st->bytes -= bytes;
    st->items--;
}

static int copy_stretch(mp_shm_dict_iter *it, struct stretch *st)
{
    uint64_t items = st->items;
    if (items) {
        it->copies = malloc(st->bytes);
        if (!it->copies)
            return -ENOMEM;
        char *to = it->copies;
        int r = each_item(it->d, st, copy_item, &to);
        if (r < 0)
            return r;
        it->next = it->copies;
        it->left = items - st->items;
    }
    it->from = st->last + 1;
    it->shard += st->last == UINT64_MAX;
    return 0;
}

// With the lock of the shard.
static int next_stretch(mp_shm_dict_iter *it, const struct mp__shard *s)
{
    struct mp__slots t;
    int r = mp__dict_slots(it->d, s, mp__object_reach(it->d), &t);
    if (r < 0)
        return r;
    if (!t.slot) {
        it->from = 0;
        it->shard++;
        return 0;
    }
    struct stretch st = stretch_from(&t, it->from, STRETCH_SLOTS);
    r = each_item(it->d, &st, measure, NULL);
    if (r == 0 && st.bytes > STRETCH_BYTES) {
        st = stretch_from(&t, it->from, 1);
        r = each_item(it->d, &st, measure, NULL);
    }
    return r < 0 ? r : copy_stretch(it, &st);
}

// 1: there are copies to give; 0: the end.
static int fetch(mp_shm_dict_iter *it)
{
    while (!it->left) {
        uint64_t n = mp__dict_shards(it->d, mp__object_reach(it->d));
        if (!n)
            return MP_EFORMAT;
        if (it->shard >= n)
            return 0;
        free(it->copies);
        it->copies = NULL;
        struct mp__shard *s = &it->d->shard[it->shard];
        int r = mp__shard_lock(it->d, s);
        if (r < 0)
            return r;
        r = next_stretch(it, s);
        mp__shard_unlock(s);
        if (r < 0)
            return r;
    }
    return 1;
}

int mp_shm_dict_iter_new(mp_shm_dict_iter **out, mp_shm_dict *d)
{
    if (!out)
        return MP_EINVAL;
    *out = NULL;
    if (!mp__object_is(d, MP__SHM_DICT))
        return MP_EINVAL;
    mp_shm_dict_iter *it = calloc(1, sizeof *it);
    if (!it)
        return -ENOMEM;
    it->d = d;
    *out = it;
    return 0;
}

int mp_shm_dict_iter_next(mp_shm_dict_iter *it, mp_shm_dict_item *item)
{
    if (!it || !item || !mp__object_is(it->d, MP__SHM_DICT))
        return MP_EINVAL;
    int r = fetch(it);
    if (r <= 0)
        return r;
    struct copy *c = (struct copy *)(void *)it->next;
    *item =
        (mp_shm_dict_item){c->words, c->key_size, c->words + words_with_zero(c->key_size), c->size};
    it->next += copy_bytes(c->key_size, c->size);
    it->left--;
    return 1;
}

void mp_shm_dict_iter_free(mp_shm_dict_iter *it)
{
    if (it)
        free(it->copies);
    free(it);
}
