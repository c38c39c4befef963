// SPDX-License-Identifier: MIT
//
// Options, wherever they come from: a line `name = value` of the file is `--name=value`. The
// command line wins over the file. A value that makes no sense is refused as a whole, before
// anything has begun; on a reload, before anything has changed.
#include "options.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <mp/base.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct option_row {
    const char *name, *arg, *standard, *help;
    size_t offset, size;
    char kind;
    bool live;
} rows[] = {
#define ROW(kind, field, name, arg, standard, live, help)                                          \
    {name,                                                                                         \
     arg,                                                                                          \
     standard,                                                                                     \
     help,                                                                                         \
     offsetof(struct options, field),                                                              \
     sizeof(((struct options *)0)->field),                                                         \
     #kind[0],                                                                                     \
     live},
    OPTIONS(ROW)
#undef ROW
};
enum { ROWS = sizeof rows / sizeof *rows };

static void *field_of(struct options *o, const struct option_row *row)
{
    return (char *)o + row->offset;
}

// ---- values --------------------------------------------------------------------------

static int read_number(const char *value, size_t unit, size_t *out)
{
    char *end;
    errno = 0;
    unsigned long long n = strtoull(value, &end, 10);
    if (*value < '0' || *value > '9' || errno || *end)
        return -1;
    return __builtin_mul_overflow(n, unit, out) ? -1 : 0;
}

static int read_bytes(const char *value, size_t *out)
{
    static const char units[] = "KMG";
    char digits[24];
    size_t n = strlen(value), unit = 1;
    const char *suffix = n ? strchr(units, value[n - 1]) : NULL;
    if (n == 0 || n >= sizeof digits)
        return -1;
    snprintf(digits, sizeof digits, "%.*s", (int)(n - (suffix != NULL)), value);
    for (const char *u = units; suffix && u <= suffix; u++)
        unit *= 1024;
    return read_number(digits, unit, out);
}

static int read_seconds(const char *value, size_t *ms)
{
    char *end;
    errno = 0;
    double s = strtod(value, &end);
    if (*value < '0' || *value > '9' || errno || *end || !(s >= 0 && s < 1e6))
        return -1;
    *ms = (size_t)(s * 1000 + 0.5);
    return 0;
}

static int read_flag(const char *value, bool *out)
{
    *out = !value || !strcmp(value, "yes");
    return !value || *out || !strcmp(value, "no") ? 0 : -1;
}

static int add_text(struct option_list *l, const char *value)
{
    if (l->count == OPTION_LIST || !(l->items[l->count] = strdup(value)))
        return -1;
    l->count++;
    return 0;
}

static int set_text(char **p, const char *value)
{
    free(*p);
    *p = value ? strdup(value) : NULL;
    return value && !*p ? -1 : 0;
}

static int set(struct options *o, const struct option_row *row, const char *value)
{
    void *p = field_of(o, row);
    switch (row->kind) {
    case 'T':
        return set_text(p, value);
    case 'L':
        return value ? add_text(p, value) : 0;
    case 'F':
        return read_flag(value, p);
    case 'B':
        return read_bytes(value, p);
    case 'S':
        return read_seconds(value, p);
    default:
        return read_number(value, 1, p);
    }
}

void options_defaults(struct options *o)
{
    memset(o, 0, sizeof *o);
    for (size_t i = 0; i < ROWS; i++)
        if (rows[i].kind != 'F' && set(o, &rows[i], rows[i].standard) < 0)
            abort(); // the table is wrong, or there is no memory at the very start
}

void options_free(struct options *o)
{
    for (size_t i = 0; i < ROWS; i++) {
        void *p = field_of(o, &rows[i]);
        struct option_list *l = p;
        if (rows[i].kind == 'T')
            free(*(char **)p);
        for (size_t k = 0; rows[i].kind == 'L' && k < l->count; k++)
            free(l->items[k]);
    }
    free(o->config);
    memset(o, 0, sizeof *o);
}

