// SPDX-License-Identifier: MIT
//
// What is run for an item.
#include "options.h"
#include "say.h"

#include <errno.h>
#include <mp/error.h>
#include <string.h>
#include <sys/stat.h>

static int set_replace(struct args *a, const char *arg)
{
    a->replace = arg && *arg ? arg : "{}";
    return -1;
}

static int set_workdir(struct args *a, const char *arg)
{
    struct stat st;
    a->workdir = arg;
    if (!strcmp(arg, "...") || (strchr(arg, '{') && strchr(arg, '}')))
        return usage_error("--workdir %s: one that is there already, for all jobs: "
                           "-s 'cd {} && ...' has one for each",
                           arg);
    int err = stat(arg, &st) < 0 ? errno : S_ISDIR(st.st_mode) ? 0 : ENOTDIR;
    return err ? usage_error("--workdir %s: %s", arg, mp_strerror(-err)) : -1;
}

static int set_slot_var(struct args *a, const char *arg)
{
    a->slot_var = arg;
    return *arg && !strchr(arg, '=') && strlen(arg) < 128
               ? -1
               : usage_error("--process-slot-var '%s': not the name of a variable", arg);
}

static int check_command(const struct args *a)
{
    for (int i = 0; i < a->words_len; i++)
        if (strstr(a->words[i], "{=") && strstr(a->words[i], "=}"))
            return usage_error("{= =}: there is no Perl in this: {s/a/b/} may do");
    for (int i = 0; i < RENAMES; i++)
        if (a->renamed[i] && !*a->renamed[i])
            return usage_error("an empty text cannot be a replacement string");
    if (a->shell && a->quoted)
        return usage_error("-s and -q exclude each other: with and without a shell");
    return -1;
}

#define RENAME(name_, also_, old, which)                                                           \
    {                                                                                              \
        .name = (name_), .also = (also_), .arg = "TEXT", .help = "TEXT in the place of " old,      \
        .kind = OPT_TEXT, .field = OPT_FIELD(renamed[which])                                       \
    }

static const struct opt rows[] = {
    {.name = "shell",
     .letter = 's',
     .gnu_letter = '-',
     .help = "the command is a script for sh, items its arguments",
     .more = "Its words are joined by blanks. See SHELL SCRIPTS.",
     .kind = OPT_TRUE,
     .field = OPT_FIELD(shell),
     .common = true},
    {.name = "quote",
     .letter = 'q',
     .help = "no shell, also when called `parallel`",
     .kind = OPT_TRUE,
     .field = OPT_FIELD(quoted)},
    {.name = "dry-run",
     .also = "dryrun",
     .help = "print the commands, run nothing",
     .more = "They are quoted so that a shell reads them back.",
     .kind = OPT_TRUE,
     .field = OPT_FIELD(dry_run),
     .common = true},
    {.name = "interactive",
     .letter = 'p',
     .help = "ask at the terminal before each job",
     .more = "It is run if the answer begins with y or Y, else left out; that is no failure.",
     .kind = OPT_TRUE,
     .field = OPT_FIELD(interactive)},
    {.name = "workdir",
     .also = "wd",
     .arg = "DIR",
     .help = "run the jobs in DIR",
     .more =
         "A relative name among the options, as that of a joblog, still counts from here; in the "
         "command it counts from there.",
     .call = set_workdir},
    {.name = "process-slot-var",
     .arg = "NAME",
     .help = "the environment has the slot as NAME, from 0",
     .call = set_slot_var},
    {.letter = 'I', .arg = "TEXT", .help = "TEXT in the place of {}", .call = set_replace},
    {.name = "replace",
     .letter = 'i',
     .arg = "[TEXT]",
     .help = "the same; {} without TEXT",
     .call = set_replace},
    RENAME("extensionreplace", "er", "{.}", NEW_NO_EXT),
    RENAME("basenamereplace", "bnr", "{/}", NEW_BASE),
    RENAME("dirnamereplace", "dnr", "{//}", NEW_DIR),
    RENAME("basenameextensionreplace", "bner", "{/.}", NEW_BASE_NO_EXT),
    RENAME("seqreplace", NULL, "{#}", NEW_SEQ),
    RENAME("slotreplace", NULL, "{%}", NEW_SLOT),
};

const struct opt_group opts_command = {
    .topic = "command",
    .title = "The command",
    .text =
        "In it {} is the item, {.} without its last extension, {:} without all, {/} its file "
        "name, {//} its directory, {/.} the name without extension, {^x} without the suffix x, "
        "{s/a/b/} with a match of a replaced by b; {1} {2} {-1} and {name} are arguments and "
        "fields, {1.} {name/} and so on changes of them; {#} is the job's number, {%} its slot. "
        "Without any of these the item is added at the end. Without a command each item is "
        "one, a line for sh.",
    OPT_GROUP(rows),
    .check = check_command,
};
