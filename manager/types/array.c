// SPDX-License-Identifier: MIT
//
// Array: so many numbers of one type. They are kept as 64 bits each.
#include "types/typecode.h"

#include <stdlib.h>

struct array {
    struct mp__object o;
    union number {
        int64_t i;
        double d;
    } * numbers;
    size_t count;
    char code;
};

static struct array *array(struct mp__call *c)
{
    return (struct array *)c->object;
}

static bool integers(const struct array *a)
{
    return a->code != 'f' && a->code != 'd';
}

static struct mp__number number_at(const struct array *a, size_t i)
{
    struct mp__number n = {.integer = integers(a)};
    n.i = n.integer ? a->numbers[i].i : 0;
    n.d = n.integer ? 0 : a->numbers[i].d;
    return n;
}

// Stores what fits: MP_EOVERFLOW, MP_ETYPE.
static int store(struct array *a, size_t i, struct mp__number n)
{
    int r = mp__typecode_fit(a->code, &n);
    if (r == 0 && n.integer)
        a->numbers[i].i = n.i;
    else if (r == 0)
        a->numbers[i].d = n.d;
    return r;
}

static int place(struct mp__call *c, size_t *i)
{
    return mp__index(mp__arg_int(c, 0, 0), array(c)->count, i);
}

static int call_get(struct mp__call *c)
{
    size_t i;
    int r = place(c, &i);
    if (r == 0)
        mp__number_put(c->out, number_at(array(c), i));
    return r;
}

static int call_set(struct mp__call *c)
{
    struct mp__number n;
    size_t i;
    int r = place(c, &i);
    if (r == 0)
        r = mp__arg_number(c, 1, &n);
    return r < 0 ? r : store(array(c), i, n);
}

static int call_len(struct mp__call *c)
{
    mp__put_uint(c->out, array(c)->count);
    return 0;
}

static void put_range(struct mp__call *c, struct mp__range r)
{
    mp__put_array(c->out, r.count);
    for (size_t i = 0; i < r.count; i++)
        mp__number_put(c->out, number_at(array(c), (size_t)(r.start + (int64_t)i * r.step)));
}

static int call_slice(struct mp__call *c)
{
    struct mp__range r;
    int err = mp__range(c, 0, 1, 2, array(c)->count, &r);
    if (err == 0)
        put_range(c, r);
    return err;
}

static int call_copy(struct mp__call *c)
{
    put_range(c, (struct mp__range){0, 1, array(c)->count});
    return 0;
}

// Whether each element of an argument fits; then that they are stored cannot fail.
static int set_all(struct array *a, struct mp__slice from, struct mp__range r, bool only_check)
{
    struct mp__walk w = mp__walk(from);
    struct mp__slice s;
    int64_t i = r.start;
    if (w.left != r.count)
        return MP_EINVAL;
    for (; mp__walk_next(&w, &s); i += r.step) {
        struct mp__number n;
        int err = mp__number_read(s, &n);
        if (err == 0)
            err = only_check ? mp__typecode_fit(a->code, &n) : store(a, (size_t)i, n);
        if (err != 0)
            return err;
    }
    return 0;
}

static int call_set_slice(struct mp__call *c)
{
    struct mp__range r;
    int err = mp__range(c, 0, 1, 3, array(c)->count, &r);
    if (err == 0)
        err = set_all(array(c), mp__arg(c, 2), r, true);
    return err < 0 ? err : set_all(array(c), mp__arg(c, 2), r, false);
}

static int call_incr(struct mp__call *c)
{
    struct mp__number n, by;
    size_t i;
    int r = place(c, &i);
    if (r == 0)
        r = mp__arg_number(c, 1, &by);
    if (r != 0)
        return r;
    n = number_at(array(c), i);
    r = mp__number_add(&n, by);
    if (r == 0)
        r = store(array(c), i, n);
    if (r == 0)
        mp__number_put(c->out, number_at(array(c), i));
    return r;
}

