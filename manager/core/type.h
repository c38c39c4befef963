// SPDX-License-Identifier: MIT
//
// What a type of objects is made of, and what its methods have to work with. A type is a file in
// types/: a struct that begins with a struct mp__object, methods, and a table of them.
//
// A method is a function of a call: it looks at the arguments, which have the types that
// wire/calls.h says, changes its object, puts a result, and returns 0; an error, having changed
// nothing; or mp__wait(c, queue), having changed nothing. A call that waits is made again, from
// the start, when its turn comes after mp__wake(queue), and can wait again. So there is no
// second way through a method for those that had to wait.
#ifndef MP_MANAGER_TYPE_INSIDE_H
#define MP_MANAGER_TYPE_INSIDE_H

#include "core/core.h"
#include "core/list.h"
#include "core/value.h"
#include "wire/calls.h"
#include "wire/check.h"
#include "wire/put.h"

struct mp__type;
struct mp__waiter;

// Requests that wait for the same, the longest first.
struct mp__queue {
    struct mp__link waiters, woken; // in the core's list of those that have been woken
    struct mp__object *object;
    uint32_t count;
};

struct mp__object {
    uint64_t id;
    const struct mp__type *type;
    struct mp__core *core;
    struct mp__link doomed;   // in the list of those that nobody refers to
    struct mp__link watchers; // requests that watch it
    struct mp__link stakes;   // what sessions have in it
    uint64_t refs;            // from sessions, names, values, waiters, stakes
    uint32_t inner;           // references from values to others
    uint32_t waiting;
    uint64_t bytes; // charged for
    char *name;     // or NULL
    uint64_t mark;  // of the collector
};

// Something of an object that a session has, and that is given up with it: a lock, units, items.
struct mp__stake {
    struct mp__link in_session, in_object;
    struct mp__session *session; // NULL: nobody's
    struct mp__object *object;
};

struct mp__call {
    struct mp__core *core;
    struct mp__session *session;
    struct mp__object *object;
    const struct mp__call_info *info;
    const uint8_t *message;
    const struct mp__wire_element *args; // in the message
    size_t count;                        // of them
    uint64_t id;
    int64_t timeout;           // ms, -1: never
    mp_buf *out;               // where the result goes
    const char *why;           // text for an error
    struct mp__waiter *waiter; // this call has waited; NULL
    struct mp__queue *queue;   // set by mp__wait()
    uint64_t data;             // the method's, kept while it waits
    bool logged;               // the log is told something else: mp__log_call()
    bool objects_in;           // there are objects in the message
    bool objects_out;          // there may be some in the result
    bool batched;              // in a batch: it cannot wait
    bool replay;               // from the log: nobody may be there to ask, or to answer
    bool unlogged;             // the log need not know
};

#define MP__WAITS 1 // what mp__wait() returns when the call can wait

struct mp__waiter {
    struct mp__link in_queue, in_session;
    struct mp__queue *queue; // NULL: watches, or waits for the server
    struct mp__call call;    // its session, object, args
    struct mp__slice key;    // of who watches one key; data NULL: any
    int64_t timer;           // or -1
    unsigned phase;          // its method's, 0 at first
};

enum mp__reason { MP__TIMED_OUT, MP__CANCELED, MP__GONE };

typedef int mp__method(struct mp__call *c);

// A row of a table of calls as a place in a table of methods: that of get is call_get().
#define MP__METHOD(interface, name, number, args, result, flags, text) [number] = call_##name,

struct mp__saver;

