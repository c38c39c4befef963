// SPDX-License-Identifier: MIT
//
// --so: maps a C function over the items, in a pool. Its ABI is <mp/plugin.h>.
#ifndef MPMAP_PLUGIN_H
#define MPMAP_PLUGIN_H

#include "args.h"

// Returns the exit status.
int run_plugin(const struct args *a);

#endif
