// SPDX-License-Identifier: MIT
#include "shell.h"
#include "say.h"

#include <stdlib.h>
#include <string.h>

// Where the reader is. Quotes nest through $( ) and ${ }: "$(echo "a")".
enum context { PLAIN, SINGLE, DOUBLE, COMMAND, BRACE, ARITHMETIC, BACKQUOTE, COMMENT };
enum { DEPTH = 64 };

struct reader {
    struct shell_script *out;
    char *buf;
    size_t len, cap;
    enum context stack[DEPTH];
    int depth;         // stack[depth] is where we are
    int parens[DEPTH]; // open ( in it
    bool heredoc;      // a here-document began: what follows may be its body
    bool found;        // a replacement string
    size_t command;    // where in buf the last simple command begins
};

static enum context where(const struct reader *r)
{
    return r->stack[r->depth];
}

static void add(struct reader *r, const char *s, size_t n)
{
    if (r->len + n + 1 > r->cap) {
        r->cap = 2 * (r->len + n + 1);
        r->buf = xrealloc(r->buf, r->cap);
    }
    memcpy(r->buf + r->len, s, n);
    r->len += n;
    r->buf[r->len] = '\0';
}

static int enter(struct reader *r, enum context c)
{
    if (r->depth + 1 == DEPTH)
        return usage_error("-s: quotes and $( ) nest too deeply");
    r->stack[++r->depth] = c;
    r->parens[r->depth] = 0;
    return 0;
}

static void leave(struct reader *r)
{
    if (r->depth)
        r->depth--;
}

// Whether quotes around this place keep words together: "${x:-{}}" counts as quoted.
static bool in_double(const struct reader *r)
{
    int d = r->depth;
    while (d && r->stack[d] == BRACE)
        d--;
    return r->stack[d] == DOUBLE;
}

static bool inside(const struct reader *r, enum context c)
{
    for (int d = r->depth; d > 0; d--)
        if (r->stack[d] == c)
            return true;
    return false;
}

static int param_of(struct shell_script *s, enum what what)
{
    for (int i = 0; i < s->params_len; i++)
        if (s->params[i] == what)
            return i + 1;
    s->params[s->params_len++] = what;
    return s->params_len;
}

static int refuse(const char *place, const char *remedy)
{
    return usage_error("-s: no replacement string can stand in %s: %s", place, remedy);
}

static int replace(struct reader *r, enum what what)
{
    if (inside(r, ARITHMETIC))
        return refuse("arithmetic", "some shells run code that they find in a value there");
    if (inside(r, BACKQUOTE))
        return refuse("backquotes", "use $(...)");
    if (r->heredoc)
        return refuse("or after a here-document", "use printf '%s\\n' {} | ...");
    char ref[32];
    const char *form = where(r) == SINGLE ? "'\"${%d}\"'" : in_double(r) ? "${%d}" : "\"${%d}\"";
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    int n = snprintf(ref, sizeof ref, form, param_of(r->out, what));
#pragma GCC diagnostic pop
    add(r, ref, (size_t)n);
    r->found = true;
    return 0;
}

// Copies one byte of code: not in quotes.
static int read_code(struct reader *r, const char *s, const char *start)
{
    char c = *s;
    add(r, s, 1);
    bool word_start = s == start || strchr(" \t\n;&|()", s[-1]);
    if (c == '#' && word_start && where(r) != BRACE)
        return enter(r, COMMENT);
    if (c == '<' && s[1] == '<' && s[2] != '<' && (s == start || s[-1] != '<'))
        r->heredoc = true;
    if (r->depth == 0 && strchr(";&|()\n", c))
        r->command = r->len;
    if (c == '(')
        r->parens[r->depth]++;
    if (c == ')' && r->parens[r->depth]-- == 0) {
        r->parens[r->depth] = 0;
        if (where(r) == COMMAND)
            leave(r);
    }
    if (c == '}' && where(r) == BRACE)
        leave(r);
    return 0;
}

static int read_arithmetic(struct reader *r, const char *s)
{
    add(r, s, 1);
    if (*s == '(')
        r->parens[r->depth]++;
    if (*s == ')' && --r->parens[r->depth] == 0)
        leave(r);
    return 0;
}

