// SPDX-License-Identifier: MIT
#include "terminal.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool bar_shown; // on the one terminal there is

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

void bar_show(const char *line, size_t len)
{
    put(line, len);
    bar_shown = true;
}

void bar_hide(void)
{
    static const char clear[] = "\r\x1b[K";
    if (!bar_shown)
        return;
    bar_shown = false;
    put(clear, sizeof clear - 1);
}
