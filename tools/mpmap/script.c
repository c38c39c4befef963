// SPDX-License-Identifier: MIT
//
// A script of -s for an item: it is walked twice, once to write the script, with ${1} and
// the like in the places of its replacement strings, and once to write what these stand
// for, in the same order, as its parameters. The items come first, so that a script may
// use $1 and $@ itself.
#include "shell.h"

#include <string.h>

struct walk {
    const struct shell_script *s;
    const struct item *item;
    long seq;
    int slot;
    struct command *c;
    int params;  // that have a number so far
    bool script; // this time the script is made, not its parameters
    FILE *print; // instead: what it looks like with the items in it
};

static void literal(struct walk *w, const char *text, size_t len)
{
    if (w->print)
        fwrite(text, 1, len, w->print);
    else if (w->script)
        command_add(w->c, text, len);
}

// A text within quotes of the script, so that a shell reads it back.
static void print_quoted(FILE *f, const char *text, enum shell_form form)
{
    for (; *text; text++) {
        if (form == IN_SINGLE && *text == '\'')
            fputs("'\\'", f);
        else if (form != IN_SINGLE && strchr("\"$`\\", *text))
            putc('\\', f);
        putc(*text, f);
    }
}

static void print_value(struct walk *w, const struct shell_mark *m, int arg)
{
    command_begin(w->c);
    replacement_put(&m->r, w->item, arg, w->seq, w->slot, w->c);
    command_end_word(w->c);
    const char *text = command_argv(w->c)[0];
    if (m->form == BARE)
        shell_quote(w->print, text);
    else
        print_quoted(w->print, text, m->form);
}

// One argument, or number or slot: as "${n}" in the script, or as parameter.
static void value(struct walk *w, const struct shell_mark *m, int arg)
{
    char ref[32];
    if (w->print) {
        print_value(w, m, arg);
        return;
    }
    bool is_param = m->r.what == ITEM && arg >= 0 && arg < w->item->all; // they come first
    int number = is_param ? arg + 1 : ++w->params;
    if (w->script) {
        bool quotes = m->form == BARE;
        const char *quote = quotes ? "\"" : "";
        command_add(w->c, ref,
                    (size_t)snprintf(ref, sizeof ref, "%s${%d}%s", quote, number, quote));
    } else if (!is_param) {
        replacement_put(&m->r, w->item, arg, w->seq, w->slot, w->c);
        command_end_word(w->c);
    }
}

static void values(struct walk *w, const struct shell_mark *m, int only)
{
    bool all = is_change(m->r.what) && m->r.arg == 0;
    int first = !all ? replacement_arg(&m->r, w->item) : only >= 0 ? only : 0;
    int end = !all || only >= 0 ? first + 1 : w->item->all;
    if (first < 0 && m->form == BARE && is_change(m->r.what))
        return; // an argument that is not there is no word
    bool out_of_quotes = m->form == IN_SINGLE && !w->print;
    if (out_of_quotes)
        literal(w, "'\"", 2);
    if (w->s->only_items && w->script && !w->print && end - first > 1) {
        literal(w, "\"$@\"", 4);
        return;
    }
    for (int i = first; i < end; i++) {
        if (i > first)
            literal(w, " ", 1);
        value(w, m, i);
    }
    if (out_of_quotes)
        literal(w, "\"'", 2);
}

// The text [from, to) and its marks, for all arguments or only one.
static int piece(struct walk *w, int mark, size_t from, size_t to, int only)
{
    const struct shell_script *s = w->s;
    for (; mark < s->marks_len && s->marks[mark].at <= to; mark++) {
        const struct shell_mark *m = &s->marks[mark];
        literal(w, s->text + from, m->at - from);
        values(w, m, only);
        from = m->at;
    }
    literal(w, s->text + from, to - from);
    return mark;
}

static void walk(struct walk *w, bool repeat)
{
    const struct shell_script *s = w->s;
    size_t at = 0;
    int mark = 0;
    w->params = w->item->all;
    while (mark < s->marks_len) {
        const struct shell_mark *m = &s->marks[mark];
        if (!repeat || !m->repeats || w->item->all < 2) {
            literal(w, s->text + at, m->at - at);
            values(w, m, -1);
            at = m->at;
            mark++;
            continue;
        }
        literal(w, s->text + at, m->word_begin - at);
        int next = mark;
        for (int i = 0; i < w->item->all; i++) {
            if (i)
                literal(w, " ", 1);
            next = piece(w, mark, m->word_begin, m->word_end, i);
        }
        at = m->word_end;
        mark = next;
    }
    literal(w, s->text + at, s->len - at);
}

void shell_expand(const struct shell_script *s, const struct item *item, bool repeat, long seq,
                  int slot, struct command *c)
{
    struct walk w = {.s = s, .item = item, .seq = seq, .slot = slot, .c = c, .script = true};
    walk(&w, repeat);
    command_end_word(c);
    command_add(c, "sh", 2);
    command_end_word(c);
    for (int i = 0; i < item->all; i++) {
        size_t len;
        const char *arg = item_arg(item, i, &len);
        command_add(c, arg, len);
        command_end_word(c);
    }
    w.script = false;
    walk(&w, repeat);
}

void shell_print(const struct shell_script *s, const struct item *item, bool repeat, long seq,
                 int slot, FILE *f)
{
    struct command text = {0};
    struct walk w = {
        .s = s, .item = item, .seq = seq, .slot = slot, .c = &text, .script = true, .print = f};
    walk(&w, repeat);
    command_free(&text);
}

size_t shell_cost(const struct shell_script *s, const char *arg, size_t len)
{
    size_t cost = len + 1 + sizeof(char *);
    for (int i = 0; i < s->marks_len && !s->only_items; i++) {
        size_t n = 0;
        if (is_change(s->marks[i].r.what))
            replacement_of(&s->marks[i].r, arg, len, &n);
        cost += n + 1 + sizeof(char *) + sizeof "\"${123456}\"" +
                (s->marks[i].word_end - s->marks[i].word_begin);
    }
    return cost;
}

static bool is_number(const char *s, size_t len)
{
    size_t sign = len > 1 && (*s == '-' || *s == '+');
    for (size_t i = sign; i < len; i++)
        if (s[i] < '0' || s[i] > '9')
            return false;
    return len > 0;
}

const char *shell_refuses(const struct shell_script *s, const struct item *item)
{
    for (int i = 0; i < s->marks_len; i++) {
        const struct shell_mark *m = &s->marks[i];
        if (m->form != IN_ARITHMETIC || !is_change(m->r.what))
            continue;
        int arg = replacement_arg(&m->r, item);
        int end = m->r.arg ? arg + 1 : item->all;
        for (int k = m->r.arg ? arg : 0; k < end; k++) {
            size_t len = 0;
            const char *text = k >= 0 && k < item->args_len ? item_arg(item, k, &len) : "";
            text = replacement_of(&m->r, text, len, &len);
            if (!is_number(text, len))
                return "the script calculates with it, and it is not a whole number: "
                       "some shells run code that they find there";
        }
    }
    return NULL;
}
