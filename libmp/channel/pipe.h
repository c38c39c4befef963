// SPDX-License-Identifier: MIT
//
// The inside of a pipe handle, for those in channel/ that wait on several, or hand them on.
#ifndef MP_CHANNEL_PIPE_H
#define MP_CHANNEL_PIPE_H

#include "channel/channel.h"

#include <mp/pipe.h>
#include <pthread.h>

struct mp_pipe {
    struct mp__channel channel;
    uint64_t owner; // token of the process (os/fork.h)
    bool giving;    // goes to the child that thread `giver` is about to fork
    pthread_t giver;
    struct mp_pipe *next, *prev; // the ends this process owns, for the fork hook
};

// 0 when this process may use p, receive from it, send; otherwise the error.
int mp__pipe_usable(const mp_pipe *p);
int mp__pipe_receivable(const mp_pipe *p);
int mp__pipe_sendable(const mp_pipe *p);

// An end of this process from what mp__channel_describe() told of it elsewhere, and its
// descriptors. They are its own from here on; mp__pipe_undo() takes all of it back but
// them. Errors: MP_EPROTO, -ENOMEM.
int mp__pipe_adopt(mp_pipe **out, const struct mp__channel_state *s,
                   const int fds[MP__CHANNEL_FDS]);
void mp__pipe_undo(mp_pipe *p);

#endif