// What begins at s and is longer than a byte or changes the context; its length
// in *used, 0 if nothing does.
static int read_special(struct reader *r, const char *s, size_t *used)
{
    enum context in = where(r);
    *used = 1;
    if (*s == '\\' && s[1]) {
        *used = 2;
        add(r, s, 2);
        return 0;
    }
    if (*s == '`') {
        add(r, s, 1);
        if (in == BACKQUOTE) {
            leave(r);
            return 0;
        }
        return enter(r, BACKQUOTE);
    }
    if (*s == '"') {
        add(r, s, 1);
        if (in == DOUBLE) {
            leave(r);
            return 0;
        }
        return enter(r, DOUBLE);
    }
    if (*s == '\'' && !in_double(r)) {
        add(r, s, 1);
        return enter(r, SINGLE);
    }
    if (*s == '$' && (s[1] == '(' || s[1] == '{')) {
        bool arithmetic = s[1] == '(' && s[2] == '(';
        *used = arithmetic ? 3 : 2;
        add(r, s, *used);
        int status = enter(r, arithmetic ? ARITHMETIC : s[1] == '(' ? COMMAND : BRACE);
        r->parens[r->depth] = arithmetic ? 2 : 0;
        return status;
    }
    if (*s == '(' && s[1] == '(' && (in == PLAIN || in == COMMAND)) {
        *used = 2;
        add(r, s, 2);
        int status = enter(r, ARITHMETIC);
        r->parens[r->depth] = 2;
        return status;
    }
    *used = 0;
    return 0;
}

static int read_one(struct reader *r, const char *s, const char *start, size_t *used)
{
    enum context in = where(r);
    *used = 1;
    if (in == COMMENT) {
        if (*s == '\n')
            leave(r);
        add(r, s, 1);
        if (*s == '\n' && r->depth == 0)
            r->command = r->len;
        return 0;
    }
    enum what what = replacement_find(s, used);
    if (what != LITERAL)
        return replace(r, what);
    *used = 1;
    if (in == SINGLE) {
        add(r, s, 1);
        if (*s == '\'')
            leave(r);
        return 0;
    }
    int status = read_special(r, s, used);
    if (*used)
        return status;
    *used = 1;
    if (in == ARITHMETIC)
        return read_arithmetic(r, s);
    if (in == DOUBLE || in == BACKQUOTE) {
        add(r, s, 1);
        return 0;
    }
    return read_code(r, s, start);
}

// Whether a word added at the end is an argument of the last command, not a
// command itself: an item must never become one.
static bool can_append(const struct reader *r)
{
    static const char *const not_commands[] = {
        "!",     "{",     "}",  "if",   "then", "elif", "else", "fi",   "for",
        "while", "until", "do", "done", "case", "esac", "in",   "exec", "function"};
    if (r->depth || r->heredoc)
        return false;
    const char *s = r->buf + r->command;
    s += strspn(s, " \t");
    size_t n = strcspn(s, " \t\n;&|()<>");
    // What expands to nothing would leave the item in the command's place.
    if (n == 0 || memchr(s, '=', n) || memchr(s, '$', n) || memchr(s, '`', n) || s[n] == ')' ||
        r->buf[r->len - 1] == '\\')
        return false;
    for (size_t i = 0; i < sizeof not_commands / sizeof *not_commands; i++)
        if (strlen(not_commands[i]) == n && !memcmp(s, not_commands[i], n))
            return false;
    return true;
}

static bool refers_to_item(const char *script)
{
    for (const char *s = script; (s = strchr(s, '$')); s++) {
        const char *p = s + 1 + (s[1] == '{');
        if (*p == '1' || *p == '@' || *p == '*')
            return true;
    }
    return false;
}

static char *join_words(char **words, int n)
{
    size_t len = 0, at = 0;
    for (int i = 0; i < n; i++)
        len += strlen(words[i]) + 1;
    char *text = xrealloc(NULL, len + 1);
    text[0] = '\0';
    for (int i = 0; i < n; i++)
        at += (size_t)sprintf(text + at, "%s%s", i ? " " : "", words[i]);
    return text;
}

static int read_all(struct reader *r, const char *text)
{
    size_t used;
    add(r, "", 0);
    for (const char *s = text; *s; s += used) {
        int status = read_one(r, s, text, &used);
        if (status)
            return status;
    }
    if (r->found || refers_to_item(text))
        return 0;
    if (!can_append(r))
        return usage_error("-s: the item cannot be added at the end of this script: "
                           "write {} where it shall go");
    add(r, " \"${1}\"", 7);
    return 0;
}

int shell_compile(struct shell_script *s, char **words, int n)
{
    *s = (struct shell_script){.params = {ITEM}, .params_len = 1};
    struct reader r = {.out = s};
    char *text = join_words(words, n);
    int status = read_all(&r, text);
    free(text);
    if (status)
        free(r.buf);
    else
        s->text = r.buf;
    return status;
}

void shell_quote(FILE *f, const char *word)
{
    static const char safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                               "0123456789_-+=./:,@%^";
    if (*word && word[strspn(word, safe)] == '\0') {
        fputs(word, f);
        return;
    }
    putc('\'', f);
    for (; *word; word++)
        if (*word == '\'')
            fputs("'\\''", f);
        else
            putc(*word, f);
    putc('\'', f);
}
