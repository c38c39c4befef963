// SPDX-License-Identifier: MIT
//
// Starts a program, about as fast as the system can, and says exactly why when
// it cannot.
//
//  1. mp_spawn() gives its pid and a pidfd, which is readable once it has ended;
//  2. waitid(P_PIDFD), waitpid(), or an mp_loop child watcher takes its status;
//  3. close the pidfd.
//
// The program starts with an empty signal mask and every signal at its default,
// also those this process ignores or handles. It inherits the descriptors that
// are not close-on-exec, as after any exec: libmp's own all are.
//
// There is no shell in this: a script needs its #! line (-ENOEXEC without one).
#ifndef MP_SPAWN_H
#define MP_SPAWN_H

#include <mp/base.h>
#include <mp/error.h>
#include <sys/select.h> // sigset_t, in strict C as well
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

// What the program gets as descriptor 0, 1 or 2 instead of a descriptor of ours.
#define MP_SPAWN_INHERIT (-1)
#define MP_SPAWN_NULL    (-2) // /dev/null

typedef struct mp_spawn_opts {
    const char *path;     // the file to run; NULL = argv[0], searched as mp_spawn_find() does
    const int *fds;       // three: for its 0, 1 and 2; they stay the caller's. NULL = inherit
    char *const *env;     // its environment; NULL = the caller's
    const char *cwd;      // where it runs; NULL = here. A relative path counts from there
    const int *groups;    // control groups it joins: their cgroup.procs, opened for writing;
                          // the last is -1. NULL = those of the caller
    bool own_group;       // make it the leader of a process group of its own
    bool die_with_caller; // SIGKILL it when the calling thread ends: that is what the kernel
                          // offers, so call from a thread that lives as long as the process
                          // (the main one). Does not reach the program's own children, nor
                          // programs that are setuid, setgid or have capabilities

    // The signals that are not at their default here, from a caller who knows: one that is not
    // among them must have no handler, and stays ignored if it is. NULL = each is set to its
    // default, which takes some 10 us.
    const sigset_t *signals;
} mp_spawn_opts;

// Starts argv, which ends with NULL. pid and pidfd may be NULL; the pidfd is
// close-on-exec and the caller's. opts may be NULL. Returns when the program has
// begun (its exec succeeded), some 0.3 ms on a usual machine, independent of this
// process's size.
// Errors: -ENOENT (no such program; or the interpreter its #! line names, if the
// file exists; or no such cwd), -EACCES (not executable), -ENOEXEC (not a program,
// or a script without #!), -E2BIG (an argument of 128 KiB, or arguments and
// environment longer together than the system takes), MP_EINVAL (a NULL or empty
// argv), -EBADF (an entry of fds or groups), -EAGAIN (too many processes), -ENOMEM, -EMFILE,
// and what else exec gives. Since 0.1.
MP_API MP_NODISCARD int mp_spawn(pid_t *pid, int *pidfd, char *const argv[],
                                 const mp_spawn_opts *opts);

// Finds the file that running `name` would execute: name itself when it has a
// slash, else in the directories of PATH ("/bin:/usr/bin" without one), and
// writes it to buf. To be used with mp_spawn_opts.path when a program is started
// often. Errors: -ENOENT, -EACCES (found, but no file that this process may
// execute), -ENAMETOOLONG (or buf is too small), MP_EINVAL (NULL). Since 0.1.
MP_API MP_NODISCARD int mp_spawn_find(const char *name, char *buf, size_t size);

#ifdef __cplusplus
}
#endif
#endif
