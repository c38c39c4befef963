// SPDX-License-Identifier: MIT
//
// Is a recorded history linearizable? That is: is there an order of its operations, in which each
// takes effect at one moment between its call and its return, that a single object could have
// answered so? After Wing and Gong, with Lowe's memo of what was tried; objects are checked one
// by one, since a history is linearizable when it is for each of them.
//
// An operation without a return (its client or the manager was killed) has `returned` LINEAR_NEVER:
// it may have taken effect at any time after its call, or not at all; its result counts for
// nothing.
#ifndef LINEAR_H
#define LINEAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINEAR_NEVER INT64_MAX

struct linear_op {
    uint64_t object;
    int64_t client;
    int op; // of the model
    int64_t a, b;
    int64_t result;
    int64_t called, returned; // of one clock for all clients
};

#define LINEAR_STATE 256 // bytes

// An object of one thread. step() does an operation to the state and says whether it could have
// had that result; of one without a return any result will do. Equal states have equal bytes.
struct linear_model {
    const char *name;
    size_t size; // of the state, at most LINEAR_STATE; it begins as zeros
    bool (*step)(void *state, const struct linear_op *op);
};

enum linear_verdict {
    LINEAR_YES,
    LINEAR_NO,
    LINEAR_TOO_HARD, // more than 2 million steps for one object
};

// The verdict on all objects; *bad is one that is not linearizable.
enum linear_verdict linear_check(const struct linear_model *m, const struct linear_op *ops,
                                 size_t n, uint64_t *bad);

// Models of the manager's objects.
//
//   counter   LINEAR_ADD a: result is the sum; LINEAR_GET
//   value     one key: LINEAR_SET a; LINEAR_GET; LINEAR_CAS a, b: result 1 or 0; LINEAR_DEL: result
//             1 or 0. LINEAR_NONE is what GET gives without a value
//   lock      LINEAR_ACQUIRE, LINEAR_RELEASE by client; LINEAR_TRY: result 1 or 0; LINEAR_DIED:
//             the client ended, and its lock goes on (without a return, if that is not known)
//   queue     LINEAR_PUT a: result 0, or below if it was refused; LINEAR_TAKE: result, or
//   LINEAR_NONE when it was empty. Up to 31 items
extern const struct linear_model linear_counter, linear_value, linear_lock, linear_queue;

enum {
    LINEAR_ADD = 1,
    LINEAR_GET,
    LINEAR_SET,
    LINEAR_CAS,
    LINEAR_DEL,
    LINEAR_ACQUIRE,
    LINEAR_RELEASE,
    LINEAR_TRY,
    LINEAR_DIED,
    LINEAR_PUT,
    LINEAR_TAKE
};
#define LINEAR_NONE INT64_MIN

#endif
