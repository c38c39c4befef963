// SPDX-License-Identifier: MIT
//
// A dict in shared memory: keys and values are bytes, of any size, and every process that
// has it reads and writes it without a manager in between.
//
//  1. mp_shm_dict_new(), before the processes that shall share it; or under a name, and
//     mp_shm_dict_attach() in any process of the same user;
//  2. all other calls, in any process and thread, at any time;
//  3. mp_shm_dict_free() in each process: the memory goes when its maker frees it; with the
//     last that has it and mp_shm_unlink(), if it has a name.
//
// Each call is one step to all others: they see what was before or what is after, also
// when the process is killed in the middle, and no memory is lost with it. Reading writes
// nothing that others read, so readers do not slow each other down. Writers lock one part
// of the dict (opts.shards), mostly not the same; a call waits for nothing but another
// writer's few microseconds. A writer that is stopped (SIGSTOP) inside a call keeps its
// part locked until it goes on.
//
// Keys are hashed with a random key of the dict's own, so nobody can make up keys that all
// meet in one place. The order of keys means nothing.
//
// Each call that is given a dict or pointer that is none returns MP_EINVAL, also for a dict
// that its maker has freed; those that look at shared memory return MP_EFORMAT when another
// process has damaged it, and writers MP_EBROKEN when its lock is. A key or value of 0 bytes
// is one like others, and its pointer may be NULL.
#ifndef MP_SHM_DICT_H
#define MP_SHM_DICT_H

#include <mp/arena.h>
#include <mp/base.h>
#include <mp/error.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mp_shm_dict mp_shm_dict;

typedef struct mp_shm_dict_opts {
    mp_arena *arena;  // where it lies; NULL: in this process's own arena
    const char *name; // or under a name (as that of an arena), for mp_shm_dict_attach(); not both
    size_t max;       // with a name: bytes it may take in all; 0: as much as an arena
    size_t shards;    // parts that are written independently; 0 = 64, at most 4096
} mp_shm_dict_opts;

// Makes an empty dict. Errors: MP_EINVAL, -EEXIST (the name is taken), those of
// mp_arena_new() and mp_arena_alloc(). Since 0.1.
MP_API MP_NODISCARD int mp_shm_dict_new(mp_shm_dict **out, const mp_shm_dict_opts *opts);

// Attaches to the dict of that name. Errors: MP_ENOTFOUND, MP_ETYPE (it is not a dict),
// MP_EVERSION, MP_EFORMAT, MP_EUNSAFE, MP_EINVAL, -ENOMEM, -EMFILE. Since 0.1.
MP_API MP_NODISCARD int mp_shm_dict_attach(mp_shm_dict **out, const char *name);

// In the process that made it, when it has no name: frees the dict and all it holds; later
// calls in other processes are MP_EINVAL. Else: drops what this process has of it. No other
// thread of this process may use it meanwhile. NULL is fine.
// Since 0.1.
MP_API void mp_shm_dict_free(mp_shm_dict *d);

// Sets the value of a key. -ENOMEM leaves what was. Since 0.1.
MP_API MP_NODISCARD int mp_shm_dict_set(mp_shm_dict *d, const void *key, size_t key_size,
                                        const void *value, size_t size);

// Copies the value of a key to buf, and returns its size. MP_ENOTFOUND; MP_EMSGSIZE when
// it is larger than cap: mp_shm_dict_size() tells how large. buf may be written on
// failure, too. Since 0.1.
MP_API MP_NODISCARD int64_t mp_shm_dict_get(mp_shm_dict *d, const void *key, size_t key_size,
                                            void *buf, size_t cap);

// The same in memory from malloc() that the caller frees, with a zero byte behind it that
// does not count. *value is NULL on failure. Also -ENOMEM. Since 0.1.
MP_API MP_NODISCARD int64_t mp_shm_dict_get_new(mp_shm_dict *d, const void *key, size_t key_size,
                                                void **value);

// As mp_shm_dict_get(), with a value to give when there is no such key. Since 0.1.
MP_API MP_NODISCARD int64_t mp_shm_dict_get_default(mp_shm_dict *d, const void *key,
                                                    size_t key_size, void *buf, size_t cap,
                                                    const void *value, size_t size);

