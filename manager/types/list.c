// SPDX-License-Identifier: MIT
//
// list: what Python's ListProxy can do, and what would otherwise take two calls, between which
// somebody else may come.
#include "types/values.h"

#include <math.h>
#include <stdlib.h>

struct list {
    struct mp__object o;
    struct mp__values v;
};

static struct mp__values *values(struct mp__call *c)
{
    return &((struct list *)c->object)->v;
}

static struct mp__value *at(struct mp__call *c, size_t i)
{
    return mp__values_at(values(c), i);
}

// The place that argument i says.
static int place(struct mp__call *c, size_t i, size_t *out)
{
    return mp__index(mp__arg_int(c, i, 0), values(c)->count, out);
}

static int store(struct mp__call *c, size_t where, struct mp__slice s)
{
    struct mp__value v;
    int r = mp__value_store(c->object, &v, s);
    if (r != 0)
        return r;
    r = mp__values_open(c->object, values(c), where, 1);
    if (r < 0)
        mp__value_drop(c->object, &v);
    else
        *at(c, where) = v;
    return r;
}

static int call_append(struct mp__call *c)
{
    return store(c, values(c)->count, mp__arg(c, 0));
}

// Puts an array before a place, all of it or nothing.
static int insert_all(struct mp__call *c, size_t where, struct mp__slice array)
{
    struct mp__values new = {0};
    int r = mp__values_read(c->object, &new, array);
    if (r == 0)
        r = mp__values_reserve(values(c), where, new.count);
    if (r == 0)
        mp__values_move(values(c), where, &new);
    else
        mp__values_clear(c->object, &new);
    return r;
}

static int call_extend(struct mp__call *c)
{
    return insert_all(c, values(c)->count, mp__arg(c, 0));
}

static int call_insert(struct mp__call *c)
{
    int64_t i = mp__arg_int(c, 0, 0), n = (int64_t)values(c)->count;
    if (i < 0)
        i = i + n < 0 ? 0 : i + n;
    return store(c, (size_t)(i > n ? n : i), mp__arg(c, 1));
}

static int call_get(struct mp__call *c)
{
    size_t i;
    int r = place(c, 0, &i);
    if (r == 0)
        mp__put_value(c, at(c, i));
    return r;
}

static int call_set(struct mp__call *c)
{
    size_t i;
    int r = place(c, 0, &i);
    return r < 0 ? r : mp__value_replace(c->object, at(c, i), mp__arg(c, 1));
}

static int call_del(struct mp__call *c)
{
    size_t i;
    int r = place(c, 0, &i);
    if (r == 0)
        mp__values_cut(c->object, values(c), i, 1);
    return r;
}

static int call_pop(struct mp__call *c)
{
    size_t i;
    int r = mp__index(mp__arg_int(c, 0, -1), values(c)->count, &i);
    if (r != 0)
        return r;
    mp__put_value(c, at(c, i));
    mp__values_cut(c->object, values(c), i, 1);
    return 0;
}

// ---- searching -----------------------------------------------------------------------

static size_t search(struct mp__call *c, size_t from, size_t to, struct mp__slice s)
{
    while (from < to && !mp__slice_equal(mp__value_slice(at(c, from)), s))
        from++;
    return from;
}

static int call_remove(struct mp__call *c)
{
    size_t n = values(c)->count, i = search(c, 0, n, mp__arg(c, 0));
    if (i == n)
        return MP_ENOTFOUND;
    mp__values_cut(c->object, values(c), i, 1);
    return 0;
}

static int call_index(struct mp__call *c)
{
    struct mp__range r;
    int err = mp__range(c, 1, 2, SIZE_MAX, values(c)->count, &r);
    if (err != 0)
        return err;
    size_t from = (size_t)r.start, i = search(c, from, from + r.count, mp__arg(c, 0));
    if (i == from + r.count)
        return MP_ENOTFOUND;
    mp__put_uint(c->out, i);
    return 0;
}

static int call_count(struct mp__call *c)
{
    size_t n = 0, count = values(c)->count;
    for (size_t i = 0; (i = search(c, i, count, mp__arg(c, 0))) < count; i++)
        n++;
    mp__put_uint(c->out, n);
    return 0;
}

