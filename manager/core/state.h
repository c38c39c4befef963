// SPDX-License-Identifier: MIT
//
// The core's memory, and what its files want of each other. Types know core/type.h only.
//
// Nothing is freed, and nobody who waits is served, in the middle of a call: objects that lost
// their last reference are in the list `doomed`, queues whose first may go on in `woken`, and
// mp__settle() sees to both when the call is done.
#ifndef MP_MANAGER_STATE_H
#define MP_MANAGER_STATE_H

#include "core/table.h"
#include "core/type.h"
#include "loop/timers.h"

struct mp__session {
    struct mp__link in_core, waiters, stakes;
    struct mp__core *core;
    void *user; // of the server
    uint64_t number;
    unsigned flags;
    uint32_t waiting;
    bool ending; // nothing is sent to it any more
    char name[65];
    struct mp__table refs; // object's number -> how many references
    size_t task_bytes;     // that its tasks in pools take
};

struct mp__custom {
    struct mp__type type;
    struct mp__call_info info[256];
    uint64_t calls[256][2];
};

struct mp__core {
    struct mp__core_hooks hooks;
    struct mp__core_limits limits;
    uint8_t seed[16];
    uint64_t instance, token, next_id;
    int64_t now;
    struct mp__object **objects; // by number: open addressing
    unsigned object_bits;
    struct mp__table names; // name -> struct mp__object *
    struct mp__link sessions, woken, doomed;
    struct mp__link workers, ready; // who runs tasks; pools that have some
    bool tasks;                     // there will be somebody
    uint64_t task_serial;           // of the last one that was given to somebody
    struct mp__job *dropped;        // jobs that are to be freed
    struct timers timers;
    struct mp__wire_element *elements[2]; // of a message, and of a call in its batch
    size_t room[2];
    mp_buf out, event, log, key;
    mp_buf batch;       // records of one
    size_t batch_count; // of them
    bool batching;
    uint64_t waiting_bytes; // of messages that wait
    struct mp__custom **custom;
    unsigned custom_count;
    uint64_t suspects; // of the collector
    bool replaying;
    struct mp__core_stats stats;
    uint64_t calls[MP__INTERFACE_COUNT][32][2]; // made, failed
};

// dispatch.c: one call, from a message or from the log.
struct mp__message {
    const void *data;
    size_t size;
    struct mp__wire_element *elements;
    size_t count;
    unsigned deepest; // arrays and maps in one another, with the message
    bool objects;
};
// Which of the two arrays of elements; MP_EPROTO, MP_EDEPTH, MP_EMSGSIZE, -ENOMEM.
int mp__parse(struct mp__core *c, int which, const void *data, size_t size, struct mp__message *m);
int mp__uint_read(const struct mp__message *m, size_t i, uint64_t *out);
// Does the call as far as c->info, the object and the arguments allow it; tells log and watchers.
int mp__call_do(struct mp__call *c, uint64_t op, uint64_t object);
// Begins a reply: where its status stands. Ends it: the status, and the value of it.
size_t mp__reply_begin(struct mp__call *c);
int mp__reply_status(struct mp__call *c, size_t at, int status);
void mp__reply_send(struct mp__call *c);
int mp__batch(struct mp__call *c);
int mp__check_args(struct mp__call *c, const char *letters); // MP_EINVAL, MP_ETYPE

// wait.c
int mp__park(struct mp__call *c, struct mp__waiter **out);
void mp__waiter_end(struct mp__waiter *w);             // it has its reply
void mp__waiter_give_up(struct mp__waiter *w);         // without a reply
void mp__waiter_finish(struct mp__waiter *w, int err); // with this one
bool mp__cancel(struct mp__session *s, uint64_t id);
struct mp__waiter *mp__waiter_find(struct mp__session *s, uint64_t id);
void mp__settle(struct mp__core *c);

// watch.c
void mp__event_begin(mp_buf *b, const struct mp__waiter *w);
void mp__watch_begin(struct mp__waiter *w);
void mp__watchers_tell(struct mp__call *c, size_t result);

// tasks.c
mp__method mp__serve_tasks, mp__task_done;
void mp__jobs_free(struct mp__core *c);      // those that were dropped (types/jobs.c)
int mp__workers_begin(struct mp__waiter *w); // it has a place
void mp__workers_end(struct mp__waiter *w);  // it is gone: so is what it had
bool mp__tasks_deal(struct mp__core *c);     // to who has nothing to do; true: settle again

// object.c
struct mp__object *mp__object_make(struct mp__call *c, const struct mp__type *type, uint64_t id,
                                   int *err);
void mp__object_bury(struct mp__object *o);
void mp__object_destroy(struct mp__object *o);
void mp__collect(struct mp__core *c);
struct mp__object *mp__object_next(const struct mp__core *c, size_t *at); // all; *at from 0
int mp__session_ref(struct mp__session *s, struct mp__object *o, uint64_t count);
int mp__session_unref(struct mp__session *s, struct mp__object *o, uint64_t count);
void mp__session_unref_all(struct mp__session *s);
const struct mp__type *mp__type_find(const struct mp__core *c, const void *name, size_t size);

// names.c
bool mp__name_valid(const struct mp__core *c, struct mp__slice name);
struct mp__object *mp__named(const struct mp__entry *e); // the object of an entry of `names`
struct mp__object *mp__name_find(const struct mp__core *c, struct mp__slice name);
int mp__name_set(struct mp__object *o, struct mp__slice name);
void mp__name_clear(struct mp__object *o);

// manager.c
extern mp__method *const mp__manager_methods[32];
struct mp__object *mp__create(struct mp__call *c, size_t type_arg, int *err);

// save.c: what a call that was done tells the log, and the end of an object
void mp__log_default(struct mp__call *c);
void mp__log_gone(struct mp__object *o);
void mp__log_batch(struct mp__core *c, bool begins); // what it does is one record

#endif
