// SPDX-License-Identifier: MIT
//
// Value: one value of any type; or a number of one type, when it was made with that.
#include "types/typecode.h"

struct value {
    struct mp__object o;
    struct mp__value v;
    char code; // 0: any
};

static struct value *value(struct mp__call *c)
{
    return (struct value *)c->object;
}

// Argument i in the form it is stored in; `small` has room for a number.
static int fit(struct mp__call *c, size_t i, uint8_t small[16], struct mp__slice *s)
{
    mp_buf b = {.data = small, .capacity = 16, .borrowed = true, .fixed = true};
    struct mp__number n;
    *s = mp__arg(c, i);
    if (!value(c)->code)
        return 0;
    int r = mp__number_read(*s, &n);
    if (r == 0)
        r = mp__typecode_fit(value(c)->code, &n);
    mp__number_put(&b, n);
    *s = (struct mp__slice){small, b.size, false};
    return r;
}

static int set(struct mp__call *c, size_t i)
{
    uint8_t small[16];
    struct mp__slice s;
    int r = fit(c, i, small, &s);
    return r < 0 ? r : mp__value_replace(c->object, &value(c)->v, s);
}

static int call_get(struct mp__call *c)
{
    mp__put_value(c, &value(c)->v);
    return 0;
}

static int call_set(struct mp__call *c)
{
    return set(c, 0);
}

static int call_incr(struct mp__call *c)
{
    struct mp__number n, by;
    uint8_t small[16];
    mp_buf b = {.data = small, .capacity = sizeof small, .borrowed = true, .fixed = true};
    int r = mp__arg_number(c, 0, &by);
    if (r == 0)
        r = mp__number_read(mp__value_slice(&value(c)->v), &n);
    if (r == 0)
        r = mp__number_add(&n, by);
    if (r == 0 && value(c)->code)
        r = mp__typecode_fit(value(c)->code, &n);
    if (r != 0)
        return r;
    mp__number_put(&b, n);
    mp__number_put(c->out, n);
    return mp__value_replace(c->object, &value(c)->v, (struct mp__slice){small, b.size, false});
}

static int call_compare_and_set(struct mp__call *c)
{
    uint8_t small[16];
    struct mp__slice expected;
    int r = fit(c, 0, small, &expected);
    bool same = r == 0 && mp__slice_equal(mp__value_slice(&value(c)->v), expected);
    if (same)
        r = set(c, 1);
    mp__put_bool(c->out, same);
    return r;
}

static int call_exchange(struct mp__call *c)
{
    mp__put_value(c, &value(c)->v);
    return set(c, 0);
}

// nil, or 0 of the type, if nothing is given.
static int make(struct mp__call *c)
{
    uint8_t first = 0xc0;
    if (mp__given(c, 0)) {
        if (!mp__typecode_valid(mp__arg_text(c, 0)))
            return mp__fail(c, MP_EINVAL, "the type is one of bBhHiIlLqQfd");
        value(c)->code = (char)mp__arg_text(c, 0).data[0];
        first = 0;
    }
    if (c->count > 1)
        return set(c, 1);
    struct mp__slice s = {&first, 1, false};
    return mp__value_store(c->object, &value(c)->v, s);
}

static void end(struct mp__object *o)
{
    mp__value_drop(o, &((struct value *)o)->v);
}

static void each(struct mp__object *o,
                 void (*fn)(struct mp__object *o, struct mp__slice s, void *arg), void *arg)
{
    fn(o, mp__value_slice(&((struct value *)o)->v), arg);
}

static int save_make(struct mp__object *o, mp_buf *args)
{
    char code = ((struct value *)o)->code;
    if (code)
        mp__put_text(args, &code, 1);
    return code != 0;
}

static int save(struct mp__object *o, struct mp__saver *s)
{
    const struct mp__value *v = &((struct value *)o)->v;
    mp__put_packed(mp__save_call(s, o, MP__OP(VALUE, set), 1), mp__value_data(v), v->size);
    return mp__saved(s);
}

static const char *check(struct mp__object *o)
{
    const struct mp__value *v = &((struct value *)o)->v;
    return v->size == o->bytes && v->objects == o->inner ? NULL : "bytes or objects of a Value";
}

static mp__method *const methods[] = {MP__CALLS_VALUE(MP__METHOD)};

const struct mp__type mp__type_value = {.name = "Value",
                                        .interface = MP__VALUE,
                                        .size = sizeof(struct value),
                                        .methods = methods,
                                        .make = make,
                                        .end = end,
                                        .each = each,
                                        .save_make = save_make,
                                        .save = save,
                                        .check = check};
