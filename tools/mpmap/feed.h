// SPDX-License-Identifier: MIT
//
// Standard input of a job: what it reads of a block as soon as it reads. Bytes are
// written to its pipe; of a file the kernel moves the pages there, without copying.
#ifndef MPMAP_FEED_H
#define MPMAP_FEED_H

#include "blocks.h"

struct feed;

// Makes the pipe: the job's end in *fd, the caller's to close. 0 or -errno. on_idle(arg) is
// called in the loop whenever the job has got all there was to give.
int feed_new(struct feed **out, int *fd, const struct blocks *from, void (*on_idle)(void *),
             void *arg);

// Gives it a block, which is then the feed's. Only when idle.
int feed_give(struct feed *f, mp_loop *loop, const struct block *block);

// Whether it has nothing to do and may be given a block.
bool feed_is_idle(const struct feed *f);

// How many it was given.
long feed_blocks(const struct feed *f);

// Nothing more will come: the job reads the end, once it has all.
void feed_end(struct feed *f);

// Whether it could not be given all of a block, though it would have read it. Has been said.
bool feed_has_lost(const struct feed *f);

void feed_free(struct feed *f); // NULL is fine

#endif
