// SPDX-License-Identifier: MIT
//
// C functions instead of commands.
#include "options.h"
#include "say.h"

// What is about jobs, of which there are none.
static bool wants_jobs(const struct args *a)
{
    bool starts = a->delay_ms || a->load || a->memfree || a->pressure_set || a->after || a->shuf ||
                  a->priority || a->nice || a->job_cpus > 0 || a->job_memory;
    bool ends =
        a->timeout_ms || a->timeout_percent || a->term_seq.len || a->retry.tries || a->halt.when;
    bool output = a->tag || a->line_buffer || a->latest_line || a->results || a->joblog;
    return starts || ends || output || a->bar || a->eta || a->progress_fd || a->summary ||
           a->verbose || a->jobs_file || a->workdir || a->slot_var || a->total;
}

static int check_plugin(const struct args *a)
{
    if (a->so && wants_jobs(a))
        return usage_error("--so runs no jobs: it goes with no option that is about their start, "
                           "their end, their output or a look at them");
    if (a->so && (a->delimiter || a->trim || a->end_of_items || a->skip_first || a->skip_blank))
        return usage_error("--so takes records as they are: none of -d, -E, -r, --trim "
                           "and --skip-first-line; with -0 they end with NUL");
    if (a->so && (a->shell || a->ungroup || a->dry_run || a->interactive))
        return usage_error("--so goes with none of -s, -u, -p and --dry-run: it runs no commands");
    if (a->so && (a->csv || a->json || a->colsep || a->header || a->pack || a->max_args))
        return usage_error("--so takes whole records: none of --csv, --json, --colsep, --header, "
                           "-n, -m and -X");
    if (a->so && a->sources_len > 1)
        return usage_error("--so: only one source of items: cat(1) and paste(1) join files");
    if (a->unordered && !a->so)
        return usage_error("--unordered: only with --so; commands have an order only with -k");
    if (a->records && !a->so)
        return usage_error("--records: only with --so");
    if (a->records && a->sources_len && !a->sources[0].file)
        return usage_error("--records: not of the words after :::");
    return -1;
}

static const struct opt rows[] = {
    {.name = "so",
     .arg = "LIB:FUNCTION",
     .help = "call a C function for each item; no processes start",
     .more = "See PLUGINS.",
     .kind = OPT_TEXT,
     .field = OPT_FIELD(so),
     .common = true},
    {.name = "unordered",
     .help = "of --so: print results as they come, not in order",
     .more = "Those of a record stay together. A slow record then holds up no results of others.",
     .kind = OPT_TRUE,
     .field = OPT_FIELD(unordered)},
    {.name = "records",
     .arg = "HOW",
     .help = "of --so: `lines`, `msgpack` values, or N bytes each",
     .more = "The last record of N bytes may be shorter.",
     .kind = OPT_TEXT,
     .field = OPT_FIELD(records)},
};

const struct opt_group opts_plugin = {
    .topic = "functions",
    .title = "Functions",
    .text = "Results are printed in the order of the records, unless with --unordered.",
    OPT_GROUP(rows),
    .check = check_plugin,
};
