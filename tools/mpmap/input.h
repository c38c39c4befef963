// SPDX-License-Identifier: MIT
//
// The items of jobs: arguments, taken from the records of one source, or of several
// that are combined or linked, one record a job or as many as wanted.
//
// Records are read as they are needed. Of several combined sources all but the first,
// over which the others turn like the faster hands of a clock, are kept in memory.
#ifndef MPMAP_INPUT_H
#define MPMAP_INPUT_H

#include "args.h"
#include "fields.h"
#include "reader.h"
#include "texts.h"

struct item {
    const char *text; // its arguments, with blanks between; ended by NUL
    size_t len;       // all valid until the next input_next()
    const char *bad;  // why it cannot be run, or NULL

    const struct texts *args;
    int first, args_len; // which of them
    int all;             // so many of these are what {} stands for
};

// An argument of the item, from 0.
const char *item_arg(const struct item *item, int i, size_t *len);

// Sources that are taken together.
struct group {
    struct reader *readers;
    int len, read; // of the record in work: so many readers have given theirs
    bool held;     // in memory
    bool loaded;
    struct texts texts;
    int *begin; // of each record in texts, and of what would be the next
    int records, at;
};

struct input {
    const char *name; // of the source that gave an error
    struct splitter splitter;
    struct group *groups;
    int groups_len;
    bool turn;    // the first group is to give its next record
    bool wrap;    // --link
    long turns;   // of --link
    size_t limit; // of an argument
    char *separator;
    size_t separator_len;
    bool ended;
    const char *end_of_items;
    bool skip_blank;

    struct texts batch;        // what was read: [0, given) is the last item
    int given, last, complete; // the last whole record in it is [last, complete)
    long records;              // whole ones
    size_t used;               // of room
    int jobs;                  // to spread what is left among
    long max, spread;          // records an item; at the end of packing
    bool pack, no_args;
    size_t room; // bytes for arguments
    size_t (*cost)(void *, const char *text, size_t len);
    void *cost_arg;
    char *joined;
    size_t joined_cap;
};

// Opens what `a` says, and reads the header if there is one. 0, or an exit status after a message.
int input_open(struct input *in, const struct args *a);

// Packs records into items of up to `room` bytes, each of which takes cost() of it.
void input_pack(struct input *in, size_t room, size_t (*cost)(void *, const char *, size_t),
                void *arg);

// Has the loop call fn(arg) when input_next() is worth a new try.
int input_watch(struct input *in, mp_loop *loop, void (*fn)(void *), void *arg);

// The next item: INPUT_ITEM, INPUT_WAIT, INPUT_END or -errno, as reader_next().
int input_next(struct input *in, struct item *item);

// About how many items are left, or -1: nobody knows; and whether that is exact.
double input_left(const struct input *in, bool *exact);

void input_close(struct input *in);

#endif
