// SPDX-License-Identifier: MIT
//
// What becomes of what the jobs write.
#include "options.h"
#include "say.h"

static int check_output(const struct args *a)
{
    if (a->keep_order && a->ungroup)
        return usage_error("-k and -u exclude each other: what is not collected has no order");
    return -1;
}

static const struct opt rows[] = {
    {.name = "keep-order",
     .letter = 'k',
     .also = "keeporder",
     .help = "print the output in the order of the items",
     .kind = OPT_TRUE,
     .field = OPT_FIELD(keep_order),
     .common = true},
    {.name = "ungroup",
     .letter = 'u',
     .help = "do not collect the output: jobs write as they like",
     .kind = OPT_TRUE,
     .field = OPT_FIELD(ungroup),
     .common = true},
};

const struct opt_group opts_output = {
    .topic = "output",
    .title = "Output",
    .text = NULL,
    OPT_GROUP(rows),
    .check = check_output,
};
