// SPDX-License-Identifier: MIT
//
// MP_WITH(lock) { ... }: what only one may do at a time, as a block. It acquires without a
// timeout, runs the block, and releases however the block is left: at its end, by break,
// continue, return or goto.
//
//     MP_WITH(lock) {
//         if (!account->open)
//             break; // leaves the block
//         account->sum += n;
//     } else {
//         return mp_with_error(); // not acquired
//     }
//
// For mp_lock, mp_rlock, mp_condition and mp_semaphore. The else part may be left out.
//
// If the last owner of the lock died the block does not run, since what it would work on may
// be half done. The error is MP_EOWNERDEAD, and nothing is lost by it: the lock is given
// back as it was, and whoever acquires it next is told, too. So a program that wants to
// mend what a dead process left does that in the else part, by a plain mp_lock_acquire().
//
// Not released: when the block is left by longjmp(), or its thread or process ends inside it
// (that is the death of an owner). Put braces around it when it stands alone in an if or an
// else, or that one's else becomes its own. C only: in C++ a destructor does this better.
#ifndef MP_WITH_H
#define MP_WITH_H

#include <mp/condition.h>
#include <mp/lock.h>
#include <mp/semaphore.h>

#ifdef __cplusplus
extern "C" {
#endif

// Returns why the else part of this thread's last MP_WITH runs: an error of the acquire
// function. 0 when it was acquired. Since 0.1.
MP_API int mp_with_error(void);

// What the macro is made of. Since 0.1.
typedef enum mp_with_kind {
    MP_WITH_LOCK,
    MP_WITH_RLOCK,
    MP_WITH_CONDITION,
    MP_WITH_SEMAPHORE,
} mp_with_kind;

typedef struct mp_with {
    void *object;
    mp_with_kind kind;
    bool held; // by this block
    bool runs; // false after it
} mp_with;

// Acquires, and says in `held` whether the block runs. Called by MP_WITH only. Since 0.1.
MP_API mp_with mp_with_begin(mp_with_kind kind, void *object);
// Releases what mp_with_begin() acquired. Called by MP_WITH only. Since 0.1.
MP_API void mp_with_end(mp_with *w);

#ifndef __cplusplus
#define MP_WITH(object) MP_WITH_NAMED(object, MP_WITH_NAME(__LINE__))

#define MP_WITH_NAMED(object, name)                                                                \
    for (mp_with name                                                                              \
         __attribute__((cleanup(mp_with_end))) = mp_with_begin(MP_WITH_KIND(object), (object));    \
         name.runs; name.runs = false)                                                             \
        if (name.held)

// clang-format off
#define MP_WITH_KIND(object)                                                                       \
    _Generic((object),                                                                             \
        mp_lock *: MP_WITH_LOCK,                                                                   \
        mp_rlock *: MP_WITH_RLOCK,                                                                 \
        mp_condition *: MP_WITH_CONDITION,                                                         \
        mp_semaphore *: MP_WITH_SEMAPHORE)
// clang-format on

#define MP_WITH_NAME(line)        MP_WITH_NAME_PASTED(line)
#define MP_WITH_NAME_PASTED(line) mp_with_##line
#endif

#ifdef __cplusplus
}
#endif
#endif
