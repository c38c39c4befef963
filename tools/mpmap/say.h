// SPDX-License-Identifier: MIT
//
// What mpmap says to its user: "mpmap: what: why", on stderr, one write a message.
#ifndef MPMAP_SAY_H
#define MPMAP_SAY_H

#include <mp/base.h>
#include <stdarg.h>
#include <stdio.h>

// Exit statuses that are not a number of failed jobs. The man page has them all.
enum {
    EXIT_USAGE = 2,  // the call is wrong
    EXIT_IO = 74,    // results or items are lost: a read or write failed, no memory
    EXIT_MANY = 101, // more than 100 jobs failed
    EXIT_CANNOT_RUN = 126,
    EXIT_NOT_FOUND = 127,
};

void say(const char *format, ...) MP_PRINTF(1, 2);

// The same, and returns EXIT_USAGE.
int usage_error(const char *format, ...) MP_PRINTF(1, 2);

// What say() writes, with its newline: malloc()ed. Control characters are \xNN, as a part may
// come from an item, and shall not steer the terminal.
char *say_compose(const char *format, va_list ap) MP_PRINTF(1, 0);
void say_line(const char *line);

// Text for a message: the first bytes of `text`, control characters as \xNN, "..."
// where it was cut. Writes at most size bytes to buf and returns buf.
char *show(char *buf, size_t size, const char *text, size_t len);
enum { SHOWN = 80 }; // a good size

// Says that there is no memory, and ends the program; its jobs die with it. What cannot go
// on without memory does so by one of those below.
_Noreturn void out_of_memory(void);
void *xrealloc(void *p, size_t size);
char *xstrdup(const char *text);

// A text that is printed: a stream, at whose end *text has it, malloc()ed, and *len its length.
FILE *text_open(char **text, size_t *len);
void text_close(FILE *f, char *const *text);

#endif
