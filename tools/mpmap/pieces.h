// SPDX-License-Identifier: MIT
//
// The input of --so, read in blocks into shared memory and cut at record ends into pieces,
// which lie where they were read.
#ifndef MPMAP_PIECES_H
#define MPMAP_PIECES_H

#include "reader.h"
#include "records.h"

#include <mp/arena.h>

// Goes when it is full and each of its pieces was given back.
struct so_block {
    char *data; // in the arena
    size_t cap;
    int users; // pieces, and who reads into it
};

struct piece {
    char *data;
    size_t len; // whole records; only the last of fixed ones may be short
    struct so_block *block;
};

struct pieces {
    struct reader in;
    const struct records *how;
    mp_arena *arena;
    struct so_block *block;    // the one that is read into, or NULL
    size_t start, whole, have; // in it: up to where pieces were taken, records are whole, and
                               // bytes were read
    bool ended;
    bool cut_off; // within a value
    int err;      // why it has ended: -errno, or -EBADMSG: no msgpack
};

// Gives a piece of about so many bytes, one record at least. INPUT_ITEM; INPUT_WAIT: there is
// none yet, poll in.fd; INPUT_END, see err; -ENOMEM.
int pieces_next(struct pieces *p, size_t size, struct piece *out);

void pieces_give_back(struct pieces *p, struct piece *piece);
void pieces_close(struct pieces *p);

#endif