// Returns the size of a key's value, or MP_ENOTFOUND. Since 0.1.
MP_API MP_NODISCARD int64_t mp_shm_dict_size(mp_shm_dict *d, const void *key, size_t key_size);

// Whether there is such a key: 1 or 0. Since 0.1.
MP_API MP_NODISCARD int mp_shm_dict_contains(mp_shm_dict *d, const void *key, size_t key_size);

// Removes a key with its value. MP_ENOTFOUND. Since 0.1.
MP_API int mp_shm_dict_remove(mp_shm_dict *d, const void *key, size_t key_size);

// Removes a key and returns its value, as mp_shm_dict_get(). What does not fit (MP_EMSGSIZE)
// is not removed. Of several that pop a key, one gets it. Since 0.1.
MP_API MP_NODISCARD int64_t mp_shm_dict_pop(mp_shm_dict *d, const void *key, size_t key_size,
                                            void *buf, size_t cap);

// Sets the value of a key that has none. 1: set; 0: it has one, which stays. Of several
// that do it at once, one gets 1. Since 0.1.
MP_API MP_NODISCARD int mp_shm_dict_setdefault(mp_shm_dict *d, const void *key, size_t key_size,
                                               const void *value, size_t size);

// Sets the value of a key if it is `expected`. 1: set; 0: it is another, which stays.
// MP_ENOTFOUND: there is none. Since 0.1.
MP_API MP_NODISCARD int mp_shm_dict_compare_set(mp_shm_dict *d, const void *key, size_t key_size,
                                                const void *expected, size_t expected_size,
                                                const void *value, size_t size);

// Adds to a value that is an int64_t (8 bytes as the machine has them); a missing one
// counts as 0. Stores the sum in *sum unless that is NULL. MP_ETYPE: the value is not of 8
// bytes; MP_EOVERFLOW: the sum is not an int64_t; the value stays. Since 0.1.
MP_API int mp_shm_dict_incr(mp_shm_dict *d, const void *key, size_t key_size, int64_t by,
                            int64_t *sum);

typedef struct mp_shm_dict_item {
    const void *key; // from an iterator, key and value are 8-aligned,
    size_t key_size; // and a zero byte that does not count follows each
    const void *value;
    size_t size;
} mp_shm_dict_item;

// Sets n items, one after the other: as a loop of mp_shm_dict_set(), that ends at the first
// error. Since 0.1.
MP_API MP_NODISCARD int mp_shm_dict_update(mp_shm_dict *d, const mp_shm_dict_item *items, size_t n);

// The number of keys. While others write, a number that was right at one moment for each
// shard. Since 0.1.
MP_API MP_NODISCARD int64_t mp_shm_dict_count(mp_shm_dict *d);

// Removes all keys, a key at a time, and gives their memory back. What others set
// meanwhile may stay. Since 0.1.
MP_API int mp_shm_dict_clear(mp_shm_dict *d);

typedef struct mp_shm_dict_iter mp_shm_dict_iter;

// Begins to go through a dict, which may change meanwhile: a key that is there from begin
// to end comes exactly once, and with a value that it had in that time; one set or removed
// meanwhile comes once or not at all, but again if it was set again. The iterator belongs
// to one thread of this process. Errors: MP_EINVAL, -ENOMEM. Since 0.1.
MP_API MP_NODISCARD int mp_shm_dict_iter_new(mp_shm_dict_iter **out, mp_shm_dict *d);

// The next item: 1, or 0 at the end. It is the iterator's, and good until the next call.
// Errors: also -ENOMEM, after which the call can be repeated. Since 0.1.
MP_API MP_NODISCARD int mp_shm_dict_iter_next(mp_shm_dict_iter *it, mp_shm_dict_item *item);

// Ends it. NULL is fine. Since 0.1.
MP_API void mp_shm_dict_iter_free(mp_shm_dict_iter *it);

typedef struct mp_shm_dict_stats {
    size_t count;     // keys
    size_t shards;    // parts
    size_t slots;     // places for keys in all shards; they grow before they are full
    size_t blocks;    // blocks of the arena that the dict has, with its own
    size_t recovered; // writers that died in the middle, and whose step was taken back or ended
} mp_shm_dict_stats;

// Since 0.1.
MP_API int mp_shm_dict_get_stats(mp_shm_dict *d, mp_shm_dict_stats *out);

#ifdef __cplusplus
}
#endif
#endif
