// SPDX-License-Identifier: MIT
//
// Where items come from, and how many make a job.
#include "options.h"
#include "say.h"

#include <string.h>

static int set_arg_file(struct args *a, const char *arg)
{
    return args_add_source(a, (struct source){.file = arg});
}

static int set_csv(struct args *a, const char *arg)
{
    (void)arg;
    a->csv = true;
    return -1;
}

static int set_header(struct args *a, const char *arg)
{
    a->header = true;
    a->header_lines = arg;
    return -1;
}

// -n, -N: 0 is a job for each item that the item is no argument of.
static int set_max_args(struct args *a, const char *arg)
{
    int status = option_number("max-args", arg, 0, &a->max_args);
    a->max_records = a->max_args;
    a->no_args = a->max_args == 0;
    return status;
}

static int set_max_lines(struct args *a, const char *arg)
{
    a->max_args = 1;
    int status = arg ? option_number("max-lines", arg, 1, &a->max_args) : -1;
    a->record_lines = a->max_args;
    return status;
}

static int set_repeat(struct args *a, const char *arg)
{
    (void)arg;
    a->pack = a->repeat = true;
    return -1;
}

static int set_fill(struct args *a, const char *arg)
{
    (void)arg;
    a->pack = a->fill = true;
    return -1;
}

static int set_sep_list(struct args *a, const char *arg)
{
    a->sep_list = (char *)arg;
    return *arg ? -1 : usage_error("--arg-sep: an empty word cannot be it");
}

static int set_sep_file(struct args *a, const char *arg)
{
    a->sep_file = (char *)arg;
    return *arg ? -1 : usage_error("--arg-file-sep: an empty word cannot be it");
}

static int set_end(struct args *a, const char *arg)
{
    a->end_of_items = arg;
    return -1;
}

static int check_input(const struct args *a)
{
    static const char *const trims[] = {"n", "l", "r", "lr", "rl"};
    bool known = !a->trim;
    for (size_t i = 0; i < sizeof trims / sizeof *trims && !known; i++)
        known = !strcmp(a->trim, trims[i]);
    if (!known)
        return usage_error("--trim %s: n, l, r or lr", a->trim);
    if (a->json && (a->csv || a->colsep || a->header))
        return usage_error("--json goes with none of --csv, --colsep and --header: "
                           "the fields of JSON have names");
    if (a->delimiter && a->null)
        return usage_error("-0 and -d exclude each other");
    if (a->no_args && a->pack)
        return usage_error("-N0 and -X or -m exclude each other");
    return -1;
}

