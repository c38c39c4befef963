// SPDX-License-Identifier: MIT
//
// The part of the log that only the library uses; see <mp/log.h>.
#ifndef MP_BASE_LOG_H
#define MP_BASE_LOG_H

#include <mp/log.h>

// The name of this process in log lines, at first the program's. Copied, cut at 63
// bytes. For a process that has just been forked: no other thread may be logging.
void mp__log_process_name(const char *name);

#endif
