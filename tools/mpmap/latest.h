// SPDX-License-Identifier: MIT
//
// --latest-line: of all that a job writes, the last line that is not empty. A carriage return
// begins a line anew, as programs that show their progress have it.
#ifndef MPMAP_LATEST_H
#define MPMAP_LATEST_H

#include <stdbool.h>
#include <stddef.h>

enum { LATEST_MAX = 1000 }; // bytes of a line that are kept

struct latest {
    struct latest_line {
        char text[LATEST_MAX];
        size_t len;
        bool whole; // has ended: what comes begins another
    } line[2];      // of stdout and stderr
    int newest;     // which has come last
};

// Takes what was written to stdout (0) or stderr (1).
void latest_add(struct latest *l, int stream, const char *data, size_t n);

// The line, and its length; 0, as long as there is none.
const char *latest_line(const struct latest *l, size_t *len);

// The beginning of a text that fits so many columns of a terminal and does not steer it. Writes
// at most size bytes to buf: their number.
size_t latest_fit(char *buf, size_t size, const char *text, size_t len, int columns);

#endif
