// SPDX-License-Identifier: MIT
//
// Which jobs of a list need not, or must not, be run again: those that a joblog tells of.
// A job is known by its command and item, not by its number, so a list that was changed
// cannot have the wrong ones left out. Of equal jobs as many are left out as have run.
#ifndef MPMAP_RESUME_H
#define MPMAP_RESUME_H

#include "joblog.h"

enum resume_answer { MUST_RUN, HAS_RUN, MAY_HAVE_RUN };

struct resume {
    enum resume_mode mode;
    const char *begin; // what the command of each job begins with
    struct past *past; // sorted by key
    size_t len, cap;
    bool same_command;
    char **failed; // commands, in the order of the joblog
    int failed_len;
};

// Reads the joblog. `begin`: what its commands have to begin with; a joblog in which none
// does is another command's and refused. 0, or an exit status after a message.
int resume_load(struct resume *r, struct joblog *l, enum resume_mode mode, const char *begin);

// Whether the job with this command is to be run; once for each job. MAY_HAVE_RUN: it was
// started (with --at-most-once) and nobody knows how it ended.
enum resume_answer resume_ask(struct resume *r, const char *command);

void resume_free(struct resume *r);

#endif