static int call_contains(struct mp__call *c)
{
    size_t n = values(c)->count;
    mp__put_bool(c->out, search(c, 0, n, mp__arg(c, 0)) < n);
    return 0;
}

static int call_len(struct mp__call *c)
{
    mp__put_uint(c->out, values(c)->count);
    return 0;
}

// ---- order ---------------------------------------------------------------------------

static void swap(struct mp__call *c, size_t i, size_t j)
{
    struct mp__value v = *at(c, i);
    *at(c, i) = *at(c, j);
    *at(c, j) = v;
}

static int call_reverse(struct mp__call *c)
{
    for (size_t i = 0, j = values(c)->count; i + 1 < j;)
        swap(c, i++, --j);
    return 0;
}

// What an element is sorted by: a number, or the bytes of a text.
struct rank {
    struct mp__value value;
    mp_item_type type;
    long double number; // holds each int64_t
    size_t size, place; // of the text; in the list
    bool down;
};

static int rank(struct mp__value *v, size_t i, bool down, struct rank *r)
{
    struct mp__head head = {0};
    const uint8_t *p = mp__value_data(v);
    (void)!mp__head_read(&p, p + v->size, &head);
    *r = (struct rank){.value = *v, .type = head.type, .place = i, .down = down};
    if (head.type == MP_ITEM_STR || head.type == MP_ITEM_BIN) {
        r->size = (size_t)head.n;
        return 0;
    }
    struct mp__number n;
    int err = mp__number_read(mp__value_slice(v), &n);
    if (err != 0)
        return err;
    r->type = MP_ITEM_INT;
    r->number = n.integer ? (long double)n.i : (long double)n.d;
    return isnan(r->number) ? MP_EINVAL : 0;
}

static const uint8_t *rank_text(const struct rank *r)
{
    return mp__value_data(&r->value) + r->value.size - r->size;
}

static int by_rank(const void *x, const void *y)
{
    const struct rank *a = x, *b = y;
    int order;
    if (a->type == MP_ITEM_INT) {
        order = (a->number > b->number) - (a->number < b->number);
    } else {
        size_t size = a->size < b->size ? a->size : b->size;
        order = memcmp(rank_text(a), rank_text(b), size);
        if (order == 0)
            order = (a->size > b->size) - (a->size < b->size);
    }
    if (order != 0)
        return a->down ? -order : order;
    return (a->place > b->place) - (a->place < b->place);
}

static int call_sort(struct mp__call *c)
{
    size_t n = values(c)->count;
    struct rank *ranks = malloc((n + 1) * sizeof *ranks);
    int r = ranks ? 0 : MP_EQUOTA;
    for (size_t i = 0; i < n && r == 0; i++) {
        r = rank(at(c, i), i, mp__arg_bool(c, 0), &ranks[i]);
        if (r == 0 && ranks[i].type != ranks[0].type)
            r = MP_ETYPE;
    }
    if (r == 0) {
        qsort(ranks, n, sizeof *ranks, by_rank);
        for (size_t i = 0; i < n; i++)
            *at(c, i) = ranks[i].value;
    }
    free(ranks);
    return r < 0 ? mp__fail(c, r, "only numbers, or only texts, or only bytes can be sorted") : 0;
}

// ---- all of it, and parts ------------------------------------------------------------

static int call_clear(struct mp__call *c)
{
    mp__values_clear(c->object, values(c));
    return 0;
}

static int put_range(struct mp__call *c, struct mp__range r)
{
    mp__put_array(c->out, r.count);
    for (size_t i = 0; i < r.count; i++)
        mp__put_value(c, at(c, (size_t)(r.start + (int64_t)i * r.step)));
    return 0;
}

static int call_copy(struct mp__call *c)
{
    return put_range(c, (struct mp__range){0, 1, values(c)->count});
}

static int call_reversed(struct mp__call *c)
{
    size_t n = values(c)->count;
    return put_range(c, (struct mp__range){(int64_t)n - 1, -1, n});
}

