// SPDX-License-Identifier: MIT
//
// What the files of mpctl share: the manager that was asked for, and how to print.
#ifndef MPCTL_H
#define MPCTL_H

#include <mp/manager.h>
#include <stdbool.h>

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

struct ctl {
    mp_manager *m;
    bool json; // print one JSON value, a line for each event
    int timeout_ms;
};

struct command {
    const char *name, *args, *help;
    int min, max; // arguments
    int (*run)(struct ctl *c, char **args, int n);
};

// All commands; ends with a NULL name.
extern const struct command commands[];

// Says "mpctl: what: why" on stderr; returns EXIT_FAILED.
int complain(const char *what, const char *why);

#endif
