// SPDX-License-Identifier: MIT
//
// A small process that forks others on request. A request is two descriptors: a socket, on
// which the new process is told who it is (work/letter.h), and a pipe, into which the server
// writes its exit code (an int) when it has ended.
#ifndef MP_WORK_FORKSERVER_H
#define MP_WORK_FORKSERVER_H

#include "work/function.h"

#include <stdbool.h>

// Forks it now if the program asked for it, and has but one thread. 0, or why not.
int mp__forkserver_fork(void);

// Asks for a process, whose letter tells its function by address or not. Starts the server if
// there is none. 0; MP_EPIPE: the server is gone, which mp__forkserver_alive() sees.
int mp__forkserver_ask(int sock, int status, bool by_address);

// Whether the present server is still there, after it did not do what it was asked for; one
// that is not is forgotten.
bool mp__forkserver_alive(void);

// Whether it has fn at this address.
bool mp__forkserver_has(mp__any_fn *fn);

// Ends it. For tests, which leave no process behind.
void mp__forkserver_leave(void);

#endif