static int call_slice(struct mp__call *c)
{
    struct mp__range r;
    int err = mp__range(c, 0, 1, 2, values(c)->count, &r);
    return err < 0 ? err : put_range(c, r);
}

// A slice with a step takes as many values as it has.
static int set_steps(struct mp__call *c, struct mp__range r, struct mp__values *new)
{
    if (new->count != r.count)
        return mp__fail(c, MP_EINVAL, "another number of values than the slice has");
    for (size_t i = 0; i < r.count; i++) {
        struct mp__value *old = at(c, (size_t)(r.start + (int64_t)i * r.step));
        struct mp__value v = *old;
        *old = *mp__values_at(new, i);
        *mp__values_at(new, i) = v;
    }
    return 0;
}

static int call_set_slice(struct mp__call *c)
{
    struct mp__range r;
    struct mp__values new = {0};
    int err = mp__range(c, 0, 1, 3, values(c)->count, &r);
    if (err == 0)
        err = mp__values_read(c->object, &new, mp__arg(c, 2));
    if (err != 0)
        return err;
    if (r.step != 1) {
        err = set_steps(c, r, &new);
    } else {
        size_t from = (size_t)r.start;
        err = mp__values_reserve(values(c), from, new.count);
        if (err == 0) {
            mp__values_cut(c->object, values(c), from, r.count);
            mp__values_move(values(c), from, &new);
        }
    }
    mp__values_clear(c->object, &new);
    return err;
}

// In one go: those between move down.
static void cut_steps(struct mp__call *c, struct mp__range r)
{
    size_t from = (size_t)r.start, to = from, count = values(c)->count;
    for (size_t i = from, gone = 0; i < count; i++) {
        if (gone < r.count && (i - from) % (size_t)r.step == 0) {
            mp__value_drop(c->object, at(c, i));
            gone++;
        } else {
            *at(c, to++) = *at(c, i);
        }
    }
    mp__discharge(c->object, (count - to) * MP__VALUE_COST);
    values(c)->count = to;
}

static int call_del_slice(struct mp__call *c)
{
    struct mp__range r;
    int err = mp__range(c, 0, 1, 2, values(c)->count, &r);
    if (err < 0 || r.count == 0)
        return err;
    if (r.step == 1) {
        mp__values_cut(c->object, values(c), (size_t)r.start, r.count);
        return 0;
    }
    if (r.step < 0) { // from its lower end
        r.start += (int64_t)(r.count - 1) * r.step;
        r.step = -r.step;
    }
    cut_steps(c, r);
    return 0;
}

static int call_concat(struct mp__call *c)
{
    struct mp__walk w = mp__walk(mp__arg(c, 0));
    struct mp__slice s;
    mp__put_array(c->out, values(c)->count + w.left);
    for (size_t i = 0; i < values(c)->count; i++)
        mp__put_value(c, at(c, i));
    while (mp__walk_next(&w, &s))
        mp__put_packed(c->out, s.data, s.size);
    return 0;
}

// How many copies are asked for; MP_EMSGSIZE when they are more bytes than `most`.
static int times(struct mp__call *c, size_t most, size_t *copies)
{
    int64_t n = mp__arg_int(c, 0, 0);
    size_t bytes = 0, all;
    for (size_t i = 0; i < values(c)->count; i++)
        bytes += at(c, i)->size;
    *copies = n < 0 || bytes == 0 ? 0 : (size_t)n;
    if (__builtin_mul_overflow(bytes, *copies, &all) || all > most)
        return MP_EMSGSIZE;
    return 0;
}

static int call_repeated(struct mp__call *c)
{
    size_t copies;
    int r = times(c, mp__reply_limit(c->core), &copies);
    if (r != 0)
        return r;
    mp__put_array(c->out, values(c)->count * copies);
    while (copies-- > 0)
        for (size_t i = 0; i < values(c)->count; i++)
            mp__put_value(c, at(c, i));
    return 0;
}

