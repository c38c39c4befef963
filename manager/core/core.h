// SPDX-License-Identifier: MIT
//
// The manager without a world around it: a state machine that is fed messages of sessions and
// answers by callback. It does no I/O, has no clock and no thread, and everything that it does
// follows from what it was fed, so that a simulation can drive it through any history.
//
//  1. mp__core_new();
//  2. mp__session_begin() for each connection that may speak;
//  3. mp__core_feed() with each of its messages; replies come out by hooks.send, before it
//     returns or, for calls that have to wait, while another message is fed or time passes;
//  4. mp__core_tick() when mp__core_deadline() has come;
//  5. mp__session_end() when the connection is gone, however: locks, references, items that were
//     not acknowledged and waiters of the session are given up, and others told;
//  6. mp__core_free().
//
// Each request has exactly one terminal reply (status other than 1), unless its session ends.
// Time is nanoseconds of any clock that never goes back, and is passed in.
#ifndef MP_MANAGER_CORE_H
#define MP_MANAGER_CORE_H

#include <mp/manager_type.h>
#include <mp/pack.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mp__core;
struct mp__session;

// What a call that the server does (flag S in wire/calls.h) is about.
struct mp__control {
    uint64_t op;
    uint64_t id;      // of the request: for who answers later, with mp__core_reply()
    bool may_later;   // or cannot, being in a batch
    const void *args; // the arguments, packed one behind the other: for mp_unpack()
    size_t size;
    const char **why; // with an error: *why may be set to a text for people, which must last
};

struct mp__core_hooks {
    void *ctx; // for all of them

    // A whole message to a session. data is good until it returns. It must not call the core.
    void (*send)(void *ctx, void *user, const void *data, size_t size);

    // A call of the server's: puts the result, one packed value, at the end of `result` and
    // returns 0 (nothing put: nil), or an error, with a text in it or nothing. MP__LATER: the
    // server answers later. NULL: MP_ENOTSUP. It may look at the core, and change nothing.
    int (*control)(void *ctx, void *user, const struct mp__control *c, mp_buf *result);

    // Persistence: a change that was made, for mp__core_replay(); before it is answered. data
    // is good until it returns. It must not call the core. NULL: nobody wants to know.
    // (NULL, 0): there was no memory for it, so it is not told: what is on disk is not all.
    void (*record)(void *ctx, const void *data, size_t size);
};
#define MP__LATER 2

// All 0: the defaults beside it.
struct mp__core_limits {
    size_t message;         // bytes of a message; 16 MiB
    size_t nodes;           // values in a message; 65,536
    size_t reply;           // bytes of a reply; 16 MiB
    size_t objects;         // 10,000
    size_t session_objects; // that one session has references to; 1,000
    size_t object_bytes;    // of values in one object; 64 MiB
    size_t bytes;           // of values in all; 512 MiB
    size_t waiting;         // requests of one session that wait; 64
    size_t object_waiting;  // requests that wait for one object; 1,024
    size_t name;            // bytes of a name; 64
    size_t key;             // bytes of a key; 255
    size_t session_tasks;   // bytes of a session's tasks and their results; 64 MiB
};

struct mp__core_opts {
    struct mp__core_hooks hooks;
    struct mp__core_limits limits;
    uint8_t seed[16];  // random: the key of hashes; its own for each start of a manager
    uint64_t instance; // random, not 0: objects of another instance are told apart by it
    bool tasks;        // somebody will serve_tasks: or there can be no Pool
    uint64_t token;    // the first fencing token is the next; the wall clock in ns, so that tokens
                       // grow over all starts of a manager
};

// opts must be there, with hooks.send. Errors: MP_EINVAL, -ENOMEM.
int mp__core_new(struct mp__core **out, const struct mp__core_opts *opts);

// Ends what sessions there are, without a message. NULL is fine.
void mp__core_free(struct mp__core *c);

// Other limits from now on (reload). What is above them already stays.
void mp__core_set_limits(struct mp__core *c, const struct mp__core_limits *limits);

// Adds a custom type, before the log is replayed and the first session begins; the table must live
// as long as the core. With persistence, the types must come in the same order each time.
// Errors: MP_EINVAL (no name or one that is taken, no methods, another version; with hooks.record,
// one that cannot save), -ENOMEM.
int mp__core_add_type(struct mp__core *c, const mp_manager_type *type);

enum {
    MP__SESSION_READ_ONLY = 1, // calls with flag R only: others get MP_EDENIED
    MP__SESSION_ADMIN = 2,     // may do what the server does (flag S) and is not R as well,
                               // and calls with flag A
    MP__SESSION_ONE_REPLY = 4, // cannot take more than one reply to a request: SP's REQ
};

// A connection that is let in begins. user is what hooks.send gets. Errors: -ENOMEM.
int mp__session_begin(struct mp__core *c, struct mp__session **out, void *user, unsigned flags);

// It is gone. Nothing is sent to it any more, also by this call. NULL is fine.
void mp__session_end(struct mp__core *c, struct mp__session *s, int64_t now);

// A number for people, 1 for the first session; the name it gave with hello, or "".
uint64_t mp__session_number(const struct mp__session *s);
const char *mp__session_name(const struct mp__session *s);

// A message came. Returns 0, also when the answer is an error. Negative: no request could be
// read from it (MP_EPROTO, MP_EDEPTH, MP_EMSGSIZE) or its id is that of a request that waits
// (MP_EINVAL): nobody could tell what an answer is for, so the connection has to be closed.
int mp__core_feed(struct mp__core *c, struct mp__session *s, const void *data, size_t size,
                  int64_t now);

// The answer to a control call that hooks.control put off: status 1 for more to come, and
// value as it is packed (NULL: nil). Nothing happens if the request has been cancelled.
void mp__core_reply(struct mp__core *c, struct mp__session *s, uint64_t id, int status,
                    const void *value, size_t size);

// When mp__core_tick() must be called at the latest; INT64_MAX: never by itself. Cheap.
int64_t mp__core_deadline(const struct mp__core *c);

// Time has passed: timeouts, leases. A lease that is found to have run out much too late (half
// a second: the manager was stopped, or the machine slept) is given that time once more.
void mp__core_tick(struct mp__core *c, int64_t now);

// ---- for the server's numbers --------------------------------------------------------

struct mp__core_stats {
    uint64_t calls, errors, sessions_ever;
    uint64_t sessions, objects, names, waiting, watching, bytes;
    uint64_t timeouts, cancels, owners_died, items_returned, leases_expired;
};

struct mp__core_stats mp__core_stats(const struct mp__core *c);

// How often a call was made, and how often it failed.
void mp__core_calls(const struct mp__core *c, uint64_t op, uint64_t *calls, uint64_t *errors);

// ---- for persistence -----------------------------------------------------------------

// Gives all that has a name, and what is in it, as records to `write`, whose errors end it.
int mp__core_save(struct mp__core *c, int (*write)(void *ctx, const void *data, size_t size),
                  void *ctx);

// Does what a record says, before the first session. Errors: MP_EFORMAT, -ENOMEM.
int mp__core_replay(struct mp__core *c, const void *data, size_t size);

// Checks every invariant the core has; NULL, or which does not hold. Slow: for tests.
const char *mp__core_check(struct mp__core *c);

#endif
