// SPDX-License-Identifier: MIT
#include "resume.h"
#include "say.h"

#include <stdlib.h>
#include <string.h>

// A job of the joblog; after the sorting and merging, all that are equal.
struct past {
    struct key key;
    long seq, line; // the same job again in a later run has the same seq
    enum record_kind kind;
    long has_run, may_have; // not yet asked for
    char *command;          // of one that failed, for RETRY_FAILED
};

static void add(void *arg, struct record_read *rec)
{
    struct resume *r = arg;
    if (r->len == r->cap) {
        r->cap = r->cap ? 2 * r->cap : 256;
        r->past = xrealloc(r->past, r->cap * sizeof *r->past);
    }
    if (!rec->command || !strncmp(rec->command, r->begin, strlen(r->begin)))
        r->same_command = true;
    struct past *p = &r->past[r->len];
    *p = (struct past){.key = rec->key, .seq = rec->seq, .line = (long)r->len, .kind = rec->kind};
    if (r->mode == RETRY_FAILED && rec->kind == RECORD_FAILED && rec->command)
        p->command = xstrdup(rec->command);
    r->len++;
}

static int by_key(const void *x, const void *y)
{
    const struct past *a = x, *b = y;
    int c = key_compare(a->key, b->key);
    if (c == 0)
        c = (a->seq > b->seq) - (a->seq < b->seq);
    return c ? c : (a->line > b->line) - (a->line < b->line);
}

static int by_seq(const void *x, const void *y)
{
    const struct past *a = x, *b = y;
    if (a->seq != b->seq)
        return a->seq < b->seq ? -1 : 1;
    return (a->line > b->line) - (a->line < b->line);
}

// Of each job what was told last; then of equal jobs one, with their numbers.
static void merge(struct resume *r)
{
    size_t to = 0;
    if (r->len)
        qsort(r->past, r->len, sizeof *r->past, by_key);
    for (size_t i = 0; i < r->len; i++) {
        struct past *p = &r->past[i], *next = p + 1;
        bool last = i + 1 == r->len || key_compare(p->key, next->key) || p->seq != next->seq;
        if (!last) { // told of again
            free(p->command);
            continue;
        }
        p->has_run =
            p->kind == RECORD_OK || (p->kind == RECORD_FAILED && r->mode == RESUME) ? 1 : 0;
        p->may_have = p->kind == RECORD_STARTED;
        if (r->mode != RETRY_FAILED && to && !key_compare(r->past[to - 1].key, p->key)) {
            r->past[to - 1].has_run += p->has_run;
            r->past[to - 1].may_have += p->may_have;
        } else {
            r->past[to++] = *p;
        }
    }
    r->len = to;
}

static void list_failed(struct resume *r)
{
    r->failed = xrealloc(NULL, (r->len + 1) * sizeof *r->failed);
    r->failed_seq = xrealloc(NULL, (r->len + 1) * sizeof *r->failed_seq);
    if (r->len)
        qsort(r->past, r->len, sizeof *r->past, by_seq);
    for (size_t i = 0; i < r->len; i++) {
        struct past *p = &r->past[i];
        if (p->kind != RECORD_FAILED || !p->command) {
            free(p->command);
            continue;
        }
        r->failed[r->failed_len] = p->command;
        r->failed_seq[r->failed_len++] = p->seq;
    }
    r->len = 0;
}

int resume_load(struct resume *r, struct joblog *l, enum resume_mode mode, const char *begin)
{
    *r = (struct resume){.mode = mode, .begin = begin};
    int status = joblog_read(l, add, r);
    if (status)
        return status;
    if (r->len && !r->same_command)
        return usage_error("--joblog %s: is the joblog of another command, not of: %s", l->name,
                           begin);
    merge(r);
    if (mode == RETRY_FAILED)
        list_failed(r);
    return 0;
}

enum resume_answer resume_ask(struct resume *r, const char *command)
{
    struct key key = key_of(command);
    size_t low = 0, high = r->len;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (key_compare(r->past[mid].key, key) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    if (low == r->len || key_compare(r->past[low].key, key))
        return MUST_RUN;
    struct past *p = &r->past[low];
    if (p->has_run > 0) {
        p->has_run--;
        return HAS_RUN;
    }
    if (p->may_have == 0)
        return MUST_RUN;
    p->may_have--;
    return MAY_HAVE_RUN;
}

void resume_free(struct resume *r)
{
    for (size_t i = 0; i < r->len; i++)
        free(r->past[i].command);
    for (int i = 0; i < r->failed_len; i++)
        free(r->failed[i]);
    free(r->past);
    free(r->failed);
    free(r->failed_seq);
    *r = (struct resume){0};
}
