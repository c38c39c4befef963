// SPDX-License-Identifier: MIT
#include "fields.h"
#include "say.h"

#include <errno.h>
#include <json.h>
#include <json_visit.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char too_long[] =
    "the item is longer than an argument may be (128 KiB less one byte, usually)";
static const char has_nul[] =
    "the item holds a NUL byte, which no argument can: use -0 if NUL ends the items";

// ---- names --------------------------------------------------------------------------------

int names_find(struct names *n, const char *name, size_t len)
{
    for (int i = 0; i < n->len; i++)
        if (strlen(n->name[i]) == len && !memcmp(n->name[i], name, len))
            return i;
    return -1;
}

void names_add(struct names *n, const char *name, size_t len)
{
    n->name = xrealloc(n->name, ((size_t)n->len + 1) * sizeof *n->name);
    char *copy = xrealloc(NULL, len + 1);
    memcpy(copy, name, len);
    copy[len] = '\0';
    n->name[n->len++] = copy;
}

void names_free(struct names *n)
{
    for (int i = 0; i < n->len; i++)
        free(n->name[i]);
    free(n->name);
    *n = (struct names){0};
}

// ---- texts of options -----------------------------------------------------------------------

char *unescape(const char *text, size_t *len)
{
    static const char letters[] = "ntrabfve\\", bytes[] = "\n\t\r\a\b\f\v\033\\";
    char *out = xrealloc(NULL, strlen(text) + 1), *o = out;
    while (*text) {
        const char *known = text[0] == '\\' && text[1] ? strchr(letters, text[1]) : NULL;
        unsigned byte;
        int used = 0;
        if (text[0] == '\\' && (sscanf(text, "\\x%2x%n", &byte, &used) == 1 ||
                                (text[1] == '0' && sscanf(text, "\\%3o%n", &byte, &used) == 1))) {
            *o++ = (char)byte;
            text += used;
        } else if (known) {
            *o++ = bytes[known - letters];
            text += 2;
        } else {
            *o++ = *text++;
        }
    }
    *len = (size_t)(o - out);
    *o = '\0';
    return out;
}

int compile_regex(regex_t *re, const char *option, const char *text, size_t len, int flags)
{
    char *ere = xrealloc(NULL, 5 * len + 1), *o = ere;
    for (size_t i = 0; i < len; i++) {
        if (text[i] != '\\' || i + 1 == len) {
            *o++ = text[i];
            continue;
        }
        char c = text[++i];
        if (c == 't' || c == 'n' || c == 'r')
            *o++ = c == 't' ? '\t' : c == 'n' ? '\n' : '\r';
        else if (c == 'd')
            o = stpcpy(o, "[0-9]");
        else {
            *o++ = '\\';
            *o++ = c;
        }
    }
    *o = '\0';
    int err = regcomp(re, ere, REG_EXTENDED | flags);
    if (err == REG_ESPACE)
        out_of_memory();
    char why[128];
    if (err)
        regerror(err, re, why, sizeof why);
    free(ere);
    return err ? usage_error("%s %.*s: not a regular expression: %s", option, (int)len, text, why)
               : 0;
}

bool regex_finds(const regex_t *re, const char *text, size_t n, regmatch_t *m, int flags)
{
    errno = 0;
    bool found = regexec(re, text, n, m, REG_STARTEND | flags) == 0;
    if (!found && errno == ENOMEM) // which glibc has as no match
        out_of_memory();
    return found;
}

int splitter_init(struct splitter *s, const struct args *a, size_t limit)
{
    *s = (struct splitter){.kind = WHOLE, .limit = limit, .nul = a->null, .csv = ','};
    // As GNU parallel: blanks around columns are none of theirs, unless it is said.
    const char *trim = a->trim ? a->trim : a->colsep && !a->csv ? "lr" : "n";
    s->trim_left = strchr(trim, 'l');
    s->trim_right = strchr(trim, 'r');
    s->names.open = a->json;
    if (a->json) {
        s->kind = JSON;
    } else if (a->csv) {
        s->kind = CSV;
        size_t len = 1;
        char *sep = a->colsep ? unescape(a->colsep, &len) : NULL;
        if (sep)
            s->csv = *sep;
        free(sep);
        if (len != 1 || s->csv == '"' || s->csv == '\n')
            return usage_error("--colsep %s: with --csv it is one character", a->colsep);
    } else if (a->colsep) {
        int status = compile_regex(&s->columns, "--colsep", a->colsep, strlen(a->colsep), 0);
        if (status)
            return status;
        s->kind = COLUMNS;
    }
    return 0;
}

void splitter_free(struct splitter *s)
{
    if (s->kind == COLUMNS)
        regfree(&s->columns);
    names_free(&s->names);
}

// ---- records ----------------------------------------------------------------------------------

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void add(const struct splitter *s, struct texts *to, const char *text, size_t len)
{
    const char *bad = NULL;
    for (; s->trim_left && len && is_blank(*text); len--)
        text++;
    while (s->trim_right && len && is_blank(text[len - 1]))
        len--;
    if (len > s->limit)
        bad = too_long;
    else if (!s->nul && memchr(text, '\0', len))
        bad = has_nul;
    texts_add(to, text, bad == too_long ? SHOWN : len, bad);
}

