// SPDX-License-Identifier: MIT
#include "kept.h"
#include "say.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct kept *kept_new(const struct item *item)
{
    struct kept *k = xrealloc(NULL, sizeof *k);
    *k = (struct kept){.item = *item};
    char *text = xrealloc(NULL, item->len + 1);
    memcpy(text, item->text, item->len);
    text[item->len] = '\0';
    k->item.text = text;
    if (item->args)
        texts_copy(&k->texts, item->args, item->first, item->args_len);
    k->item.args = &k->texts;
    k->item.first = 0;
    return k;
}

void kept_free(struct kept *k)
{
    if (!k)
        return;
    texts_free(&k->texts);
    free((char *)k->item.text);
    free(k);
}

static double random_rank(void)
{
    uint64_t r;
    if (getrandom(&r, sizeof r, 0) != sizeof r)
        r = (uint64_t)rand();
    return (double)(r >> 11);
}

// What is no number comes last.
static double rank_of(const struct item *item, long field)
{
    size_t len;
    long place = labs(field) - 1;
    if (place >= item->args_len)
        return -1e300;
    const char *text = item_arg(item, (int)place, &len);
    char *end;
    double n = strtod(text, &end);
    if (end == text || n != n)
        return -1e300;
    return field < 0 ? -n : n;
}

static void take(struct order *o, const struct item *item, const struct args *a)
{
    if (o->len == o->cap) {
        o->cap = o->cap ? 2 * o->cap : 256;
        o->of = xrealloc(o->of, o->cap * sizeof *o->of);
    }
    struct kept *k = kept_new(item);
    k->rank = a->shuf ? random_rank() : a->priority ? rank_of(item, a->priority) : 0;
    o->of[o->len++] = k;
}

static void merge(struct kept **a, size_t n, struct kept **b, size_t m, struct kept **to)
{
    while (n || m)
        if (n && (!m || (*a)->rank >= (*b)->rank)) {
            *to++ = *a++;
            n--;
        } else {
            *to++ = *b++;
            m--;
        }
}

// Stable, so that equals stay as they came.
static void sort(struct kept **of, size_t n, struct kept **room)
{
    if (n < 2)
        return;
    sort(of, n / 2, room);
    sort(of + n / 2, n - n / 2, room);
    merge(of, n / 2, of + n / 2, n - n / 2, room);
    memcpy(of, room, n * sizeof *of);
}

bool order_wanted(const struct args *a)
{
    return a->shuf || a->priority || (a->halt.when && a->halt.percent);
}

int order_next(struct order *o, struct input *in, const struct args *a, struct item *item)
{
    while (!o->sorted) {
        struct item next;
        int got = input_next(in, &next);
        if (got == INPUT_ITEM) {
            take(o, &next, a);
            continue;
        }
        if (got != INPUT_END)
            return got;
        struct kept **room = xrealloc(NULL, o->len * sizeof *room);
        sort(o->of, o->len, room);
        free(room);
        o->sorted = true;
    }
    if (o->next > 0) {
        kept_free(o->of[o->next - 1]);
        o->of[o->next - 1] = NULL;
    }
    if (o->next == o->len)
        return INPUT_END;
    *item = o->of[o->next++]->item;
    return INPUT_ITEM;
}

void order_free(struct order *o)
{
    for (size_t i = 0; i < o->len; i++)
        kept_free(o->of[i]);
    free(o->of);
    *o = (struct order){0};
}
