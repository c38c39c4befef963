// SPDX-License-Identifier: MIT
#include "logfmt.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define A_SECOND 10 // lines about clients

static const char *const levels[] = {"off", "error", "warn", "info", "debug"};
static int log_fd = 2;
static mp_level threshold = MP_LOG_INFO;

int logfmt_open(const char *level, const char *file)
{
    int fd = 2;
    mp_level l = MP_LOG_OFF;
    while (l <= MP_LOG_DEBUG && strcmp(levels[l], level) != 0)
        l++;
    if (l > MP_LOG_DEBUG)
        return MP_EINVAL;
    if (file && (fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640)) < 0)
        return -errno;
    if (log_fd != 2)
        close(log_fd);
    log_fd = fd;
    threshold = l;
    return 0;
}

const char *logfmt_quote(char out[LOGFMT_QUOTED], const char *text)
{
    size_t n = 0;
    out[n++] = '"';
    for (const unsigned char *p = (const unsigned char *)text; *p && n < LOGFMT_QUOTED - 6; p++) {
        if (*p == '"' || *p == '\\') {
            out[n++] = '\\';
            out[n++] = (char)*p;
        } else if (*p < ' ' || *p >= 0x7f) {
            n += (size_t)sprintf(out + n, "\\x%02x", *p);
        } else {
            out[n++] = (char)*p;
        }
    }
    out[n++] = '"';
    out[n] = '\0';
    return out;
}

MP_PRINTF(4, 0)
static void line(mp_level level, const char *event, unsigned left_out, const char *format,
                 va_list args)
{
    char buf[1200], time_text[32];
    struct timespec t;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &t);
    gmtime_r(&t.tv_sec, &tm);
    strftime(time_text, sizeof time_text, "%Y-%m-%dT%H:%M:%S", &tm);
    int n = snprintf(buf, sizeof buf, "ts=%s.%03ldZ level=%s event=%s ", time_text,
                     t.tv_nsec / 1000000, levels[level], event);
    int m = vsnprintf(buf + n, sizeof buf - (size_t)n, format, args);
    n = m < 0 || n + m > 1100 ? 1100 : n + m;
    if (left_out)
        n += snprintf(buf + n, sizeof buf - (size_t)n, " left_out=%u", left_out);
    buf[n++] = '\n';
    ssize_t written = write(log_fd, buf, (size_t)n);
    (void)written; // nobody to tell
}

void logfmt(mp_level level, const char *event, const char *format, ...)
{
    va_list args;
    if (level > threshold)
        return;
    va_start(args, format);
    line(level, event, 0, format, args);
    va_end(args);
}

void logfmt_client(mp_level level, const char *event, const char *format, ...)
{
    static int64_t second;
    static unsigned lines, left_out;
    int64_t now = mp__now() / 1000000000;
    va_list args;
    if (level > threshold)
        return;
    if (now != second) {
        second = now;
        lines = 0;
    }
    if (lines++ >= A_SECOND) {
        left_out++;
        return;
    }
    va_start(args, format);
    line(level, event, left_out, format, args);
    va_end(args);
    left_out = 0;
}
