// SPDX-License-Identifier: MIT
//
// --cpus and --mem: a control group for each job, which holds it and all it starts.
#ifndef MPMAP_GROUP_H
#define MPMAP_GROUP_H

#include "args.h"
#include "job.h"
#include "system.h"

#include <sys/types.h>

struct group_maker {
    const struct args *args;
    pid_t pid; // names of groups have it
    long made;
    // Where there is to be a limit: by GROUP_MEMORY and GROUP_CPU, which may be in one place.
    const struct system_group *at[GROUP_ANY];
    bool allowed[GROUP_ANY]; // by us, to groups in it
    long *left;              // numbers of groups of jobs that have ended, with somebody in them
    int left_len, again;
    int joins[GROUP_ANY + 1]; // what mp_spawn() is given as groups
};

// 0, or an exit status after a message.
int group_init(struct group_maker *g, const struct args *a);

// Around the start of a job: makes its group, and lets go of it. 0 or -errno.
int group_begin(struct group_maker *g, struct job *j);
void group_started(struct group_maker *g);

// Kills all that is in the group of the job.
void group_kill(const struct group_maker *g, const struct job *j);

// Whether some of the job was killed because the memory of its group was used up.
bool group_out_of_memory(const struct group_maker *g, const struct job *j);

// Removes the group of a job that has ended, now or, as long as somebody is in it, later.
void group_end(struct group_maker *g, const struct job *j);

// Removes all there is. Also in a child that has outlived us.
void group_close(struct group_maker *g);

#endif
