// SPDX-License-Identifier: MIT
//
// Changing a shared dict, a shard at a time and under its lock: setting, removing, tables
// that grow and shrink, and what an owner that died left. See shm_dict.h for the rules.
//
// All stores that matter to who comes after a death are releases, so they happen in the
// order written here.
#include "os/point.h"
#include "shm/shm_dict.h"

#define SPARE_MAX 4096 // bytes of an old entry that a hand may keep

static void put(_Atomic uint64_t *word, uint64_t value)
{
    atomic_store_explicit(word, value, memory_order_release);
}

static uint64_t get(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

// ---- the hands ----

static void drop(mp_shm_dict *d, struct mp__shard *s, int hand)
{
    mp__object_release_from(d, &s->hand[hand]);
}

// Bytes in the block of an old entry, at least; 0: it is not one to keep. Keeping no record
// of its own, it goes by what the entry needed.
static uint64_t room_in(const mp_shm_dict *d, uint64_t offset)
{
    struct mp__item old;
    if (!offset || mp__dict_item(d, offset >> 6, mp__object_reach(d), &old) < 0)
        return 0;
    uint64_t bytes = mp__entry_bytes(old.key_size, old.size);
    return bytes <= SPARE_MAX ? (bytes + 63) / 64 * 64 : 0;
}

// Gets a block of some bytes into a hand, and the other hand empty. Returns which, or an
// error.
static int take(mp_shm_dict *d, struct mp__shard *s, uint64_t bytes)
{
    for (int h = 0; h < 2; h++) {
        uint64_t room = room_in(d, get(&s->hand[h]));
        if (bytes <= room && room - bytes < 256) {
            drop(d, s, 1 - h);
            return h;
        }
    }
    drop(d, s, 0);
    drop(d, s, 1);
    return mp__object_alloc_into(d, bytes, &s->hand[0]);
}

// An entry in a hand was unlinked: readers may still be at it. Keeps it for the next change,
// or frees it.
static void retire(mp_shm_dict *d, struct mp__shard *s, int hand)
{
    mp__version_turn(&s->version);
    MP__POINT("dict.retired");
    if (get(&s->hand[1 - hand]) || !room_in(d, get(&s->hand[hand])))
        drop(d, s, hand);
}

// ---- after a death ----

// Counts what the table has, and whether what is in the hands is in it.
static void count(struct mp__shard *s, const struct mp__slots *t, bool linked[2])
{
    s->live = s->used = 0;
    for (uint64_t i = 0; i < mp__slot_count(t); i++) {
        uint64_t slot = get(&t->slot[i]), offset = mp__slot_offset(slot);
        s->live += offset != 0;
        s->used += slot != MP__SLOT_EMPTY;
        for (int h = 0; h < 2; h++)
            linked[h] |= offset && offset == get(&s->hand[h]);
    }
}

static void recover(mp_shm_dict *d, struct mp__shard *s)
{
    struct mp__slots t;
    bool damaged = mp__dict_slots(d, s, mp__object_reach(d), &t) < 0; // then nothing is freed
    bool linked[2] = {damaged, damaged};
    MP__POINT("dict.recovering");
    count(s, &t, linked);
    MP__POINT("dict.recovering");
    mp__version_turn(&s->version); // the owner may have died before it did
    for (int h = 0; h < 2; h++) {
        MP__POINT("dict.recovering");
        if (linked[h] || get(&s->hand[h]) == get(&s->table))
            put(&s->hand[h], 0);
        else
            drop(d, s, h);
        MP__POINT("dict.recovering");
    }
    s->recovered++;
}

int mp__shard_lock(mp_shm_dict *d, struct mp__shard *s)
{
    atomic_fetch_add_explicit(&s->visitors, 1, memory_order_relaxed);
    int r = mp__mutex_lock(&s->lock, MP__NEVER);
    if (r == MP_EOWNERDEAD) {
        if (!MP__BROKEN("dict.recover"))
            recover(d, s);
        mp__mutex_consistent(&s->lock);
        r = 0;
    }
    if (r == 0 && !s->closed)
        return 0;
    if (r == 0)
        mp__mutex_unlock(&s->lock);
    atomic_fetch_sub_explicit(&s->visitors, 1, memory_order_release);
    return r ? r : MP_EINVAL;
}

void mp__shard_unlock(struct mp__shard *s)
{
    mp__mutex_unlock(&s->lock);
    atomic_fetch_sub_explicit(&s->visitors, 1, memory_order_release);
}

// ---- tables ----

static void enter(const struct mp__slots *t, uint64_t hash, uint64_t slot)
{
    uint64_t mask = mp__slot_count(t) - 1, i = mp__slot_home(t, hash);
    for (uint64_t n = 0; n < mask && get(&t->slot[i]) != MP__SLOT_EMPTY; n++)
        i = (i + 1) & mask;
    atomic_store_explicit(&t->slot[i], slot, memory_order_relaxed);
}

// Enters all that one table has into another, which has more empty slots than that.
static int enter_all(const mp_shm_dict *d, const struct mp__slots *from, const struct mp__slots *to,
                     uint64_t most)
{
    uint64_t n = 0;
    for (uint64_t i = 0; i < mp__slot_count(from); i++) {
        uint64_t slot = get(&from->slot[i]);
        struct mp__item item;
        if (!mp__slot_offset(slot))
            continue;
        if (++n > most || mp__dict_item(d, slot, from->reach, &item) < 0)
            return MP_EFORMAT;
        enter(to, item.hash, slot);
    }
    return 0;
}

// Gives the shard another table. The old one stays when there is no memory.
static int move_to_table(mp_shm_dict *d, struct mp__shard *s, unsigned bits)
{
    struct mp__slots old, new;
    int r = mp__dict_slots(d, s, mp__object_reach(d), &old);
    if (r < 0)
        return r;
    drop(d, s, 0);
    drop(d, s, 1);
    size_t slots = (size_t)8 << bits;
    r = mp__object_alloc_into(d, sizeof(struct mp__table) + slots, &s->hand[0]);
    if (r < 0)
        return r;
    struct mp__table *t = mp__object_at(d, get(&s->hand[0]));
    t->bits = bits;
    memset(t->slot, 0, slots);
    new = (struct mp__slots){t->slot, bits, mp__object_reach(d)};
    r = enter_all(d, &old, &new, s->live);
    if (r < 0) {
        drop(d, s, 0);
        return r;
    }
    MP__POINT("dict.table filled");
    put(&s->hand[1], get(&s->table));
    MP__POINT("dict.table held");
    put(&s->table, get(&s->hand[0]));
    MP__POINT("dict.table changed");
    s->used = s->live;
    put(&s->hand[0], 0);
    mp__version_turn(&s->version);
    MP__POINT("dict.table unlinked");
    drop(d, s, 1);
    return 0;
}

// The size of table in which so many entries take half of the slots at most.
static unsigned bits_for(uint64_t live)
{
    unsigned bits = MP__TABLE_MIN_BITS;
    while (bits < MP__TABLE_MAX_BITS && UINT64_C(1) << bits < 2 * live)
        bits++;
    return bits;
}

// Sees to it that one entry more fits, and a quarter of the slots stays empty.
static int make_room(mp_shm_dict *d, struct mp__shard *s, const struct mp__slots *t)
{
    uint64_t slots = mp__slot_count(t);
    if (s->live > slots)
        return slots ? MP_EFORMAT : move_to_table(d, s, MP__TABLE_MIN_BITS);
    if (slots && s->used < slots / 4 * 3)
        return 0;
    return move_to_table(d, s, bits_for(s->live + 1));
}

// ---- changes ----

static void fill(struct mp__entry *e, const struct mp__key *k, const void *value, size_t size)
{
    *e = (struct mp__entry){.hash = k->hash, .key_size = k->size, .size = size};
    uint64_t key_words = mp__words(k->size), words = mp__words(size);
    if (key_words)
        e->words[key_words - 1] = 0;
    if (words)
        e->words[key_words + words - 1] = 0;
    memcpy(e->words, k->bytes, k->size);
    if (size)
        memcpy(e->words + key_words, value, size);
}

// Gets a complete entry into a hand, *slot being what leads to it.
static int take_entry(mp_shm_dict *d, struct mp__shard *s, const struct mp__key *k,
                      const void *value, size_t size, uint64_t *slot)
{
    if (size > MP__DICT_MAX_SIZE)
        return -ENOMEM;
    int hand = take(d, s, mp__entry_bytes(k->size, size));
    if (hand < 0)
        return hand;
    MP__POINT("dict.taken");
    uint64_t offset = get(&s->hand[hand]);
    fill(mp__object_at(d, offset), k, value, size);
    MP__POINT("dict.filled");
    *slot = offset >> 6 | mp__slot_tag(k->hash);
    return hand;
}

static int insert(mp_shm_dict *d, struct mp__shard *s, struct mp__key *k, struct mp__place *p,
                  const void *value, size_t size)
{
    int r = make_room(d, s, &p->slots);
    k->reach = mp__object_reach(d);
    if (r == 0)
        r = mp__dict_find(d, s, k, p); // the table may be another
    if (r < 0 || p->index == UINT64_MAX)
        return r < 0 ? r : MP_EFORMAT;
    uint64_t slot;
    int hand = take_entry(d, s, k, value, size, &slot);
    if (hand < 0)
        return hand;
    s->used += get(&p->slots.slot[p->index]) == MP__SLOT_EMPTY;
    s->live++;
    put(&p->slots.slot[p->index], slot);
    MP__POINT("dict.inserted");
    put(&s->hand[hand], 0);
    return 0;
}

static int replace(mp_shm_dict *d, struct mp__shard *s, const struct mp__key *k,
                   struct mp__place *p, const void *value, size_t size)
{
    uint64_t slot;
    int hand = take_entry(d, s, k, value, size, &slot);
    if (hand < 0)
        return hand;
    put(&s->hand[1 - hand], mp__object_offset(d, p->item.entry));
    MP__POINT("dict.held");
    put(&p->slots.slot[p->index], slot);
    MP__POINT("dict.replaced");
    put(&s->hand[hand], 0);
    retire(d, s, 1 - hand);
    return 0;
}

// A value of at most one word is changed where it is.
static void store_word(const struct mp__item *i, const void *value, size_t size)
{
    uint64_t word = 0;
    if (size) {
        memcpy(&word, value, size);
        __atomic_store_n(mp__item_value(i), word, __ATOMIC_RELEASE);
    }
}

int mp__shard_set(mp_shm_dict *d, struct mp__shard *s, struct mp__key *k, struct mp__place *p,
                  bool found, const void *value, size_t size)
{
    if (!found)
        return insert(d, s, k, p, value, size);
    if (size > 8 || size != p->item.size)
        return replace(d, s, k, p, value, size);
    store_word(&p->item, value, size);
    return 0;
}

// Slots that were used and lead to nothing any more may be empty, from the last one on.
static void empty_slots(struct mp__shard *s, const struct mp__slots *t, uint64_t index)
{
    uint64_t mask = mp__slot_count(t) - 1;
    if (get(&t->slot[(index + 1) & mask]) != MP__SLOT_EMPTY)
        return;
    for (; get(&t->slot[index]) == MP__SLOT_GONE; index = (index - 1) & mask) {
        put(&t->slot[index], MP__SLOT_EMPTY);
        s->used--;
    }
}

int mp__shard_remove(mp_shm_dict *d, struct mp__shard *s, const struct mp__place *p)
{
    int hand = get(&s->hand[0]) ? 1 : 0;
    drop(d, s, hand);
    put(&s->hand[hand], mp__object_offset(d, p->item.entry));
    MP__POINT("dict.remove held");
    put(&p->slots.slot[p->index], MP__SLOT_GONE);
    MP__POINT("dict.removed");
    s->live--;
    retire(d, s, hand);
    empty_slots(s, &p->slots, p->index);
    if (p->slots.bits > MP__TABLE_MIN_BITS && s->live < mp__slot_count(&p->slots) / 8)
        move_to_table(d, s, bits_for(s->live)); // a large one does as well
    return 0;
}

int mp__shard_clear(mp_shm_dict *d, struct mp__shard *s)
{
    struct mp__slots t;
    int r = mp__dict_slots(d, s, mp__object_reach(d), &t);
    if (r < 0)
        return r;
    drop(d, s, 0);
    drop(d, s, 1);
    for (uint64_t i = 0; i < mp__slot_count(&t); i++) {
        uint64_t offset = mp__slot_offset(get(&t.slot[i]));
        if (!offset)
            continue;
        put(&s->hand[0], offset);
        MP__POINT("dict.clear held");
        put(&t.slot[i], MP__SLOT_GONE);
        s->live--;
        mp__version_turn(&s->version);
        MP__POINT("dict.cleared");
        drop(d, s, 0);
    }
    put(&s->hand[0], get(&s->table));
    put(&s->table, 0);
    MP__POINT("dict.table cleared");
    s->used = 0;
    mp__version_turn(&s->version);
    drop(d, s, 0);
    return 0;
}
