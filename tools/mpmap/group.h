// SPDX-License-Identifier: MIT
//
// --cpus and --mem: a control group for each job, which holds it and all it starts.
#ifndef MPMAP_GROUP_H
#define MPMAP_GROUP_H

#include "args.h"
#include "job.h"

#include <limits.h>

struct group_maker {
    char dir[PATH_MAX]; // our group; "" if none are wanted
    int own;            // cgroup.procs of the one that we have put ourselves into
    const struct args *args;
};

// 0, or an exit status after a message.
int group_init(struct group_maker *g, const struct args *a);

// Around the start of a job: what is started between them is in its group. 0 or -errno.
int group_begin(struct group_maker *g, struct job *j);
void group_started(struct group_maker *g);

// Kills all that is in the group of the job.
void group_kill(const struct group_maker *g, const struct job *j);

// Removes the group of a job that has ended, as soon as it is empty.
void group_end(const struct group_maker *g, struct job *j);

void group_close(struct group_maker *g);

#endif
