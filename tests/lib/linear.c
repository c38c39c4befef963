// SPDX-License-Identifier: MIT
//
// The search: events (calls and returns) in a list by time. The first calls of the list, up to the
// first return, may come next in the order: one is tried and taken out with its return; when a
// return is met, none of them would do, and the last choice is taken back. What was tried is
// remembered as the set of operations done and the state they left.
#include "linear.h"

#include <stdlib.h>
#include <string.h>

#define MOST_STEPS 2000000

struct event {
    struct event *next, *prev, *match; // the return of a call; NULL of a return, or of none
    const struct linear_op *op;
    size_t number; // of the operation
    int64_t time;
    bool call;
};

struct choice {
    struct event *event;
    uint8_t before[LINEAR_STATE];
};

struct search {
    const struct linear_model *m;
    struct event head, *events;
    size_t count, words; // events; of the set of operations
    size_t open;         // operations with a return that are not done
    uint64_t *done, **memo;
    size_t memo_count, memo_size;
    struct choice *choices;
    size_t depth;
    uint8_t state[LINEAR_STATE];
};

// Calls before returns of the same time: what touches may overlap.
static int by_time(const void *x, const void *y)
{
    const struct event *a = x, *b = y;
    if (a->time != b->time)
        return a->time < b->time ? -1 : 1;
    return (int)b->call - (int)a->call;
}

static void take_out(struct event *e)
{
    e->prev->next = e->next;
    if (e->next)
        e->next->prev = e->prev;
}

static void put_back(struct event *e)
{
    e->prev->next = e;
    if (e->next)
        e->next->prev = e;
}

// ---- the memo ------------------------------------------------------------------------

static size_t record_size(const struct search *s)
{
    return s->words * 8 + s->m->size;
}

static uint64_t hash(const uint8_t *data, size_t size)
{
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < size; i++)
        h = (h ^ data[i]) * 1099511628211u;
    return h ^ h >> 29;
}

static void memo_grow(struct search *s)
{
    size_t size = s->memo_size ? s->memo_size * 2 : 1024;
    uint64_t **new = calloc(size, sizeof *new);
    for (size_t i = 0; i < s->memo_size; i++)
        if (s->memo[i]) {
            size_t at = hash((uint8_t *)s->memo[i], record_size(s)) & (size - 1);
            while (new[at])
                at = (at + 1) & (size - 1);
            new[at] = s->memo[i];
        }
    free(s->memo);
    s->memo = new;
    s->memo_size = size;
}

// Whether this set of operations with this state is new; it is not from then on.
static bool memo_add(struct search *s, const uint8_t *state)
{
    if (s->memo_count * 2 >= s->memo_size)
        memo_grow(s);
    uint8_t *record = malloc(record_size(s));
    memcpy(record, s->done, s->words * 8);
    memcpy(record + s->words * 8, state, s->m->size);
    size_t at = hash(record, record_size(s)) & (s->memo_size - 1);
    for (; s->memo[at]; at = (at + 1) & (s->memo_size - 1))
        if (memcmp(s->memo[at], record, record_size(s)) == 0) {
            free(record);
            return false;
        }
    s->memo[at] = (uint64_t *)(void *)record;
    s->memo_count++;
    return true;
}

// ---- the search ----------------------------------------------------------------------

static void flip(struct search *s, size_t number)
{
    s->done[number / 64] ^= UINT64_C(1) << number % 64;
}

// Tries an operation as the next one.
static bool try_next(struct search *s, struct event *e)
{
    uint8_t state[LINEAR_STATE];
    memcpy(state, s->state, sizeof state);
    if (!s->m->step(state, e->op))
        return false;
    flip(s, e->number);
    if (!memo_add(s, state)) {
        flip(s, e->number);
        return false;
    }
    struct choice *c = &s->choices[s->depth++];
    c->event = e;
    memcpy(c->before, s->state, sizeof state);
    memcpy(s->state, state, sizeof state);
    take_out(e);
    if (e->match) {
        take_out(e->match);
        s->open--;
    }
    return true;
}

static struct event *undo(struct search *s)
{
    struct choice *c = &s->choices[--s->depth];
    struct event *e = c->event;
    memcpy(s->state, c->before, sizeof s->state);
    flip(s, e->number);
    if (e->match) {
        put_back(e->match);
        s->open++;
    }
    put_back(e);
    return e->next;
}

static enum linear_verdict search(struct search *s)
{
    struct event *e = s->head.next;
    for (size_t steps = 0; s->open > 0; steps++) {
        if (steps > MOST_STEPS)
            return LINEAR_TOO_HARD;
        if (e && e->call) {
            e = try_next(s, e) ? s->head.next : e->next;
            continue;
        }
        if (s->depth == 0)
            return LINEAR_NO;
        e = undo(s);
    }
    return LINEAR_YES;
}

