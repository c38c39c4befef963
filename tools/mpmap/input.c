// SPDX-License-Identifier: MIT
#include "input.h"
#include "say.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RECORD_MAX = 16 * 1024 * 1024 }; // of records that are split

const char *item_arg(const struct item *item, int i, size_t *len)
{
    const struct text *t = &item->args->of[item->first + i];
    *len = t->len;
    return item->args->bytes + t->at;
}

// ---- opening ----------------------------------------------------------------------------------

// What ends records, the same for all sources. 0, or a status after a message.
static int set_separator(struct input *in, const struct args *a)
{
    in->separator = unescape(a->delimiter ? a->delimiter
                             : a->null    ? "\\0"
                                          : "\n",
                             &in->separator_len);
    return in->separator_len ? 0 : usage_error("-d: the text that ends items cannot be empty");
}

static void add_group(struct input *in, const struct args *a, const struct source *s)
{
    if (!in->groups_len || a->link || !s || !s->linked) {
        int n = in->groups_len++;
        in->groups = xrealloc(in->groups, (size_t)in->groups_len * sizeof *in->groups);
        in->groups[n] = (struct group){.held = a->link || n > 0};
    }
    struct group *g = &in->groups[in->groups_len - 1];
    g->readers = xrealloc(g->readers, ((size_t)g->len + 1) * sizeof *g->readers);
    g->len++;
}

static int open_source(struct input *in, const struct args *a, const struct source *s)
{
    add_group(in, a, s);
    struct group *g = &in->groups[in->groups_len - 1];
    struct reader *r = &g->readers[g->len - 1];
    int status = reader_open(r, s);
    r->separator = in->separator;
    r->separator_len = in->separator_len;
    if (in->splitter.kind == CSV)
        r->csv = in->splitter.csv;
    if (in->splitter.kind != WHOLE)
        r->limit = RECORD_MAX;
    return status;
}

// As reader_next(); but the byte order mark that some programs begin a table with is none of it.
static int next_text(const struct input *in, struct reader *r, struct record *record)
{
    int got = reader_next(r, record);
    if (got == INPUT_ITEM && r->records == 1 && in->splitter.kind != WHOLE &&
        !strncmp(record->text, "\xef\xbb\xbf", 3)) {
        record->text += 3;
        record->len -= 3;
    }
    return got;
}

// The first record of each source names its fields. It is waited for: what the command
// means depends on it.
static int read_header(struct input *in, struct reader *r, bool names)
{
    struct record record;
    struct texts fields = {0};
    int got = next_text(in, r, &record);
    while (got == INPUT_WAIT)
        got = next_text(in, r, &record);
    if (got < 0)
        return usage_error("%s: %s", r->name, mp_strerror(got));
    if (got == INPUT_END || !names)
        return 0;
    splitter_add(&in->splitter, &fields, &record);
    for (int i = 0; i < fields.len; i++)
        names_add(&in->splitter.names, fields.bytes + fields.of[i].at, fields.of[i].len);
    texts_free(&fields);
    return 0;
}

static int read_headers(struct input *in, const struct args *a)
{
    int status = 0;
    for (int g = 0; g < in->groups_len && (a->header || a->skip_first); g++)
        for (int i = 0; i < in->groups[g].len && status == 0; i++)
            if (a->header || (g == 0 && i == 0))
                status = read_header(in, &in->groups[g].readers[i], a->header);
    return status;
}

// Standard input has only one end.
static int check_stdin(const struct args *a)
{
    int n = 0;
    for (int i = 0; i < a->sources_len; i++)
        n += a->sources[i].file && !strcmp(a->sources[i].file, "-");
    return n > 1 ? usage_error("-: standard input can be only one of the sources") : 0;
}

int input_open(struct input *in, const struct args *a)
{
    *in = (struct input){.turn = true,
                         .wrap = a->link,
                         .end_of_items = a->end_of_items,
                         .skip_blank = a->skip_blank};
    in->limit = 32 * (size_t)sysconf(_SC_PAGESIZE) - 1;
    in->max = a->max_args ? a->max_args : a->pack ? 0 : 1;
    in->no_args = a->no_args;
    in->jobs = a->jobs && !a->fill ? a->jobs : 1;
    if (a->json && (in->max != 1 || a->sources_len > 1))
        return usage_error("--json: one source, and one item a job");
    int status = check_stdin(a);
    if (status == 0)
        status = splitter_init(&in->splitter, a, in->limit);
    if (status == 0)
        status = set_separator(in, a);
    if (status == 0 && a->sources_len == 0)
        status = open_source(in, a, NULL);
    for (int i = 0; i < a->sources_len && status == 0; i++)
        status = open_source(in, a, &a->sources[i]);
    return status ? status : read_headers(in, a);
}

void input_pack(struct input *in, size_t room, size_t (*cost)(void *, const char *, size_t),
                void *arg)
{
    in->pack = true;
    in->room = room;
    in->cost = cost;
    in->cost_arg = arg;
}

