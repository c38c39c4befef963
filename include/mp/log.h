// SPDX-License-Identifier: MIT
//
// The library's log, off by default: libmp prints nothing unless told to. A
// program turns it on with mp_log_level(), its user with MP_LOG=debug in the
// environment. Programs may log through it too.
//
// A line: "12:00:01.123456 name[pid] thread level: text". It is written with one
// write(2), so lines of many processes do not mix. Times are UTC.
#ifndef MP_LOG_H
#define MP_LOG_H

#include <mp/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum mp_level { MP_LOG_OFF, MP_LOG_ERROR, MP_LOG_WARN, MP_LOG_INFO, MP_LOG_DEBUG } mp_level;

// Sets what is logged: this level and all below it. Inherited by children.
// Before the first call the level is that of MP_LOG (off, error, warn, info,
// debug), or off. Since 0.1.
MP_API void mp_log_level(mp_level level);

// Where lines go: a descriptor of the caller's, 2 at first. Since 0.1.
MP_API void mp_log_fd(int fd);

// Whether a line of this level would be written: one load. Since 0.1.
MP_API bool mp_log_on(mp_level level);

// Writes a line, cut at 1000 bytes; control characters are shown as \xNN.
// Keeps errno. Thread-safe; not async-signal-safe. Since 0.1.
MP_API void mp_log(mp_level level, const char *format, ...) MP_PRINTF(2, 3);

#ifdef __cplusplus
}
#endif
#endif
