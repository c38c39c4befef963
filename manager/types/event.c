// SPDX-License-Identifier: MIT
//
// Event: a flag to wait for. Who waits when it is set goes on, also if it is taken away at once.
#include "core/type.h"

struct event {
    struct mp__object o;
    struct mp__queue waiting;
    uint64_t times; // that it was set
    bool set;
};

static struct event *event(struct mp__call *c)
{
    return (struct event *)c->object;
}

static int call_set(struct mp__call *c)
{
    event(c)->set = true;
    event(c)->times++;
    mp__wake(&event(c)->waiting);
    return 0;
}

static int call_clear(struct mp__call *c)
{
    event(c)->set = false;
    return 0;
}

static int call_is_set(struct mp__call *c)
{
    mp__put_bool(c->out, event(c)->set);
    return 0;
}

static int call_wait(struct mp__call *c)
{
    if (event(c)->set || (c->waiter && c->data != event(c)->times))
        return 0;
    c->data = event(c)->times;
    return mp__wait(c, &event(c)->waiting);
}

static int make(struct mp__call *c)
{
    mp__queue_init(&event(c)->waiting, c->object);
    return 0;
}

static int save(struct mp__object *o, struct mp__saver *s)
{
    if (!((struct event *)o)->set)
        return 0;
    mp__save_call(s, o, MP__OP(EVENT, set), 0);
    return mp__saved(s);
}

static const char *check(struct mp__object *o)
{
    const struct event *e = (struct event *)o;
    return e->set && e->waiting.count ? "somebody waits for an Event that is set" : NULL;
}

static mp__method *const methods[] = {MP__CALLS_EVENT(MP__METHOD)};

const struct mp__type mp__type_event = {.name = "Event",
                                        .interface = MP__EVENT,
                                        .size = sizeof(struct event),
                                        .methods = methods,
                                        .make = make,
                                        .save = save,
                                        .check = check};
