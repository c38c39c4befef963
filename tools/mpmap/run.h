// SPDX-License-Identifier: MIT
//
// Runs the command for all items: as many jobs at a time as wanted, until there
// are no more items, or a signal or an error stops it.
#ifndef MPMAP_RUN_H
#define MPMAP_RUN_H

#include "args.h"

// Returns the exit status; *sig is the signal to end by, or 0.
int run_jobs(const struct args *a, int *sig);

// Prints the commands instead.
int run_dry(const struct args *a);

#endif
