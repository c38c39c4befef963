// SPDX-License-Identifier: MIT
#include "say.h"
#include "terminal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

MP_PRINTF(1, 0) static void vsay(const char *format, va_list ap)
{
    char line[1024] = "mpmap: ";
    size_t at = strlen(line);
    int n = vsnprintf(line + at, sizeof line - at, format, ap);
    size_t len = at + (n < 0 ? 0 : (size_t)n);
    if (len > sizeof line - 1)
        len = sizeof line - 1;
    line[len++] = '\n';
    bar_hide();
    if (write(STDERR_FILENO, line, len) < 0) {
        // Nowhere left to say it.
    }
}

void say(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vsay(format, ap);
    va_end(ap);
}

int usage_error(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vsay(format, ap);
    va_end(ap);
    return EXIT_USAGE;
}

char *show(char *buf, size_t size, const char *text, size_t len)
{
    size_t at = 0, i = 0;
    for (; i < len && at + 8 < size; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c < 0x20 || c == 0x7f)
            at += (size_t)snprintf(buf + at, size - at, "\\x%02x", c);
        else
            buf[at++] = (char)c;
    }
    snprintf(buf + at, size - at, "%s", i < len ? "..." : "");
    return buf;
}

void *xrealloc(void *p, size_t size)
{
    p = realloc(p, size ? size : 1);
    if (!p) {
        say("out of memory: %zu bytes", size);
        _exit(EXIT_IO);
    }
    return p;
}