static int call_compare_and_set(struct mp__call *c)
{
    struct mp__number expected, n, now;
    size_t i;
    int r = place(c, &i);
    if (r == 0)
        r = mp__arg_number(c, 1, &expected);
    if (r == 0)
        r = mp__arg_number(c, 2, &n);
    if (r == 0)
        r = mp__typecode_fit(array(c)->code, &expected);
    if (r != 0)
        return r;
    now = number_at(array(c), i);
    bool same = now.integer ? now.i == expected.i : now.d == expected.d;
    mp__put_bool(c->out, same);
    return same ? store(array(c), i, n) : 0;
}

static int call_type(struct mp__call *c)
{
    mp__put_text(c->out, &array(c)->code, 1);
    return 0;
}

// ---- the type ------------------------------------------------------------------------

static int allocate(struct mp__call *c, uint64_t count)
{
    struct array *a = array(c);
    if (count > UINT32_MAX)
        return MP_EQUOTA;
    int r = mp__charge(&a->o, (size_t)count * sizeof *a->numbers);
    if (r != 0)
        return r;
    a->numbers = calloc((size_t)count + 1, sizeof *a->numbers);
    a->count = (size_t)count;
    if (!a->numbers)
        mp__discharge(&a->o, a->count * sizeof *a->numbers);
    return a->numbers ? 0 : MP_EQUOTA;
}

static void end(struct mp__object *o)
{
    struct array *a = (struct array *)o;
    mp__discharge(o, a->count * sizeof *a->numbers);
    free(a->numbers);
}

static int make(struct mp__call *c)
{
    struct mp__slice s = mp__arg(c, 1);
    struct mp__number n;
    if (!mp__typecode_valid(mp__arg_text(c, 0)))
        return mp__fail(c, MP_EINVAL, "the type is one of bBhHiIlLqQfd");
    array(c)->code = (char)mp__arg_text(c, 0).data[0];
    if (c->args[1].type == MP_ITEM_INT) {
        int r = mp__number_read(s, &n);
        return r < 0 || n.i < 0 ? MP_EINVAL : allocate(c, (uint64_t)n.i);
    }
    if (c->args[1].type != MP_ITEM_ARRAY)
        return mp__fail(c, MP_ETYPE, "a number of zeros, or an array");
    size_t count = (size_t)mp__walk(s).left;
    int r = allocate(c, count);
    if (r != 0)
        return r;
    r = set_all(array(c), s, (struct mp__range){0, 1, count}, false);
    if (r < 0)
        end(c->object);
    return r;
}

static int save_make(struct mp__object *o, mp_buf *args)
{
    const struct array *a = (struct array *)o;
    mp__put_text(args, &a->code, 1);
    mp__put_uint(args, a->count);
    return 2;
}

// In parts that fit into a message.
static int save(struct mp__object *o, struct mp__saver *s)
{
    const struct array *a = (struct array *)o;
    int r = 0;
    for (size_t i = 0, n; i < a->count && r >= 0; i += n) {
        n = a->count - i < 10000 ? a->count - i : 10000;
        mp_buf *b = mp__save_call(s, o, MP__OP(ARRAY, set_slice), 3);
        mp__put_uint(b, i);
        mp__put_uint(b, i + n);
        mp__put_array(b, n);
        for (size_t j = i; j < i + n; j++)
            mp__number_put(b, number_at(a, j));
        r = mp__saved(s);
    }
    return r;
}

static const char *check(struct mp__object *o)
{
    const struct array *a = (struct array *)o;
    return a->count * sizeof *a->numbers == o->bytes ? NULL : "bytes of an Array";
}

static mp__method *const methods[] = {MP__CALLS_ARRAY(MP__METHOD)};

const struct mp__type mp__type_array = {.name = "Array",
                                        .interface = MP__ARRAY,
                                        .size = sizeof(struct array),
                                        .methods = methods,
                                        .make = make,
                                        .end = end,
                                        .save_make = save_make,
                                        .save = save,
                                        .check = check};
