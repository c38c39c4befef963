// SPDX-License-Identifier: MIT
//
// --results FILE: a line for each job that has ended, with what it wrote: JSON, or records of
// CSV in GNU parallel's columns.
#ifndef MPMAP_TABLE_H
#define MPMAP_TABLE_H

#include "job.h"

#include <stdbool.h>
#include <stdio.h>

struct table {
    FILE *file; // NULL: none is wanted
    const char *name;
    char separator; // of CSV; '\0': JSON
    bool begun;     // the columns have their names, of which
    int args;       // so many are arguments
    int err;        // the first, -errno
};

// Whether `name` is to be a file of lines (.json, .jsonl, .csv, .tsv), not a directory.
bool table_is(const char *name);

// Replaces what is there, or goes on with it. 0 or -errno.
int table_open(struct table *t, const char *name, bool go_on);

// Writes a job with what it holds of output, which it takes. 0 or -errno.
int table_put(struct table *t, struct job *j);

void table_close(struct table *t);

#endif