static int call_repeat(struct mp__call *c)
{
    size_t copies, count = values(c)->count;
    int r = times(c, UINT32_MAX, &copies); // the quota is what counts
    if (r == 0 && copies == 0)
        mp__values_clear(c->object, values(c));
    for (size_t n = 1; n < copies && r == 0; n++)
        for (size_t i = 0; i < count && r == 0; i++)
            r = store(c, values(c)->count, mp__value_slice(at(c, i)));
    if (r < 0 && values(c)->count > count)
        mp__values_cut(c->object, values(c), count, values(c)->count - count);
    return r;
}

static int call_get_many(struct mp__call *c)
{
    struct mp__walk w = mp__walk(mp__arg(c, 0));
    struct mp__slice s;
    mp__put_array(c->out, (size_t)w.left);
    while (mp__walk_next(&w, &s)) {
        struct mp__number n;
        size_t i;
        int r = mp__number_read(s, &n);
        if (r == 0)
            r = n.integer ? mp__index(n.i, values(c)->count, &i) : MP_ETYPE;
        if (r != 0)
            return r;
        mp__put_value(c, at(c, i));
    }
    return 0;
}

// ---- changes that depend on what there is ----------------------------------------------

static int call_incr(struct mp__call *c)
{
    struct mp__number n, by;
    uint8_t small[16];
    mp_buf b = {.data = small, .capacity = sizeof small, .borrowed = true, .fixed = true};
    size_t i;
    int r = place(c, 0, &i);
    if (r == 0)
        r = mp__arg_number(c, 1, &by);
    if (r == 0)
        r = mp__number_read(mp__value_slice(at(c, i)), &n);
    if (r == 0)
        r = mp__number_add(&n, by);
    if (r != 0)
        return r;
    mp__number_put(&b, n);
    mp__number_put(c->out, n);
    return mp__value_replace(c->object, at(c, i), (struct mp__slice){small, b.size, false});
}

static int call_compare_and_set(struct mp__call *c)
{
    size_t i;
    int r = place(c, 0, &i);
    if (r != 0)
        return r;
    bool same = mp__slice_equal(mp__value_slice(at(c, i)), mp__arg(c, 1));
    if (same)
        r = mp__value_replace(c->object, at(c, i), mp__arg(c, 2));
    mp__put_bool(c->out, same);
    return r;
}

// ---- the type ------------------------------------------------------------------------

static void end(struct mp__object *o)
{
    mp__values_clear(o, &((struct list *)o)->v);
}

static int make(struct mp__call *c)
{
    return mp__given(c, 0) ? mp__values_read(c->object, values(c), mp__arg(c, 0)) : 0;
}

static void each(struct mp__object *o,
                 void (*fn)(struct mp__object *o, struct mp__slice s, void *arg), void *arg)
{
    const struct mp__values *v = &((struct list *)o)->v;
    for (size_t i = 0; i < v->count; i++)
        if (mp__values_at(v, i)->objects)
            fn(o, mp__value_slice(mp__values_at(v, i)), arg);
}

static int save(struct mp__object *o, struct mp__saver *s)
{
    const struct mp__values *v = &((struct list *)o)->v;
    int r = 0;
    for (size_t i = 0; i < v->count && r >= 0; i++) {
        const struct mp__value *value = mp__values_at(v, i);
        mp__put_packed(mp__save_call(s, o, MP__OP(LIST, append), 1), mp__value_data(value),
                       value->size);
        r = mp__saved(s);
    }
    return r;
}

static const char *check(struct mp__object *o)
{
    const struct mp__values *v = &((struct list *)o)->v;
    uint64_t bytes = v->count * MP__VALUE_COST;
    uint32_t objects = 0;
    for (size_t i = 0; i < v->count; i++) {
        bytes += mp__values_at(v, i)->size;
        objects += mp__values_at(v, i)->objects;
    }
    return bytes == o->bytes && objects == o->inner ? NULL : "bytes or objects of a list";
}

static mp__method *const methods[] = {MP__CALLS_LIST(MP__METHOD)};

const struct mp__type mp__type_list = {.name = "list",
                                       .interface = MP__LIST,
                                       .size = sizeof(struct list),
                                       .methods = methods,
                                       .make = make,
                                       .end = end,
                                       .each = each,
                                       .save = save,
                                       .check = check};
