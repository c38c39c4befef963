// SPDX-License-Identifier: MIT
//
// --pipe and --pipepart: input cut into blocks that end with a record. What is read from
// a pipe is a block of bytes; of a file it is a place in it, which nobody has read but
// for the few bytes where it was cut.
#ifndef MPMAP_BLOCKS_H
#define MPMAP_BLOCKS_H

#include "args.h"
#include "reader.h"
#include "separator.h"

#include <sys/types.h>

struct block {
    char *data; // malloc()ed, its receiver's; NULL: a place in the file fd
    size_t len;
    int fd;
    off_t from;
};

struct blocks {
    struct reader in; // only its descriptor and watch are used
    size_t size, max_records;
    struct separator separator;
    bool remove;
    bool longer;  // than the size, rather than shorter: so there are no more than so many
    char *header; // begins each block
    size_t header_len;

    off_t at, end; // of a file: what is not yet given, if it is given by place
    bool by_place;
    char *buf; // of what is read: [0, have); [0, scanned) has no place to cut
    size_t have, scanned, cap;
    size_t records, cut; // found in it, and the end of the last
    size_t looked;       // what it had when it was last looked at, for records in turn

    mp_loop *loop;
    mp_watch *timer;              // of --block-timeout
    int64_t timeout_ms, since_ms; // since_ms: when the block began
};

// 0, or an exit status after a message.
int blocks_open(struct blocks *b, const struct args *a);

// As those of input.h.
int blocks_watch(struct blocks *b, mp_loop *loop, void (*fn)(void *), void *arg);
int blocks_next(struct blocks *b, struct block *block);
double blocks_left(const struct blocks *b); // -1: nobody knows
void blocks_close(struct blocks *b);

#endif
