// SPDX-License-Identifier: MIT
//
// What a record of --so is: a line, so many bytes, or a value of msgpack.
#ifndef MPMAP_RECORDS_H
#define MPMAP_RECORDS_H

#include <stdbool.h>
#include <stddef.h>

struct records {
    enum { LINES, FIXED, MSGPACK } kind;
    char separator; // of LINES, one byte after each
    size_t size;    // of FIXED
};

// Reads --records: NULL or "lines", "msgpack", or a number. -1, or a status after a message.
int records_init(struct records *r, const char *how, char separator);

// The bytes of the record at s with its separator; 0: it is not all in the `len` bytes that
// there are; RECORDS_BAD: no msgpack.
#define RECORDS_BAD ((size_t)-1)
size_t records_next(const struct records *r, const char *s, size_t len);

// Where the last whole record in [from, len) ends, from being a boundary and nothing known
// up to `scanned`; or RECORDS_BAD.
size_t records_cut(const struct records *r, const char *s, size_t from, size_t scanned, size_t len);

// The first boundary at or after `at`, which lies in [from, len), from and len being boundaries.
size_t records_boundary(const struct records *r, const char *s, size_t from, size_t at, size_t len);

#endif
