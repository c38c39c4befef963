// SPDX-License-Identifier: MIT
//
// A process runs a function of this program: in a fork of it, unless the options say otherwise
// (mp/start.h tells the start methods).
//
//  1. mp_process_start(); a forked child sees everything the caller sees, others see their
//     argument and the handles they were given;
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
// A daemonic process may have children, which end with it; whether a process is daemonic is
// said for each, and not inherited.
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
#include <mp/handle.h>
#include <mp/pipe.h>
#include <mp/start.h>
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
    mp_pipe *const *give; // fork only: pipe ends that go to the child, ended by NULL, where the
                          // same pointers are good; the caller's handles to them only give
                          // MP_EOWNER from then on
    mp_start start;       // MP_START_DEFAULT: the context's
    const mp_context *context; // NULL = the program's
    size_t arg_size;           // bytes of arg that are copied, and fn gets a pointer to the copy,
                               // aligned as by malloc(); 0 = the pointer itself (fork only)
    const mp_handle *handles;  // pipes, queues, locks, values, descriptors, ... for the child (see
    size_t n_handles;          // mp/handle.h), which takes them with mp_process_handle()
    char **error; // where to store why it failed, to be released with free(), or NULL if the
                  // error says it all; or NULL
} mp_process_opts;

// Starts a process that runs fn(arg). opts may be NULL. name is copied. Returns when the process
// is there and has found its function and handles. On failure nothing was given away, and nothing
// has run. Blocks for the start: fork and forkserver some 0.3 ms, spawn as long as the program
// takes from exec to mp_runtime_init(), a minute at most (MP_ETIMEDOUT).
// Errors: MP_EINVAL (also: a pointer without arg_size, or give, if not by fork), MP_EOWNER,
// MP_ECLOSED (an end in give), those of mp_pipe_send_handles() for the handles, MP_ENOFUNC (the
// function is not known in the new process), MP_ESTATE (not by fork, and mp_runtime_init() was not
// called), MP_EBROKEN (the new process ended before it was ready), -EAGAIN (too many
// processes), -ENOMEM, -EMFILE. Since 0.1.
MP_API MP_NODISCARD int mp_process_start(mp_process **out, mp_process_fn *fn, void *arg,
                                         const mp_process_opts *opts);

// In a process: the i-th of the handles it was started with, to be taken (mp_handle_take_pipe()
// and so on); NULL if there were not so many. And its argument, if arg_size was told, with its
// size (which may be NULL); NULL if not, with 0. Since 0.1.
MP_API mp_handle *mp_process_handle(size_t i);
MP_API void *mp_process_argument(size_t *size);

// Waits for the end, up to timeout_ms. 0 when it ended, also when it had already.
// Errors: MP_ETIMEDOUT, MP_EOWNER (only the process that started it may join),
// MP_EINVAL. Since 0.1.
MP_API MP_NODISCARD int mp_process_join(mp_process *p, int timeout_ms);

// Stores the exit code: 0 to 255, or -N when signal N killed it. Does not block.
// Errors: MP_EAGAIN (still running), MP_ESTATUS (somebody else took the status:
// the program ignores SIGCHLD or waits for any child; or the forkserver that forked it
// was killed), MP_EOWNER. Since 0.1.
MP_API MP_NODISCARD int mp_process_exitcode(mp_process *p, int *code);

// Whether it still runs. False for NULL, and for a handle of another process.
// Does not block. Since 0.1.
MP_API bool mp_process_is_alive(mp_process *p);

// Sends SIGTERM; mp_process_kill() sends SIGKILL, mp_process_interrupt() SIGINT, as Ctrl-C does.
// Never hits another process that got the same pid later. 0 also when it has ended. Errors:
// MP_EOWNER, MP_EINVAL, -EPERM (it became another user). Since 0.1.
MP_API int mp_process_terminate(mp_process *p);
MP_API int mp_process_kill(mp_process *p);
MP_API int mp_process_interrupt(mp_process *p);

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

#ifdef __cplusplus
}
#endif
#endif