static const struct opt rows[] = {
    {.name = "null",
     .letter = '0',
     .help = "items end with a NUL byte, not a newline",
     .more = "As find -print0 writes them. Items may then hold newlines.",
     .kind = OPT_TRUE,
     .field = OPT_FIELD(null),
     .common = true},
    {.name = "delimiter",
     .letter = 'd',
     .arg = "TEXT",
     .help = "items end with TEXT, not with a newline",
     .more = "\\n, \\t, \\0, \\xHH and the like stand for what they do in printf.",
     .kind = OPT_TEXT,
     .field = OPT_FIELD(delimiter)},
    {.name = "arg-file",
     .letter = 'a',
     .arg = "FILE",
     .help = "read items from FILE; - is stdin",
     .more = "The same as :::: FILE after the command; again for more sources.",
     .call = set_arg_file,
     .common = true},
    {.name = "colsep",
     .letter = 'C',
     .arg = "REGEX",
     .help = "cut items into fields {1}, {2}, ... at REGEX",
     .more =
         "An extended regular expression; \\t, \\r, \\d, \\s and \\w are known, too. With --csv it "
         "is the one character between fields.",
     .kind = OPT_TEXT,
     .field = OPT_FIELD(colsep),
     .common = true},
    {.name = "csv",
     .help = "items are records of CSV: fields are {1}, {2}, ...",
     .more = "Fields may be in double quotes, and then hold commas, newlines and, doubled, "
             "double quotes.",
     .call = set_csv},
    {.name = "json",
     .also = "jsonl",
     .help = "items are JSON, one a line: {name} is the member `name`",
     .more = "{a.b} is the member b of the member a, {1} an element of an array. Texts are given "
             "without their quotes, null and what is not there as nothing, all else as JSON. {} is "
             "the line.",
     .kind = OPT_TRUE,
     .field = OPT_FIELD(json)},
    {.name = "header",
     .arg = "WHICH",
     .help = "the first record holds names: {name} is the field",
     .more = "WHICH is `:` (the first line of each source). With --pipe it is a number of lines, a "
             "regular expression that matches them, or `:`: they begin each block.",
     .call = set_header},
    {.name = "max-args",
     .letter = 'n',
     .also = "N max-replace-args",
     .arg = "N",
     .help = "N items a job: {} is all of them, {1}, {2}, ... one",
     .more = "With 0 there is a job for each item, but the item is no argument. With --pipe it is "
             "the number of records in a block.",
     .call = set_max_args,
     .common = true},
    {.letter = 'L',
     .arg = "N",
     .help = "the same as -n; with --pipe, a record has N lines",
     .call = set_max_lines},
    {.name = "max-lines",
     .letter = 'l',
     .arg = "[N]",
     .help = "the same as -L; 1 without N",
     .call = set_max_lines},
    {.letter = 'm',
     .help = "as many items a job as a command line may be long",
     .more = "The limits are the system's own. Inside a word, as in a{}b, the first item is joined "
             "to what stands before, the last to what stands after. -n is an upper limit. If all "
             "are few enough for one job, they are spread over the slots.",
     .kind = OPT_TRUE,
     .field = OPT_FIELD(pack)},
    {.name = "xargs", .help = "the same, but never spread over the slots", .call = set_fill},
    {.letter = 'X', // -m, but for the words
     .help = "as many items a job as fit; a word with {} is repeated",
     .call = set_repeat},
    {.name = "max-chars",
     .gnu_letter = 's',
     .arg = "N",
     .help = "with -m and -X: at most N bytes a command line",
     .kind = OPT_NUMBER,
     .min = 1,
     .field = OPT_FIELD(max_chars)},
    {.name = "trim",
     .arg = "WHERE",
     .help = "take blanks off the left (l), right (r), both (lr), none (n)",
     .more = "The default is lr with --colsep, else n.",
     .kind = OPT_TEXT,
     .field = OPT_FIELD(trim)},
    {.letter = 'E', .arg = "TEXT", .help = "the item TEXT ends the items", .call = set_end},
    {.name = "eof",
     .letter = 'e',
     .arg = "[TEXT]",
     .help = "the same; without TEXT no item does",
     .call = set_end},
    {.name = "link",
     .also = "xapply",
     .help = "link all sources, as long as the longest lasts",
     .more = "The shorter ones begin again, and all are kept in memory.",
     .kind = OPT_TRUE,
     .field = OPT_FIELD(link)},
    {.name = "skip-first-line",
     .help = "leave out the first item",
     .kind = OPT_TRUE,
     .field = OPT_FIELD(skip_first)},
    {.name = "no-run-if-empty",
     .letter = 'r',
     .also = "norunifempty",
     .help = "leave out items that are empty, or nothing but blanks",
     .kind = OPT_TRUE,
     .field = OPT_FIELD(skip_blank)},
    {.name = "arg-sep", .arg = "TEXT", .help = "TEXT in the place of :::", .call = set_sep_list},
    {.name = "arg-file-sep",
     .arg = "TEXT",
     .help = "TEXT in the place of ::::",
     .call = set_sep_file},
};

const struct opt_group opts_input = {
    .topic = "input",
    .title = "Input",
    .text = "Items are the lines of standard input, of the files after :::: or -a, or the words "
            "after :::. With several sources there is a job for each combination, and {1}, {2}, "
            "... are the items of one; :::+ and ::::+ link a source to the one before, item by "
            "item, as long as the shortest lasts. Items are read when they are needed; of several "
            "sources all but the first are kept in memory.",
    OPT_GROUP(rows),
    .check = check_input,
};
