// SPDX-License-Identifier: MIT
//
// A value as an object keeps it: packed bytes, up to eight of them in place. An object that
// stores values is charged for them, and holds a reference to each object in them.
#ifndef MP_MANAGER_VALUE_H
#define MP_MANAGER_VALUE_H

#include <mp/pack.h>
#include <stdint.h>
#include <string.h>

struct mp__object;

// Packed bytes somewhere.
struct mp__slice {
    const uint8_t *data;
    size_t size;
    bool objects; // there may be some in it
};

struct mp__value {
    union {
        uint8_t *data;
        uint8_t small[8];
    };
    uint32_t size;
    uint32_t objects; // references in it
};

#define MP__VALUE_COST sizeof(struct mp__value)

static inline const uint8_t *mp__value_data(const struct mp__value *v)
{
    return v->size > sizeof v->small ? v->data : v->small;
}

static inline struct mp__slice mp__value_slice(const struct mp__value *v)
{
    return (struct mp__slice){mp__value_data(v), v->size, v->objects > 0};
}

static inline bool mp__slice_equal(struct mp__slice a, struct mp__slice b)
{
    return a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

// Bytes without an owner. -ENOMEM.
int mp__value_copy(struct mp__value *v, const void *data, size_t size);
void mp__value_free(struct mp__value *v);

// Makes v, which holds nothing, a copy of s for the object o. Errors: MP_EQUOTA, MP_ESTALE
// (an object that is gone), MP_EPROTO (an ext that is none).
int mp__value_store(struct mp__object *o, struct mp__value *v, struct mp__slice s);

// The same in place of what v holds, which stays on failure.
int mp__value_replace(struct mp__object *o, struct mp__value *v, struct mp__slice s);

// Gives up what is in v.
void mp__value_drop(struct mp__object *o, struct mp__value *v);

// Calls fn with each object's number in packed bytes, until it returns an error: MP_EPROTO for
// another ext.
int mp__each_object(struct mp__slice s, int (*fn)(void *arg, uint64_t id), void *arg);

#endif
