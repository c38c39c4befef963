// SPDX-License-Identifier: MIT
//
// counter: an integer that many add to.
#include "core/type.h"

struct counter {
    struct mp__object o;
    int64_t n;
};

static struct counter *counter(struct mp__call *c)
{
    return (struct counter *)c->object;
}

static int call_get(struct mp__call *c)
{
    mp__put_int(c->out, counter(c)->n);
    return 0;
}

static int call_set(struct mp__call *c)
{
    counter(c)->n = mp__arg_int(c, 0, 0);
    return 0;
}

static int call_add(struct mp__call *c)
{
    int64_t sum;
    if (__builtin_add_overflow(counter(c)->n, mp__arg_int(c, 0, 1), &sum))
        return MP_EOVERFLOW;
    counter(c)->n = sum;
    mp__put_int(c->out, sum);
    return 0;
}

static int call_compare_and_set(struct mp__call *c)
{
    bool same = counter(c)->n == mp__arg_int(c, 0, 0);
    if (same)
        counter(c)->n = mp__arg_int(c, 1, 0);
    mp__put_bool(c->out, same);
    return 0;
}

static int call_exchange(struct mp__call *c)
{
    mp__put_int(c->out, counter(c)->n);
    return call_set(c);
}

static int make(struct mp__call *c)
{
    counter(c)->n = mp__arg_int(c, 0, 0);
    return 0;
}

static int save_make(struct mp__object *o, mp_buf *args)
{
    mp__put_int(args, ((struct counter *)o)->n);
    return 1;
}

static mp__method *const methods[] = {MP__CALLS_COUNTER(MP__METHOD)};

const struct mp__type mp__type_counter = {.name = "counter",
                                          .interface = MP__COUNTER,
                                          .size = sizeof(struct counter),
                                          .methods = methods,
                                          .make = make,
                                          .save_make = save_make};
