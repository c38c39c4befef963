// SPDX-License-Identifier: MIT
#include "separator.h"
#include "fields.h"
#include "say.h"

#include <stdlib.h>
#include <string.h>

// ---- regular expressions ----------------------------------------------------------------------

MP_PRINTF(3, 4)
static int compile(regex_t *re, const char *option, const char *format, ...)
{
    va_list ap;
    char *text;
    size_t len;
    FILE *f = text_open(&text, &len);
    va_start(ap, format);
    vfprintf(f, format, ap);
    va_end(ap);
    text_close(f, &text);
    int status = compile_regex(re, option, text, len, REG_NEWLINE);
    free(text);
    return status;
}

// Each by itself first: "a)(b" is none, whatever stands around it.
static int init_regexp(struct separator *s, const char *end, const char *start)
{
    bool both = *end && *start;
    int status = compile(&s->end_re, "--recend", "%s", end);
    if (status)
        return status;
    status = compile(&s->start_re, "--recstart", "%s", start);
    if (status == 0) {
        status = compile(&s->whole, "--regexp", both ? "(%s)(%s)" : "%s%s", end, start);
        if (status)
            regfree(&s->start_re);
    }
    if (status)
        regfree(&s->end_re);
    s->has_end = *end;
    s->has_start = *start;
    s->regexp = s->in_turn = status == 0;
    return status;
}

// Where a record ends that has [m->rm_so, m->rm_eo) at its end. One look more tells where in
// that the next begins; only there, as glibc wants much memory for parts of matches.
static size_t cut_of(const struct separator *s, const char *text, const regmatch_t *m)
{
    if (!s->has_start)
        return (size_t)m->rm_eo;
    if (!s->has_end)
        return (size_t)m->rm_so;
    regmatch_t parts[2] = {*m};
    return (size_t)(regex_finds(&s->whole, text, 2, parts, REG_NOTBOL) ? parts[1].rm_eo : m->rm_eo);
}

// Whether [at, len) begins a line.
static int line_flag(const char *text, size_t at)
{
    return at == 0 || text[at - 1] == '\n' ? 0 : REG_NOTBOL;
}

static size_t match_lines(const struct separator *s, const char *text, size_t *from, size_t len)
{
    size_t at = *from;
    for (long i = 0; i < s->lines; i++) {
        const char *end = memchr(text + at, '\n', len - at);
        if (!end)
            return 0;
        at = (size_t)(end + 1 - text);
    }
    return *from = at;
}

size_t separator_match(const struct separator *s, const char *text, size_t *from, size_t len,
                       bool more)
{
    if (s->lines)
        return match_lines(s, text, from, len);
    for (size_t at = *from; at < len; *from = at) {
        regmatch_t m = {(regoff_t)at, (regoff_t)len};
        if (!regex_finds(&s->whole, text, 1, &m, line_flag(text, at)))
            return 0;
        if (more && (size_t)m.rm_eo == len)
            return 0;
        size_t cut = cut_of(s, text, &m), next = s->has_end ? cut : (size_t)m.rm_eo;
        at = next > at ? next : at + 1;
        if (m.rm_eo > m.rm_so && cut > 0) { // what matches nothing separates nothing
            *from = at;
            return cut;
        }
    }
    return 0;
}

// The first match of one in [at, len), or what is after the end.
static regmatch_t find(const regex_t *re, const char *text, size_t at, size_t len)
{
    regmatch_t m = {(regoff_t)at, (regoff_t)len};
    if (!regex_finds(re, text, 1, &m, line_flag(text, at)))
        m.rm_so = m.rm_eo = (regoff_t)len + 1;
    return m;
}

// The end of the last record, without the match of --recend there.
static size_t without_end(const struct separator *s, const char *text, size_t at, size_t len)
{
    while (at < len) {
        regmatch_t m = find(&s->end_re, text, at, len);
        if ((size_t)m.rm_eo == len)
            return (size_t)m.rm_so;
        at = (size_t)m.rm_eo > at ? (size_t)m.rm_eo : at + 1;
    }
    return len;
}

