// SPDX-License-Identifier: MIT
#include "command.h"
#include "say.h"

#include <stdlib.h>
#include <string.h>

void command_begin(struct command *c)
{
    c->size = 0;
    c->words = 0;
    if (!c->max) {
        c->max = 16;
        c->begin = xrealloc(NULL, (size_t)c->max * sizeof *c->begin);
        c->argv = xrealloc(NULL, (size_t)c->max * sizeof *c->argv);
    }
    c->begin[0] = 0;
}

void command_add(struct command *c, const char *s, size_t len)
{
    if (c->size + len + 1 > c->cap) {
        c->cap = 2 * (c->size + len + 1);
        c->bytes = xrealloc(c->bytes, c->cap);
    }
    memcpy(c->bytes + c->size, s, len);
    c->size += len;
}

void command_end_word(struct command *c)
{
    command_add(c, "", 1);
    if (++c->words + 1 >= c->max) {
        c->max *= 2;
        c->begin = xrealloc(c->begin, (size_t)c->max * sizeof *c->begin);
        c->argv = xrealloc(c->argv, (size_t)c->max * sizeof *c->argv);
    }
    c->begin[c->words] = c->size;
}

char **command_argv(struct command *c)
{
    for (int i = 0; i < c->words; i++) // only now, as the bytes may have moved
        c->argv[i] = c->bytes + c->begin[i];
    c->argv[c->words] = NULL;
    return c->argv;
}

void command_free(struct command *c)
{
    free(c->bytes);
    free(c->begin);
    free(c->argv);
    *c = (struct command){0};
}
