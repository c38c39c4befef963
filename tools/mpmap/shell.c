// SPDX-License-Identifier: MIT
#include "shell.h"
#include "say.h"

#include <stdlib.h>
#include <string.h>

// Where the reader is. Quotes nest through $( ) and ${ }: "$(echo "a")".
enum context { PLAIN, SINGLE, DOUBLE, COMMAND, BRACE, ARITHMETIC, BACKQUOTE, COMMENT };
enum { DEPTH = 64 };

struct scan {
    struct shell_script *out;
    char *buf;
    size_t len, cap;
    enum context stack[DEPTH];
    int depth;         // stack[depth] is where we are
    int parens[DEPTH]; // open ( in it
    bool heredoc;      // a here-document began: what follows may be its body
    bool found;        // a replacement string
    size_t command;    // where in buf the last simple command begins
    size_t word;       // where the word at hand does, and its first mark
    int word_mark;
    const struct replacing *how;
};

static enum context where(const struct scan *r)
{
    return r->stack[r->depth];
}

static void add(struct scan *r, const char *s, size_t n)
{
    if (r->len + n + 1 > r->cap) {
        r->cap = 2 * (r->len + n + 1);
        r->buf = xrealloc(r->buf, r->cap);
    }
    memcpy(r->buf + r->len, s, n);
    r->len += n;
    r->buf[r->len] = '\0';
}

static int enter(struct scan *r, enum context c)
{
    if (r->depth + 1 == DEPTH)
        return usage_error("-s: quotes and $( ) nest too deeply");
    r->stack[++r->depth] = c;
    r->parens[r->depth] = 0;
    return 0;
}

static void leave(struct scan *r)
{
    if (r->depth)
        r->depth--;
}

// Whether quotes around this place keep words together: "${x:-{}}" counts as quoted.
static bool in_double(const struct scan *r)
{
    int d = r->depth;
    while (d && r->stack[d] == BRACE)
        d--;
    return r->stack[d] == DOUBLE;
}

static bool inside(const struct scan *r, enum context c)
{
    for (int d = r->depth; d > 0; d--)
        if (r->stack[d] == c)
            return true;
    return false;
}

static int refuse(const char *place, const char *remedy)
{
    return usage_error("-s: no replacement string can stand in %s: %s", place, remedy);
}

static int replace(struct scan *r, const struct replacement *what)
{
    if (inside(r, BACKQUOTE))
        return refuse("backquotes", "use $(...)");
    if (r->heredoc)
        return refuse("or after a here-document", "use printf '%s\\n' {} | ...");
    struct shell_script *s = r->out;
    enum shell_form form = inside(r, ARITHMETIC) ? IN_ARITHMETIC
                           : where(r) == SINGLE  ? IN_SINGLE
                           : in_double(r)        ? IN_DOUBLE
                                                 : BARE;
    s->marks = xrealloc(s->marks, ((size_t)s->marks_len + 1) * sizeof *s->marks);
    s->marks[s->marks_len++] = (struct shell_mark){.at = r->len, .r = *what, .form = form};
    s->only_items = s->only_items && what->what == ITEM && what->arg == 0 && form == BARE;
    r->found = true;
    return 0;
}

// The word at hand ends. With -X it is repeated, if there is a {} in it.
static void end_word(struct scan *r)
{
    struct shell_script *s = r->out;
    bool all = false;
    for (int i = r->word_mark; i < s->marks_len; i++)
        all |= s->marks[i].r.arg == 0 && is_change(s->marks[i].r.what);
    for (int i = r->word_mark; i < s->marks_len; i++) {
        s->marks[i].repeats = all && (r->len > r->word || s->marks_len - r->word_mark > 1);
        s->marks[i].word_begin = r->word;
        s->marks[i].word_end = r->len;
    }
    r->word_mark = s->marks_len;
}

// Copies one byte of code: not in quotes.
static int read_code(struct scan *r, const char *s, const char *start)
{
    char c = *s;
    if (r->depth == 0 && strchr(" \t\n;&|()<>", c))
        end_word(r);
    add(r, s, 1);
    if (r->depth == 0 && strchr(" \t\n;&|()<>", c))
        r->word = r->len;
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

static int read_arithmetic(struct scan *r, const char *s)
{
    add(r, s, 1);
    if (*s == '(')
        r->parens[r->depth]++;
    if (*s == ')' && --r->parens[r->depth] == 0)
        leave(r);
    return 0;
}

// A quote that ends a context, or begins one.
static int read_quote(struct scan *r, const char *s, enum context quoted)
{
    add(r, s, 1);
    if (where(r) != quoted)
        return enter(r, quoted);
    leave(r);
    return 0;
}

// What begins at s and is longer than a byte or changes the context; its length
// in *used, 0 if nothing does.
static int read_special(struct scan *r, const char *s, size_t *used)
{
    enum context in = where(r);
    *used = 1;
    if (*s == '\\' && s[1]) {
        *used = 2;
        add(r, s, 2);
        return 0;
    }
    if (*s == '`')
        return read_quote(r, s, BACKQUOTE);
    if (*s == '"')
        return read_quote(r, s, DOUBLE);
    if (*s == '\'' && !in_double(r))
        return read_quote(r, s, SINGLE);
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

static int read_one(struct scan *r, const char *s, const char *start, size_t *used)
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
    struct replacement what;
    int found = replacement_find(r->how, s, used, &what);
    if (found)
        return found < 0 ? EXIT_USAGE : replace(r, &what);
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
static bool can_append(const struct scan *r)
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

static int read_all(struct scan *r, const char *text, bool append)
{
    size_t used;
    add(r, "", 0);
    for (const char *s = text; *s; s += used) {
        int status = read_one(r, s, text, &used);
        if (status)
            return status;
    }
    if (append && !r->found && !refers_to_item(text)) {
        if (!can_append(r))
            return usage_error("-s: the item cannot be added at the end of this script: "
                               "write {} where it shall go");
        end_word(r);
        add(r, " ", 1);
        r->word = r->len;
        replace(r, &(struct replacement){.what = ITEM});
    }
    end_word(r);
    return 0;
}

int shell_compile(struct shell_script *s, char **words, int n, const struct replacing *how,
                  bool append)
{
    *s = (struct shell_script){.only_items = true, .words = join_words(words, n)};
    struct scan r = {.out = s, .how = how};
    int status = read_all(&r, s->words, append);
    s->text = r.buf;
    s->len = r.len;
    return status;
}

void shell_free(struct shell_script *s)
{
    for (int i = 0; i < s->marks_len; i++)
        replacement_free(&s->marks[i].r);
    free(s->marks);
    free(s->words);
    free(s->text);
    *s = (struct shell_script){0};
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
