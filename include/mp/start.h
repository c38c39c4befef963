// SPDX-License-Identifier: MIT
//
// Start methods: how a process, or a pool, comes into being.
//
//   MP_START_FORK        a copy of this process: it sees everything the caller sees. The
//                        cheapest while the program is small (0.3 ms), dear when it is large
//                        (11 ms with 256 MiB), and delicate when it has threads, see below.
//   MP_START_FORKSERVER  a fork of a small, single-threaded process made early. It sees what the
//                        program was then. Costs the same however large the program has become.
//   MP_START_SPAWN       the same program once more (exec), in which mp_runtime_init() turns into
//                        the new process: nothing is inherited but what is given.
//
// A program that uses the last two calls mp_runtime_init() first thing in main(), before it reads
// its arguments or starts threads: a process of such a program may begin there.
//
// What is passed under each method:
//
//              pointers           functions                  opts.arg_size bytes, handles
//   fork       all                all                        yes
//   forkserver none               from before the server,    yes
//                                 and MP_TASK()
//   spawn      none               MP_TASK() (mp/function.h)  yes
//
// The forkserver is forked in mp_runtime_init() if the program, or a library of it, says so at
// file scope with MP_FORKSERVER(). Otherwise, when mp_runtime_init() found threads, or when the
// server was killed, it is started when it is next needed, by spawn: then MP_TASK() functions only.
// It belongs to the process that made it; a child that needs one makes one of its own. It ends
// with its process, also after kill -9; if it is killed itself, what it started goes on, but the
// exit codes of those are lost (MP_ESTATUS).
//
// Threads and fork: a forked child has only the thread that forked, and whatever the others were
// in the middle of stays like that in it. libmp's own locks are free in it, and so are those of
// malloc() and, in the child of libmp's own forks, stdout's and stderr's: anything else that was
// locked by another thread stays locked, also in libraries that do not tell. Call little in
// such a child, or use another method.
#ifndef MP_START_H
#define MP_START_H

#include <mp/base.h>
#include <mp/error.h>
#include <mp/function.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum mp_start {
    MP_START_DEFAULT, // what the context says
    MP_START_FORK,
    MP_START_FORKSERVER,
    MP_START_SPAWN,
} mp_start;

// What the processes of one part of a program have in common. A library has a context of its own,
// so that it starts its processes the way it needs whatever the program does; it is a constant
// of the library's. NULL, in options, is the program's.
typedef struct mp_context {
    mp_start start;   // its default; MP_START_DEFAULT = MP_START_FORK
    const char *name; // processes are called "name-N"; NULL = "Process"
} mp_context;

// Sets the default of the program's own context, which is MP_START_FORK otherwise. For the
// program, not for libraries. Does not change what runs. Errors: MP_EINVAL. Since 0.1.
MP_API int mp_start_set_default(mp_start start);
MP_API mp_start mp_start_get_default(void);

// "fork", "forkserver", "spawn", "default"; NULL for another number. Since 0.1.
MP_API const char *mp_start_name(mp_start start);

// Something that the forkserver is to do before it starts anything: load libraries, read tables,
// so that processes have it without doing it again. It must not start threads.
typedef struct mp_preload {
    void (*fn)(void);
    struct mp_preload *next;
} mp_preload;

// At file scope: this program uses the forkserver, fork it in mp_runtime_init(); and run
// function(), of type void(void), in it. As often as wanted, also in libraries. Since 0.1.
#define MP_FORKSERVER(function)                                                                    \
    static mp_preload mp_preload_##function = {function, NULL};                                    \
    __attribute__((constructor)) static void mp_preload_enter_##function(void)                     \
    {                                                                                              \
        mp_forkserver_preload(&mp_preload_##function);                                             \
    }                                                                                              \
    struct mp_preload

// What MP_FORKSERVER() calls. Too late for a server that runs already. p stays in use. Since 0.1.
MP_API void mp_forkserver_preload(mp_preload *p);

// Call it first in main() of a program that uses forkserver or spawn, or that shall wait at exit
// for its threads and then for the children that nobody joined, and kill the daemonic ones, as in
// Python (without it they are killed when the program ends). In a process that was started by
// spawn it does not return. Registers an atexit() handler, which does nothing in forked children.
// May be called again. Errors: -ENOMEM, and those of mp_process_start() for the forkserver.
// Since 0.1.
MP_API int mp_runtime_init(void);

#ifdef __cplusplus
}
#endif
#endif
