// SPDX-License-Identifier: MIT
//
// How a shared dict lies in memory, and how it stays whole.
//
//   dict ── shard ── table ── slot ── entry: hash, sizes, key, value
//                               └──── one word: where the entry is, and 22 bits of its hash
//
// A key's hash says in which shard it is (the lowest bits), where the search in the table
// begins (the highest: so tables of all sizes have their entries in the order of hashes,
// which iteration relies on), and what its slot looks like (some between). The search goes
// on to the next slot until it comes to an empty one; a slot whose entry was removed is
// not empty, but GONE.
//
// Writers hold the lock of the shard. An entry never changes once it is in a table, but
// for a value of one word; to set a value is to put the place of a new entry into the
// slot. A table that gets full is replaced by another. So each change is one store.
//
// The blocks that a change needs are in the shard's two hands: a new one is taken into a
// hand (one step, as the arena does it), an old one is written into the other before it
// is unlinked. Who finds the lock's owner dead looks what is in the hands: if the table
// has it, the hand lets go of it, else it is freed. So nothing is lost, or freed twice,
// wherever the owner died. Outside of changes a hand may keep a small old entry for the
// next change of the shard: then the arena's lock, where all shards meet, is not needed.
//
// Readers take no lock. They read what they find, as racing.h says, check each offset and
// size before they use it, and look at the shard's version afterwards.
#ifndef MP_SHM_SHM_DICT_H
#define MP_SHM_SHM_DICT_H

#include "shm/mutex.h"
#include "shm/object.h"
#include "shm/racing.h"

#include <mp/shm_dict.h>

#define MP__DICT_VERSION    1
#define MP__DICT_MAX_SHARDS 4096
#define MP__DICT_MAX_SIZE   (UINT64_C(1) << 47) // of keys and values: sums never overflow

struct mp__entry {
    uint64_t hash;
    uint64_t key_size, size;
    uint64_t words[]; // the key, and from the next word on the value; zeros behind each
};

#define MP__TABLE_MIN_BITS 3
#define MP__TABLE_MAX_BITS 40
struct mp__table {
    uint64_t bits; // of the number of slots
    _Atomic uint64_t slot[];
};

#define MP__SLOT_EMPTY  UINT64_C(0)
#define MP__SLOT_GONE   (UINT64_C(1) << 42) // no offset, but not 0
#define MP__SLOT_OFFSET (MP__SLOT_GONE - 1) // in units of 64 bytes

struct mp__shard {
    // Readers look at these, writers seldom change them.
    _Alignas(128) _Atomic uint64_t version;
    _Atomic uint64_t table; // offset, 0: none
    // Writers only, and not in the line that comes along with the readers'.
    _Alignas(128) struct mp__mutex lock;
    _Atomic uint64_t hand[2];  // guarded by lock, as all below
    uint64_t live, used;       // slots with an entry; slots that are not empty
    uint64_t recovered;        // owners that died
    uint8_t closed;            // the dict is being freed. No bool, since damage may be any number
    _Atomic uint32_t visitors; // who has the lock or is about to take it. Not guarded
};

struct mp_shm_dict {
    struct mp__object object;
    unsigned char key[16]; // of the hash
    uint64_t shards;       // a power of two
    struct mp__shard shard[];
};

// A key in the caller's memory, and what may be read when looking for it.
struct mp__key {
    const void *bytes;
    size_t size;
    uint64_t hash;
    struct mp__reach reach;
};

// What was read of a table and of an entry, once, and checked: the memory may say something
// else by now, if the lock is not held.
struct mp__slots {
    _Atomic uint64_t *slot; // NULL: there is no table
    unsigned bits;
    struct mp__reach reach; // by which its entries are checked
};
struct mp__item {
    struct mp__entry *entry;
    uint64_t hash, key_size, size;
};

// Where a key is, or could be.
struct mp__place {
    struct mp__slots slots;
    uint64_t index; // of its slot; not found: of the first without an entry, or UINT64_MAX
    struct mp__item item;
};

// ---- shm_dict_table.c: looking; also without the lock ----

// MP_EINVAL unless it is a dict that is not freed, and a key.
int mp__dict_key(const mp_shm_dict *d, const void *key, size_t size, struct mp__key *k);

// The number of shards, 0: damaged. The shard of a key, or NULL.
uint64_t mp__dict_shards(const mp_shm_dict *d, struct mp__reach reach);
struct mp__shard *mp__dict_shard(mp_shm_dict *d, const struct mp__key *k);

// The table, an entry. MP_EFORMAT: damaged, or what was read is gone meanwhile, or the arena
// has grown since it was asked how far it reaches.
int mp__dict_slots(const mp_shm_dict *d, const struct mp__shard *s, struct mp__reach reach,
                   struct mp__slots *t);
int mp__dict_item(const mp_shm_dict *d, uint64_t slot, struct mp__reach reach, struct mp__item *i);

// 1: found; 0; MP_EFORMAT as above, by k->reach.
int mp__dict_find(const mp_shm_dict *d, const struct mp__shard *s, const struct mp__key *k,
                  struct mp__place *p);

static inline uint64_t mp__words(uint64_t bytes)
{
    return bytes / 8 + (bytes % 8 != 0);
}
static inline uint64_t mp__entry_bytes(uint64_t key_size, uint64_t size)
{
    return sizeof(struct mp__entry) + 8 * (mp__words(key_size) + mp__words(size));
}
static inline uint64_t *mp__item_value(const struct mp__item *i)
{
    return i->entry->words + mp__words(i->key_size);
}
static inline uint64_t mp__slot_count(const struct mp__slots *t)
{
    return t->slot ? UINT64_C(1) << t->bits : 0;
}
static inline uint64_t mp__slot_offset(uint64_t slot)
{
    return (slot & MP__SLOT_OFFSET) << 6;
}
static inline uint64_t mp__slot_tag(uint64_t hash)
{
    return (hash >> 16) << 42;
}
// Where the search begins.
static inline uint64_t mp__slot_home(const struct mp__slots *t, uint64_t hash)
{
    return hash >> (64 - t->bits);
}

// ---- shm_dict_read.c: getting, without the lock as a rule ----

// The size of a key's value, which is copied to buf unless that is NULL. MP_ENOTFOUND,
// MP_EMSGSIZE (not for NULL), MP_EFORMAT, and those of mp__shard_lock().
int64_t mp__dict_read(mp_shm_dict *d, const struct mp__key *k, void *buf, size_t cap);

// ---- shm_dict_shard.c: changing; with the lock ----

// Takes the lock, and puts the shard in order if its owner died. MP_EINVAL: the dict was
// freed meanwhile; MP_EBROKEN.
int mp__shard_lock(mp_shm_dict *d, struct mp__shard *s);
void mp__shard_unlock(struct mp__shard *s);

// Sets the value of a key that mp__dict_find() looked up; found or not. -ENOMEM,
// MP_EFORMAT.
int mp__shard_set(mp_shm_dict *d, struct mp__shard *s, struct mp__key *k, struct mp__place *p,
                  bool found, const void *value, size_t size);

// Removes a key that was found.
int mp__shard_remove(mp_shm_dict *d, struct mp__shard *s, const struct mp__place *p);

// Removes all, and gives all memory back.
int mp__shard_clear(mp_shm_dict *d, struct mp__shard *s);

#endif
