// SPDX-License-Identifier: MIT
//
// The table of options is turned into getopt's; what it says of a row is done here.
#include "parse.h"
#include "help.h"
#include "options.h"
#include "say.h"

#include <getopt.h>
#include <mp/cpu.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LETTERS_MAX = 256, NAMES_MAX = 600, ALSO_MAX = 8192, KEY = 1000 };

// getopt's two descriptions of the table, and the way back: key - KEY is the row's
// place in `rows`.
struct parser {
    char letters[LETTERS_MAX];
    struct option names[NAMES_MAX + 1];
    const struct opt *rows[NAMES_MAX];
    const struct opt *by_letter[256];
    int letters_len, names_len, rows_len;
    char also[ALSO_MAX];
    size_t also_len;
};

static int has_arg(const struct opt *o)
{
    return !o->arg ? no_argument : *o->arg == '[' ? optional_argument : required_argument;
}

static void add_letter(struct parser *p, char letter, const struct opt *o)
{
    if (!letter)
        return;
    p->by_letter[(unsigned char)letter] = o;
    p->letters[p->letters_len++] = letter;
    for (int i = has_arg(o); i > 0; i--)
        p->letters[p->letters_len++] = ':';
}

static void add_name(struct parser *p, const char *name, const struct opt *o)
{
    if (!name[1])
        add_letter(p, *name, o);
    else if (p->names_len < NAMES_MAX)
        p->names[p->names_len++] = (struct option){name, has_arg(o), NULL, KEY + p->rows_len - 1};
}

static void add_row(struct parser *p, const struct opt *o, bool gnu)
{
    p->rows[p->rows_len++] = o;
    add_letter(p, option_letter(o, gnu), o);
    if (o->name)
        add_name(p, o->name, o);
    if (!o->also)
        return;
    char *also = p->also + p->also_len, *save = NULL; // getopt's names live on there
    p->also_len += (size_t)snprintf(also, sizeof p->also - p->also_len, "%s", o->also) + 1;
    for (char *name = strtok_r(also, " ", &save); name; name = strtok_r(NULL, " ", &save))
        add_name(p, name, o);
}

// `+` stops at the first word of the command.
static void describe(struct parser *p, bool gnu)
{
    p->letters[p->letters_len++] = '+';
    for (int g = 0; g < OPT_GROUPS; g++)
        for (int i = 0; i < opt_groups[g]->len; i++)
            add_row(p, &opt_groups[g]->opts[i], gnu);
}

static int apply(struct args *a, const struct opt *o, const char *arg)
{
    void *field = (char *)a + o->field;
    switch (o->kind) {
    case OPT_CALL:
        return o->call(a, arg);
    case OPT_TRUE:
        *(bool *)field = true;
        return -1;
    case OPT_TEXT:
        *(const char **)field = arg;
        return -1;
    case OPT_NUMBER:
        return option_number(o->name, arg, o->min, field);
    case OPT_FALSE:
        *(bool *)field = false;
        return -1;
    case OPT_ABSENT:
        return usage_error("--%s is not there: %s", o->name, o->help);
    case OPT_IGNORED:
        break;
    }
    return -1;
}

// ---- what follows the options: the command and its sources -------------------------------

enum sign { NO_SIGN, LIST, FILES, LIST_LINKED, FILES_LINKED };

static enum sign sign_of(const struct args *a, const char *word)
{
    const char *list = a->sep_list ? a->sep_list : ":::";
    const char *file = a->sep_file ? a->sep_file : "::::";
    size_t n = strlen(list), m = strlen(file);
    if (!strcmp(word, file))
        return FILES;
    if (!strcmp(word, list))
        return LIST;
    if (!strncmp(word, file, m) && !strcmp(word + m, "+"))
        return FILES_LINKED;
    return !strncmp(word, list, n) && !strcmp(word + n, "+") ? LIST_LINKED : NO_SIGN;
}

static int add_words(struct args *a, enum sign sign, char **words, int n)
{
    bool linked = sign == LIST_LINKED || sign == FILES_LINKED;
    bool first = a->sources_len == 0;
    if (first && linked && !(sign == FILES_LINKED && n > 1)) // which are linked to each other
        return usage_error("%s: there is no source before it that it could be linked to",
                           words[-1]);
    if (sign == LIST || sign == LIST_LINKED)
        return args_add_source(a,
                               (struct source){.words = words, .words_len = n, .linked = linked});
    if (n == 0)
        return usage_error("%s: needs a file after it", words[-1]);
    for (int i = 0; i < n; i++)
        args_add_source(a,
                        (struct source){.file = words[i], .linked = linked && !(first && i == 0)});
    return -1;
}

static int parse_words(struct args *a, char **rest, int n)
{
    int status = -1, begin = 0;
    enum sign sign = NO_SIGN;
    a->words = rest;
    for (int i = 0; i <= n && status < 0; i++) {
        enum sign next = i < n ? sign_of(a, rest[i]) : NO_SIGN;
        if (i < n && !next)
            continue;
        if (sign)
            status = add_words(a, sign, rest + begin, i - begin);
        else
            a->words_len = i;
        sign = next;
        begin = i + 1;
    }
    return status;
}

static int check(const struct args *a)
{
    int status = -1;
    if (!a->so && a->words_len == 0 && a->sources_len == 0 && isatty(STDIN_FILENO))
        return usage_error("no command: usage: mpmap [options] command [argument ...] < items");
    for (int g = 0; g < OPT_GROUPS && status < 0; g++)
        if (opt_groups[g]->check)
            status = opt_groups[g]->check(a);
    return status;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

int parse_args(struct args *a, int argc, char **argv)
{
    static struct parser p;
    *a = (struct args){.jobs = mp_cpu_count(), .gnu = !strcmp(base_name(argv[0]), "parallel")};
    if (!a->gnu && argc > 1 && !strcmp(argv[1], "help") && argc <= 3)
        return help_topic(argv[2]);
    describe(&p, a->gnu);
    static char name[] = "mpmap"; // getopt's messages begin with it; dladdr() reads it, too
    argv[0] = name;
    for (int key; (key = getopt_long(argc, argv, p.letters, p.names, NULL)) != -1;) {
        if (key == '?')
            return usage_error("try mpmap --help; an option of the command goes after the command");
        const struct opt *o = key >= KEY ? p.rows[key - KEY] : p.by_letter[key];
        int status = apply(a, o, optarg);
        if (status >= 0)
            return status;
    }
    int status = parse_words(a, argv + optind, argc - optind);
    return status >= 0 ? status : check(a);
}