int input_watch(struct input *in, mp_loop *loop, void (*fn)(void *), void *arg)
{
    int err = 0;
    for (int g = 0; g < in->groups_len; g++)
        for (int i = 0; i < in->groups[g].len && err == 0; i++)
            err = reader_watch(&in->groups[g].readers[i], loop, fn, arg);
    return err;
}

// ---- records ----------------------------------------------------------------------------------

static bool is_blank(const struct record *r)
{
    size_t i = 0;
    while (i < r->len && isspace((unsigned char)r->text[i]))
        i++;
    return i == r->len && !r->too_long;
}

// The next record of a reader, split, at the end of `to`.
static int read_record(struct input *in, struct reader *r, struct texts *to)
{
    struct record record;
    int got;
    do
        got = next_text(in, r, &record);
    while (got == INPUT_ITEM && in->skip_blank && is_blank(&record));
    if (got < 0)
        in->name = r->name;
    if (got != INPUT_ITEM)
        return got;
    if (in->end_of_items && !strcmp(record.text, in->end_of_items))
        return INPUT_END;
    splitter_add(&in->splitter, to, &record);
    return INPUT_ITEM;
}

// The next record of each of a group's readers. Without one of the shortest the group
// has ended.
static int read_group(struct input *in, struct group *g, struct texts *to)
{
    for (; g->read < g->len; g->read++) {
        int got = read_record(in, &g->readers[g->read], to);
        if (got != INPUT_ITEM)
            return got;
    }
    g->read = 0;
    return INPUT_ITEM;
}

static int load(struct input *in, struct group *g)
{
    for (;;) {
        size_t n = (size_t)g->records + 2;
        if (g->read == 0 && (n & (n - 1)) == 0)
            g->begin = xrealloc(g->begin, 2 * n * sizeof *g->begin);
        if (g->read == 0)
            g->begin[g->records] = g->texts.len;
        int got = read_group(in, g, &g->texts);
        if (got == INPUT_END) {
            g->loaded = true;
            return 0;
        }
        if (got != INPUT_ITEM)
            return got;
        g->begin[++g->records] = g->texts.len;
    }
}

static int load_all(struct input *in)
{
    int got = 0;
    for (int i = 0; i < in->groups_len && got == 0; i++)
        if (in->groups[i].held && !in->groups[i].loaded)
            got = load(in, &in->groups[i]);
    return got == 0 ? INPUT_ITEM : got;
}

static void copy_held(struct input *in, struct texts *to)
{
    for (int i = 0; i < in->groups_len; i++) {
        struct group *g = &in->groups[i];
        if (g->held)
            texts_copy(to, &g->texts, g->begin[g->at], g->begin[g->at + 1] - g->begin[g->at]);
    }
}

// Whether one of the sources in memory is empty: so is every product with it.
static bool is_empty(const struct input *in)
{
    for (int i = 0; i < in->groups_len; i++)
        if (in->groups[i].held && in->groups[i].records == 0)
            return true;
    return false;
}

// --link: each turns on its own, as long as the longest has not been through.
static int next_linked(struct input *in, struct texts *to)
{
    long longest = 0;
    for (int i = 0; i < in->groups_len; i++)
        if (in->groups[i].records > longest)
            longest = in->groups[i].records;
    if (is_empty(in) || in->turns == longest)
        return INPUT_END;
    for (int i = 0; i < in->groups_len; i++)
        in->groups[i].at = (int)(in->turns % in->groups[i].records);
    in->turns++;
    copy_held(in, to);
    return INPUT_ITEM;
}

// The last source turns fastest, the first, which is read, slowest.
static int next_combination(struct input *in, struct texts *to)
{
    struct group *first = &in->groups[0];
    if (is_empty(in))
        return INPUT_END;
    if (in->groups_len == 1)
        return read_group(in, first, to);
    if (in->turn) {
        if (first->read == 0)
            texts_drop(&first->texts, first->texts.len);
        int got = read_group(in, first, &first->texts);
        if (got != INPUT_ITEM)
            return got;
        in->turn = false;
    }
    texts_copy(to, &first->texts, 0, first->texts.len);
    copy_held(in, to);
    int i = in->groups_len - 1;
    while (i > 0 && ++in->groups[i].at == in->groups[i].records)
        in->groups[i--].at = 0;
    in->turn = i == 0;
    return INPUT_ITEM;
}

static int next_record(struct input *in, struct texts *to)
{
    int got = load_all(in);
    if (got != INPUT_ITEM)
        return got;
    return in->wrap ? next_linked(in, to) : next_combination(in, to);
}

// ---- items ------------------------------------------------------------------------------------

static const char *bad_of(const struct texts *t, int from, int to)
{
    for (int i = from; i < to; i++)
        if (t->of[i].bad)
            return t->of[i].bad;
    return NULL;
}

// The text of an item with several arguments.
static void join(struct input *in, struct item *item)
{
    const struct text *of = in->batch.of;
    size_t size = 1, at = 0;
    for (int i = 0; i < item->all; i++)
        size += of[i].len + 1;
    if (size > in->joined_cap) {
        in->joined_cap = 2 * size;
        in->joined = xrealloc(in->joined, in->joined_cap);
    }
    for (int i = 0; i < item->all; i++) {
        memcpy(in->joined + at, in->batch.bytes + of[i].at, of[i].len);
        at += of[i].len;
        in->joined[at++] = ' ';
    }
    at -= at > 0;
    in->joined[at] = '\0';
    item->text = in->joined;
    item->len = at;
}

