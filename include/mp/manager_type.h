// SPDX-License-Identifier: MIT
//
// A type of your own for a manager: a table of methods that run inside it, one at a time, on
// an object that all its clients share.
//
//  1. write methods of type mp_manager_method_fn, and a table of them:
//
//         static int add(mp_manager_call *call, void *state)
//         {
//             struct account *a = state;
//             int64_t by;
//             int r = mp_manager_args(call, "I", &by);
//             if (r < 0)
//                 return r;
//             a->sum += by;
//             return mp_manager_result(call, "I", a->sum);
//         }
//
//         static const mp_manager_method methods[] = {
//             {"add", MP_MANAGER_CHANGES, add, "by: the new sum"},
//             {0},
//         };
//         const mp_manager_type account = {
//             MP_MANAGER_TYPE, "account", account_new, account_free, methods};
//
//  2. give it to a manager in your process; or build a shared object that exports
//     `const mp_manager_type *const mp_manager_types[]`, NULL at its end, and name it to mpmanager;
//  3. clients create objects of it by its name, and call the methods by theirs.
//
// A method must not block, nor take long: the manager does nothing else meanwhile. One that
// cannot be done yet returns MP_MANAGER_WAIT: it is called again, with the same arguments,
// after each call that changes the object, until it does not, its client's timeout is over,
// or its client is gone.
#ifndef MP_MANAGER_TYPE_H
#define MP_MANAGER_TYPE_H

#include <mp/base.h>
#include <mp/error.h>
#include <mp/pack.h>

#ifdef __cplusplus
extern "C" {
#endif

// One call of a method; good until the method returns.
typedef struct mp_manager_call mp_manager_call;

// What a method returns instead of 0 or an error: not yet.
#define MP_MANAGER_WAIT 1

// A method: 0, after mp_manager_result() or without (the result is nil then); MP_MANAGER_WAIT,
// after changing nothing; or an error, which the client gets.
typedef int mp_manager_method_fn(mp_manager_call *call, void *state);

enum {
    MP_MANAGER_READS = 1,   // clients that may only read may call it
    MP_MANAGER_CHANGES = 2, // it changes the object: watchers are told, waiting calls tried again
};

typedef struct mp_manager_method {
    const char *name; // NULL ends the table; no more than 255 methods
    unsigned flags;
    mp_manager_method_fn *fn;
    const char *text; // for people; or NULL
} mp_manager_method;

// The version of this table; first in each.
#define MP_MANAGER_TYPE 1

typedef struct mp_manager_type {
    unsigned version; // MP_MANAGER_TYPE
    const char *name; // as a name of an object
    // Makes an object: puts what methods get into *state. call has the arguments of create.
    int (*make)(mp_manager_call *call, void **state);
    // Ends it. May be NULL.
    void (*end)(void *state);
    const mp_manager_method *methods;
    // Packs the state as one value; makes an object of that. Both or none; a manager that keeps
    // its objects on disk takes only types that have them, and in the same order each time.
    int (*save)(void *state, mp_buf *b);
    int (*load)(void **state, const void *data, size_t size);
} mp_manager_type;

// `int mp_manager_args(mp_manager_call *call, const char *format, ...)` reads the arguments as
// mp_unpack() does; what it points into is good until the method returns. Errors: those of
// mp_unpack(), which the method should return. Since 0.1.
#define mp_manager_args(call, ...)                                                                 \
    mp_manager_args_typed(call, MP_ARG_TYPES(__VA_ARGS__), __VA_ARGS__)

// `int mp_manager_result(mp_manager_call *call, const char *format, ...)` packs the result,
// one value, in place of one there is. Errors: those of mp_pack(), MP_EINVAL (not one
// value). Since 0.1.
#define mp_manager_result(call, ...)                                                               \
    mp_manager_result_typed(call, MP_ARG_TYPES(__VA_ARGS__), __VA_ARGS__)

// What the two call; types as for mp_pack_args(). Since 0.1.
MP_API MP_NODISCARD int mp_manager_args_typed(mp_manager_call *call, const char *types,
                                              const char *format, ...);
MP_API MP_NODISCARD int mp_manager_result_typed(mp_manager_call *call, const char *types,
                                                const char *format, ...);

// Says what went wrong, for people: the client gets it with the error that the method returns.
// Since 0.1.
MP_API void mp_manager_error(mp_manager_call *call, const char *text);

// Returns the number of the session that calls, and of no other. Since 0.1.
MP_API uint64_t mp_manager_session(const mp_manager_call *call);

// Returns the time of the call: nanoseconds of a clock that never goes back. Since 0.1.
MP_API int64_t mp_manager_now(const mp_manager_call *call);

#ifdef __cplusplus
}
#endif
#endif
