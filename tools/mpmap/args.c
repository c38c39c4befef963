// SPDX-License-Identifier: MIT
#include "args.h"
#include "say.h"

int args_add_source(struct args *a, struct source s)
{
    size_t n = (size_t)a->sources_len + 1;
    a->sources = xrealloc(a->sources, n * sizeof *a->sources);
    a->sources[a->sources_len++] = s;
    return -1;
}
