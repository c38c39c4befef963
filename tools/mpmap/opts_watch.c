// SPDX-License-Identifier: MIT
//
// How a run tells what it does and has done.
#include "options.h"

const struct opt_group opts_watch = {
    .topic = "progress",
    .title = "Progress",
    .text = NULL,
};
