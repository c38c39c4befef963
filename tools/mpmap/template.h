// SPDX-License-Identifier: MIT
//
// The command with its replacement strings: compiled once, expanded for each
// item. The text of an item is never looked at for replacement strings.
#ifndef MPMAP_TEMPLATE_H
#define MPMAP_TEMPLATE_H

#include "args.h"
#include "command.h"
#include "input.h"
#include "replacement.h"
#include "shell.h"

struct word {
    int first, count; // in parts
    bool joined;      // arguments do not become words of their own
};

struct template
{
    const struct args *args;
    struct replacement *parts; // a LITERAL: its text
    int parts_len;
    struct word *words;
    int words_len;
    const char *shell; // that runs the script, or NULL
    struct shell_script script;
    struct command command; // the last expansion
};

// Compiles a's command, with the names of fields that the input has or, of JSON, is to
// have. 0, or an exit status after a message.
int template_compile(struct template *t, const struct args *a, struct names *names);

// Why there is no command for this item, or NULL.
const char *template_refuses(const struct template *t, const struct item *item);

// The command for one item; valid until the next call.
char **template_expand(struct template *t, const struct item *item, long seq, int slot);

// Prints the command so that a shell reads it back; under GNU parallel's name, the script
// with the items in it.
void template_print(struct template *t, const struct item *item, long seq, int slot, FILE *f);

// What template_print() prints of every command, before any item.
void template_print_begin(const struct template *t, FILE *f);

// What an argument may add to the command, for packing; and the bytes there are for all.
size_t template_cost(void *t, const char *arg, size_t len);
size_t template_room(const struct template *t);

// The program that every item runs, or NULL when it comes from the item.
const char *template_program(const struct template *t);

void template_free(struct template *t);

#endif