struct mp__type {
    const char *name;
    unsigned interface;
    size_t size;                          // of an object
    mp__method *const *methods;           // by number
    int (*make)(struct mp__call *c);      // c->object is all zero; on failure nothing is left
    void (*end)(struct mp__object *o);    // may be NULL, as all that follow
    void (*gone)(struct mp__stake *s);    // the session of a stake ends: give it up
    void (*parked)(struct mp__waiter *w); // a call has begun to wait
    bool (*gave_up)(struct mp__waiter *w, enum mp__reason why); // true: it goes on waiting
    void (*each)(struct mp__object *o,
                 void (*fn)(struct mp__object *o, struct mp__slice s, void *arg),
                 void *arg);                              // all values that have objects in them
    int (*save_make)(struct mp__object *o, mp_buf *args); // packs what create took: a count of args
    int (*save)(struct mp__object *o, struct mp__saver *s); // calls that fill one that is new
    const char *(*check)(struct mp__object *o);             // what is wrong with it; NULL
    const mp_manager_type *custom;
    uint64_t *stats; // custom: calls by number
};

// ---- arguments -----------------------------------------------------------------------

// Whether it is there; of an argument that may be left out, nil is not.
static inline bool mp__given(const struct mp__call *c, size_t i)
{
    return i < c->count && c->args[i].type != MP_ITEM_NIL;
}

static inline struct mp__slice mp__arg(const struct mp__call *c, size_t i)
{
    const struct mp__wire_element *e = &c->args[i];
    return (struct mp__slice){c->message + e->offset, e->size, c->objects_in};
}

// Integers; the second is what it is if left out. They are in range: the first letter was i or u.
int64_t mp__arg_int(const struct mp__call *c, size_t i, int64_t otherwise);
uint64_t mp__arg_uint(const struct mp__call *c, size_t i, uint64_t otherwise);
bool mp__arg_bool(const struct mp__call *c, size_t i);

// The bytes of a text.
struct mp__slice mp__arg_text(const struct mp__call *c, size_t i);

// The bytes of a packed text, or of bytes; none of anything else.
struct mp__slice mp__text_of(struct mp__slice s);

// A number: an integer, or a double.
struct mp__number {
    bool integer;
    int64_t i;
    double d;
};
int mp__number_read(struct mp__slice s, struct mp__number *n); // MP_ETYPE, MP_EOVERFLOW
void mp__number_put(mp_buf *b, struct mp__number n);
int mp__number_add(struct mp__number *n, struct mp__number by); // MP_EOVERFLOW
// Argument i as a number, 1 if left out.
int mp__arg_number(const struct mp__call *c, size_t i, struct mp__number *n);

// The elements of an array, the keys and values of a map: false at the end.
struct mp__walk {
    const uint8_t *at, *end;
    uint64_t left;
    bool objects;
};
struct mp__walk mp__walk(struct mp__slice s);
bool mp__walk_next(struct mp__walk *w, struct mp__slice *element);

// A key in its one form; MP_ETYPE, MP_EMSGSIZE (longer than the limit). The slice is good until
// the next such call.
int mp__key(struct mp__call *c, struct mp__slice s, struct mp__slice *key);
// The same of any value without an object.
int mp__element(struct mp__call *c, struct mp__slice s, struct mp__slice *key);
uint32_t mp__hash(const struct mp__core *c, struct mp__slice key);

// An index as in Python, -1 being the last of `size`: MP_EINDEX.
int mp__index(int64_t i, size_t size, size_t *out);

// A slice as in Python: arguments first, first + 1 (start, stop), and `step`.
struct mp__range {
    int64_t start, step;
    size_t count;
};
int mp__range(const struct mp__call *c, size_t start, size_t stop, size_t step, size_t size,
              struct mp__range *r); // MP_EINVAL

// ---- results -------------------------------------------------------------------------

static inline void mp__put_value(struct mp__call *c, const struct mp__value *v)
{
    c->objects_out |= v->objects > 0;
    mp__put_packed(c->out, mp__value_data(v), v->size);
}

static inline int mp__fail(struct mp__call *c, int err, const char *why)
{
    c->why = why;
    return err;
}

// ---- waiting -------------------------------------------------------------------------

void mp__queue_init(struct mp__queue *q, struct mp__object *o);

// The longest waiting one; NULL.
struct mp__waiter *mp__queue_first(const struct mp__queue *q);