// The first n texts of the batch.
static int give(struct input *in, struct item *item, int n)
{
    in->given = n;
    *item = (struct item){.args = &in->batch, .args_len = n, .all = n};
    if (in->splitter.kind == JSON)
        item->all = 1;
    item->bad = bad_of(&in->batch, 0, n);
    if (item->all == 1)
        item->text = item_arg(item, 0, &item->len);
    else
        join(in, item);
    if (in->no_args)
        item->all = item->args_len = 0;
    return INPUT_ITEM;
}

static size_t cost(struct input *in, int from, int to)
{
    size_t sum = 0;
    for (int i = from; i < to; i++)
        sum += in->cost(in->cost_arg, in->batch.bytes + in->batch.of[i].at, in->batch.of[i].len);
    return sum;
}

// What is left, when it all fits one command, is spread over the slots.
static int give_last(struct input *in, struct item *item)
{
    int n = in->complete;
    if (in->pack && !in->spread && in->records > 0 && n % in->records == 0)
        in->spread = n / in->records * ((in->records + in->jobs - 1) / in->jobs);
    if (in->spread && in->spread < n)
        n = (int)in->spread;
    return give(in, item, n);
}

// Forgets the last item. What did not fit it any more begins the next.
static void begin_item(struct input *in)
{
    texts_drop(&in->batch, in->given);
    in->complete -= in->given;
    in->given = in->last = 0;
    in->records = in->complete > 0 ? 1 : 0;
    in->used = in->pack ? cost(in, 0, in->complete) : 0;
}

// How many texts of the batch make an item now; 0: it has room for more.
static int item_end(const struct input *in)
{
    if (in->records == 0)
        return 0;
    bool alone = bad_of(&in->batch, in->last, in->complete) || (in->pack && in->used > in->room);
    if (alone && in->records > 1)
        return in->last;
    bool bad = alone && bad_of(&in->batch, in->last, in->complete);
    return bad || (in->max && in->records == in->max) ? in->complete : 0;
}

int input_next(struct input *in, struct item *item)
{
    if (in->given)
        begin_item(in);
    while (!in->ended) {
        int end = item_end(in);
        if (end)
            return give(in, item, end);
        int got = next_record(in, &in->batch);
        if (got == INPUT_END) {
            in->ended = true;
            texts_cut(&in->batch, in->complete); // half of a linked record is none
            continue;
        }
        if (got != INPUT_ITEM)
            return got;
        in->last = in->complete;
        in->complete = in->batch.len;
        in->records++;
        if (in->pack)
            in->used += cost(in, in->last, in->complete);
    }
    return in->complete ? give_last(in, item) : INPUT_END;
}

// Of linked sources the shortest ends them.
static double records_left(const struct group *g)
{
    double least = -1;
    for (int i = 0; i < g->len; i++) {
        double n = reader_left(&g->readers[i]);
        if (n < 0)
            return -1;
        least = i == 0 || n < least ? n : least;
    }
    return least;
}

// What is left of the record that the first source has given, and all that its others will make.
static double combinations_left(const struct input *in)
{
    double left = records_left(&in->groups[0]), all = 1, place = 0;
    for (int i = 1; i < in->groups_len; i++) {
        if (!in->groups[i].loaded)
            return -1;
        place = place * in->groups[i].records + in->groups[i].at;
        all *= in->groups[i].records;
    }
    return left < 0 ? -1 : left * all + (in->turn ? 0 : all - place);
}

static double turns_left(const struct input *in)
{
    int longest = 0;
    for (int i = 0; i < in->groups_len; i++) {
        if (!in->groups[i].loaded)
            return -1;
        longest = in->groups[i].records > longest ? in->groups[i].records : longest;
    }
    return (double)(longest - in->turns);
}

double input_left(const struct input *in, bool *exact)
{
    *exact = in->max == 1 && !in->end_of_items && !in->skip_blank;
    for (int i = 0; i < in->groups[0].len; i++)
        *exact = *exact && (in->wrap || in->groups[0].readers[i].fd < 0);
    if (in->max == 0)
        return -1; // as many as fit: who knows
    double left = in->wrap ? turns_left(in) : combinations_left(in);
    return left < 0 ? -1 : left / (double)in->max;
}

void input_close(struct input *in)
{
    for (int g = 0; g < in->groups_len; g++) {
        for (int i = 0; i < in->groups[g].len; i++)
            reader_close(&in->groups[g].readers[i]);
        free(in->groups[g].readers);
        free(in->groups[g].begin);
        texts_free(&in->groups[g].texts);
    }
    free(in->groups);
    free(in->separator);
    free(in->joined);
    texts_free(&in->batch);
    splitter_free(&in->splitter);
    *in = (struct input){0};
}
