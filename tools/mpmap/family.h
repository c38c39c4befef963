// SPDX-License-Identifier: MIT
//
// All that jobs have started, wherever it went: into groups and sessions of its own,
// or to another parent. Every job has a word in its environment that names this run
// (MPMAP_RUN) and its number (MPMAP_SEQ), which what it starts inherits, and by which
// it is found in /proc. What has wiped its environment, or belongs to another user, is
// not found.
#ifndef MPMAP_FAMILY_H
#define MPMAP_FAMILY_H

#include <stdbool.h>
#include <sys/types.h>

struct family {
    char env[64]; // MPMAP_RUN=...
    pid_t guardian;
};

// Names the run, and starts a process that outlives us: if we end without family_end(), however
// that came, it kills all that is left, and calls at_end(arg). 0 or -errno.
int family_begin(struct family *f, void (*at_end)(void *), void *arg);

// The name of the run: no other has it.
const char *family_name(const struct family *f);

// Sends sig to what is left of the job with this number, or of all: 0. How many.
int family_kill(const struct family *f, long seq, int sig);

// What is left may live.
void family_end(struct family *f);

#endif
