// SPDX-License-Identifier: MIT
//
// A list in shared memory: items are bytes, of any size, and every process that has it
// reads and writes it without a manager in between.
//
//  1. mp_shm_list_new(), before the processes that shall share it; or under a name, and
//     mp_shm_list_attach() in any process of the same user;
//  2. all other calls, in any process and thread, at any time;
//  3. mp_shm_list_free() in each process: the memory goes when its maker frees it; with the
//     last that has it and mp_shm_unlink(), if it has a name.
//
// Each call is one step to all others: they see the list as it was before or as it is
// after, also when the process is killed in the middle, and no memory is lost with it.
// Reading writes nothing that others read. Writers take turns; a call waits for nothing
// but other writers' calls. A writer that is stopped (SIGSTOP) inside a call keeps the
// others waiting until it goes on.
//
// An index counts from 0; a negative one counts from the end: -1 is the last item. Taking
// from and adding to both ends costs the same however long the list is; inserting and
// removing in the middle copies 8 bytes for each item.
//
// Each call that is given a list or pointer that is none returns MP_EINVAL, also for a list
// that its maker has freed; those that look at shared memory return MP_EFORMAT when another
// process has damaged it, and writers MP_EBROKEN when its lock is. An item of 0 bytes is one
// like others, and its pointer may be NULL. At most 2^31 items.
#ifndef MP_SHM_LIST_H
#define MP_SHM_LIST_H

#include <mp/arena.h>
#include <mp/base.h>
#include <mp/error.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mp_shm_list mp_shm_list;

typedef struct mp_shm_list_opts {
    mp_arena *arena;  // where it lies; NULL: in this process's own arena
    const char *name; // or under a name (as that of an arena), for mp_shm_list_attach(); not both
    size_t max;       // with a name: bytes it may take in all; 0: as much as an arena
} mp_shm_list_opts;

// Makes an empty list. Errors: MP_EINVAL, -EEXIST (the name is taken), those of
// mp_arena_new() and mp_arena_alloc(). Since 0.1.
MP_API MP_NODISCARD int mp_shm_list_new(mp_shm_list **out, const mp_shm_list_opts *opts);

// Attaches to the list of that name. Errors: MP_ENOTFOUND, MP_ETYPE (it is not a list),
// MP_EVERSION, MP_EFORMAT, MP_EUNSAFE, MP_EINVAL, -ENOMEM, -EMFILE. Since 0.1.
MP_API MP_NODISCARD int mp_shm_list_attach(mp_shm_list **out, const char *name);

// In the process that made it, when it has no name: frees the list and all it holds; later
// calls in other processes are MP_EINVAL. Else: drops what this process has of it. No other
// thread of this process may use it meanwhile. NULL is fine.
// Since 0.1.
MP_API void mp_shm_list_free(mp_shm_list *l);

// Adds an item at the end. -ENOMEM leaves the list as it was, as it does in all calls
// here; MP_EOVERFLOW: it is as long as a list can be. Since 0.1.
MP_API MP_NODISCARD int mp_shm_list_append(mp_shm_list *l, const void *data, size_t size);

typedef struct mp_shm_list_item {
    const void *data;
    size_t size;
} mp_shm_list_item;

// Adds n items at the end, all in one step. Errors as mp_shm_list_append(). Since 0.1.
MP_API MP_NODISCARD int mp_shm_list_extend(mp_shm_list *l, const mp_shm_list_item *items, size_t n);

// Inserts before the item at index; 0 is the front. As in Python, an index beyond an end
// means that end. Errors as mp_shm_list_append(). Since 0.1.
MP_API MP_NODISCARD int mp_shm_list_insert(mp_shm_list *l, int64_t index, const void *data,
                                           size_t size);

// Copies an item to buf, and returns its size. MP_EINDEX: there is none; MP_EMSGSIZE: it is
// larger than cap, mp_shm_list_size() tells how large. buf may be written on failure, too.
// Since 0.1.
MP_API MP_NODISCARD int64_t mp_shm_list_get(mp_shm_list *l, int64_t index, void *buf, size_t cap);

// The same in memory from malloc() that the caller frees, with a zero byte behind it that
// does not count. *data is NULL on failure. Also -ENOMEM. Since 0.1.
MP_API MP_NODISCARD int64_t mp_shm_list_get_new(mp_shm_list *l, int64_t index, void **data);

// Returns the size of an item, or MP_EINDEX. Since 0.1.
MP_API MP_NODISCARD int64_t mp_shm_list_size(mp_shm_list *l, int64_t index);

// Sets the item at index, which must be there: MP_EINDEX. Since 0.1.
MP_API MP_NODISCARD int mp_shm_list_set(mp_shm_list *l, int64_t index, const void *data,
                                        size_t size);

// Removes an item and returns its size, with its bytes in buf as mp_shm_list_get(). What
// does not fit (MP_EMSGSIZE) is not removed; buf NULL with cap 0 drops it whatever its size.
// Of several that pop at once, each gets another. MP_EINDEX. Since 0.1.
MP_API MP_NODISCARD int64_t mp_shm_list_pop(mp_shm_list *l, int64_t index, void *buf, size_t cap);

// Returns the index of the first item that equals the bytes, or MP_ENOTFOUND. Since 0.1.
MP_API MP_NODISCARD int64_t mp_shm_list_index(mp_shm_list *l, const void *data, size_t size);

// Removes the first item that equals the bytes. MP_ENOTFOUND. Since 0.1.
MP_API int mp_shm_list_remove(mp_shm_list *l, const void *data, size_t size);

// The number of items. Since 0.1.
MP_API MP_NODISCARD int64_t mp_shm_list_len(mp_shm_list *l);

// Removes all items, in one step. Since 0.1.
MP_API int mp_shm_list_clear(mp_shm_list *l);

// Copies the whole list as it is at one moment: *items is an array of as many items as are
// returned, in one piece of memory from malloc() with all their bytes; the caller frees
// *items. A zero byte that does not count follows each item. NULL when the list is empty
// or on failure. Also -ENOMEM. To go through a list, go through a copy. Since 0.1.
MP_API MP_NODISCARD int64_t mp_shm_list_copy(mp_shm_list *l, mp_shm_list_item **items);

typedef struct mp_shm_list_stats {
    size_t len;       // items
    size_t slots;     // places for items; they grow before they are full
    size_t blocks;    // blocks of the arena that the list has, with its own
    size_t recovered; // writers that died in the middle, and whose step was taken back or ended
} mp_shm_list_stats;

// Since 0.1.
MP_API int mp_shm_list_get_stats(mp_shm_list *l, mp_shm_list_stats *out);

#ifdef __cplusplus
}
#endif
#endif
