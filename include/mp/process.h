// SPDX-License-Identifier: MIT
//
// A process runs a function of this program in a fork of it.
//
//  1. mp_process_start() forks; the child sees everything the caller sees, and
//     owns the pipe ends it was given;
//  2. the child calls fn(arg); what it returns is the exit code;
//  3. mp_process_join() waits for the end, mp_process_exitcode() tells it;
//  4. mp_process_free() in the process that started it.
//
// Nothing outlives its parent: when the process that started a child ends, also
// by kill -9, the kernel kills the child at once, and so on down the tree. A
// child that calls exec(), or closes all descriptors it finds, leaves this
// protection; what a plain fork() makes never had it. Each running child costs its
// parent two descriptors.
//
// In a child: its end waits for its threads that are no daemons (mp/thread.h); stdout and stderr
// were flushed before the fork and are flushed at its end, which is _exit(): atexit handlers and
// destructors of the parent do not run, and files the child opened with fopen() are its to close.
// Descriptors of the user's stay open as after fork(); those of libmp do not. As after any fork()
// of a program with threads, the child has only the calling one, and locks held by the others stay
// held in it: libmp's own are not among them.
#ifndef MP_PROCESS_H
#define MP_PROCESS_H

#include <mp/base.h>
#include <mp/error.h>
#include <mp/pipe.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mp_process mp_process;

// What a process runs. The result is its exit code, of which the system keeps
// the lowest 8 bits.
typedef int mp_process_fn(void *arg);

typedef struct mp_process_opts {
    const char *name;     // NULL = "Process-N", N counting the children of this process
    bool daemon;          // at exit: killed, not waited for (see mp_runtime_init)
    mp_pipe *const *give; // pipe ends that go to the child, ended by NULL; the caller's
                          // handles to them only give MP_EOWNER from then on
} mp_process_opts;

// Starts a process that runs fn(arg). opts may be NULL. name is copied. On
// failure nothing was given away.
// Errors: MP_EINVAL, MP_EOWNER, MP_ECLOSED (an end in give), -EAGAIN (too many
// processes), -ENOMEM, -EMFILE. Since 0.1.
MP_API MP_NODISCARD int mp_process_start(mp_process **out, mp_process_fn *fn, void *arg,
                                         const mp_process_opts *opts);

// Waits for the end, up to timeout_ms. 0 when it ended, also when it had already.
// Errors: MP_ETIMEDOUT, MP_EOWNER (only the process that started it may join),
// MP_EINVAL. Since 0.1.
MP_API MP_NODISCARD int mp_process_join(mp_process *p, int timeout_ms);

// Stores the exit code: 0 to 255, or -N when signal N killed it. Does not block.
// Errors: MP_EAGAIN (still running), MP_ESTATUS (somebody else took the status:
// the program ignores SIGCHLD or waits for any child), MP_EOWNER. Since 0.1.
MP_API MP_NODISCARD int mp_process_exitcode(mp_process *p, int *code);

// Whether it still runs. False for NULL, and for a handle of another process.
// Does not block. Since 0.1.
MP_API bool mp_process_is_alive(mp_process *p);

// Sends SIGTERM; mp_process_kill() sends SIGKILL. Never hits another process
// that got the same pid later. 0 also when it has ended. Errors: MP_EOWNER,
// MP_EINVAL, -EPERM (it became another user). Since 0.1.
MP_API int mp_process_terminate(mp_process *p);
MP_API int mp_process_kill(mp_process *p);

// A descriptor that is readable when the process has ended (a pidfd), for
// mp_wait(), poll() or an event loop. It stays the handle's. MP_EOWNER in
// another process. Since 0.1.
MP_API MP_NODISCARD int mp_process_sentinel(mp_process *p);

// Its pid, name, and whether it is daemonic. pid and name outlive its end; the
// name is valid as long as the handle. For NULL: MP_EINVAL, NULL, false. Since 0.1.
MP_API pid_t mp_process_pid(const mp_process *p);
MP_API const char *mp_process_name(const mp_process *p);
MP_API bool mp_process_daemon(const mp_process *p);

// Releases the handle. A process still running is not disturbed; it is no longer
// among the active children, and its end is collected silently. NULL is fine.
// Since 0.1.
MP_API void mp_process_free(mp_process *p);

// The process this code runs in: a handle for name, pid and daemon, never NULL,
// not to be freed. In the main program its name is "MainProcess". Since 0.1.
MP_API const mp_process *mp_process_current(void);

// The process that started this one; NULL in the main program and in what a plain
// fork() made. Not to be freed. Its sentinel is readable when it has ended (but that ends this one
// too). Since 0.1.
MP_API mp_process *mp_process_parent(void);

// Writes up to cap handles of children that are still running to list (which may
// be NULL when cap is 0) and returns how many there are. The handles stay their
// owners'. Also collects children that ended. Since 0.1.
MP_API size_t mp_process_active_children(mp_process **list, size_t cap);

// Call it first in main(), if at exit the threads and then the children that nobody joined
// shall be waited for and daemonic ones killed, as in Python. Without it they are killed
// when the program ends. Registers an atexit() handler, which does nothing in
// forked children. May be called again. Errors: -ENOMEM. Since 0.1.
MP_API int mp_runtime_init(void);

#ifdef __cplusplus
}
#endif
#endif
