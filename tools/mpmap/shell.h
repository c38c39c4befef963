// SPDX-License-Identifier: MIT
//
// What mpmap knows of the shell's language.
//
// A script of -s gets the item as positional parameter: a replacement string
// becomes "${1}", "${2}", ... in a form that fits the quotes around it. The text
// of an item is never part of the script, so no item can change what the script
// does, even where this reading of the quotes should be wrong: it would then be
// split into words, or not be expanded. Where a shell evaluates the value of a
// parameter (arithmetic), and where the reading is not sure (backquotes,
// here-documents), replacement strings are refused.
#ifndef MPMAP_SHELL_H
#define MPMAP_SHELL_H

#include "replacement.h"

#include <stdio.h>

struct shell_script {
    char *text;              // malloc()ed
    enum what params[WHATS]; // $1, $2, ...; the first is always ITEM
    int params_len;
};

// Joins words by spaces and compiles the script. Without a replacement string, and
// if it does not refer to $1 or $@ itself, the item is added at its end. 0, or an
// exit status after a message.
int shell_compile(struct shell_script *s, char **words, int n);

// Prints a word so that a shell reads it back.
void shell_quote(FILE *f, const char *word);

#endif
