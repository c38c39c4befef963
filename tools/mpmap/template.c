// SPDX-License-Identifier: MIT
#include "template.h"
#include "say.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void add_part(struct template *t, struct replacement r)
{
    if (r.what == LITERAL && r.len == 0)
        return;
    t->parts = xrealloc(t->parts, ((size_t)t->parts_len + 1) * sizeof *t->parts);
    t->parts[t->parts_len++] = r;
    t->words[t->words_len - 1].count++;
}

static void add_literal(struct template *t, const char *s, size_t len)
{
    add_part(t, (struct replacement){.what = LITERAL, .text = s, .len = len});
}

static void add_word(struct template *t)
{
    t->words = xrealloc(t->words, ((size_t)t->words_len + 1) * sizeof *t->words);
    t->words[t->words_len++] = (struct word){.first = t->parts_len};
}

// Adds a word of the command line: 1 if it has a replacement string, -1 after a message.
static int compile_word(struct template *t, const char *s, const struct replacing *how)
{
    int any = 0;
    add_word(t);
    const char *literal = s;
    while (*s) {
        size_t len;
        struct replacement r;
        int found = replacement_find(how, s, &len, &r);
        if (found < 0)
            return -1;
        if (!found) {
            s++;
            continue;
        }
        add_literal(t, literal, (size_t)(s - literal));
        add_part(t, r);
        literal = s += len;
        any = 1;
    }
    add_literal(t, literal, (size_t)(s - literal));
    return any;
}

static int compile_words(struct template *t, const struct args *a, const struct replacing *how)
{
    int any = 0;
    for (int i = 0; i < a->words_len; i++) {
        int found = compile_word(t, a->words[i], how);
        if (found < 0)
            return EXIT_USAGE;
        any |= found;
    }
    if (!any && !a->pipe && !a->pipe_part) {
        add_word(t);
        add_part(t, (struct replacement){.what = ITEM});
    }
    return 0;
}

// Under GNU parallel's name it is the user's shell, if it is one of sh's family.
static const char *choose_shell(const struct args *a)
{
    static const char *const family[] = {"sh", "bash", "dash", "ksh", "mksh", "zsh", "ash"};
    const char *wanted = getenv("PARALLEL_SHELL");
    if (!wanted || !*wanted)
        wanted = getenv("SHELL");
    if (!a->gnu || !wanted || *wanted != '/' || access(wanted, X_OK))
        return "/bin/sh";
    const char *name = strrchr(wanted, '/') + 1;
    for (size_t i = 0; i < sizeof family / sizeof *family; i++)
        if (!strcmp(name, family[i]))
            return wanted;
    return "/bin/sh";
}

// No command: each item is one, a line of shell.
static void compile_lines(struct template *t, const struct args *a)
{
    const char *shell = choose_shell(a);
    add_word(t);
    add_literal(t, shell, strlen(shell));
    add_word(t);
    add_literal(t, "-c", 2);
    add_word(t);
    add_part(t, (struct replacement){.what = ITEM});
    t->words[t->words_len - 1].joined = true;
}

int template_compile(struct template *t, const struct args *a, struct names *names)
{
    struct replacing how = {.item = a->replace, .renamed = a->renamed, .names = names};
    if (how.item && !strcmp(how.item, "{}"))
        how.item = NULL;
    *t = (struct template){.args = a};
    if (a->words_len == 0) {
        compile_lines(t, a);
        return 0;
    }
    if (!a->shell && (!a->gnu || a->quoted))
        return compile_words(t, a, &how);
    t->shell = choose_shell(a);
    return shell_compile(&t->script, a->words, a->words_len, &how, !a->pipe && !a->pipe_part);
}

const char *template_refuses(const struct template *t, const struct item *item)
{
    return t->shell ? shell_refuses(&t->script, item) : NULL;
}

// ---- expanding --------------------------------------------------------------------------------

static bool is_all(const struct replacement *p)
{
    return is_change(p->what) && p->arg == 0;
}

static bool has_all(const struct template *t, const struct word *w)
{
    for (int i = w->first; i < w->first + w->count; i++)
        if (is_all(&t->parts[i]))
            return true;
    return false;
}

struct expansion {
    struct template *t;
    const struct item *item;
    long seq;
    int slot;
};

static void put(const struct expansion *e, const struct replacement *p, int arg)
{
    if (p->what == LITERAL)
        command_add(&e->t->command, p->text, p->len);
    else
        replacement_put(p, e->item, arg, e->seq, e->slot, &e->t->command);
}

// The word once, with one argument for all of its {}.
static void expand_with(const struct expansion *e, const struct word *w, int arg)
{
    for (int i = w->first; i < w->first + w->count; i++) {
        const struct replacement *p = &e->t->parts[i];
        put(e, p, is_all(p) ? arg : replacement_arg(p, e->item));
    }
    command_end_word(&e->t->command);
}

// The word with all arguments, the first joined to what is before, the last to what is
// after, the others words of their own.
static void expand_all(const struct expansion *e, const struct word *w)
{
    struct command *c = &e->t->command;
    for (int i = w->first; i < w->first + w->count; i++) {
        const struct replacement *p = &e->t->parts[i];
        if (!is_all(p)) {
            put(e, p, replacement_arg(p, e->item));
            continue;
        }
        for (int k = 0; k < e->item->all; k++) {
            if (k && w->joined)
                command_add(c, " ", 1);
            else if (k)
                command_end_word(c);
            put(e, p, k);
        }
    }
    command_end_word(c);
}