// ---- the file ------------------------------------------------------------------------

static const struct option_row *find_row(const char *name)
{
    for (size_t i = 0; i < ROWS; i++)
        if (!strcmp(rows[i].name, name))
            return &rows[i];
    return NULL;
}

static char *trim(char *s)
{
    s += strspn(s, " \t");
    size_t n = strlen(s);
    while (n && strchr(" \t\r\n", s[n - 1]))
        s[--n] = '\0';
    return s;
}

static int read_line(struct options *o, char *line, const char *file, int number, char *text,
                     size_t size)
{
    line = trim(line);
    if (!*line || *line == '#')
        return 0;
    char *equals = strchr(line, '='), *value = NULL;
    if (equals) {
        *equals = '\0';
        value = trim(equals + 1);
    }
    const struct option_row *row = find_row(trim(line));
    if (!row) {
        snprintf(text, size, "%s, line %d: there is no option '%s'", file, number, trim(line));
        return -1;
    }
    if ((row->arg && !value) || set(o, row, value) < 0) {
        snprintf(text, size, "%s, line %d: '%s' is no value for %s", file, number,
                 value ? value : "", row->name);
        return -1;
    }
    return 0;
}

static int read_file(struct options *o, const char *file, char *text, size_t size)
{
    char *line = NULL;
    size_t room = 0;
    int r = 0;
    FILE *f = fopen(file, "re");
    if (!f) {
        snprintf(text, size, "%s: %s", file, strerror(errno));
        return -1;
    }
    for (int number = 1; r == 0 && getline(&line, &room, f) >= 0; number++)
        r = read_line(o, line, file, number, text, size);
    free(line);
    fclose(f);
    return r;
}

// ---- the command line ----------------------------------------------------------------

enum { KEY_CONFIG = 1000, KEY_HELP, KEY_VERSION };

static void print_group(size_t from, size_t to, const char *title)
{
    printf("\n%s:\n", title);
    for (size_t i = from; i < to; i++) {
        char left[48];
        const struct option_row *r = &rows[i];
        snprintf(left, sizeof left, "--%s%s%s", r->name, r->arg ? "=" : "", r->arg ? r->arg : "");
        printf("  %-28s %s", left, r->help);
        if (r->standard)
            printf(" [%s]", r->standard);
        printf("\n");
    }
}

#define NUMBER(kind, field, ...) NUMBER_##field,
enum { OPTIONS_PLACE(NUMBER) PLACE_COUNT };
enum { OPTIONS_RUN(NUMBER) RUN_COUNT };
#undef NUMBER

static int help(void)
{
    printf("usage: mpmanager [options]\n"
           "\n"
           "Holds dicts, lists, queues, locks and more for other programs, which reach them\n"
           "with mp_connect_manager() or mpctl.\n"
           "\n"
           "  -c, --config=FILE            read options from FILE, one `name = value` a line\n"
           "  -h, --help                   print this and end\n"
           "      --version                print the version and end\n");
    print_group(0, PLACE_COUNT, "Where");
    print_group(PLACE_COUNT, PLACE_COUNT + RUN_COUNT, "How");
    print_group(PLACE_COUNT + RUN_COUNT, ROWS, "Limits");
    printf("\nSIGHUP reads the configuration again; SIGTERM ends it. See mpmanager(8).\n");
    return 1;
}

static void long_options(struct option *o)
{
    for (size_t i = 0; i < ROWS; i++)
        o[i] = (struct option){rows[i].name, rows[i].arg ? required_argument : no_argument, NULL,
                               (int)i + 1};
    o[ROWS] = (struct option){"config", required_argument, NULL, KEY_CONFIG};
    o[ROWS + 1] = (struct option){"help", no_argument, NULL, KEY_HELP};
    o[ROWS + 2] = (struct option){"version", no_argument, NULL, KEY_VERSION};
    o[ROWS + 3] = (struct option){0};
}

