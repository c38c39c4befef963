// SPDX-License-Identifier: MIT
#include "types/values.h"

#include <stdlib.h>

// Room for n more before place at, so that what is nearer to an end moves.
int mp__values_reserve(struct mp__values *v, size_t at, size_t n)
{
    if (at == 0 && v->first >= n)
        return 0;
    if (v->room - v->first - v->count >= n)
        return 0;
    size_t room = v->count + n + (v->count + n) / 2 + 4,
           first = at == 0 ? (room - v->count - n) / 2 : 0;
    struct mp__value *memory = malloc(room * sizeof *memory);
    if (!memory)
        return MP_EQUOTA;
    if (v->count)
        memcpy(memory + first, v->memory + v->first, v->count * sizeof *memory);
    free(v->memory);
    *v = (struct mp__values){memory, first, v->count, room};
    return 0;
}

static void gap(struct mp__values *v, size_t at, size_t n)
{
    if (at == 0 && v->first >= n)
        v->first -= n;
    else if (at < v->count)
        memmove(mp__values_at(v, at + n), mp__values_at(v, at),
                (v->count - at) * sizeof(struct mp__value));
    v->count += n;
}

int mp__values_open(struct mp__object *o, struct mp__values *v, size_t at, size_t n)
{
    int r = mp__values_reserve(v, at, n);
    if (r == 0)
        r = mp__charge(o, n * MP__VALUE_COST);
    if (r == 0)
        gap(v, at, n);
    return r;
}

void mp__values_cut(struct mp__object *o, struct mp__values *v, size_t at, size_t n)
{
    for (size_t i = at; i < at + n; i++)
        mp__value_drop(o, mp__values_at(v, i));
    mp__discharge(o, n * MP__VALUE_COST);
    if (at == 0)
        v->first += n;
    else if (at + n < v->count)
        memmove(mp__values_at(v, at), mp__values_at(v, at + n),
                (v->count - at - n) * sizeof(struct mp__value));
    v->count -= n;
}

void mp__values_clear(struct mp__object *o, struct mp__values *v)
{
    mp__values_cut(o, v, 0, v->count);
    free(v->memory);
    *v = (struct mp__values){0};
}

int mp__values_read(struct mp__object *o, struct mp__values *v, struct mp__slice array)
{
    struct mp__walk w = mp__walk(array);
    struct mp__slice s;
    int r = mp__values_reserve(v, 0, (size_t)w.left);
    v->first = 0;
    while (r == 0 && mp__walk_next(&w, &s)) {
        r = mp__charge(o, MP__VALUE_COST);
        if (r < 0)
            break;
        r = mp__value_store(o, mp__values_at(v, v->count), s);
        if (r < 0)
            mp__discharge(o, MP__VALUE_COST);
        else
            v->count++;
    }
    if (r < 0)
        mp__values_clear(o, v);
    return r;
}

void mp__values_move(struct mp__values *v, size_t at, struct mp__values *from)
{
    gap(v, at, from->count);
    if (from->count)
        memcpy(mp__values_at(v, at), mp__values_at(from, 0),
               from->count * sizeof(struct mp__value));
    free(from->memory);
    *from = (struct mp__values){0};
}
