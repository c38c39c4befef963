// SPDX-License-Identifier: MIT
//
// The arrays of a map on their way to the workers and back. An array that the workers
// see where it is is left there; another is staged: copied by the caller into the
// data part of the segment and, for results, out of it.
//
// A pass lays staged items out in one of two ways:
//
//   whole   all items of the pass, in their order;
//   window  chunk c in slot c % window, for arrays that are larger than the staging
//           memory, and for passes that pick up the pieces after a death.
//
// When they are copied is told in stream.h.
#ifndef MP_WORK_FEED_H
#define MP_WORK_FEED_H

#include "work/segment.h"

struct mp__array {
    char *user;  // where it is, NULL if there is none
    size_t size; // of an item
    bool staged;
};

struct mp__feed {
    struct mp__array in, out;
    bool in_place;  // both are one array, and staged: one place for both
    size_t offset;  // in the data part: what lies before it is ctx
    size_t staging; // bytes to make do with
    unsigned workers;
    // The pass:
    bool window; // or whole
    struct mp__side in_side, out_side;
};

// Bytes of staging memory an item takes; 0: nothing is staged.
size_t mp__feed_item_bytes(const struct mp__feed *f);

// Whether the items fit as a whole.
bool mp__feed_fits(const struct mp__feed *f, size_t items);

// Items a chunk may have when the user did not say; and in a window: `items` are to be run.
size_t mp__feed_most(const struct mp__feed *f);
size_t mp__feed_chunk(const struct mp__feed *f, size_t items);

// Lays out a pass: as a whole, items from `origin` to `end`, or as a window of chunks of
// at most `chunk` items. -ENOMEM.
int mp__feed_whole(struct mp__feed *f, struct mp__segment *seg, size_t origin, size_t end);
int mp__feed_window(struct mp__feed *f, struct mp__segment *seg, size_t chunk, uint32_t chunks);

// Slots of the window.
uint32_t mp__feed_slots(const struct mp__feed *f);

// Copies items of a chunk that begins at item `first`, in or out.
void mp__feed_in(const struct mp__feed *f, uint32_t chunk, struct mp__range items);
void mp__feed_out(const struct mp__feed *f, uint32_t chunk, size_t first, struct mp__range items);

#endif
