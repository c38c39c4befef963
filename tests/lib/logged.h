// SPDX-License-Identifier: MIT
//
// What the library logs between open_log() and close_log().
#ifndef LOGGED_H
#define LOGGED_H

#include "mptest.h"

#include <fcntl.h>
#include <mp/log.h>

static int log_pipe[2];

static inline void open_log(void)
{
    ck_assert_int_eq(pipe2(log_pipe, O_CLOEXEC | O_NONBLOCK), 0);
    mp_log_fd(log_pipe[1]);
    mp_log_level(MP_LOG_WARN);
}

// Returns the text, valid until the next call.
static inline const char *close_log(void)
{
    static char text[4000];
    mp_log_level(MP_LOG_OFF);
    mp_log_fd(2);
    ssize_t n = read(log_pipe[0], text, sizeof text - 1);
    text[n > 0 ? n : 0] = '\0';
    close(log_pipe[0]);
    close(log_pipe[1]);
    return text;
}

#define check_log(want)                                                                            \
    do {                                                                                           \
        const char *log_text = close_log();                                                        \
        ck_assert_msg(strstr(log_text, want), "not in the log: %s: %s", want, log_text);           \
    } while (0)

#endif