static int read_one(struct options *o, int key, char **argv, char *text, size_t size)
{
    if (key == 'h' || key == KEY_HELP)
        return help();
    if (key == KEY_VERSION) {
        printf("mpmanager %s\n", mp_version());
        return 1;
    }
    if (key == 'c' || key == KEY_CONFIG)
        return 0; // read before
    if (key < 1 || key > ROWS) {
        snprintf(text, size, "%s: no such option, or its value is missing; see --help",
                 argv[optind - 1]);
        return -1;
    }
    if (set(o, &rows[key - 1], optarg) == 0)
        return 0;
    snprintf(text, size, "--%s: '%s' is no value for it", rows[key - 1].name, optarg ? optarg : "");
    return -1;
}

// Goes through the command line: only for its --config, or for all the rest.
static int walk(struct options *o, int argc, char **argv, bool config, char *text, size_t size)
{
    struct option longs[ROWS + 4];
    int key, r = 0;
    long_options(longs);
    optind = 0;
    opterr = 0;
    while (r == 0 && (key = getopt_long(argc, argv, "c:h", longs, NULL)) != -1) {
        if (!config)
            r = read_one(o, key, argv, text, size);
        else if (key == 'c' || key == KEY_CONFIG)
            r = set_text(&o->config, optarg);
    }
    if (r == 0 && optind < argc) {
        snprintf(text, size, "%s: there is nothing but options; see --help", argv[optind]);
        return -1;
    }
    return r;
}

static int check(const struct options *o, char *text, size_t size)
{
    if (o->max_message < 64 || o->max_message > ((size_t)1 << 30))
        snprintf(text, size, "max-message must be between 64 bytes and 1G");
    else if (o->max_clients == 0 || o->max_greeting == 0)
        snprintf(text, size, "max-clients and max-greeting must be at least 1");
    else if (o->workers > 1024)
        snprintf(text, size, "workers must be at most 1024");
    else if (o->alive_ms > 86400000 || o->slow_ms > 86400000 || o->greeting_ms > 86400000)
        snprintf(text, size, "no time may be longer than a day");
    else
        return 0;
    return -1;
}

int options_read(struct options *o, int argc, char **argv, char *text, size_t size)
{
    options_defaults(o);
    int r = walk(o, argc, argv, true, text, size);
    if (r == 0 && o->config)
        r = read_file(o, o->config, text, size);
    if (r == 0)
        r = walk(o, argc, argv, false, text, size);
    return r == 0 ? check(o, text, size) : r;
}

static bool same(struct options *a, struct options *b, const struct option_row *row)
{
    const void *x = field_of(a, row), *y = field_of(b, row);
    const struct option_list *l = x, *m = y;
    if (row->kind == 'T') {
        const char *s = *(char *const *)x, *t = *(char *const *)y;
        return s == t || (s && t && !strcmp(s, t));
    }
    if (row->kind != 'L')
        return memcmp(x, y, row->size) == 0;
    for (size_t i = 0; l->count == m->count && i < l->count; i++)
        if (strcmp(l->items[i], m->items[i]) != 0)
            return false;
    return l->count == m->count;
}

int options_reload(struct options *o, int argc, char **argv, char *text, size_t size)
{
    struct options fresh;
    *text = '\0';
    if (options_read(&fresh, argc, argv, text, size) != 0) {
        options_free(&fresh);
        return -1;
    }
    for (size_t i = 0; i < ROWS; i++) {
        const struct option_row *row = &rows[i];
        char old[sizeof(struct option_list)];
        if (same(o, &fresh, row))
            continue;
        if (row->live) { // swapped, so that each is freed once
            memcpy(old, field_of(o, row), row->size);
            memcpy(field_of(o, row), field_of(&fresh, row), row->size);
            memcpy(field_of(&fresh, row), old, row->size);
        } else if (strlen(text) + strlen(row->name) + 3 < size) {
            sprintf(text + strlen(text), "%s%s", *text ? ", " : "", row->name);
        }
    }
    options_free(&fresh);
    return 0;
}
