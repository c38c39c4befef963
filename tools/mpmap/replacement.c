// SPDX-License-Identifier: MIT
#include "replacement.h"
#include "say.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---- finding --------------------------------------------------------------------------------

// s/a/b/ with any punctuation in the place of /: its length, 0 if it is none.
static size_t find_subst(const char *s, const char **parts, size_t *lens)
{
    char sep = s[1];
    if (s[0] != 's' || !ispunct((unsigned char)sep) || sep == '{' || sep == '}' || sep == '\\')
        return 0;
    const char *p = s + 2;
    for (int i = 0; i < 2; i++) {
        parts[i] = p;
        while (*p && *p != sep)
            p += *p == '\\' && p[1] ? 2 : 1;
        if (!*p)
            return 0;
        lens[i] = (size_t)(p++ - parts[i]);
    }
    p += strspn(p, "gi");
    return *p == '}' ? (size_t)(p - s) : 0;
}

static int read_subst(const char *s, size_t n, const char *const *parts, const size_t *lens,
                      struct replacement *r)
{
    const char *flags = parts[1] + lens[1] + 1, *end = s + n;
    r->what = SUBST;
    r->text = parts[1];
    r->len = lens[1];
    r->global = memchr(flags, 'g', (size_t)(end - flags)) != NULL;
    r->re = xrealloc(NULL, sizeof *r->re);
    bool icase = memchr(flags, 'i', (size_t)(end - flags)) != NULL;
    if (compile_regex(r->re, "{s///}", parts[0], lens[0], icase ? REG_ICASE : 0)) {
        free(r->re);
        r->re = NULL;
        return -1;
    }
    return 1;
}

// The change at s, up to the brace that closes. Its length in *len. 1, 0 or -1.
static int find_change(const char *s, size_t *len, struct replacement *r)
{
    static const struct {
        const char *text;
        enum what what;
    } changes[] = {{"}", ITEM},  {".}", NO_EXT},       {"/}", BASE},
                   {"//}", DIR}, {"/.}", BASE_NO_EXT}, {":}", NO_EXTS}};
    const char *parts[2];
    size_t lens[2];
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        *len = strlen(changes[i].text);
        if (!strncmp(s, changes[i].text, *len)) {
            r->what = changes[i].what;
            return 1;
        }
    }
    if (*s == '^' && s[1] != '}') {
        const char *end = strchr(s, '}');
        if (!end)
            return 0;
        *len = (size_t)(end - s) + 1;
        r->what = STRIP;
        r->text = s + 1;
        r->len = *len - 2;
        return 1;
    }
    size_t n = find_subst(s, parts, lens);
    *len = n + 1;
    return n ? read_subst(s, n, parts, lens, r) : 0;
}

// {name}: of those that are known the longest; of JSON whatever looks like one.
static size_t name_length(const struct names *names, const char *s)
{
    size_t best = 0;
    if (names->open) {
        size_t n = 0;
        while (isalnum((unsigned char)s[n]) || s[n] == '_' || s[n] == '-' ||
               (n && s[n] == '.' && s[n + 1] != '}'))
            n++;
        return n && s[0] != '-' ? n : 0;
    }
    for (int i = 0; i < names->len; i++) {
        size_t n = strlen(names->name[i]);
        if (n > best && !strncmp(s, names->name[i], n))
            best = n;
    }
    return best;
}

// {name...} and {n...}; s is after the brace.
static int find_choice(const struct replacing *how, const char *s, size_t *len,
                       struct replacement *r)
{
    struct names *names = how->names;
    size_t n = names ? name_length(names, s) : 0, rest = 0;
    int found = n ? find_change(s + n, &rest, r) : 0;
    if (found > 0) {
        int at = names_find(names, s, n);
        if (at < 0) {
            names_add(names, s, n);
            at = names->len - 1;
        }
        r->arg = at + 1 + (names->open ? 1 : 0);
        *len = n + rest;
    }
    if (found || (names && names->open))
        return found;
    bool minus = *s == '-';
    n = strspn(s + minus, "0123456789");
    if (n == 0 || n > 6)
        return 0;
    r->arg = atoi(s);
    found = r->arg ? find_change(s + minus + n, &rest, r) : 0;
    *len = (size_t)minus + n + rest;
    return found;
}

// One that has another text. 0: what is at s has none; -1: it has, and means nothing any more.
static int find_renamed(const struct replacing *how, const char *s, size_t *len,
                        struct replacement *r)
{
    static const char *const usual[RENAMES] = {"{.}", "{/}", "{//}", "{/.}", "{#}", "{%}"};
    static const struct replacing plain;
    for (int i = 0; how->renamed && i < RENAMES; i++) {
        const char *text = how->renamed[i];
        if (text && !strncmp(s, text, strlen(text))) {
            int found = replacement_find(&plain, usual[i], len, r);
            *len = strlen(text);
            return found;
        }
        if (text && !strncmp(s, usual[i], strlen(usual[i])))
            return -1;
    }
    return 0;
}

