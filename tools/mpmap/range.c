// SPDX-License-Identifier: MIT
#include "range.h"

#include <string.h>
#include <time.h>

struct setup range_setup;

const struct progress *range_progress(const struct range *r)
{
    return &r->state[atomic_load_explicit(&r->turn, memory_order_acquire) % 2];
}

// All of it with one store: who is killed before it has not done the record, who is
// killed after it has.
void range_publish(struct range *r, const struct progress *now)
{
    unsigned turn = atomic_load_explicit(&r->turn, memory_order_relaxed) + 1;
    r->state[turn % 2] = *now;
    atomic_store_explicit(&r->turn, turn, memory_order_release);
}

// The record that *now is at fails. Does not count until *now is published.
void range_add_failure(struct range *r, struct progress *now, struct failure f)
{
    f.record = now->record;
    f.pos = now->pos;
    if (now->failed < FAILURES)
        r->failure[now->failed] = f;
    now->failed++;
}

struct range_out {
    mp_out out; // first: the function's pointer to it is ours to the whole
    struct range *range;
};

static int grow(mp_out *out, size_t more)
{
    struct range *r = ((struct range_out *)out)->range;
    size_t cap = out->cap ? out->cap * 2 : 4096;
    void *data;
    while (cap - out->len < more)
        if (__builtin_mul_overflow(cap, 2, &cap))
            return -ENOMEM;
    if (mp_arena_alloc(range_setup.arena, &data, cap, 1) < 0)
        return -ENOMEM;
    if (out->len)
        memcpy(data, out->data, out->len);
    char *old = out->data;
    out->data = data;
    out->cap = cap;
    atomic_store_explicit(&r->out, data, memory_order_release); // first: it is the larger
    atomic_store_explicit(&r->out_cap, cap, memory_order_release);
    mp_arena_free(range_setup.arena, old);
    return 0;
}

// Of a range, which holds whole records: only the last of fixed ones may be short.
size_t range_record_len(const struct records *how, const char *s, size_t left)
{
    size_t len = records_next(how, s, left);
    return len && len <= left ? len : left;
}

static void do_records(struct range *r, struct progress *now, struct range_out *o)
{
    mp_record_fn *fn = range_setup.function;
    struct records how = range_setup.records;
    while (now->pos < r->len) {
        char *record = r->data + now->pos;
        size_t len = range_record_len(&how, record, r->len - now->pos), next = now->pos + len;
        r->next = next;
        atomic_signal_fence(memory_order_seq_cst); // else a kill could leave no trace of the end
        if (how.kind == LINES)
            record[--len] = '\0';
        int code = fn(record, len, &o->out, &range_setup.arguments);
        if (code) {
            range_add_failure(r, now, (struct failure){.code = code});
            o->out.len = now->out_len;
        }
        now->out_len = o->out.len;
        now->record++;
        now->pos = next;
        range_publish(r, now);
    }
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int range_work(mp_task *task, const void *unused, size_t size, void *range)
{
    (void)task, (void)unused, (void)size;
    struct range *r = range;
    int64_t begin = now_ns();
    struct progress now = *range_progress(r);
    struct range_out o = {{r->out, now.out_len, r->out_cap, grow}, r};
    do_records(r, &now, &o);
    r->ns = now_ns() - begin;
    return 0;
}

int range_start_worker(void *unused)
{
    (void)unused;
    return range_setup.init(&range_setup.arguments);
}
