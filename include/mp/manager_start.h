// SPDX-License-Identifier: MIT
//
// A manager of a program's own: a child process that ends with it, and can have types that
// are functions of the program. In a library of its own, libmpmanager (static; it needs
// libmploop and libmp).
//
//  1. mp_manager_start() forks it, while the program is small: it is ready when this returns;
//  2. mp_connect_manager(&m, mp_manager_process_path(p), NULL) here, in children, and in any
//     process of this user that is told the path;
//  3. mp_manager_process_stop(); or nothing: it ends when this process does, however;
//  4. mp_manager_process_free().
//
// The manager is single, and does nothing else; methods of types run in it, one at a time.
#ifndef MP_MANAGER_START_H
#define MP_MANAGER_START_H

#include <mp/base.h>
#include <mp/error.h>
#include <mp/manager_type.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mp_manager_process mp_manager_process;

typedef struct mp_manager_start_opts {
    const mp_manager_type *const *types; // custom types, NULL at the end; or NULL
    int workers;        // how many processes beside it run what MP_TASK() (mp/function.h) names in
                        // this program, functions of type mp_task_fn, for objects of type Pool
                        // (mp/manager_pool.h):
                        // -1 = mp_cpu_count(); 0 = there can be no Pool
    const char *path;   // its socket; NULL: in this user's directory, by a name nobody else has
    size_t max_clients; // 0 = 256
    char *error;        // where a failing call puts a sentence that says what is wrong
    size_t error_size;  // 300 bytes will do
} mp_manager_start_opts;

// Forks a manager. It holds nothing open of this process, and logs nothing. Blocks until it can be
// connected to. Errors: MP_EINVAL (opts, a type that makes no sense), -EADDRINUSE (another has the
// path), MP_EUNSAFE (others may write to the directory), MP_EBROKEN (it ended at once),
// -EAGAIN, -ENOMEM, -EMFILE. Since 0.1.
MP_API MP_NODISCARD int mp_manager_start(mp_manager_process **out,
                                         const mp_manager_start_opts *opts);

// The path of its socket, for mp_connect_manager(); as long as the handle. NULL for NULL.
// Since 0.1.
MP_API const char *mp_manager_process_path(const mp_manager_process *p);

// Ends it: all its clients get MP_ELOST. Waits up to timeout_ms, then kills it. 0 when it has
// ended, also before. Errors: MP_EOWNER (a forked child's), MP_EINVAL. Since 0.1.
MP_API int mp_manager_process_stop(mp_manager_process *p, int timeout_ms);

// Stops it, for a second, and releases the handle; in a forked child only the handle. NULL is
// fine. Since 0.1.
MP_API void mp_manager_process_free(mp_manager_process *p);

#ifdef __cplusplus
}
#endif
#endif
