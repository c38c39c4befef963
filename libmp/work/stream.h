// SPDX-License-Identifier: MIT
//
// The items of a pass on their way: copied in while workers run those before them, and
// copied out while workers run those behind them. A map that waited for its copies would
// keep all CPUs but one idle for as long as they take, which for tiny tasks is most of it.
//
// Two layouts (see feed.h), one way through them: chunks are fed in their order, up to
// `limit` in the control block, and returned in their order.
//
//   whole   a run of chunks is one copy, and all that is there can be fed;
//   window  each chunk is a copy, and waits until the one before it in its slot is returned.
//
// What fits in a piece is copied before the job is opened, and after its end: then workers
// need not look at the limit.
#ifndef MP_WORK_STREAM_H
#define MP_WORK_STREAM_H

#include "work/feed.h"

struct mp__stream {
    struct mp__control *ctl;
    const struct mp__feed *feed;
    const struct mp__schedule *schedule;
    int *noted, *status; // by item: what tasks return, zero between maps; the user's, or NULL
    // The pass:
    uint32_t end;           // chunks that are to be run: all, until the map is interrupted
    uint32_t fed, returned; // chunks copied in; copied out, or given up
    uint32_t stride;        // chunks from one word to the workers to the next; 0: one piece
    uint32_t published;     // of those that are fed
    uint32_t slots, run;    // chunks there is room for; that are one copy
    const struct mp__round *cursor_in, *cursor_out;
};

static inline enum mp__chunk_state mp__stream_state(const struct mp__stream *s, uint32_t chunk)
{
    return atomic_load_explicit(&s->ctl->done[chunk], memory_order_acquire);
}

// Begins a pass that is planned and laid out, before its job is opened.
void mp__stream_begin(struct mp__stream *s);

// Copies a little in and out. False if there was nothing to copy, as far as the workers are.
bool mp__stream_move(struct mp__stream *s);

// Chunks that are copied in, and that no worker has claimed.
uint32_t mp__stream_unclaimed(const struct mp__stream *s);

// Moves what tasks returned for these items to the user's array.
void mp__stream_take_status(struct mp__stream *s, struct mp__range items);

// All workers have left, and no chunk is open: copies the rest out. `failed`: some tasks did.
void mp__stream_finish(struct mp__stream *s, bool failed);

#endif
