// SPDX-License-Identifier: MIT
//
// The inside of a pipe handle, for those in channel/ that wait on several.
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

// 0 when this process may receive from p; otherwise the error.
int mp__pipe_receivable(const mp_pipe *p);

#endif