int replacement_find(const struct replacing *how, const char *s, size_t *len, struct replacement *r)
{
    *r = (struct replacement){0};
    int renamed = find_renamed(how, s, len, r);
    if (renamed)
        return renamed > 0;
    if (how->item && !strncmp(s, how->item, *len = strlen(how->item))) {
        r->what = ITEM;
        return 1;
    }
    if (*s != '{' || (how->item && s[1] == '}'))
        return 0;
    int found = 1;
    *len = 3;
    if (s[1] == '#' && s[2] == '}') {
        r->what = SEQ;
    } else if (s[1] == '%' && s[2] == '}') {
        r->what = SLOT;
    } else {
        found = find_change(s + 1, len, r);
        if (found == 0)
            found = find_choice(how, s + 1, len, r);
        *len += 1;
    }
    return found;
}

void replacement_free(struct replacement *r)
{
    if (r->re) {
        regfree(r->re);
        free(r->re);
    }
}

// ---- replacing ------------------------------------------------------------------------------

// As dirname(1): without the last name and the slashes around it.
static const char *directory(const char *s, size_t n, size_t *len)
{
    while (n && s[n - 1] == '/')
        n--;
    if (n == 0 && *s == '/')
        n = 1; // nothing but slashes
    while (n && s[n - 1] != '/')
        n--;
    while (n > 1 && s[n - 1] == '/')
        n--;
    *len = n ? n : 1;
    return n ? s : ".";
}

struct result {
    char *buf;
    size_t len, cap;
};

static void append(struct result *o, const char *s, size_t n)
{
    if (o->len + n > o->cap) {
        o->cap = 2 * (o->len + n);
        o->buf = xrealloc(o->buf, o->cap);
    }
    if (n)
        memcpy(o->buf + o->len, s, n);
    o->len += n;
}

// What comes in for a match: \1 to \9 and & (or \0) are parts of it.
static void append_new(struct result *o, const struct replacement *r, const char *s,
                       const regmatch_t *m)
{
    for (size_t i = 0; i < r->len; i++) {
        char c = r->text[i];
        int part = c == '&' ? 0 : -1;
        if (c == '\\' && i + 1 < r->len) {
            c = r->text[++i];
            part = c >= '0' && c <= '9' ? c - '0' : -1;
        }
        if (part < 0)
            append(o, &c, 1);
        else if (m[part].rm_so >= 0)
            append(o, s + m[part].rm_so, (size_t)(m[part].rm_eo - m[part].rm_so));
    }
}

static const char *substitute(const struct replacement *r, const char *s, size_t len, size_t *out)
{
    static struct result o;
    size_t at = 0;
    o.len = 0;
    append(&o, "", 0);
    for (;;) {
        regmatch_t m[10] = {{.rm_so = 0, .rm_eo = (regoff_t)(len - at)}};
        if (at > len || !regex_finds(r->re, s + at, 10, m, at ? REG_NOTBOL : 0))
            break;
        append(&o, s + at, (size_t)m[0].rm_so);
        append_new(&o, r, s + at, m);
        size_t end = at + (size_t)m[0].rm_eo;
        if (m[0].rm_eo == m[0].rm_so && end < len) // nothing was matched: go on after a byte
            append(&o, s + end++, 1);
        else if (m[0].rm_eo == m[0].rm_so)
            end = len + 1;
        at = end;
        if (!r->global)
            break;
    }
    if (at < len)
        append(&o, s + at, len - at);
    *out = o.len;
    return o.buf ? o.buf : "";
}

const char *replacement_of(const struct replacement *r, const char *arg, size_t arg_len,
                           size_t *len)
{
    const char *end = arg + arg_len, *base = end;
    if (r->what == DIR)
        return directory(arg, arg_len, len);
    if (r->what == SUBST)
        return substitute(r, arg, arg_len, len);
    while (base > arg && base[-1] != '/')
        base--;
    if (r->what == NO_EXT || r->what == BASE_NO_EXT || r->what == NO_EXTS) {
        const char *dot = r->what == NO_EXTS ? memchr(base, '.', (size_t)(end - base))
                                             : memrchr(base, '.', (size_t)(end - base));
        if (dot)
            end = dot;
    }
    if (r->what == STRIP && arg_len >= r->len && !memcmp(end - r->len, r->text, r->len))
        end -= r->len;
    if (r->what == BASE || r->what == BASE_NO_EXT)
        arg = base;
    *len = (size_t)(end - arg);
    return arg;
}

int replacement_arg(const struct replacement *r, const struct item *item)
{
    int at = r->arg > 0 ? r->arg - 1 : r->arg < 0 ? item->all + r->arg : 0;
    return at >= 0 && at < item->args_len ? at : -1;
}

void replacement_put(const struct replacement *r, const struct item *item, int arg, long seq,
                     int slot, struct command *c)
{
    char number[24];
    size_t len = 0;
    const char *text = number;
    if (r->what == SEQ || r->what == SLOT) {
        len = (size_t)snprintf(number, sizeof number, "%ld", r->what == SEQ ? seq : (long)slot);
    } else if (arg >= 0 && arg < item->args_len) {
        text = item_arg(item, arg, &len);
        text = replacement_of(r, text, len, &len);
    }
    command_add(c, text, len);
}
