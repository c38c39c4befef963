// SPDX-License-Identifier: MIT
//
// What every other header of libmp needs: the version, the attributes on
// declarations, and the words for time.
//
// Conventions that hold in the whole library:
//  - a function that can fail returns an int (or int64_t): 0 or a count on
//    success, a negative error on failure (see mp/error.h);
//  - `int mp_x_new(mp_x **out, ..., const mp_x_opts *opts)` makes a handle; opts
//    may be NULL, and a zeroed options struct means the defaults; on failure
//    *out is NULL and there is nothing to undo;
//  - mp_x_free(NULL) does nothing. Freeing is the last call with a handle: no
//    other thread of this process may use it meanwhile, nor wait in it, unless the
//    function says so; end its wait before (close, shutdown, terminate, abort), and
//    join it. Other processes that sleep in a shared object are told when its maker
//    frees it; but one that is at work in it just then, or about to sleep, may take
//    what its memory is used for next for the object: have them through with it first;
//  - a timeout is in milliseconds: MP_FOREVER (-1) waits without end, 0 does
//    not block; other negative values are MP_EINVAL;
//  - the library never prints, exits, aborts, installs a signal handler or
//    starts a thread on its own;
//  - a signal handler may call what says so, such as mp_event_set(),
//    mp_pool_interrupt() and mp_loop_stop(); all else may wait for a lock that
//    the code it interrupted has.
#ifndef MP_BASE_H
#define MP_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MP_VERSION_MAJOR 0
#define MP_VERSION_MINOR 1
#define MP_VERSION_PATCH 0
#define MP_VERSION       "0.1.0"

// Exported from libmp.so.
#define MP_API __attribute__((visibility("default")))
// The result must be looked at.
#define MP_NODISCARD __attribute__((warn_unused_result))
// Format string at argument f, its values from argument a on.
#define MP_PRINTF(f, a) __attribute__((format(printf, f, a)))

// A timeout that never comes.
#define MP_FOREVER (-1)

#ifdef __cplusplus
extern "C" {
#endif

// Returns MP_VERSION as the library was compiled, for comparison with the
// header's. Never fails. Since 0.1.
MP_API const char *mp_version(void);

#ifdef __cplusplus
}
#endif
#endif
