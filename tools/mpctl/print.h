// SPDX-License-Identifier: MIT
//
// What the manager answered, on stdout; what went wrong, on stderr. An int is the exit code.
#ifndef MPCTL_PRINT_H
#define MPCTL_PRINT_H

#include "mpctl.h"

// The error of a call, with the text it came with.
int failed(const char *what, int err, const mp_buf *b);

// An answer as it is: JSON, or a text without quotes.
int print_answer(const struct ctl *c, const mp_buf *b);

// Rows, an array of arrays or maps, as a table with those n heads.
void print_rows(const mp_item *rows, const char *const *heads, size_t n);

// The same of an answer that is one; rows that are maps have their own.
int print_table(const struct ctl *c, const mp_buf *b, const char *const *heads, size_t n);

// A map, a line a key.
int print_map(const struct ctl *c, const mp_buf *b);

#endif
