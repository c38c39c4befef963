// SPDX-License-Identifier: MIT
//
// What mpmap knows of the shell's language.
//
// A script of -s gets the item as positional parameter: a replacement string
// becomes "${1}", "${2}", ... in a form that fits the quotes around it. The text
// of an item is never part of the script, so no item can change what the script
// does, even where this reading of the quotes should be wrong: it would then be
// split into words, or not be expanded. Where a shell evaluates the value of a
// parameter (arithmetic), items must be whole numbers; and where the reading is not sure
// (backquotes, here-documents), replacement strings are refused.
#ifndef MPMAP_SHELL_H
#define MPMAP_SHELL_H

#include "command.h"
#include "input.h"
#include "replacement.h"

#include <stdio.h>

enum shell_form { BARE, IN_DOUBLE, IN_SINGLE, IN_ARITHMETIC };

struct shell_mark { // a replacement string
    size_t at;      // in the text
    struct replacement r;
    enum shell_form form;
    size_t word_begin, word_end; // the word around it
    bool repeats;                // -X repeats it
};

struct shell_script {
    char *words; // as given, in one text: the marks point into it
    char *text;  // without the replacement strings
    size_t len;
    struct shell_mark *marks;
    int marks_len;
    bool only_items; // all of them are {}
};

// Joins words by blanks and compiles the script. Without a replacement string, and
// if it does not refer to $1 or $@ itself, the item is added at its end if `append`. 0, or
// an exit status after a message.
int shell_compile(struct shell_script *s, char **words, int n, const struct replacing *how,
                  bool append);

// Why this item cannot be an argument of the script, or NULL.
const char *shell_refuses(const struct shell_script *s, const struct item *item);

// Adds the script for an item as a word, "sh", and the script's parameters.
void shell_expand(const struct shell_script *s, const struct item *item, bool repeat, long seq,
                  int slot, struct command *c);

// Prints it as it would look with the items written into it, quoted.
void shell_print(const struct shell_script *s, const struct item *item, bool repeat, long seq,
                 int slot, FILE *f);

// What an argument may add to the size of the command.
size_t shell_cost(const struct shell_script *s, const char *arg, size_t len);

void shell_free(struct shell_script *s);

// Prints a word so that a shell reads it back.
void shell_quote(FILE *f, const char *word);

#endif
