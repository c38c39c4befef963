// SPDX-License-Identifier: MIT
//
// Output of a job that waits to be written: first in memory; beyond a limit, for
// this job or for all together, in a file without a name in $TMPDIR, which is gone
// however mpmap ends.
#ifndef MPMAP_HELD_H
#define MPMAP_HELD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct held {
    char *buf; // [start, end): comes before what is in the file
    size_t start, end, cap;
    int file; // 0 = none: descriptor 0 is never ours
    off_t file_start, file_end;
};

bool held_is_empty(const struct held *h);

// Adds bytes at the end. 0 or -errno of the file (-ENOSPC); then they are lost.
int held_add(struct held *h, const char *data, size_t n);

// The next bytes: *data, valid until the next held call of any kind. Their number,
// 0 when empty, or -errno of the file.
ssize_t held_peek(struct held *h, const char **data);

// Drops the first n of what was peeked.
void held_take(struct held *h, size_t n);

void held_free(struct held *h);

// Descriptors in use by all.
int held_files(void);

// Where the files go: $TMPDIR or /tmp, unless another was set, which stays the caller's.
void held_set_dir(const char *dir);
const char *held_dir(void);

#endif
