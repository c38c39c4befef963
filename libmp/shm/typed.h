// SPDX-License-Identifier: MIT
//
// What value and array have in common: items of one type in one block, and an rlock before
// them. A value is an array of one item, and differs in its name and its functions.
//
//   | header, type, item, count | lock | items ...
//
// The header says what the items are and never changes. All accesses that are checked go
// through mp__typed_range(); all that are locked through mp__typed_read() and the others,
// which hold the lock while they copy. If its last owner died they copy nothing and give it
// back torn, so that whoever asks next is told as well, until somebody repairs it.
#ifndef MP_SHM_TYPED_H
#define MP_SHM_TYPED_H

#include "shm/lock.h"
#include "shm/object.h"

#include <mp/type.h>

struct mp__typed {
    struct mp__object object;
    uint32_t type;    // enum mp_type
    uint32_t no_lock; // bool
    uint64_t item;    // bytes
    uint64_t count;
    struct mp_rlock lock;
    _Alignas(64) unsigned char data[];
};

// What is wanted, as in the options of value and array.
struct mp__typed_spec {
    enum mp__type object;
    mp_type type;
    size_t item, count;
    const void *initial;
    mp_arena *arena;
    const char *name;
    bool no_lock;
};

// MP_EINVAL, MP_EOVERFLOW, and the errors of mp__object_new() and mp__object_publish().
int mp__typed_new(struct mp__typed **out, const struct mp__typed_spec *want);

// spec->count 0: any. spec->type 0: any, of any size.
int mp__typed_attach(struct mp__typed **out, const struct mp__typed_spec *spec);
void mp__typed_free(struct mp__typed *t);

static inline mp_rlock *mp__typed_lock(struct mp__typed *t)
{
    return t->no_lock ? NULL : &t->lock;
}

// Items [first, first+n) of t, which may be in damaged memory. MP_EINDEX.
int mp__typed_range(const struct mp__typed *t, size_t first, size_t n);

// Under the lock, on ranges that were checked; item is what the caller believes: MP_ETYPE.
// MP_EINVAL (timeout_ms), MP_ETIMEDOUT, MP_EOWNERDEAD, MP_EBROKEN: nothing was copied.
int mp__typed_read(struct mp__typed *t, size_t first, size_t n, void *out, size_t item,
                   int timeout_ms);
int mp__typed_write(struct mp__typed *t, size_t first, size_t n, const void *in, size_t item,
                    int timeout_ms);
int mp__typed_fill(struct mp__typed *t, size_t first, size_t n, const void *x, size_t item,
                   int timeout_ms);
int mp__typed_copy(struct mp__typed *to, size_t to_first, struct mp__typed *from, size_t from_first,
                   size_t n, int timeout_ms);

// One atomic access to item i. MP_ETYPE (struct, long double), MP_EINDEX, -ERANGE.
int mp__typed_get_int(const struct mp__typed *t, size_t i, int64_t *out);
int mp__typed_set_int(struct mp__typed *t, size_t i, int64_t x);
int mp__typed_get_double(const struct mp__typed *t, size_t i, double *out);
int mp__typed_set_double(struct mp__typed *t, size_t i, double x);

#endif
