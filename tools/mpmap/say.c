// SPDX-License-Identifier: MIT
#include "say.h"
#include "terminal.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *say_compose(const char *format, va_list ap)
{
    static const char begin[] = "mpmap: ";
    char *text = NULL;
    int n = vasprintf(&text, format, ap);
    if (n < 0)
        out_of_memory();
    size_t size = 4 * (size_t)n + 16; // show() cuts nothing
    char *line = xrealloc(NULL, sizeof begin + size);
    show(stpcpy(line, begin), size, text, (size_t)n);
    strcat(line, "\n");
    free(text);
    return line;
}

void say_line(const char *line)
{
    bar_hide();
    if (write(STDERR_FILENO, line, strlen(line)) < 0) {
        // Nowhere left to say it.
    }
}

MP_PRINTF(1, 0) static void vsay(const char *format, va_list ap)
{
    char *line = say_compose(format, ap);
    say_line(line);
    free(line);
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

void out_of_memory(void)
{
    say_line("mpmap: out of memory\n");
    _exit(EXIT_IO);
}

void *xrealloc(void *p, size_t size)
{
    p = realloc(p, size ? size : 1);
    if (!p)
        out_of_memory();
    return p;
}

char *xstrdup(const char *text)
{
    return strcpy(xrealloc(NULL, strlen(text) + 1), text);
}

FILE *text_open(char **text, size_t *len)
{
    *text = NULL;
    FILE *f = open_memstream(text, len);
    if (!f)
        out_of_memory();
    return f;
}

void text_close(FILE *f, char *const *text)
{
    bool whole = !ferror(f);
    if (fclose(f) || !whole || !*text)
        out_of_memory();
}
