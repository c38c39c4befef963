// SPDX-License-Identifier: MIT
//
// Syncs a file while its owner goes on: a slow disk stops nobody.
#ifndef MP_MANAGER_PERSIST_SYNCER_H
#define MP_MANAGER_PERSIST_SYNCER_H

#include <stdbool.h>

struct mp__syncer;

// Makes one, with its thread. -errno.
int mp__syncer_new(struct mp__syncer **out);

// Begins: what was written to fd so far is going to be on disk. Not while it is at one. -errno.
int mp__syncer_begin(struct mp__syncer *s, int fd);

// Whether it is at one: 1, or 0, or -errno: what it was at last has failed.
int mp__syncer_busy(struct mp__syncer *s);

// Waits for what it is at. NULL is fine.
void mp__syncer_free(struct mp__syncer *s);

#endif
