// SPDX-License-Identifier: MIT
//
// Looking into a shared dict, by readers without a lock and by writers with it: nothing
// here writes, and nothing that was read is trusted.
#include "shm/shm_dict.h"

#include <sodium/crypto_shorthash.h>

_Static_assert(crypto_shorthash_BYTES == 8 && crypto_shorthash_KEYBYTES == 16, "SipHash");

int mp__dict_key(const mp_shm_dict *d, const void *key, size_t size, struct mp__key *k)
{
    if (!mp__object_is(d, MP__SHM_DICT) || (!key && size) || size > MP__DICT_MAX_SIZE)
        return MP_EINVAL;
    *k = (struct mp__key){key ? key : "", size, 0, mp__object_reach(d)};
    crypto_shorthash((unsigned char *)&k->hash, k->bytes, size, d->key);
    return 0;
}

uint64_t mp__dict_shards(const mp_shm_dict *d, struct mp__reach reach)
{
    uint64_t n = mp__racing_word(&d->shards);
    if (n == 0 || n > MP__DICT_MAX_SHARDS || (n & (n - 1)))
        return 0;
    uint64_t size = sizeof *d + n * sizeof *d->shard;
    return mp__reaches(reach, mp__object_offset(d, d), size) ? n : 0;
}

struct mp__shard *mp__dict_shard(mp_shm_dict *d, const struct mp__key *k)
{
    uint64_t n = mp__dict_shards(d, k->reach);
    return n ? &d->shard[k->hash & (n - 1)] : NULL;
}

MP__RACING int mp__dict_slots(const mp_shm_dict *d, const struct mp__shard *s,
                              struct mp__reach reach, struct mp__slots *t)
{
    *t = (struct mp__slots){NULL, 0, reach};
    uint64_t offset = atomic_load_explicit(&s->table, memory_order_acquire);
    if (!offset)
        return 0;
    if (offset % 64 || !mp__reaches(reach, offset, sizeof(struct mp__table)))
        return MP_EFORMAT;
    struct mp__table *at = mp__object_at(d, offset);
    uint64_t bits = mp__racing_word(&at->bits);
    if (bits < MP__TABLE_MIN_BITS || bits > MP__TABLE_MAX_BITS ||
        !mp__reaches(reach, offset, sizeof *at + (UINT64_C(8) << bits)))
        return MP_EFORMAT;
    *t = (struct mp__slots){at->slot, (unsigned)bits, reach};
    return 0;
}

MP__RACING int mp__dict_item(const mp_shm_dict *d, uint64_t slot, struct mp__reach reach,
                             struct mp__item *i)
{
    uint64_t offset = mp__slot_offset(slot);
    if (!mp__reaches(reach, offset, sizeof *i->entry))
        return MP_EFORMAT;
    struct mp__entry *e = mp__object_at(d, offset);
    *i = (struct mp__item){e, mp__racing_word(&e->hash), mp__racing_word(&e->key_size),
                           mp__racing_word(&e->size)};
    if (i->key_size > MP__DICT_MAX_SIZE || i->size > MP__DICT_MAX_SIZE ||
        !mp__reaches(reach, offset, mp__entry_bytes(i->key_size, i->size)))
        return MP_EFORMAT;
    return 0;
}

static bool has_key(const struct mp__item *i, const struct mp__key *k)
{
    return i->hash == k->hash && i->key_size == k->size &&
           mp__racing_equal(i->entry->words, k->bytes, k->size);
}

int mp__dict_find(const mp_shm_dict *d, const struct mp__shard *s, const struct mp__key *k,
                  struct mp__place *p)
{
    p->index = UINT64_MAX;
    int r = mp__dict_slots(d, s, k->reach, &p->slots);
    if (r < 0 || !p->slots.slot)
        return r;
    uint64_t mask = mp__slot_count(&p->slots) - 1, tag = mp__slot_tag(k->hash);
    uint64_t home = mp__slot_home(&p->slots, k->hash);
    for (uint64_t n = 0; n <= mask; n++) {
        uint64_t index = (home + n) & mask;
        uint64_t slot = atomic_load_explicit(&p->slots.slot[index], memory_order_acquire);
        if (!mp__slot_offset(slot)) {
            if (p->index == UINT64_MAX)
                p->index = index;
            if (slot == MP__SLOT_EMPTY)
                return 0;
        } else if ((slot & ~MP__SLOT_OFFSET) == tag) {
            r = mp__dict_item(d, slot, k->reach, &p->item);
            if (r < 0)
                return r;
            if (has_key(&p->item, k)) {
                p->index = index;
                return 1;
            }
        }
    }
    return 0;
}
