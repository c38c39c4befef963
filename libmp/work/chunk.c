// SPDX-License-Identifier: MIT
#include "work/chunk.h"
#include "work/control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int post(struct mp__chunk *c, bool again);

static void note_failure(struct mp__chunk *c, size_t i, const struct mp__outcome *o)
{
    if (c->failed++ == 0) {
        c->first_failed = i;
        mp__tasks_describe(o, c->text, sizeof c->text);
    }
    if (c->error == 0 || c->error == MP_ETASK)
        c->error = o->error;
}

// Takes over k items, from base on, that have been run.
static void take_items(struct mp__chunk *c, size_t k, const struct mp__outcome *o)
{
    size_t n = c->n - c->base;
    const int *status = o->data;
    const char *out = (const char *)o->data + mp__chunk_results_at(n);
    if (c->out_size)
        memcpy(c->out + c->base * c->out_size, out, k * c->out_size);
    for (size_t i = 0; i < k; i++) {
        c->status[c->base + i] = status[i];
        if (status[i] != 0)
            note_failure(c, c->base + i, &(struct mp__outcome){MP_ETASK, .status = status[i]});
    }
    if (k)
        c->tries = 0;
    c->base += k;
}

// Nothing will become of the rest.
static void fail_rest(struct mp__chunk *c, const struct mp__outcome *o)
{
    for (; c->base < c->n; c->base++) {
        c->status[c->base] = o->error;
        note_failure(c, c->base, o);
    }
}

// The worker did not come to the end.
static void take_broken(struct mp__chunk *c, const struct mp__outcome *o)
{
    size_t n = c->n - c->base;
    bool sound = o->data && o->size == mp__chunk_result_size(n, c->out_size);
    if (o->at == MP__NOWHERE || o->at >= n || !sound)
        return; // no item was begun
    take_items(c, o->at, o);
    if (c->tries++ < c->opts.retries)
        return;
    c->status[c->base] = o->error;
    note_failure(c, c->base, o);
    c->base++;
    c->tries = 0;
}

static void chunk_done(void *owner, const struct mp__outcome *o)
{
    struct mp__chunk *c = owner;
    size_t n = c->n - c->base;
    c->ns += o->ns;
    if (o->error == 0 && o->size == mp__chunk_result_size(n, c->out_size))
        take_items(c, n, o);
    else if (o->error == MP_EWORKERDIED || o->error == MP_ETIMEDOUT)
        take_broken(c, o);
    else if (o->error == 0)
        fail_rest(c, &(struct mp__outcome){.error = MP_EPROTO});
    else if (o->error == MP_ETASK) // the room for the results was not to be had
        fail_rest(c, &(struct mp__outcome){.error = o->status < 0 ? o->status : MP_EPROTO});
    else
        fail_rest(c, o);
    if (c->base < c->n) {
        int r = post(c, true);
        if (r == 0)
            return; // from now on it may be settled by another thread
        fail_rest(c, &(struct mp__outcome){.error = r});
    }
    c->settled(c);
}

static int post(struct mp__chunk *c, bool again)
{
    size_t n = c->n - c->base, bytes = n * c->in_size, head = mp__chunk_items_at(c->ctx_size);
    struct mp__chunk_call *call = malloc(head + bytes);
    if (!call)
        return -ENOMEM;
    *call = (struct mp__chunk_call){c->fn,      c->opts.ctx, c->ctx_size,        n,
                                    c->in_size, c->out_size, c->first + c->base, c->opts.retries};
    if (c->ctx_size)
        memcpy(call + 1, c->opts.ctx, c->ctx_size);
    if (bytes)
        memcpy((char *)call + head, c->in + c->base * c->in_size, bytes);
    struct mp__posting what = {
        .fn = mp__chunk_run,
        .arg = call,
        .size = head + bytes,
        .opts = {.priority = c->opts.priority, .timeout_ms = c->opts.timeout_ms},
        .done = chunk_done,
        .owner = c,
        .again = again,
    };
    int r = mp__tasks_post(c->pool, &what, MP__NEVER);
    free(call);
    return r;
}

int mp__chunk_post(struct mp__chunk *c)
{
    return post(c, false);
}
