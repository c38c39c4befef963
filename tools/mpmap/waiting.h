// SPDX-License-Identifier: MIT
//
// Jobs that wait for their next try: a list, by the time when it is due.
#ifndef MPMAP_WAITING_H
#define MPMAP_WAITING_H

#include "job.h"

void waiting_add(struct job **list, struct job *j); // by its due_ms

// The next one whose time has come, or NULL.
struct job *waiting_take(struct job **list, int64_t now_ms);

// How long until then: 0 to INT_MAX ms; -1: none waits.
int waiting_due(const struct job *list, int64_t now_ms);

#endif
