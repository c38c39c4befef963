// SPDX-License-Identifier: MIT
//
// The command line, read into a struct. One table of options feeds the parser and
// --help, and a test holds the man page against it.
#ifndef MPMAP_ARGS_H
#define MPMAP_ARGS_H

#include <stdbool.h>

struct args {
    int jobs; // at a time; 0 = as many as the system allows
    bool keep_order;
    bool ungroup;
    bool null; // items end with NUL instead of newline
    bool shell;
    bool dry_run;
    const char *arg_file; // where items come from; NULL = the list, or stdin
    char **list;          // items of ":::", NULL when there is none
    int list_len;
    const char *so; // "lib.so:function", or NULL
    char **words;   // the command
    int words_len;
    bool sigpipe; // set by main(): a broken pipe shall end mpmap by SIGPIPE
};

// Parses. -1: go on; else the exit status to end with (help was printed, or a
// message). The strings stay argv's.
int args_parse(struct args *a, int argc, char **argv);

#endif
