// SPDX-License-Identifier: MIT
//
// Items, one at a time, from a list or a file. Reading never blocks: a pipe or
// terminal is read when the loop has said that something is there.
//
// An item longer than any argument may be is not kept: its first bytes are, and
// the mark `too_long`. So the memory is bounded whatever comes.
#ifndef MPMAP_INPUT_H
#define MPMAP_INPUT_H

#include "args.h"
#include <mp/loop.h>

struct item {
    char *text; // ended by NUL; valid until the next input_next()
    size_t len;
    bool too_long;
};

struct input {
    const char *name; // for messages
    int fd;           // -1: the list
    char **list;
    int list_left;
    char separator;
    char *buf; // [start, end) is not yet used; [start, scanned) has no separator
    size_t start, scanned, end, cap, limit;
    bool ended, skipping, ready;
    mp_watch *watch; // NULL: the fd is always ready
};

// Opens what `a` says. 0, or an exit status after a message.
int input_open(struct input *in, const struct args *a);

// Has the loop call fn(arg) when input_next() is worth a new try.
int input_watch(struct input *in, mp_loop *loop, void (*fn)(void *), void *arg);

// The next item: INPUT_ITEM; INPUT_WAIT: nothing there yet, the loop tells when;
// INPUT_END; or -errno of a failed read, after which comes INPUT_END.
enum { INPUT_ITEM, INPUT_WAIT, INPUT_END };
int input_next(struct input *in, struct item *item);

void input_close(struct input *in);

#endif
