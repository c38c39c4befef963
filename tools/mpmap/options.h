// SPDX-License-Identifier: MIT
//
// The one table of options. It is kept in groups, a file each (opts_*.c); from it come
// the parser (parse.c) and `mpmap --help`, `mpmap help TOPIC`, the man page's section
// and the shells' completions (help.c).
//
// To add an option: a row in the file of its group, and a field in that group's part of
// struct args. Nothing else has to know.
#ifndef MPMAP_OPTIONS_H
#define MPMAP_OPTIONS_H

#include "args.h"

#include <stddef.h>

enum opt_kind {
    OPT_CALL,    // call(a, arg)
    OPT_TRUE,    // sets a bool
    OPT_TEXT,    // sets a const char *
    OPT_NUMBER,  // sets a long to a whole number >= min; K M G are 1024, k m g 1000 and so on
    OPT_FALSE,   // clears it
    OPT_IGNORED, // of GNU parallel, without a meaning here
    OPT_ABSENT,  // of GNU parallel, and refused: `help` says what does it instead
};

struct opt {
    const char *name; // the long one
    char letter;      // or 0
    char gnu_letter;  // another one under the name `parallel`; '-' for none there
    const char *also; // other long names of it, GNU parallel's, separated by blanks
    const char *arg;  // FILE, N, ...; in brackets if it may be left out; NULL: takes none
    const char *help; // one line for a list, of up to 60 characters
    const char *more; // what there is to say besides, for the man page and `help`; or NULL
    enum opt_kind kind;
    size_t field; // of struct args
    long min;
    int (*call)(struct args *a, const char *arg); // -1: go on; else the status to end with
    bool common;                                  // worth a line of --help
};

#define OPT_FIELD(field_) offsetof(struct args, field_)

struct opt_group {
    const char *topic; // of `mpmap help`
    const char *title;
    const char *text; // what there is to say before the options; or NULL
    const struct opt *opts;
    int len;
    int (*check)(const struct args *a); // after the last option: -1 or a status; or NULL
};

#define OPT_GROUP(rows) .opts = (rows), .len = (int)(sizeof(rows) / sizeof *(rows))

extern const struct opt_group opts_input, opts_command, opts_pipe, opts_plugin, opts_run,
    opts_output, opts_watch, opts_other, opts_absent;
enum { OPT_GROUPS = 9 };
extern const struct opt_group *const opt_groups[OPT_GROUPS];

// A number as OPT_NUMBER reads it. -1, or a status after a message about `option`.
int option_number(const char *option, const char *arg, long min, long *number);

// The letter of an option, 0 for none.
char option_letter(const struct opt *o, bool gnu);

#endif
