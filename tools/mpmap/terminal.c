// SPDX-License-Identifier: MIT
#include "terminal.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int bar_rows; // that are shown on the one terminal there is

bool has_cursor(int fd)
{
    const char *term = getenv("TERM");
    return isatty(fd) && term && *term && strcmp(term, "dumb") != 0;
}

bool may_color(int fd)
{
    const char *no = getenv("NO_COLOR");
    return has_cursor(fd) && !(no && *no);
}

bool has_terminal(void)
{
    int fd = open("/dev/tty", O_RDONLY | O_CLOEXEC);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static void put(const char *text, size_t len)
{
    if (write(STDERR_FILENO, text, len) < 0) {
        // Nobody looks.
    }
}

// To the beginning of what is shown.
static int to_begin(char *buf, size_t size)
{
    return bar_rows > 1 ? snprintf(buf, size, "\r\x1b[%dA", bar_rows - 1)
                        : snprintf(buf, size, "\r");
}

void bar_show(const char *text, size_t len, int rows)
{
    char begin[32];
    put(begin, (size_t)to_begin(begin, sizeof begin));
    put(text, len);
    if (rows > 1 || bar_rows > 1)
        put("\x1b[J", 3); // there may have been more
    bar_rows = rows;
}

void bar_hide(void)
{
    char text[64];
    if (!bar_rows)
        return;
    int n = to_begin(text, sizeof text);
    n += snprintf(text + n, sizeof text - (size_t)n, "\x1b[%s", bar_rows > 1 ? "J" : "K");
    bar_rows = 0;
    put(text, (size_t)n);
}
