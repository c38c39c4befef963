// SPDX-License-Identifier: MIT
#include "template.h"
#include "say.h"
#include "shell.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add_part(struct template *t, enum what what, const char *text, size_t len)
{
    if (what == LITERAL && len == 0)
        return;
    t->parts = xrealloc(t->parts, ((size_t)t->parts_len + 1) * sizeof *t->parts);
    t->parts[t->parts_len++] = (struct part){what, text, len};
    t->words[t->words_len - 1].count++;
}

static void add_word(struct template *t)
{
    t->words = xrealloc(t->words, ((size_t)t->words_len + 1) * sizeof *t->words);
    t->words[t->words_len++] = (struct word){t->parts_len, 0};
}

// Adds a word of the command line; whether it has a replacement string.
static bool compile_word(struct template *t, const char *s)
{
    bool found = false;
    add_word(t);
    const char *literal = s;
    while (*s) {
        size_t len;
        enum what what = replacement_find(s, &len);
        if (what == LITERAL) {
            s++;
            continue;
        }
        add_part(t, LITERAL, literal, (size_t)(s - literal));
        add_part(t, what, NULL, 0);
        literal = s += len;
        found = true;
    }
    add_part(t, LITERAL, literal, (size_t)(s - literal));
    return found;
}

static void add_literal_word(struct template *t, const char *s)
{
    add_word(t);
    add_part(t, LITERAL, s, strlen(s));
}

// /bin/sh -c script sh item ...: the item is $1, never part of the script.
static int compile_shell(struct template *t, const struct args *a)
{
    struct shell_script s;
    int status = shell_compile(&s, a->words, a->words_len);
    if (status)
        return status;
    t->script = s.text;
    add_literal_word(t, "/bin/sh");
    add_literal_word(t, "-c");
    add_literal_word(t, s.text);
    add_literal_word(t, "sh");
    for (int i = 0; i < s.params_len; i++) {
        add_word(t);
        add_part(t, s.params[i], NULL, 0);
    }
    return 0;
}

int template_compile(struct template *t, const struct args *a)
{
    *t = (struct template){0};
    int status = 0;
    if (a->shell) {
        status = compile_shell(t, a);
    } else {
        bool found = false;
        for (int i = 0; i < a->words_len; i++)
            found |= compile_word(t, a->words[i]);
        if (!found) {
            add_word(t);
            add_part(t, ITEM, NULL, 0);
        }
    }
    t->argv = xrealloc(NULL, ((size_t)t->words_len + 1) * sizeof *t->argv);
    return status;
}

static struct part resolve(const struct part *p, const struct item *item, const char *seq,
                           const char *slot)
{
    switch (p->what) {
    case LITERAL:
        return *p;
    case SEQ:
        return (struct part){LITERAL, seq, strlen(seq)};
    case SLOT:
        return (struct part){LITERAL, slot, strlen(slot)};
    default:;
        size_t len;
        const char *text = replacement_of(p->what, item->text, item->len, &len);
        return (struct part){LITERAL, text, len};
    }
}

static void put(struct template *t, size_t *at, struct part p)
{
    if (*at + p.len + 1 > t->cap) {
        t->cap = 2 * (*at + p.len + 1);
        t->buf = xrealloc(t->buf, t->cap);
    }
    memcpy(t->buf + *at, p.text, p.len);
    *at += p.len;
}

char **template_expand(struct template *t, const struct item *item, long seq, int slot)
{
    static const struct part nul = {LITERAL, "", 1};
    char seq_text[24], slot_text[16];
    snprintf(seq_text, sizeof seq_text, "%ld", seq);
    snprintf(slot_text, sizeof slot_text, "%d", slot);
    size_t at = 0;
    for (int i = 0; i < t->words_len; i++) {
        const struct word *w = &t->words[i];
        for (int j = w->first; j < w->first + w->count; j++)
            put(t, &at, resolve(&t->parts[j], item, seq_text, slot_text));
        put(t, &at, nul);
    }
    // Only now, as the buffer may have moved while it grew.
    char *p = t->buf;
    for (int i = 0; i < t->words_len; i++, p += strlen(p) + 1)
        t->argv[i] = p;
    t->argv[t->words_len] = NULL;
    return t->argv;
}

const char *template_program(const struct template *t)
{
    const struct word *w = &t->words[0];
    if (w->count == 0)
        return "";
    return w->count == 1 && t->parts[w->first].what == LITERAL ? t->parts[w->first].text : NULL;
}

void template_free(struct template *t)
{
    free(t->parts);
    free(t->words);
    free(t->argv);
    free(t->buf);
    free(t->script);
}
