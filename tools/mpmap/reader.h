// SPDX-License-Identifier: MIT
//
// The records of one source, one at a time: words of the command line, or pieces of a
// file between separators. Reading never blocks once the loop watches it: a pipe or
// terminal is read when the loop has said that something is there.
//
// A record longer than the limit is not kept: its first bytes are, and the mark
// `too_long`. So the memory is bounded whatever comes.
#ifndef MPMAP_READER_H
#define MPMAP_READER_H

#include "args.h"
#include <mp/loop.h>

struct record {
    char *text; // ended by NUL; valid until the next reader_next()
    size_t len;
    bool too_long;
    bool torn; // its last quote is not closed
};

struct reader {
    const char *name; // for messages
    int fd;           // -1: the words
    char **words;
    int words_left;
    const char *separator;
    size_t separator_len;
    char csv;  // what separates fields: newlines in double quotes separate nothing; or 0
    char *buf; // [start, end) is not yet used; [start, scanned) has no separator
    size_t start, scanned, end, cap, limit;
    bool ended, skipping, ready, in_quotes;
    long records;    // given
    mp_watch *watch; // NULL: the fd is always ready
    void (*fn)(void *);
    void *arg;
};

// Opens a source (NULL: stdin). The limit and the separator are the caller's to set
// afterwards. 0, or an exit status after a message.
int reader_open(struct reader *r, const struct source *source);

// Has the loop call fn(arg) when reader_next() is worth a new try.
int reader_watch(struct reader *r, mp_loop *loop, void (*fn)(void *), void *arg);

// The next record: INPUT_ITEM; INPUT_WAIT: nothing there yet, the loop tells when;
// INPUT_END; or -errno of a failed read, after which comes INPUT_END. Without a loop
// it waits itself.
enum { INPUT_ITEM, INPUT_WAIT, INPUT_END };
int reader_next(struct reader *r, struct record *record);

// About how many records are left: exact for words, by the place in a file; -1: nobody
// knows.
double reader_left(const struct reader *r);

void reader_close(struct reader *r);

#endif
