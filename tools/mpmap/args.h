// SPDX-License-Identifier: MIT
//
// The command line, read into a struct. What an option does to it is in the table of
// options (options.h).
#ifndef MPMAP_ARGS_H
#define MPMAP_ARGS_H

#include <stdbool.h>
#include <stddef.h>

// One source of items: a file, or words after ":::".
struct source {
    const char *file; // "-" is stdin; NULL: the words
    char **words;
    int words_len;
    bool linked; // to the one before: taken together, not combined with all of it
};

struct args {
    // -- input: opts_input.c
    struct source *sources; // none: stdin
    int sources_len;
    const char *delimiter; // as it was given; NULL: newline
    bool null;             // items end with NUL
    const char *colsep;    // the regular expression between fields
    bool csv, json;
    bool header;              // the first record names the fields
    const char *header_lines; // its argument: lines or a regular expression, with --pipe
    const char *trim;
    bool link, skip_first;
    const char *end_of_items;
    long max_args; // items a job; 0: one
    bool no_args;  // -N0: an item is a job, but not an argument
    bool pack;     // as many as fit
    bool repeat;   // -X: the word around {} once for each
    long max_chars;
    char *sep_list, *sep_file; // instead of ::: and ::::

    // -- the command: opts_command.c
    bool shell;
    bool quoted; // -q: no shell, also under the name `parallel`
    bool dry_run;
    const char *replace; // instead of {}

    // -- running: opts_run.c
    int jobs; // at a time; 0 = as many as the system allows

    // -- output: opts_output.c
    bool keep_order;
    bool ungroup;

    // -- seeing it: opts_watch.c

    // -- blocks: opts_pipe.c
    bool pipe, pipe_part;
    long block; // bytes; below 0: so many blocks a job slot; 0: the default
    const char *recstart, *recend;
    bool remove_rec_sep;
    bool round_robin;

    // -- functions: opts_plugin.c
    const char *so;      // "lib.so:function", or NULL
    const char *records; // "lines", a size, or "msgpack"

    // -- not from options
    bool gnu;     // called by the name `parallel`
    char **words; // the command
    int words_len;
    bool sigpipe; // set by main(): a broken pipe shall end mpmap by SIGPIPE
};

// Parses. -1: go on; else the exit status to end with (help was printed, or a
// message). The strings stay argv's.
int args_parse(struct args *a, int argc, char **argv);

// Adds a source of items. -1, so that an option can return it.
int args_add_source(struct args *a, struct source s);

#endif