static void add(struct search *s, const struct linear_op *op, size_t number)
{
    struct event *e = &s->events[s->count++];
    *e = (struct event){.op = op, .number = number, .time = op->called, .call = true};
    if (op->returned == LINEAR_NEVER)
        return;
    s->events[s->count++] = (struct event){.op = op, .number = number, .time = op->returned};
    s->open++;
}

static void link_up(struct search *s)
{
    struct event *last = &s->head;
    qsort(s->events, s->count, sizeof *s->events, by_time);
    for (size_t i = 0; i < s->count; i++) {
        struct event *e = &s->events[i];
        e->prev = last;
        last->next = e;
        last = e;
        if (e->call)
            for (size_t j = i + 1; j < s->count && !e->match; j++)
                if (s->events[j].number == e->number)
                    e->match = &s->events[j];
    }
    last->next = NULL;
}

static enum linear_verdict check_object(const struct linear_model *m, const struct linear_op *ops,
                                        size_t n, uint64_t object)
{
    struct search s = {.m = m, .words = (n + 63) / 64};
    s.events = calloc(2 * n, sizeof *s.events);
    s.choices = calloc(n + 1, sizeof *s.choices);
    s.done = calloc(s.words, 8);
    for (size_t i = 0, number = 0; i < n; i++)
        if (ops[i].object == object)
            add(&s, &ops[i], number++);
    link_up(&s);
    enum linear_verdict v = search(&s);
    for (size_t i = 0; i < s.memo_size; i++)
        free(s.memo[i]);
    free(s.memo);
    free(s.events);
    free(s.choices);
    free(s.done);
    return v;
}

enum linear_verdict linear_check(const struct linear_model *m, const struct linear_op *ops,
                                 size_t n, uint64_t *bad)
{
    enum linear_verdict all = LINEAR_YES;
    for (size_t i = 0; i < n && all == LINEAR_YES; i++) {
        bool first = true;
        for (size_t j = 0; j < i && first; j++)
            first = ops[j].object != ops[i].object;
        if (first)
            all = check_object(m, ops, n, *bad = ops[i].object);
    }
    return all;
}

// ---- models --------------------------------------------------------------------------

static bool gave(const struct linear_op *op, int64_t result)
{
    return op->returned == LINEAR_NEVER || op->result == result;
}

static bool counter_step(void *state, const struct linear_op *op)
{
    int64_t *n = state;
    if (op->op == LINEAR_ADD)
        *n += op->a;
    return gave(op, *n);
}

struct value_state {
    int64_t there, value;
};

static bool value_step(void *state, const struct linear_op *op)
{
    struct value_state *s = state;
    bool same;
    switch (op->op) {
    case LINEAR_SET:
        *s = (struct value_state){1, op->a};
        return true;
    case LINEAR_CAS:
        same = s->there && s->value == op->a;
        if (same)
            s->value = op->b;
        return gave(op, same);
    case LINEAR_DEL:
        same = s->there;
        *s = (struct value_state){0, 0};
        return gave(op, same);
    default:
        return gave(op, s->there ? s->value : LINEAR_NONE);
    }
}

static bool lock_step(void *state, const struct linear_op *op)
{
    int64_t *holder = state; // client + 1; 0: free
    bool mine = *holder == op->client + 1;
    switch (op->op) {
    case LINEAR_ACQUIRE:
        if (*holder)
            return false; // it would not have returned; without a return it did nothing
        *holder = op->client + 1;
        return true;
    case LINEAR_TRY:
        if (*holder)
            return gave(op, 0);
        if (op->returned != LINEAR_NEVER && op->result == 0)
            return false;
        *holder = op->client + 1;
        return true;
    case LINEAR_RELEASE:
        if (mine)
            *holder = 0;
        return mine;
    default:
        if (mine)
            *holder = 0;
        return true;
    }
}

struct queue_state {
    int64_t count, item[31];
};

static bool queue_step(void *state, const struct linear_op *op)
{
    struct queue_state *q = state;
    if (op->op == LINEAR_PUT && op->returned != LINEAR_NEVER && op->result < 0)
        return true; // refused
    if (op->op == LINEAR_PUT) {
        if (q->count == 31)
            return false;
        q->item[q->count++] = op->a;
        return true;
    }
    if (q->count == 0)
        return gave(op, LINEAR_NONE);
    if (!gave(op, q->item[0]))
        return false;
    memmove(q->item, q->item + 1, (size_t)--q->count * sizeof *q->item);
    q->item[q->count] = 0;
    return true;
}

const struct linear_model linear_counter = {"counter", sizeof(int64_t), counter_step};
const struct linear_model linear_value = {"value", sizeof(struct value_state), value_step};
const struct linear_model linear_lock = {"lock", sizeof(int64_t), lock_step};
const struct linear_model linear_queue = {"queue", sizeof(struct queue_state), queue_step};
