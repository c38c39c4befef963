// SPDX-License-Identifier: MIT
//
// From a record to the arguments that are in it.
#ifndef MPMAP_FIELDS_H
#define MPMAP_FIELDS_H

#include "args.h"
#include "reader.h"
#include "texts.h"

#include <regex.h>

// Names of fields, as {name} has them.
struct names {
    char **name;
    int len;
    bool open; // of JSON: any name is one, and becomes known by being used
};

// The place of a name, or -1. The name need not end with NUL.
int names_find(struct names *n, const char *name, size_t len);

void names_add(struct names *n, const char *name, size_t len);
void names_free(struct names *n);

struct splitter {
    enum { WHOLE, COLUMNS, CSV, JSON } kind;
    regex_t columns;
    char csv; // what is between fields
    bool trim_left, trim_right;
    bool nul;     // a NUL byte in a record is no mistake of the separator's
    size_t limit; // of an argument
    struct names names;
};

// Makes ready what the options want. 0, or a status after a message.
int splitter_init(struct splitter *s, const struct args *a, size_t limit);

// Adds the arguments of a record: with JSON the record itself, then the fields named.
void splitter_add(struct splitter *s, struct texts *to, const struct record *record);

void splitter_free(struct splitter *s);

// A text with \n, \t, \0, \x.. and so on made bytes: malloc()ed, its length in *len.
char *unescape(const char *text, size_t *len);

// As regcomp() with REG_EXTENDED, after \t, \n, \r and \d are made what they mean. 0 or a
// status after a message that begins with `option`.
int compile_regex(regex_t *re, const char *option, const char *text, size_t len, int flags);

// As regexec() with REG_STARTEND, for which m[0] is set. Without memory it ends the program.
bool regex_finds(const regex_t *re, const char *text, size_t n, regmatch_t *m, int flags);

#endif
