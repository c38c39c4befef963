// SPDX-License-Identifier: MIT
//
// The daemon's log: a line an event, in logfmt (key=value key="value"), so that people can read
// it and programs, too.
#ifndef MP_MANAGER_SERVER_LOGFMT_H
#define MP_MANAGER_SERVER_LOGFMT_H

#include <mp/error.h>
#include <mp/log.h>
#include <stddef.h>

// Sets from which level on is logged, and where: file NULL is stderr. Opened anew each time, so
// that a log that was moved away is let go on a reload. -errno: nothing has changed.
int logfmt_open(const char *level, const char *file);

// Writes ts=... level=... event=EVENT and the rest, keys with values, as format says. One
// write(2). Values that come from elsewhere go through logfmt_quote().
void logfmt(mp_level level, const char *event, const char *format, ...) MP_PRINTF(3, 4);

// The same, about what clients do: no more than ten lines a second; how many were left out is
// said in the next one.
void logfmt_client(mp_level level, const char *event, const char *format, ...) MP_PRINTF(3, 4);

// Text as a value: in quotes, everything that is not printable shown as \xNN, and cut.
enum { LOGFMT_QUOTED = 200 };
const char *logfmt_quote(char out[LOGFMT_QUOTED], const char *text);

#endif
