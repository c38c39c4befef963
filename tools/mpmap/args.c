// SPDX-License-Identifier: MIT
#include "args.h"
#include "say.h"

#include <errno.h>
#include <getopt.h>
#include <mp/cpu.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPT_DRY_RUN = 256, OPT_SO, OPT_VERSION };
enum { JOBS_MAX = 100000 };

static const struct opt {
    int key; // a letter, or OPT_ for one with a long name only
    const char *name, *arg, *help;
} table[] = {
    {'0', "null", NULL, "items end with a NUL byte, not a newline"},
    {'a', "arg-file", "FILE", "read the items from FILE (- is stdin)"},
    {OPT_DRY_RUN, "dry-run", NULL, "print the commands, run nothing"},
    {'h', "help", NULL, "print this and end"},
    {'j', "jobs", "N", "run N jobs at a time: N, N% of the CPUs, +N, -N; 0 = many"},
    {'k', "keep-order", NULL, "print the output in the order of the items"},
    {'s', "shell", NULL, "the command is a script for sh; items are quoted arguments"},
    {OPT_SO, "so", "LIB:FUNCTION", "call a C function for each item; no processes are started"},
    {'u', "ungroup", NULL, "do not collect the output: jobs write as they like"},
    {OPT_VERSION, "version", NULL, "print the version and end"},
};
enum { OPTIONS = sizeof table / sizeof *table };

static int help(void)
{
    printf("usage: mpmap [options] command [argument ...] < items\n"
           "       mpmap [options] command [argument ...] ::: item ...\n"
           "       mpmap [options] --so LIB:FUNCTION [argument ...] < items\n"
           "\n"
           "Runs the command once for each item, on all CPUs.\n"
           "\n");
    for (int i = 0; i < OPTIONS; i++) {
        const struct opt *o = &table[i];
        char name[40];
        snprintf(name, sizeof name, "--%s%s%s", o->name, o->arg ? "=" : "", o->arg ? o->arg : "");
        if (o->key < 256)
            printf("  -%c, %-18s %s\n", o->key, name, o->help);
        else
            printf("      %-18s %s\n", name, o->help);
    }
    printf("\n"
           "In the command {} is the item, {.} without extension, {/} its file name,\n"
           "{//} its directory, {/.} file name without extension, {#} the job's number,\n"
           "{%%} its slot. Without any of them the item is added as the last argument.\n"
           "\n"
           "Ends with 0, or the number of failed jobs (1 to 100; 101 for more). See mpmap(1).\n");
    return fflush(stdout) ? EXIT_IO : 0;
}

static int version(void)
{
    printf("mpmap %s\n", mp_version());
    return fflush(stdout) ? EXIT_IO : 0;
}

static int parse_jobs(const char *s, int *jobs)
{
    char *end = NULL;
    bool relative = *s == '+' || *s == '-';
    errno = 0;
    long n = strtol(s, &end, 10);
    bool percent = *end == '%';
    end += percent;
    const char *digits = s + relative;
    if (*digits < '0' || *digits > '9' || *end || errno || (relative && percent) ||
        labs(n) > JOBS_MAX || (percent && n == 0))
        return usage_error("-j %s: not a number of jobs: use N (from 0 to %d), N%%, +N or -N", s,
                           JOBS_MAX);
    if (relative || percent) {
        long cpus = mp_cpu_count();
        n = relative ? cpus + n : cpus * n / 100;
        if (n < 1)
            n = 1;
    }
    *jobs = n > JOBS_MAX ? JOBS_MAX : (int)n;
    return -1;
}

static bool is_source(const char *word)
{
    return !strcmp(word, ":::") || !strcmp(word, "::::") || !strcmp(word, ":::+") ||
           !strcmp(word, "::::+");
}

// Splits command words from what follows ":::" or "::::".
static int parse_source(struct args *a, char **rest, int n)
{
    a->words = rest;
    while (a->words_len < n && !is_source(rest[a->words_len]))
        a->words_len++;
    if (a->words_len == n)
        return -1;
    const char *sign = rest[a->words_len];
    char **after = rest + a->words_len + 1;
    int count = n - a->words_len - 1;
    for (int i = 0; i < count; i++)
        if (is_source(after[i]))
            return usage_error("%s: only one source of items: run mpmap once for each", after[i]);
    if (strchr(sign, '+'))
        return usage_error("%s: linked sources are not known: paste(1) can join them", sign);
    if (a->arg_file)
        return usage_error("%s and -a: only one source of items: leave one out", sign);
    if (!strcmp(sign, ":::")) {
        a->list = after;
        a->list_len = count;
        return -1;
    }
    if (count != 1)
        return usage_error("::::: needs exactly one file after it");
    a->arg_file = after[0];
    return -1;
}

static int apply(struct args *a, int key, const char *arg)
{
    switch (key) {
    case '0':
        a->null = true;
        return -1;
    case 'a':
        if (a->arg_file)
            return usage_error("-a %s: only one source of items: cat(1) can join files", arg);
        a->arg_file = arg;
        return -1;
    case 'j':
        return parse_jobs(arg, &a->jobs);
    case 'k':
        a->keep_order = true;
        return -1;
    case 's':
        a->shell = true;
        return -1;
    case 'u':
        a->ungroup = true;
        return -1;
    case OPT_DRY_RUN:
        a->dry_run = true;
        return -1;
    case OPT_SO:
        a->so = arg;
        return -1;
    case 'h':
        return help();
    case OPT_VERSION:
        return version();
    default:
        return usage_error("try mpmap --help; an option of the command goes after the command");
    }
}

static int check(const struct args *a)
{
    if (a->keep_order && a->ungroup)
        return usage_error("-k and -u exclude each other: what is not collected has no order");
    if (a->so && (a->shell || a->ungroup || a->dry_run))
        return usage_error("--so goes with none of -s, -u and --dry-run: it runs no commands");
    if (!a->so && a->words_len == 0)
        return usage_error("no command: usage: mpmap [options] command [argument ...] < items");
    return -1;
}

// getopt's two descriptions of the table. `+` stops at the first word of the command.
static void describe(char *letters, struct option *names)
{
    *letters++ = '+';
    for (int i = 0; i < OPTIONS; i++) {
        const struct opt *o = &table[i];
        names[i] = (struct option){o->name, o->arg ? required_argument : no_argument, NULL, o->key};
        if (o->key >= 256)
            continue;
        *letters++ = (char)o->key;
        if (o->arg)
            *letters++ = ':';
    }
    *letters = '\0';
}

int args_parse(struct args *a, int argc, char **argv)
{
    char letters[2 * OPTIONS + 2];
    struct option names[OPTIONS + 1] = {0};
    describe(letters, names);
    *a = (struct args){.jobs = mp_cpu_count()};
    argv[0] = (char[]){"mpmap"}; // getopt's messages begin with it
    for (int key; (key = getopt_long(argc, argv, letters, names, NULL)) != -1;) {
        int status = apply(a, key, optarg);
        if (status >= 0)
            return status;
    }
    int status = parse_source(a, argv + optind, argc - optind);
    return status >= 0 ? status : check(a);
}