// Fields are what is between matches; a match of nothing separates nothing.
static void split_columns(const struct splitter *s, struct texts *to, const char *text, size_t len)
{
    const char *end = text + len, *field = text, *from = text;
    for (;;) {
        regmatch_t m = {.rm_so = 0, .rm_eo = end - from};
        bool found =
            from <= end && regex_finds(&s->columns, from, 1, &m, from > text ? REG_NOTBOL : 0);
        if (!found)
            break;
        if (m.rm_eo == m.rm_so) {
            from += m.rm_eo + 1;
            continue;
        }
        add(s, to, field, (size_t)(from + m.rm_so - field));
        field = from += m.rm_eo;
    }
    add(s, to, field, (size_t)(end - field));
}

// Writes a field to out, without its quotes. Where it ends.
static const char *csv_field(const char *text, const char *end, char sep, char *out, size_t *len)
{
    char *o = out;
    bool quoted = text < end && *text == '"';
    text += quoted;
    while (quoted && text < end) {
        if (*text == '"' && (text + 1 == end || text[1] != '"')) {
            text++;
            break;
        }
        text += *text == '"'; // doubled
        *o++ = *text++;
    }
    while (text < end && *text != sep)
        *o++ = *text++;
    *len = (size_t)(o - out);
    return text;
}

static void split_csv(const struct splitter *s, struct texts *to, const char *text, size_t len)
{
    if (len && text[len - 1] == '\r')
        len--;
    const char *end = text + len;
    char *field = xrealloc(NULL, len + 1);
    for (;; text++) {
        size_t n;
        text = csv_field(text, end, s->csv, field, &n);
        add(s, to, field, n);
        if (text >= end)
            break;
    }
    free(field);
}

// The member of a value that a step of a path names: {a}, or {2} of an array, from 1.
static json_object *member(json_object *value, const char *step, size_t len)
{
    char name[256];
    json_object *found = NULL;
    snprintf(name, sizeof name, "%.*s", (int)len, step);
    if (json_object_is_type(value, json_type_object))
        json_object_object_get_ex(value, name, &found);
    else if (json_object_is_type(value, json_type_array) && atoi(name) > 0)
        found = json_object_array_get_idx(value, (size_t)atoi(name) - 1);
    return found;
}

// A name may itself have dots: the whole is looked for first.
static json_object *find_path(json_object *value, const char *path)
{
    json_object *whole = member(value, path, strlen(path));
    if (whole)
        return whole;
    while (value && *path) {
        size_t n = strcspn(path, ".");
        value = member(value, path, n);
        path += n + (path[n] == '.');
    }
    return value;
}

static void add_value(const struct splitter *s, struct texts *to, json_object *value)
{
    if (!value) {
        add(s, to, "", 0);
    } else if (json_object_is_type(value, json_type_string)) {
        add(s, to, json_object_get_string(value), (size_t)json_object_get_string_len(value));
    } else {
        size_t len;
        errno = 0;
        const char *text = json_object_to_json_string_length(
            value, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &len);
        if (!text || errno == ENOMEM)
            out_of_memory();
        add(s, to, text, len);
    }
}

// json-c takes NaN, which is no JSON, and the nearest to an integer that does not fit 64 bits.
static int check_number(json_object *value, int flags, json_object *parent, const char *key,
                        size_t *index, void *arg)
{
    (void)flags, (void)parent, (void)key, (void)index;
    const char **bad = arg;
    if (json_object_is_type(value, json_type_int) &&
        (json_object_get_uint64(value) == UINT64_MAX || json_object_get_int64(value) == INT64_MIN))
        *bad = "an integer of the item does not fit 64 bits";
    if (json_object_is_type(value, json_type_double) &&
        strpbrk(json_object_to_json_string(value), "NI"))
        *bad = "the item is not JSON";
    return *bad ? JSON_C_VISIT_RETURN_STOP : JSON_C_VISIT_RETURN_CONTINUE;
}

static void split_json(const struct splitter *s, struct texts *to, const char *text, size_t len)
{
    json_tokener *tokener = json_tokener_new();
    if (!tokener)
        out_of_memory();
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    errno = 0;
    json_object *value = len < INT_MAX ? json_tokener_parse_ex(tokener, text, (int)len + 1) : NULL;
    const char *bad = "the item is not JSON";
    if (errno == ENOMEM) // json-c itself does not tell
        out_of_memory();
    bool good = json_tokener_get_error(tokener) == json_tokener_success && len < INT_MAX;
    size_t used = json_tokener_get_parse_end(tokener);
    for (; good && used < len; used++)
        good = is_blank(text[used]);
    if (good) {
        bad = NULL;
        json_c_visit(value, 0, check_number, &bad);
        good = !bad;
    }
    if (good) // a line may be long, if its fields are not
        texts_add(to, text, len, memchr(text, '\0', len) ? has_nul : NULL);
    else
        texts_add(to, text, len < SHOWN ? len : SHOWN, bad);
    for (int i = 0; i < s->names.len; i++)
        add_value(s, to, good ? find_path(value, s->names.name[i]) : NULL);
    json_object_put(value);
    json_tokener_free(tokener);
}

void splitter_add(struct splitter *s, struct texts *to, const struct record *r)
{
    if (r->too_long)
        texts_add(to, r->text, r->len < SHOWN ? r->len : SHOWN, too_long);
    else if (r->torn)
        texts_add(to, r->text, r->len, "a double quote is not closed");
    else if (s->kind == COLUMNS)
        split_columns(s, to, r->text, r->len);
    else if (s->kind == CSV)
        split_csv(s, to, r->text, r->len);
    else if (s->kind == JSON)
        split_json(s, to, r->text, r->len);
    else
        add(s, to, r->text, r->len);
}
