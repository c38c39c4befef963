// SPDX-License-Identifier: MIT
//
// A command in the making: words, one after the other, in memory that is kept.
#ifndef MPMAP_COMMAND_H
#define MPMAP_COMMAND_H

#include <stddef.h>

struct command {
    char *bytes;
    size_t size, cap;
    size_t *begin; // of each word
    int words, max;
    char **argv;
};

void command_begin(struct command *c);

// Adds to the word at hand; command_end_word() ends it.
void command_add(struct command *c, const char *s, size_t len);
void command_end_word(struct command *c);

// The words, and NULL. Valid until the next command_begin().
char **command_argv(struct command *c);

void command_free(struct command *c);

#endif
