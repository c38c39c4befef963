// SPDX-License-Identifier: MIT
//
// What these programs share: a way out when a call fails, and the scale of time.
#ifndef SEED_H
#define SEED_H

#include <mp/mp.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

// Ends the program unless r, the result of a call, is a success.
static inline void must(int64_t r, const char *what)
{
    if (r >= 0)
        return;
    fprintf(stderr, "%s: %s\n", what, mp_strerror(r));
    exit(1);
}

// The first argument as a number, or the one that the program has without arguments.
static inline double argument(int argc, char **argv, double usual)
{
    return argc > 1 ? atof(argv[1]) : usual;
}

static inline void pause_for(double seconds)
{
    usleep((useconds_t)(seconds * 1e6));
}

#endif
