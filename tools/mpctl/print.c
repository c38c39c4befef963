// SPDX-License-Identifier: MIT
//
// Answers as people read them, and programs with --json.
#include "print.h"
#include "value.h"

#include <string.h>

static const mp_unpack_opts with_objects = {.ext = true};

int failed(const char *what, int err, const mp_buf *b)
{
    const char *text;
    size_t size;
    char why[300];
    if (b->size && mp_unpack(b->data, b->size, "s#", &text, &size) == 0 && size > 0)
        snprintf(why, sizeof why, "%s (%.*s)", mp_strerror(err), (int)(size < 200 ? size : 200),
                 text);
    else
        snprintf(why, sizeof why, "%s", mp_strerror(err));
    return complain(what, why);
}

int print_answer(const struct ctl *c, const mp_buf *b)
{
    mp_tree *tree;
    int r = mp_tree_new(&tree, b->data, b->size, &with_objects);
    if (r < 0)
        return complain("answer", mp_strerror(r));
    const mp_item *root = mp_tree_root(tree);
    if (c->json || mp_item_typeof(root) != MP_ITEM_NIL) {
        if (c->json)
            value_print(stdout, root);
        else
            value_print_plain(stdout, root);
        putchar('\n');
    }
    mp_tree_free(tree);
    return EXIT_OK;
}

// ---- tables --------------------------------------------------------------------------

enum { COLUMNS = 16, CELL = 64 };

static size_t cell(char out[CELL], const mp_item *item)
{
    FILE *f = fmemopen(out, CELL, "w");
    out[0] = '\0';
    if (f) {
        if (mp_item_typeof(item) != MP_ITEM_NIL && mp_item_typeof(item) != MP_ITEM_NONE)
            value_print_plain(f, item);
        fclose(f);
    }
    out[CELL - 1] = '\0';
    return strlen(out);
}

static const mp_item *field(const mp_item *row, size_t i)
{
    return mp_item_at(row, i); // of a map: its value
}

void print_rows(const mp_item *rows, const char *const *heads, size_t n)
{
    size_t width[COLUMNS];
    char text[CELL];
    for (size_t i = 0; i < n; i++)
        width[i] = strlen(heads[i]);
    for (size_t r = 0; r < mp_item_size(rows); r++)
        for (size_t i = 0; i < n; i++) {
            size_t w = cell(text, field(mp_item_at(rows, r), i));
            width[i] = w > width[i] ? w : width[i];
        }
    for (size_t i = 0; i < n; i++)
        printf("%-*s%s", i + 1 < n ? (int)width[i] : 0, heads[i], i + 1 < n ? "  " : "\n");
    for (size_t r = 0; r < mp_item_size(rows); r++)
        for (size_t i = 0; i < n; i++) {
            cell(text, field(mp_item_at(rows, r), i));
            printf("%-*s%s", i + 1 < n ? (int)width[i] : 0, text, i + 1 < n ? "  " : "\n");
        }
}

// Rows of maps have their own heads.
static size_t heads_of(const mp_item *row, char heads[COLUMNS][CELL], const char **out)
{
    size_t n = mp_item_size(row);
    for (size_t i = 0; i < n && i < COLUMNS; i++) {
        cell(heads[i], mp_item_key(row, i));
        out[i] = heads[i];
    }
    return n < COLUMNS ? n : COLUMNS;
}

int print_table(const struct ctl *c, const mp_buf *b, const char *const *heads, size_t n)
{
    mp_tree *tree;
    char own[COLUMNS][CELL];
    const char *own_heads[COLUMNS];
    if (c->json)
        return print_answer(c, b);
    int r = mp_tree_new(&tree, b->data, b->size, &with_objects);
    if (r < 0)
        return complain("answer", mp_strerror(r));
    const mp_item *rows = mp_tree_root(tree), *row = mp_item_at(rows, 0);
    if (mp_item_typeof(row) == MP_ITEM_MAP) {
        n = heads_of(row, own, own_heads);
        heads = own_heads;
    }
    if (row)
        print_rows(rows, heads, n);
    mp_tree_free(tree);
    return EXIT_OK;
}

int print_map(const struct ctl *c, const mp_buf *b)
{
    mp_tree *tree;
    if (c->json)
        return print_answer(c, b);
    int r = mp_tree_new(&tree, b->data, b->size, &with_objects);
    if (r < 0)
        return complain("answer", mp_strerror(r));
    const mp_item *root = mp_tree_root(tree);
    for (size_t i = 0; i < mp_item_size(root); i++) {
        char key[CELL];
        cell(key, mp_item_key(root, i));
        printf("%-24s ", key);
        value_print_plain(stdout, mp_item_at(root, i));
        putchar('\n');
    }
    mp_tree_free(tree);
    return EXIT_OK;
}
