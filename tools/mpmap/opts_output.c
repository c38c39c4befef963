// SPDX-License-Identifier: MIT
//
// What becomes of what the jobs write.
#include "options.h"
#include "say.h"
#include "table.h"

#include <string.h>

static int check_output(const struct args *a)
{
    if (a->keep_order && a->ungroup)
        return usage_error("-k and -u exclude each other: what is not collected has no order");
    if (a->ungroup && (a->line_buffer || a->tag || a->results))
        return usage_error("-u leaves the output to the jobs: it excludes --line-buffer, --tag, "
                           "--tagstring and --results");
    if (a->latest_line && (a->ungroup || (a->results && table_is(a->results))))
        return usage_error("--latest-line keeps one line of what a job writes: it excludes -u and "
                           "--results FILE");
    if ((a->resume || a->at_most_once) && !a->joblog)
        return usage_error("--resume, --resume-failed, --retry-failed and --at-most-once need "
                           "--joblog FILE");
    if ((a->pipe || a->pipe_part) && (a->resume || a->at_most_once))
        return usage_error("the blocks of --pipe cannot be told apart in a joblog: --resume and "
                           "--at-most-once are for items");
    return -1;
}

static int set_tagstring(struct args *a, const char *s)
{
    a->tag = true;
    a->tagstring = s;
    return -1;
}

static int set_joblog(struct args *a, const char *s)
{
    a->joblog_append = *s == '+';
    a->joblog = s + a->joblog_append;
    if (!strcmp(a->joblog, "-"))
        return usage_error("--joblog -: it is a file, and not standard output: ./- is one, too");
    return *a->joblog ? -1 : usage_error("--joblog needs the name of a file");
}

static int set_results(struct args *a, const char *s)
{
    a->results = s;
    if (strchr(s, '{') && strchr(s, '}'))
        return usage_error("--results %s: no replacement strings can stand in its name", s);
    return *s ? -1 : usage_error("--results needs a name");
}

static int set_resume(struct args *a, const char *s)
{
    (void)s;
    if (!a->resume)
        a->resume = RESUME;
    return -1;
}

static int set_resume_failed(struct args *a, const char *s)
{
    (void)s;
    a->resume = RESUME_FAILED;
    return -1;
}

static int set_retry_failed(struct args *a, const char *s)
{
    (void)s;
    a->resume = RETRY_FAILED;
    return -1;
}

static const struct opt rows[] = {
    {.name = "keep-order",
     .letter = 'k',
     .also = "keeporder",
     .help = "print the output in the order of the items",
     .kind = OPT_TRUE,
     .field = OPT_FIELD(keep_order),
     .common = true},
    {.name = "no-keep-order",
     .help = "as they end: undoes an earlier -k",
     .kind = OPT_FALSE,
     .field = OPT_FIELD(keep_order)},
    {.name = "ungroup",
     .letter = 'u',
     .help = "do not collect the output: jobs write as they like",
     .kind = OPT_TRUE,
     .field = OPT_FIELD(ungroup)},
    {.name = "group",
     .help = "collect it: undoes an earlier -u",
     .kind = OPT_FALSE,
     .field = OPT_FIELD(ungroup)},
    {.name = "line-buffer",
     .also = "linebuffer lb",
     .help = "print lines as they come, never parts of lines mixed",
     .kind = OPT_TRUE,
     .field = OPT_FIELD(line_buffer)},
    {.name = "latest-line",
     .also = "ll",
     .help = "of each job a line: the latest, and at its end the last",
     .more = "On a terminal each job that runs has a line, which is drawn anew; what it wrote "
             "before is dropped, or in --results. Elsewhere only the last one is printed. It has "
             "up to 1000 bytes.",
     .kind = OPT_TRUE,
     .field = OPT_FIELD(latest_line)},
    {.name = "tag",
     .also = "ctag",
     .help = "begin each line with the item and a tab",
     .kind = OPT_TRUE,
     .field = OPT_FIELD(tag)},
    {.name = "tagstring",
     .also = "ctagstring",
     .arg = "TEXT",
     .help = "begin each line with TEXT, with replacement strings",
     .more = "\\t, \\033 and the like stand for what they do in printf.",
     .call = set_tagstring},
    {.name = "results",
     .also = "res",
     .arg = "DIR",
     .help = "keep the output in DIR/1/ITEM/stdout, stderr, job.json",
     .more = "With more arguments DIR/1/ARG/2/ARG and so on. A slash in an argument becomes \\_, "
             "a backslash \\\\, nothing \\e, and a name that is too long is cut and ends with "
             "~ and a hash. Of equal items the first has that place, and another one a backslash "
             "and its number behind the last name; what an earlier run left is replaced. If DIR "
             "ends with .json or .jsonl, the output is not printed, but "
             "written to that file, a JSON object a job; bytes that are not UTF-8 become \\udc80 "
             "to \\udcff, as with Python's surrogateescape. If it ends with .csv or .tsv, the same "
             "as a table: the columns of a joblog, V1, V2, ... for the arguments, Stdout and "
             "Stderr. With `--resume` and the like such a file is gone on with; -.json, -.csv and "
             "-.tsv "
             "are standard output. Without such a file the output is printed as well, but not when "
             "called `parallel`. With --header the folders have the names of the fields instead "
             "of numbers.",
     .call = set_results},
    {.name = "joblog",
     .also = "jl",
     .arg = "FILE",
     .help = "log each job that ends; as JSON lines in a *.json",
     .more = "In the columns Seq Host Starttime JobRuntime Send Receive Exitval Signal Command, "
             "with tabs between; as JSON, if FILE ends with .json or .jsonl, also with CPU time, "
             "memory high-water and tries. Command is quoted for a shell, newlines and tabs in it "
             "are $'\\n' and $'\\t', and {%} is 0, as another run may have another slot. A joblog "
             "that is there is replaced, unless with `--resume` and the like or with `+` before "
             "the name; what is no joblog is refused, and so is one that another mpmap is writing.",
     .call = set_joblog,
     .common = true},
    {.name = "resume",
     .help = "leave out the items that the joblog has",
     .more = "They are known by the command and the item, not by their number: what was changed "
             "is run.",
     .call = set_resume},
    {.name = "resume-failed",
     .help = "leave out only those that have succeeded",
     .call = set_resume_failed},
    {.name = "retry-failed",
     .help = "run what failed, from the joblog alone",
     .more = "Give neither a command nor items.",
     .call = set_retry_failed},
    {.name = "at-most-once",
     .help = "log starts, too; resume never runs what may have run",
     .more = "To be given from the first run on. The line of a start, with Exitval and Signal -1, "
             "is on the disk before the job begins. A later `--resume` names the jobs that have "
             "begun and whose end is not known, and leaves them out; they count as failed.",
     .kind = OPT_TRUE,
     .field = OPT_FIELD(at_most_once)},
};

const struct opt_group opts_output = {
    .topic = "output",
    .title = "Output",
    .text = NULL,
    OPT_GROUP(rows),
    .check = check_output,
};