static void expand_word(const struct expansion *e, const struct word *w)
{
    bool all = has_all(e->t, w);
    bool alone = w->count == 1 && all && !w->joined; // then no arguments are no word
    if (all && (alone || (e->t->args->repeat && e->item->all > 0)))
        for (int i = 0; i < e->item->all; i++)
            expand_with(e, w, i);
    else
        expand_all(e, w);
}

char **template_expand(struct template *t, const struct item *item, long seq, int slot)
{
    struct expansion e = {t, item, seq, slot};
    command_begin(&t->command);
    if (t->shell) {
        command_add(&t->command, t->shell, strlen(t->shell));
        command_end_word(&t->command);
        command_add(&t->command, "-c", 2);
        command_end_word(&t->command);
        shell_expand(&t->script, item, t->args->repeat, seq, slot, &t->command);
    }
    for (int i = 0; i < t->words_len; i++)
        expand_word(&e, &t->words[i]);
    return command_argv(&t->command);
}

void template_print(struct template *t, const struct item *item, long seq, int slot, FILE *f)
{
    if (t->args->gnu && t->shell) {
        shell_print(&t->script, item, t->args->repeat, seq, slot, f);
        return;
    }
    char **argv = template_expand(t, item, seq, slot);
    for (int i = 0; argv[i]; i++) {
        if (i)
            putc(' ', f);
        shell_quote(f, argv[i]);
    }
}

// In single quotes, as shell_quote() puts a script that has parameters.
static void print_script_begin(const struct shell_script *s, bool quoted, FILE *f)
{
    size_t len = s->marks_len ? s->marks[0].at : s->len;
    for (size_t i = 0; i < len; i++)
        if (quoted && s->text[i] == '\'')
            fputs("'\\''", f);
        else
            putc(s->text[i], f);
}

void template_print_begin(const struct template *t, FILE *f)
{
    if (t->shell) {
        if (!t->args->gnu)
            fprintf(f, "%s -c '", t->shell);
        print_script_begin(&t->script, !t->args->gnu, f);
        return;
    }
    for (int i = 0; i < t->words_len; i++) {
        const struct word *w = &t->words[i];
        if (w->count != 1 || t->parts[w->first].what != LITERAL)
            return;
        shell_quote(f, t->parts[w->first].text);
        putc(' ', f);
    }
}

// ---- packing ----------------------------------------------------------------------------------

size_t template_cost(void *arg, const char *text, size_t len)
{
    const struct template *t = arg;
    size_t pointer = t->args->max_chars ? 0 : sizeof(char *); // which is for characters only
    if (t->shell && t->args->max_chars && t->script.only_items)
        return len + 1;
    if (t->shell)
        return shell_cost(&t->script, text, len);
    size_t cost = 0;
    for (int i = 0; i < t->words_len; i++) {
        const struct word *w = &t->words[i];
        if (!has_all(t, w))
            continue;
        for (int k = w->first; k < w->first + w->count; k++) {
            size_t n = t->parts[k].len;
            if (is_all(&t->parts[k]))
                replacement_of(&t->parts[k], text, len, &n);
            cost += n + 1;
        }
        cost += pointer;
    }
    return cost;
}

static size_t word_len(const struct template *t, const struct word *w)
{
    size_t len = 0;
    for (int i = w->first; i < w->first + w->count; i++)
        len += t->parts[i].len;
    return len;
}

// What the kernel takes: a quarter of the stack, 6 MiB at the most, for the strings of the
// command, its environment and the pointers to them. A page is left for a script's
// interpreter.
size_t template_room(const struct template *t)
{
    long max = sysconf(_SC_ARG_MAX), most = 6L * 1024 * 1024;
    size_t room = (size_t)(max > 0 && max < most ? max : most), used = PATH_MAX;
    for (char **e = environ; *e; e++)
        used += strlen(*e) + 1 + sizeof *e;
    used += t->script.len + 8 * sizeof(char *) + 128;
    for (int i = 0; i < t->parts_len; i++)
        used += t->parts[i].len + 1 + sizeof(char *);
    if (t->shell && !t->script.only_items) { // the script grows, and is an argument itself
        room = 32 * (size_t)sysconf(_SC_PAGESIZE) - 1;
        used = t->script.len;
    }
    room = room > used ? room - used : 1;
    size_t wanted = (size_t)t->args->max_chars, fixed = t->script.len;
    for (int i = 0; i < t->words_len; i++)
        if (!has_all(t, &t->words[i]))
            fixed += word_len(t, &t->words[i]) + 1;
    wanted = !wanted ? room : wanted > fixed ? wanted - fixed : 1;
    return wanted < room ? wanted : room;
}

const char *template_program(const struct template *t)
{
    if (t->shell)
        return t->shell;
    const struct word *w = &t->words[0];
    if (w->count == 0)
        return "";
    return w->count == 1 && t->parts[w->first].what == LITERAL ? t->parts[w->first].text : NULL;
}

void template_free(struct template *t)
{
    for (int i = 0; i < t->parts_len; i++)
        replacement_free(&t->parts[i]);
    free(t->parts);
    free(t->words);
    shell_free(&t->script);
    command_free(&t->command);
}
