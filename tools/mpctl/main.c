// SPDX-License-Identifier: MIT
//
// mpctl: asks a manager, from the shell.
#include "mpctl.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPT_KEY = 256, OPT_CA, OPT_CERT, OPT_TLS_KEY, OPT_TLS_NAME, OPT_VERSION };

static const struct opt {
    int key;
    const char *name, *arg, *help;
} table[] = {
    {'h', "help", NULL, "print this and end"},
    {'j', "json", NULL, "print JSON"},
    {'m', "manager", "WHERE", "a name, a path, or a URL; else $MP_MANAGER_AT, or 'default'"},
    {'s', "start", NULL, "start the manager if there is none"},
    {'t', "timeout", "MS", "how long a call may have to wait; -1: as long as it takes [5000]"},
    {OPT_KEY, "key-file", "FILE", "the secret of a remote manager"},
    {OPT_CA, "tls-ca", "FILE", "the authority of its certificate"},
    {OPT_CERT, "tls-cert", "FILE", "our own certificate"},
    {OPT_TLS_KEY, "tls-key", "FILE", "its key, if it is not in the same file"},
    {OPT_TLS_NAME, "tls-name", "NAME",
     "what its certificate must be for, if not the host in the URL"},
    {OPT_VERSION, "version", NULL, "print the version and end"},
};
enum { OPTIONS = sizeof table / sizeof *table };

int complain(const char *what, const char *why)
{
    fflush(stdout);
    fprintf(stderr, "mpctl: %s: %s\n", what, why);
    return EXIT_FAILED;
}

static int help(void)
{
    printf("usage: mpctl [options] command [argument ...]\n\nCommands:\n");
    for (const struct command *c = commands; c->name; c++) {
        char left[48];
        snprintf(left, sizeof left, "%s %s", c->name, c->args);
        printf("  %-28s %s\n", left, c->help);
    }
    printf("\nOptions:\n");
    for (int i = 0; i < OPTIONS; i++) {
        const struct opt *o = &table[i];
        char left[48];
        snprintf(left, sizeof left, "--%s%s%s", o->name, o->arg ? "=" : "", o->arg ? o->arg : "");
        if (o->key < 256)
            printf("  -%c, %-24s %s\n", o->key, left, o->help);
        else
            printf("      %-24s %s\n", left, o->help);
    }
    printf(
        "\nA VALUE is JSON (7, true, \"text\", [1, 2], {\"a\": 1}) or else text. See mpctl(1).\n");
    return fflush(stdout) ? EXIT_FAILED : EXIT_OK;
}

struct wish {
    const char *where;
    bool start, json;
    int timeout_ms;
    mp_url_opts url;
};

static int read_timeout(const char *s, int *ms)
{
    char *end;
    errno = 0;
    long n = strtol(s, &end, 10);
    if (errno || end == s || *end || n < -1 || n > 86400000)
        return complain(s, "is no time in ms: -1, or 0 to a day"), EXIT_USAGE;
    *ms = (int)n;
    return -1;
}

// The exit code, or -1 to go on.
static int take(struct wish *w, int key, const char *arg, const char *word)
{
    switch (key) {
    case 'h':
        return help();
    case OPT_VERSION:
        printf("mpctl %s\n", mp_version());
        return fflush(stdout) ? EXIT_FAILED : EXIT_OK;
    case 'j':
        w->json = true;
        break;
    case 'm':
        w->where = arg;
        break;
    case 's':
        w->start = true;
        break;
    case 't':
        return read_timeout(arg, &w->timeout_ms);
    case OPT_KEY:
        w->url.key_file = arg;
        break;
    case OPT_CA:
        w->url.tls_ca = arg;
        break;
    case OPT_CERT:
        w->url.tls_cert = arg;
        break;
    case OPT_TLS_KEY:
        w->url.tls_key = arg;
        break;
    case OPT_TLS_NAME:
        w->url.tls_name = arg;
        break;
    default:
        return complain(word, "no such option, or its value is missing; see mpctl --help"),
               EXIT_USAGE;
    }
    return -1;
}

static int read_options(struct wish *w, int argc, char **argv)
{
    struct option longs[OPTIONS + 1] = {{0}};
    int key, code = -1;
    for (int i = 0; i < OPTIONS; i++)
        longs[i] = (struct option){table[i].name, table[i].arg ? required_argument : no_argument,
                                   NULL, table[i].key};
    opterr = 0;
    while (code < 0 && (key = getopt_long(argc, argv, "+hjm:st:", longs, NULL)) != -1)
        code = take(w, key, optarg, argv[optind - 1]);
    return code;
}

static const struct command *find(const char *name)
{
    for (const struct command *c = commands; c->name; c++)
        if (!strcmp(c->name, name))
            return c;
    return NULL;
}

static int run(const struct wish *w, const struct command *command, char **args, int n)
{
    char why[400] = "";
    struct ctl c = {.json = w->json, .timeout_ms = w->timeout_ms};
    mp_manager_opts o = {.client = "mpctl",
                         .start = w->start,
                         .url = &w->url,
                         .error = why,
                         .error_size = sizeof why};
    int r = mp_connect_manager(&c.m, w->where, &o);
    if (r < 0)
        return complain(w->where ? w->where : "default", *why ? why : mp_strerror(r));
    int code = command->run(&c, args, n);
    mp_manager_free(c.m);
    if (fflush(stdout) && code == EXIT_OK)
        code = complain("output", strerror(errno));
    return code;
}

int main(int argc, char **argv)
{
    struct wish w = {.where = getenv("MP_MANAGER_AT"), .timeout_ms = 5000};
    int code = read_options(&w, argc, argv);
    if (code >= 0)
        return code;
    if (optind == argc)
        return complain("command", "is missing; see mpctl --help"), EXIT_USAGE;
    const struct command *command = find(argv[optind]);
    int n = argc - optind - 1;
    if (!command)
        return complain(argv[optind], "no such command; see mpctl --help"), EXIT_USAGE;
    if (n < command->min || n > command->max) {
        fprintf(stderr, "usage: mpctl %s %s\n", command->name, command->args);
        return EXIT_USAGE;
    }
    return run(&w, command, argv + optind + 1, n);
}
