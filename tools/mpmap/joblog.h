// SPDX-License-Identifier: MIT
//
// The file that tells of each job that has ended: in GNU parallel's columns, or a JSON
// object a line if its name ends with .json or .jsonl.
#ifndef MPMAP_JOBLOG_H
#define MPMAP_JOBLOG_H

#include "job.h"
#include "key.h"

#include <sys/types.h>

enum record_kind { RECORD_NONE, RECORD_STARTED, RECORD_OK, RECORD_FAILED };

struct record_read {
    enum record_kind kind;
    long seq;
    struct key key;
    char *command; // in the line; of JSON: NULL
};

struct joblog {
    const char *name;
    int fd; // -1: none is wanted
    bool json;
    off_t end; // of the last whole line
};

// Opens it, alone: a second mpmap is refused. With keep what is in it stays, but for a
// torn last line, else it is emptied; a file that is no joblog is refused, not emptied.
// 0, or an exit status after a message.
int joblog_open(struct joblog *l, const char *name, bool keep);

// Reads what is in it, line by line: fn(arg, record). 0, or an exit status after a message.
int joblog_read(struct joblog *l, void (*fn)(void *arg, struct record_read *rec), void *arg);

// Adds a line. 0 or -errno (-ENOSPC); a line that did not fit is taken out again.
// A line of a start is on the disk before the job begins.
int joblog_started(struct joblog *l, const struct job *j);
int joblog_ended(struct joblog *l, const struct job *j);

void joblog_close(struct joblog *l);

#endif