// Others wait already, and were first.
static inline bool mp__others_wait(const struct mp__call *c, const struct mp__queue *q)
{
    return q->count > 0 && !(c->waiter && c->waiter->queue == q);
}

// For a method to return: MP__WAITS; or MP_EAGAIN, MP_EQUOTA.
int mp__wait(struct mp__call *c, struct mp__queue *q);

// Whether a call would be let wait for its object: 0, or the error. For who has to change
// something before he waits.
int mp__may_wait(struct mp__call *c);

// Calls that wait there are made again, when the present one is done.
void mp__wake(struct mp__queue *q);

// A waiter goes to another queue, without a timeout.
void mp__move(struct mp__waiter *w, struct mp__queue *q);

// ---- sessions and objects ------------------------------------------------------------

void mp__stake_take(struct mp__stake *s, struct mp__session *session, struct mp__object *o);
void mp__stake_drop(struct mp__stake *s);

struct mp__object *mp__object_find(struct mp__core *c, uint64_t id);
void mp__object_ref(struct mp__object *o);
void mp__object_unref(struct mp__object *o);

// An object that is another's own; nobody refers to it yet. NULL: no memory or above the limit.
struct mp__object *mp__object_own(struct mp__core *c, const char *type);

// Charges an object for bytes of values (or gives them back): MP_EQUOTA.
int mp__charge(struct mp__object *o, size_t bytes);
void mp__discharge(struct mp__object *o, size_t bytes);

// The same for a session, of what its tasks take.
int mp__charge_tasks(struct mp__session *s, size_t bytes);
void mp__discharge_tasks(struct mp__session *s, size_t bytes);

uint64_t mp__token(struct mp__core *c); // larger than all before
int64_t mp__core_now(const struct mp__core *c);
size_t mp__reply_limit(const struct mp__core *c); // bytes
struct mp__core_stats *mp__core_counts(struct mp__core *c);

// Timers of objects. The handle, or -ENOMEM.
int64_t mp__timer_add(struct mp__core *c, int64_t when, void (*fn)(void *arg), void *arg);
void mp__timer_cancel(struct mp__core *c, int64_t *timer); // -1: none; becomes that

// ---- the log -------------------------------------------------------------------------

// In place of the call itself, the log is told this one: so many arguments are to be put into
// what it returns.
mp_buf *mp__log_call(struct mp__call *c, uint64_t op, uint64_t object, size_t args);

// For type->save: the same for a call that fills the object; then mp__saved().
mp_buf *mp__save_call(struct mp__saver *s, struct mp__object *o, uint64_t op, size_t args);
int mp__saved(struct mp__saver *s);

// ---- the types -----------------------------------------------------------------------

extern const struct mp__type mp__type_list, mp__type_dict, mp__type_set, mp__type_namespace,
    mp__type_value, mp__type_array, mp__type_queue, mp__type_lifo_queue, mp__type_priority_queue,
    mp__type_joinable_queue, mp__type_lock, mp__type_rlock, mp__type_semaphore,
    mp__type_bounded_semaphore, mp__type_condition, mp__type_event, mp__type_barrier,
    mp__type_counter, mp__type_pool;

// Calls of a lock for who has one inside: a condition.
bool mp__lock_held(struct mp__object *lock, mp_buf *describe); // packs what `locks` says of it
bool mp__lock_held_by(struct mp__object *lock, struct mp__session *s, uint64_t owner);
int mp__lock_acquire(struct mp__call *c, struct mp__object *lock, uint64_t owner,
                     uint64_t lease_ms);
int mp__lock_release(struct mp__call *c, struct mp__object *lock, uint64_t owner, uint64_t token);
// Gives it up however often it was acquired, which is returned, and acquires it as often again.
uint64_t mp__lock_give_up(struct mp__object *lock);
struct mp__queue *mp__lock_queue(struct mp__object *lock);
int mp__lock_reacquire(struct mp__call *c, struct mp__object *lock, uint64_t owner, uint64_t depth);
uint64_t mp__lock_token(const struct mp__object *lock);

#endif
