// SPDX-License-Identifier: MIT
//
// Handing a pipe end to a child that is about to be forked. The part of the pipe
// that processes need (work/process.c):
//
//   1. mp__pipe_give_begin() for each end: from here a fork passes it on;
//   2. fork: the child owns the ends, and holds nothing of any other;
//   3. in the parent mp__pipe_give_end(p, true) for each, which closes its side;
//      or (p, false) when the fork failed.
#ifndef MP_CHANNEL_GIVE_H
#define MP_CHANNEL_GIVE_H

#include <mp/pipe.h>
#include <stdbool.h>

// MP_EOWNER, MP_ECLOSED, MP_EINVAL for NULL or an end given twice; then nothing changed.
int mp__pipe_give_begin(mp_pipe *p);
void mp__pipe_give_end(mp_pipe *p, bool given);

#endif
