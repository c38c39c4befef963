// SPDX-License-Identifier: MIT
//
// Items that are kept beyond the next one: for another try, to be run in another order than
// they come in (--shuf, --priority), or to know how many there are (--halt with a percentage).
#ifndef MPMAP_KEPT_H
#define MPMAP_KEPT_H

#include "input.h"

struct kept {
    struct item item; // of the texts below
    struct texts texts;
    double rank; // higher ones first
};

struct kept *kept_new(const struct item *item);
void kept_free(struct kept *k);

// All items of an input, in an order of their own.
struct order {
    struct kept **of;
    size_t len, cap, next;
    bool sorted;
};

// Whether all items have to be known, or to be put in order, before the first is run.
bool order_wanted(const struct args *a);

// Takes the items of the input, and once there are no more gives them in their order, as
// input_next() would.
int order_next(struct order *o, struct input *in, const struct args *a, struct item *item);

void order_free(struct order *o);

#endif
