// SPDX-License-Identifier: MIT
//
// C functions instead of commands.
#include "options.h"
#include "say.h"

static int check_plugin(const struct args *a)
{
    if (a->so && (a->shell || a->ungroup || a->dry_run || a->interactive))
        return usage_error("--so goes with none of -s, -u, -p and --dry-run: it runs no commands");
    if (a->so && (a->csv || a->json || a->colsep || a->header || a->pack || a->max_args))
        return usage_error("--so takes whole records: none of --csv, --json, --colsep, --header, "
                           "-n, -m and -X");
    if (a->so && a->sources_len > 1)
        return usage_error("--so: only one source of items: cat(1) and paste(1) join files");
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
    .text = "Results are always in the order of the records: it costs nothing.",
    OPT_GROUP(rows),
    .check = check_plugin,
};
