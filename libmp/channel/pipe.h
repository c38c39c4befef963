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
    bool remote;    // the other end is mpproxy: bytes only
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

// The sizes that opts stand for. MP_EINVAL.
int mp__pipe_read_opts(const mp_pipe_opts *opts, struct mp__channel_opts *o);

// As mp_pipe_new().
int mp__pipe_new(mp_pipe **a, mp_pipe **b, const struct mp__channel_opts *o);

// Makes a pipe of an end that comes from elsewhere. take() makes the channel; it must not
// block, since no process can fork meanwhile: so no descriptor of it is ever passed on. Its
// error, or -ENOMEM.
int mp__pipe_adopt_remote(mp_pipe **out, int (*take)(void *arg, struct mp__channel *c), void *arg);

// From now on p is a pipe to mpproxy, and the other side takes messages of max_size; 0: it did
// not say.
void mp__pipe_made_remote(mp_pipe *p, uint64_t max_size);

#endif
