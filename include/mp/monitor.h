// SPDX-License-Identifier: MIT
//
// A monitor tells of the end of processes: each once, whenever it came, with its exit code or
// the signal that killed it.
//
//  1. mp_monitor_new();
//  2. mp_monitor_add() for each process, also one that has ended already, or was joined;
//  3. mp_monitor_wait(), until it gives MP_EOF; or mp_monitor_fd() in an event loop;
//  4. mp_monitor_free(). A process is freed after it was told of, or removed.
//
// A monitor belongs to the process that made it. Several threads may use it at the same time:
// each end is told to one of them.
#ifndef MP_MONITOR_H
#define MP_MONITOR_H

#include <mp/base.h>
#include <mp/error.h>
#include <mp/process.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mp_monitor mp_monitor;

typedef struct mp_exit {
    mp_process *process;
    void *arg; // as told to mp_monitor_add()
    pid_t pid;
    int code; // 0 to 255, -N when signal N killed it, MP_ESTATUS: somebody else took the status
} mp_exit;

// Errors: MP_EINVAL, -ENOMEM, -EMFILE. Since 0.1.
MP_API MP_NODISCARD int mp_monitor_new(mp_monitor **out);

// From now on the end of p will be told. Errors: MP_EOWNER (no child of this process, or the
// monitor is another's), MP_EINVAL (also: it is monitored here already), -ENOMEM, -ENOSPC (too
// many watches of this user). Since 0.1.
MP_API MP_NODISCARD int mp_monitor_add(mp_monitor *m, mp_process *p, void *arg);

// It will not be told. Errors: MP_ENOTFOUND (it was told, or never added), MP_EOWNER, MP_EINVAL.
// Since 0.1.
MP_API int mp_monitor_remove(mp_monitor *m, mp_process *p);

// Waits for the next end, and tells it. Errors: MP_EOF (all were told), MP_ETIMEDOUT, MP_EOWNER,
// MP_EINVAL. Since 0.1.
MP_API MP_NODISCARD int mp_monitor_wait(mp_monitor *m, mp_exit *out, int timeout_ms);

// A descriptor that is readable when there is an end to tell. It stays the monitor's.
// MP_EOWNER, MP_EINVAL. Since 0.1.
MP_API MP_NODISCARD int mp_monitor_fd(mp_monitor *m);

// NULL is fine. Since 0.1.
MP_API void mp_monitor_free(mp_monitor *m);

#ifdef __cplusplus
}
#endif
#endif
