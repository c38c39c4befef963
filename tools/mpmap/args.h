// SPDX-License-Identifier: MIT
//
// The command line, as a struct: read by parse.c, by the table of options (options.h).
#ifndef MPMAP_ARGS_H
#define MPMAP_ARGS_H

#include "deadline.h"
#include "halt.h"
#include "retry.h"
#include "system.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// What of a joblog is left out.
enum resume_mode {
    RESUME_NOTHING,
    RESUME,        // what has ended
    RESUME_FAILED, // what has succeeded
    RETRY_FAILED,  // all but what has failed: that is run, from the joblog alone
};

// Replacement strings that may have another text.
enum { NEW_NO_EXT, NEW_BASE, NEW_DIR, NEW_BASE_NO_EXT, NEW_SEQ, NEW_SLOT, RENAMES };

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
    bool link, skip_first, skip_blank;
    const char *end_of_items;
    long max_args;                  // items a job; 0: one
    long max_records, record_lines; // the same with --pipe: records a block, lines a record
    bool no_args;                   // -N0: an item is a job, but not an argument
    bool pack;                      // as many as fit
    bool fill;                      // also if that leaves slots without any
    bool repeat;                    // -X: the word around {} once for each
    long max_chars;
    char *sep_list, *sep_file; // instead of ::: and ::::

    // -- the command: opts_command.c
    bool shell;
    bool quoted; // -q: no shell, also under the name `parallel`
    bool dry_run;
    bool interactive;
    const char *slot_var; // has the slot, from 0
    const char *workdir;
    const char *replace;          // instead of {}
    const char *renamed[RENAMES]; // instead of {.} and its relatives, or NULL

    // -- running: opts_run.c
    int jobs;              // at a time; 0 = as many as the system allows
    const char *jobs_file; // tells how many, also later
    int64_t timeout_ms;
    long timeout_percent; // of the median
    struct term_seq term_seq;
    struct retry retry;
    struct halt halt;
    int64_t delay_ms;
    long load; // 0: any
    long memfree;
    bool pressure_set;
    double pressure[PRESSURES]; // percent; 0: any
    const char *after;          // process ids
    bool shuf;
    long priority; // the argument that is one, from 1; < 0: lowest first; 0: none
    long nice;
    double job_cpus; // of a control group for each job; 0: none
    long job_memory;

    // -- output: opts_output.c
    bool keep_order;
    bool ungroup;
    bool line_buffer;
    bool latest_line;
    bool tag;
    const char *tagstring;
    const char *results;
    const char *joblog;
    bool joblog_append;
    enum resume_mode resume;
    bool at_most_once;

    // -- seeing it: opts_watch.c
    bool bar, eta;
    int progress_fd; // 0: none
    long total;      // jobs there will be; 0: not said
    bool summary, verbose;

    // -- blocks: opts_pipe.c
    bool pipe, pipe_part;
    long block;       // bytes; below 0: so many blocks a job slot; 0: the default
    int64_t block_ms; // that one may take to come; 0: for ever
    const char *recstart, *recend;
    bool regexp; // that is what they are
    bool remove_rec_sep;
    bool round_robin;

    // -- functions: opts_plugin.c
    const char *so; // "lib.so:function", or NULL
    bool unordered;
    const char *records; // "lines", a size, or "msgpack"

    // -- not from options
    bool gnu;     // called by the name `parallel`
    char **words; // the command
    int words_len;
    bool sigpipe; // set by main(): a broken pipe shall end mpmap by SIGPIPE
};

// Adds a source of items. -1, so that an option can return it.
int args_add_source(struct args *a, struct source s);

// The number of jobs that s stands for: N, N%, +N or -N, up to the end or a newline. False:
// it is none.
bool jobs_parse(const char *s, int *jobs);

#endif
