// SPDX-License-Identifier: MIT
//
// The log of <mp/log.h>. When it is off, a line costs a load and a compare.
//
// Lines are made on the stack and written with one write(2): no lock that a fork
// could leave held, no memory to run out of. That is also why times are UTC: local
// time takes a lock inside the C library, which fork() does not put in order.
#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_SIZE 1000 // as the header promises, with the newline

static const char *const level_names[] = {"off", "error", "warn", "info", "debug"};

static atomic_int log_level = -1; // -1: MP_LOG was not read yet
static atomic_int log_fd = 2;
static char process_name[64];

static int level_of_environment(void)
{
    const char *want = getenv("MP_LOG");
    int level = MP_LOG_OFF, unread = -1;
    for (int i = MP_LOG_OFF; want && i <= MP_LOG_DEBUG; i++)
        if (strcmp(want, level_names[i]) == 0)
            level = i;
    // Somebody may have set the level meanwhile: that holds.
    return atomic_compare_exchange_strong(&log_level, &unread, level) ? level : unread;
}

bool mp_log_on(mp_level level)
{
    int now = atomic_load_explicit(&log_level, memory_order_relaxed);
    if (__builtin_expect(now < 0, 0))
        now = level_of_environment();
    return (int)level <= now && level > MP_LOG_OFF;
}

void mp_log_level(mp_level level)
{
    int l = (int)level;
    atomic_store(&log_level, l < MP_LOG_OFF ? MP_LOG_OFF : l > MP_LOG_DEBUG ? MP_LOG_DEBUG : l);
}

void mp_log_fd(int fd)
{
    atomic_store(&log_fd, fd);
}

void mp__log_process_name(const char *name)
{
    // By hand: printf's pages would be the dearest of all that a new process touches.
    size_t n = 0;
    for (; name[n] && n < sizeof process_name - 1; n++)
        process_name[n] = name[n];
    process_name[n] = '\0';
}

// A line in the making. One byte is kept for the newline.
struct line {
    size_t len;
    char text[LINE_MAX_SIZE];
};

static void put(struct line *l, const char *s)
{
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        size_t left = sizeof l->text - 1 - l->len;
        if (c >= ' ' && c != 0x7f && left >= 1) {
            l->text[l->len++] = *s;
        } else if (left >= 4 && (c < ' ' || c == 0x7f)) {
            static const char hex[] = "0123456789abcdef";
            memcpy(l->text + l->len, (char[]){'\\', 'x', hex[c >> 4], hex[c & 15]}, 4);
            l->len += 4;
        } else {
            return;
        }
    }
}

static void put_head(struct line *l, mp_level level)
{
    char thread[16] = "", rest[64];
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    long s = (long)(t.tv_sec % 86400);
    snprintf(rest, sizeof rest, "%02ld:%02ld:%02ld.%06ld ", s / 3600, s / 60 % 60, s % 60,
             t.tv_nsec / 1000);
    put(l, rest);
    put(l, *process_name ? process_name : program_invocation_short_name);
    snprintf(rest, sizeof rest, "[%d] ", (int)getpid());
    put(l, rest);
    pthread_getname_np(pthread_self(), thread, sizeof thread);
    put(l, thread);
    snprintf(rest, sizeof rest, " %s: ", level_names[level]);
    put(l, rest);
}

void mp_log(mp_level level, const char *format, ...)
{
    if (!mp_log_on(level) || level > MP_LOG_DEBUG)
        return;
    int saved = errno;
    char text[LINE_MAX_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);

    struct line l = {0};
    put_head(&l, level);
    put(&l, text);
    l.text[l.len++] = '\n';
    // A log that is full or gone is no reason to fail.
    while (write(atomic_load(&log_fd), l.text, l.len) < 0 && errno == EINTR)
        ;
    errno = saved;
}
