// SPDX-License-Identifier: MIT
//
// Input cut into blocks, which jobs get as their standard input.
#include "options.h"
#include "say.h"

static int set_block(struct args *a, const char *arg)
{
    int status = option_number("block", arg, -100000, &a->block);
    if (status < 0 && a->block == 0)
        return usage_error("--block 0: a block has at least a byte");
    return status;
}

static int set_block_timeout(struct args *a, const char *arg)
{
    a->block_ms = parse_duration(arg);
    return a->block_ms > 0 ? -1
                           : usage_error("--block-timeout %s: not a time: use seconds, or 10s, 5m, "
                                         "2h, 1d",
                                         arg);
}

static int check_pipe(const struct args *a)
{
    bool blocks = a->pipe || a->pipe_part;
    if (a->pipe_part && (a->sources_len == 0 || !a->sources[0].file))
        return usage_error("--pipepart: needs a file: -a FILE or :::: FILE");
    if (blocks && (a->csv || a->json || a->colsep || a->pack))
        return usage_error("--pipe and --pipepart go with none of --csv, --json, --colsep, -m "
                           "and -X: jobs get blocks, not arguments");
    if (blocks && a->sources_len > 1)
        return usage_error("--pipe and --pipepart: only one source: cat(1) joins files");
    if (blocks && a->sources_len && !a->sources[0].file)
        return usage_error("--pipe and --pipepart: the blocks come from a file, not from :::");
    if (blocks && a->record_lines > 1 && (a->recend || a->recstart))
        return usage_error("-L says that records are lines: it excludes --recend and --recstart");
    if (blocks && a->so)
        return usage_error("--so goes neither with --pipe nor --pipepart");
    return -1;
}

static const struct opt rows[] = {
    {.name = "pipe",
     .also = "spreadstdin",
     .help = "cut standard input into blocks: the stdin of the jobs",
     .kind = OPT_TRUE,
     .field = OPT_FIELD(pipe),
     .common = true},
    {.name = "pipepart",
     .also = "pipe-part",
     .help = "the same for the file of -a, which need not be read for it",
     .more = "The file is cut at offsets, and the kernel passes its pages on to the jobs. --pipe "
             "does so, too, if standard input is a file.",
     .kind = OPT_TRUE,
     .field = OPT_FIELD(pipe_part)},
    {.name = "block",
     .also = "block-size",
     .arg = "SIZE",
     .help = "bytes of a block: 1M unless given; -N: N blocks a slot",
     .more =
         "A block ends with a record: it is a little shorter, of a file a little longer, or, if "
         "a record is longer than a block, as long as that.",
     .call = set_block},
    {.name = "block-timeout",
     .also = "bt",
     .arg = "SECS",
     .help = "a block that takes longer to come has what is there",
     .more = "As far as records have ended. For input that comes slowly.",
     .call = set_block_timeout},
    {.name = "recend",
     .arg = "TEXT",
     .help = "records end with TEXT: a newline unless given",
     .more = "With '' there are none: a block is cut anywhere, and has just the size it is to "
             "have.",
     .kind = OPT_TEXT,
     .field = OPT_FIELD(recend)},
    {.name = "recstart",
     .arg = "TEXT",
     .help = "records begin with TEXT",
     .more = "With --recend as well, a record ends where the one follows the other.",
     .kind = OPT_TEXT,
     .field = OPT_FIELD(recstart)},
    {.name = "regexp",
     .help = "--recend and --recstart are regular expressions",
     .more = "Extended ones, with \\t, \\n, \\r, \\d, \\s and \\w; ^ and $ are the ends of lines, "
             "and the dot is no newline. The longest match counts, and what matches nothing "
             "separates nothing. Matches are looked for in as much as a block has, or, without "
             "one, in twice as much, and so on, up to 1 GiB: a block should be longer than a "
             "record. The input is read through memory.",
     .kind = OPT_TRUE,
     .field = OPT_FIELD(regexp)},
    {.name = "remove-rec-sep",
     .also = "removerecsep rrs",
     .help = "do not pass on the texts of --recend and --recstart",
     .kind = OPT_TRUE,
     .field = OPT_FIELD(remove_rec_sep)},
    {.name = "round-robin",
     .also = "roundrobin round",
     .help = "each job gets many blocks, whenever it has read the last",
     .more = "There are as many jobs as slots, and they end when the input does.",
     .kind = OPT_TRUE,
     .field = OPT_FIELD(round_robin)},
};

const struct opt_group opts_pipe = {
    .topic = "pipe",
    .title = "Blocks",
    .text = NULL,
    OPT_GROUP(rows),
    .check = check_pipe,
};
