// SPDX-License-Identifier: MIT
//
// The shared memory of a pool: one memfd with a lot of address space, mapped before
// the first fork, committed part by part as maps need it and then kept, since fresh
// pages cost more than copying into used ones.
//
//   | control | done: a byte a chunk | slots and heap of the board | status: an int an item |
//   | data: staged arrays |
#ifndef MP_WORK_SEGMENT_H
#define MP_WORK_SEGMENT_H

#include "work/control.h"

struct mp__part {
    char *base;
    size_t size; // bytes it may hold
    size_t held; // bytes committed
};

struct mp__segment {
    int fd;
    size_t size;
    struct mp__control *ctl;
    struct mp__part control, done, slots, heap, status, data;
};

// Makes it, with a control block of zeroes for so many workers; apart: where processes that were
// not forked from here likely have nothing. 0 or -errno.
int mp__segment_new(struct mp__segment *s, uint32_t workers, bool apart);

// Sees that there are places for so many workers. -ENOMEM.
int mp__segment_hold_places(struct mp__segment *s, uint32_t workers);

// Sees that the first `size` bytes of a part are there. -ENOMEM.
int mp__segment_hold(struct mp__segment *s, struct mp__part *part, size_t size);

void mp__segment_free(struct mp__segment *s);

#endif
