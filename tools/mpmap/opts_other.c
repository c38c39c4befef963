// SPDX-License-Identifier: MIT
//
// Help, and what is accepted because scripts written for GNU parallel have it.
#include "held.h"
#include "help.h"
#include "options.h"
#include "say.h"

#include <mp/base.h>
#include <mp/cpu.h>
#include <stdio.h>

static int help(struct args *a, const char *arg)
{
    (void)a, (void)arg;
    return help_screen();
}

static int version(struct args *a, const char *arg)
{
    (void)a, (void)arg;
    printf("mpmap %s\n", mp_version());
    return fflush(stdout) ? EXIT_IO : 0;
}

static int set_tmpdir(struct args *a, const char *arg)
{
    (void)a;
    held_set_dir(arg);
    return *arg ? -1 : usage_error("--tmpdir: the name of a folder cannot be empty");
}

static int citation(struct args *a, const char *arg)
{
    (void)a, (void)arg;
    return 0; // there is no notice that it would silence
}

static int number_of_cpus(struct args *a, const char *arg)
{
    (void)a, (void)arg;
    printf("%d\n", mp_cpu_count());
    return fflush(stdout) ? EXIT_IO : 0;
}

static const struct opt rows[] = {
    {.name = "help", .letter = 'h', .help = "print this and end", .call = help, .common = true},
    {.name = "version", .letter = 'V', .help = "print the version and end", .call = version},
    {.name = "citation", .also = "bibtex", .help = "does nothing, and ends", .call = citation},
    {.name = "will-cite",
     .also = "no-notice nonotice gnu plain x exit "
             "use-cpus-instead-of-cores use-cores-instead-of-threads "
             "use-sockets-instead-of-threads",
     .help = "these do nothing: here it is always so",
     .kind = OPT_IGNORED},
    {.name = "compress",
     .also = "color color-failed cf",
     .help = "does nothing: output is held as it is, colors are the jobs'",
     .kind = OPT_IGNORED},
    {.name = "compress-program",
     .also = "decompress-program",
     .arg = "PROGRAM",
     .help = "does nothing",
     .kind = OPT_IGNORED},
    {.name = "number-of-cpus",
     .also = "number-of-cores number-of-threads number-of-sockets",
     .help = "print how many jobs run at a time, and end",
     .more = "The CPUs that are usable: affinity and CPU quota count.",
     .call = number_of_cpus},
    {.name = "minversion",
     .arg = "N",
     .help = "the same as --version: any is new enough",
     .call = version},
    {.name = "tmpdir",
     .arg = "DIR",
     .help = "where output is held that memory does not",
     .call = set_tmpdir},
    {.name = "env",
     .arg = "NAME",
     .help = "does nothing: jobs have the whole environment",
     .kind = OPT_IGNORED},
};

const struct opt_group opts_other = {
    .topic = "other",
    .title = "Other",
    .text = NULL,
    OPT_GROUP(rows),
};
