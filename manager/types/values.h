// SPDX-License-Identifier: MIT
//
// An array of values that can grow at both ends: what lists are made of, and what an array that
// a call brings becomes before anything is changed.
#ifndef MP_MANAGER_VALUES_H
#define MP_MANAGER_VALUES_H

#include "core/type.h"

struct mp__values {
    struct mp__value *memory;
    size_t first, count, room; // memory[first] is the first of count
};

static inline struct mp__value *mp__values_at(const struct mp__values *v, size_t i)
{
    return &v->memory[v->first + i];
}

// Opens a gap of n before place at, whose values are not set: MP_EQUOTA. All for the object o.
int mp__values_open(struct mp__object *o, struct mp__values *v, size_t at, size_t n);

// Drops n values from place at on, and closes the gap.
void mp__values_cut(struct mp__object *o, struct mp__values *v, size_t at, size_t n);

// All of it.
void mp__values_clear(struct mp__object *o, struct mp__values *v);

// Makes an empty v the elements of an array, or the keys and values of a map: all or, with an
// error, none.
int mp__values_read(struct mp__object *o, struct mp__values *v, struct mp__slice array);

// Moves all of `from`, which is then empty, before place at. The room must be there
// (mp__values_reserve()).
void mp__values_move(struct mp__values *v, size_t at, struct mp__values *from);
int mp__values_reserve(struct mp__values *v, size_t at, size_t n);

#endif
