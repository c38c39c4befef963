// SPDX-License-Identifier: MIT
//
// --results DIR: what jobs have written, in files of their own.
#ifndef MPMAP_RESULTS_H
#define MPMAP_RESULTS_H

#include "input.h"

#include <stdio.h>

struct results; // the files of a job

// Opens the files of a job of this run, whose name lives as long. 0 or -errno; `path` is then
// what could not be made.
int results_open(struct results **out, const char *dir, const struct item *item,
                 const struct names *names, const char *run, long seq, char *path, size_t size);

// Adds output; an error is kept for results_end().
void results_add(struct results *r, int stream, const char *data, size_t n);

// Writes how the job ended: the rest of a JSON object. 0 or -errno of anything that went wrong.
int results_end(struct results *r, const char *rest, size_t len);

void results_free(struct results *r);

#endif
