// SPDX-License-Identifier: MIT
//
// From the command line to struct args.
#ifndef MPMAP_PARSE_H
#define MPMAP_PARSE_H

#include "args.h"

// -1: go on; else the exit status to end with (help was printed, or a message). The strings
// stay argv's.
int parse_args(struct args *a, int argc, char **argv);

#endif