static size_t remove_matches(const struct separator *s, char *text, size_t len)
{
    size_t to = 0, at = 0;
    if (s->has_end && s->has_start) {
        regmatch_t m = find(&s->start_re, text, 0, len);
        at = m.rm_so == 0 ? (size_t)m.rm_eo : 0;
        len = without_end(s, text, at, len);
    }
    while (at < len) {
        regmatch_t m = find(&s->whole, text, at, len);
        size_t next = (size_t)m.rm_eo > at ? (size_t)m.rm_eo : at + 1;
        size_t kept = m.rm_eo > m.rm_so ? (size_t)m.rm_so - at : next - at;
        kept = kept < len - at ? kept : len - at;
        memmove(text + to, text + at, kept);
        to += kept;
        at = next;
    }
    return to;
}

// ---- texts ------------------------------------------------------------------------------------

static bool is_separator(const struct separator *s, const char *text)
{
    return !memcmp(text, s->end, s->end_len) && !memcmp(text + s->end_len, s->start, s->start_len);
}

size_t separator_first(const struct separator *s, const char *text, size_t from, size_t len)
{
    const char *first = s->end_len ? s->end : s->start;
    while (from + separator_len(s) <= len) {
        const char *p = memchr(text + from, *first, len - separator_len(s) + 1 - from);
        if (!p)
            return 0;
        size_t at = (size_t)(p - text);
        if (is_separator(s, p) && at + s->end_len > 0)
            return at + s->end_len;
        from = at + 1;
    }
    return 0;
}

size_t separator_last(const struct separator *s, const char *text, size_t from, size_t len)
{
    const char *first = s->end_len ? s->end : s->start;
    while (from + separator_len(s) <= len) {
        const char *p = memrchr(text + from, *first, len - separator_len(s) + 1 - from);
        if (!p)
            return 0;
        if (is_separator(s, p) && (size_t)(p - text) + s->end_len > 0)
            return (size_t)(p - text) + s->end_len;
        len = (size_t)(p - text) + separator_len(s) - 1;
    }
    return 0;
}

static size_t remove_texts(const struct separator *s, char *text, size_t len)
{
    size_t to = 0;
    for (size_t at = 0; at < len && separator_len(s);) {
        size_t left = len - at;
        if (left >= separator_len(s) && is_separator(s, text + at))
            at += separator_len(s);
        else if (at == 0 && s->start_len && left >= s->start_len &&
                 !memcmp(text, s->start, s->start_len))
            at += s->start_len;
        else if (left == s->end_len && !memcmp(text + at, s->end, s->end_len))
            at += s->end_len;
        else
            text[to++] = text[at++];
    }
    return separator_len(s) ? to : len;
}

// ---- both -------------------------------------------------------------------------------------

int separator_init(struct separator *s, const struct args *a)
{
    const char *end = a->recend ? a->recend : "", *start = a->recstart ? a->recstart : "";
    *s = (struct separator){0};
    if (a->regexp && (*end || *start))
        return init_regexp(s, end, start);
    if (!a->recend && !a->recstart)
        end = a->null ? "\\0" : "\n";
    s->lines = a->record_lines > 1 ? a->record_lines : 0;
    s->in_turn = s->lines > 0;
    s->end = unescape(end, &s->end_len);
    s->start = unescape(start, &s->start_len);
    return 0;
}

size_t separator_remove(const struct separator *s, char *text, size_t len)
{
    return s->regexp ? remove_matches(s, text, len) : remove_texts(s, text, len);
}

void separator_free(struct separator *s)
{
    if (s->regexp) {
        regfree(&s->end_re);
        regfree(&s->start_re);
        regfree(&s->whole);
    }
    free(s->end);
    free(s->start);
    *s = (struct separator){0};
}
