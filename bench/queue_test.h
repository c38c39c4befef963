// SPDX-License-Identifier: MIT
//
// queue_1p1c and queue_2p2c: processes that put items of 64 bytes for a while, and others
// that get them; the rate counts until the last item was got. Each item is stamped and
// checked, so a contestant that loses, doubles or damages one fails.
#ifndef QUEUE_TEST_H
#define QUEUE_TEST_H

#include "common.h"

#define QUEUE_ITEM    64
#define QUEUE_MAX     1024 // items that a bounded queue holds
#define QUEUE_PARTIES 8

struct queue_engine {
    const char *who;
    const char *metric;                         // what its name begins with
    void (*make)(int producers, int consumers); // before the forks; may be NULL
    void (*open)(int side, int index);          // in each: 0 puts, 1 gets; may be NULL
    void (*put)(const void *item);
    void (*get)(void *item); // blocks
    void (*flush)(void);     // a producer has put its last; may be NULL
    void (*unmake)(void);    // may be NULL
};

// PROGRAM PRODUCERS CONSUMERS [SECONDS]
int queue_test_main(int argc, char **argv, const struct queue_engine *e);

#endif
