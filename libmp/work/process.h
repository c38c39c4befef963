// SPDX-License-Identifier: MIT
//
// What the library's own processes (a pool's) need of process.c.
#ifndef MP_WORK_PROCESS_H
#define MP_WORK_PROCESS_H

// Makes this freshly forked process one with a name: in ps, in log lines, and as
// mp_process_current(), which counts as daemonic; its parent is the process it was
// forked in. To be called in the child before anything else runs there. The parent
// gets no handle, and its end does not end this process.
void mp__process_become(const char *name);

#endif
