// SPDX-License-Identifier: MIT
#include "blocks.h"
#include "fields.h"
#include "say.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BLOCK = 1024 * 1024,
    WINDOW = 64 * 1024,      // of a file, to look for the end of a record
    PIPE_SIZE = 1024 * 1024, // as far as it is allowed
    HEADER_MAX = 1024 * 1024,
    REGEXP_MAX = 1 << 30, // bytes of a block or record: glibc's offsets are ints
};

static size_t min(size_t a, size_t b)
{
    return a < b ? a : b;
}

// Whether there are records, that a block is not cut in.
static bool cuts_records(const struct blocks *b)
{
    return b->separator.in_turn || separator_len(&b->separator);
}

// What is read ends with a NUL byte: regexec() does not want it, but sanitizers do.
static char *make_buf(char *buf, size_t len)
{
    return xrealloc(buf, len + 1);
}

static void set_have(struct blocks *b, size_t have)
{
    b->have = have;
    b->buf[have] = '\0';
}

// ---- opening ----------------------------------------------------------------------------------

// Bytes of the block are as many as want; a file is cut into so many a slot.
static void set_size(struct blocks *b, const struct args *a)
{
    b->size = a->block > 0 ? (size_t)a->block : BLOCK;
    if (a->block < 0 && b->end) {
        off_t parts = -a->block * (a->jobs ? a->jobs : 1);
        b->size = (size_t)((b->end - b->at) / parts + 1);
        b->longer = true;
    }
}

// Reads byte by byte what the first reader of a pipe may: others may want the rest.
static int read_line(struct blocks *b, char *line, size_t size, size_t *len)
{
    for (*len = 0; *len < size;) {
        poll(&(struct pollfd){.fd = b->in.fd, .events = POLLIN}, 1, -1); // a FIFO: for a writer
        ssize_t n = read(b->in.fd, line + *len, 1);
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return -errno;
        if (n == 0 || (n > 0 && line[(*len)++] == '\n'))
            return 0;
    }
    return -EMSGSIZE;
}

static int header_failed(const struct blocks *b, int err)
{
    return err ? usage_error("--header: %s: %s", b->in.name, mp_strerror(err)) : 0;
}

// Takes off so many lines.
static int read_header_lines(struct blocks *b, long lines)
{
    int err = 0;
    for (; lines > 0 && err == 0; lines--) {
        size_t n;
        err = read_line(b, b->header + b->header_len, HEADER_MAX - b->header_len, &n);
        b->header_len += n;
    }
    return header_failed(b, err);
}

// What was read too much begins the first block.
static void give_back(struct blocks *b, const char *text, size_t len)
{
    if (lseek(b->in.fd, -(off_t)len, SEEK_CUR) >= 0)
        return;
    b->cap = len;
    b->buf = make_buf(NULL, len);
    memcpy(b->buf, text, len);
    set_have(b, len);
}

// Takes off what a regular expression matches at the beginning, if it does. Each time twice
// as much is looked at, until the match ends before that.
static int read_header_match(struct blocks *b, const char *regex)
{
    regex_t re;
    regmatch_t m = {0, 0};
    size_t have = 0, looked = 0, n = 1;
    bool found = false;
    int err = 0, status = compile_regex(&re, "--header", regex, strlen(regex), REG_NEWLINE);
    if (status)
        return status;
    while (err == 0 && n && !(found && (size_t)m.rm_eo < looked)) {
        err = read_line(b, b->header + have, HEADER_MAX - have, &n);
        have += n;
        if (n && have < 2 * looked)
            continue;
        looked = have;
        m = (regmatch_t){0, (regoff_t)have};
        found = regex_finds(&re, b->header, 1, &m, 0) && m.rm_so == 0;
    }
    regfree(&re);
    b->header_len = found ? (size_t)m.rm_eo : 0;
    give_back(b, b->header + b->header_len, have - b->header_len);
    return header_failed(b, err);
}

// Takes the header off: a line, lines, or what a regular expression matches.
static int read_header(struct blocks *b, const char *which)
{
    char *end;
    long lines = strtol(which, &end, 10);
    bool colon = !strcmp(which, ":"), number = *which && !*end;
    if (!*which || (number && lines < 1))
        return usage_error("--header %s: with --pipe it is :, a number of lines, or a regular "
                           "expression that matches them",
                           which);
    b->header = xrealloc(NULL, HEADER_MAX);
    return colon || number ? read_header_lines(b, colon ? 1 : lines) : read_header_match(b, which);
}

// A file with something in it need not be read, unless there is something to be taken out,
// counted or matched.
static void look_for_file(struct blocks *b)
{
    struct stat st;
    off_t at = lseek(b->in.fd, 0, SEEK_CUR);
    if (at < 0 || fstat(b->in.fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size <= at)
        return;
    b->at = at;
    b->end = st.st_size;
    b->by_place = !b->remove && !b->max_records && !b->separator.in_turn;
    if (b->by_place)
        lseek(b->in.fd, 0, SEEK_END); // as if it had been read
}

int blocks_open(struct blocks *b, const struct args *a)
{
    *b = (struct blocks){.remove = a->remove_rec_sep,
                         .max_records = (size_t)a->max_records,
                         .timeout_ms = a->block_ms};
    int status = separator_init(&b->separator, a);
    if (status == 0 && !cuts_records(b) && b->max_records)
        status = usage_error("--pipe -N counts records: --recend or --recstart must be a text");
    if (status == 0)
        status = reader_open(&b->in, a->sources);
    if (status)
        return status;
    if (a->pipe_part && lseek(b->in.fd, 0, SEEK_CUR) < 0)
        return usage_error("--pipepart: %s: not a file that has places: use --pipe", b->in.name);
    if (a->header)
        status = read_header(b, a->header_lines);
    look_for_file(b);
    set_size(b, a);
    if (status == 0 && b->separator.regexp && b->size >= REGEXP_MAX)
        status = usage_error("--block: with --regexp it is below 1G");
    fcntl(b->in.fd, F_SETPIPE_SZ, PIPE_SIZE); // if it is one: fewer turns
    return status;
}

int blocks_watch(struct blocks *b, mp_loop *loop, void (*fn)(void *), void *arg)
{
    b->loop = loop;
    return b->by_place ? 0 : reader_watch(&b->in, loop, fn, arg);
}

void blocks_close(struct blocks *b)
{
    reader_close(&b->in);
    mp_watch_close(b->timer);
    separator_free(&b->separator);
    free(b->header);
    free(b->buf);
    *b = (struct blocks){.in.fd = -1};
}

// ---- a file -----------------------------------------------------------------------------------

// Where the block that begins at b->at ends, or -errno.
static off_t find_place(const struct blocks *b)
{
    char window[WINDOW];
    off_t cut = b->end, look = b->at + (off_t)b->size - (off_t)separator_len(&b->separator);
    if (!separator_len(&b->separator))
        return look;
    if (look < b->at)
        look = b->at;
    while (look + (off_t)separator_len(&b->separator) < b->end) {
        ssize_t n = pread(b->in.fd, window, sizeof window, look);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break; // it has become shorter
        size_t end = separator_first(&b->separator, window, 0, (size_t)n);
        if (end && look + (off_t)end > b->at) {
            cut = look + (off_t)end;
            break;
        }
        off_t step = n - (off_t)separator_len(&b->separator) + 1;
        look += step > 0 ? step : n;
    }
    return cut;
}

static int next_place(struct blocks *b, struct block *block)
{
    if (b->at >= b->end)
        return INPUT_END;
    off_t cut = find_place(b);
    if (cut < 0)
        return (int)cut;
    if (cut > b->end)
        cut = b->end;
    *block = (struct block){.fd = b->in.fd, .from = b->at, .len = (size_t)(cut - b->at)};
    b->at = cut;
    return INPUT_ITEM;
}

// ---- a pipe -----------------------------------------------------------------------------------

static int fill(struct blocks *b)
{
    struct reader *in = &b->in;
    if (in->watch && !in->ready) {
        mp_watch_set_events(in->watch, MP_LOOP_READ);
        return INPUT_WAIT;
    }
    in->ready = false;
    size_t want = b->size > b->have ? b->size - b->have : b->size;
    if (b->cap < b->have + want) {
        b->cap = b->have + want;
        b->buf = make_buf(b->buf, b->cap);
    }
    if (!in->watch) // nobody else to serve: wait here
        poll(&(struct pollfd){.fd = in->fd, .events = POLLIN}, 1, -1);
    ssize_t n = read(in->fd, b->buf + b->have, want);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
        if (in->watch)
            mp_watch_set_events(in->watch, MP_LOOP_READ);
        return in->watch ? INPUT_WAIT : 0;
    }
    if (n > 0) {
        set_have(b, b->have + (size_t)n);
        return 0;
    }
    in->ended = true;
    return n < 0 ? -errno : 0;
}

// With the last record that ends within the size, or else the first that ends beyond.
static size_t find_cut_by_size(struct blocks *b)
{
    size_t cut = 0;
    if (b->have < b->size)
        return 0;
    if (!separator_len(&b->separator))
        return b->size;
    if (b->scanned < b->size) {
        cut = b->longer ? 0 : separator_last(&b->separator, b->buf, 0, b->size);
        b->scanned = b->size;
    }
    if (!cut)
        cut = separator_first(&b->separator, b->buf,
                              b->scanned - min(b->scanned, separator_len(&b->separator) - 1),
                              b->have);
    b->scanned = b->have;
    return cut;
}

// The same where records are found in turn. Whenever as much as a block has come, it is looked at,
// and not before, and then at twice as much: so it does not depend on how the bytes come.
static size_t find_cut_by_match(struct blocks *b)
{
    bool counts = b->max_records;
    if (!b->in.ended && b->have < b->looked + (b->looked > b->size ? b->looked : b->size))
        return 0;
    b->looked = b->have;
    for (size_t end;
         (end = separator_match(&b->separator, b->buf, &b->scanned, b->have, !b->in.ended));) {
        size_t before = b->cut;
        b->cut = end;
        b->records++;
        if (counts ? b->records == b->max_records : end >= b->size)
            return counts || b->longer || end == b->size || !before ? end : before;
    }
    return !counts && !b->longer && b->have >= b->size ? b->cut : 0;
}

// Where what was read is to be cut: 0, not yet.
static size_t find_cut(struct blocks *b)
{
    if (b->separator.in_turn)
        return find_cut_by_match(b);
    if (!b->max_records)
        return find_cut_by_size(b);
    while (b->records < b->max_records) {
        size_t end = separator_first(&b->separator, b->buf, b->scanned, b->have);
        if (!end) {
            if (b->have >= separator_len(&b->separator) &&
                b->scanned < b->have - separator_len(&b->separator) + 1)
                b->scanned = b->have - separator_len(&b->separator) + 1; // up to there is none
            return 0;
        }
        b->records++;
        b->scanned = b->separator.end_len ? end : end + 1; // its beginning is not an end
    }
    return b->separator.end_len ? b->scanned : b->scanned - 1;
}

// The first `cut` bytes become a block; the rest begins a new buffer.
static void take(struct blocks *b, size_t cut, struct block *block)
{
    size_t left = b->have - cut;
    *block = (struct block){.data = b->buf, .len = cut, .fd = -1};
    b->cap = left > b->size ? left : b->size;
    b->buf = make_buf(NULL, b->cap);
    if (left)
        memcpy(b->buf, block->data + cut, left);
    set_have(b, left);
    b->scanned = b->looked = b->cut = b->records = 0;
    if (b->timeout_ms)
        b->since_ms = mp_loop_time(b->loop);
    if (b->remove)
        block->len = separator_remove(&b->separator, block->data, block->len);
}

// ---- --block-timeout ----------------------------------------------------------------------------

static void on_timeout(mp_watch *w, void *arg)
{
    struct blocks *b = arg;
    mp_watch_close(w);
    b->timer = NULL;
    b->in.fn(b->in.arg);
}

// The end of the last record there is.
static size_t find_last(const struct blocks *b)
{
    size_t last = 0, from = 0;
    if (!cuts_records(b))
        return b->have;
    if (!b->separator.in_turn)
        return separator_last(&b->separator, b->buf, 0, b->have);
    for (size_t end; (end = separator_match(&b->separator, b->buf, &from, b->have, true));)
        last = end;
    return last;
}

// Nothing more is there yet: what has waited long enough is a block. 0: none; then the loop
// tells when it is time.
static size_t find_late(struct blocks *b)
{
    if (!b->timeout_ms || !b->have)
        return 0;
    int64_t left = b->since_ms + b->timeout_ms - mp_loop_time(b->loop);
    if (left <= 0) {
        size_t cut = find_last(b);
        if (cut)
            return cut;
        left = b->timeout_ms;
        b->since_ms = mp_loop_time(b->loop);
    }
    if (!b->timer && mp_loop_add_timer(b->loop, &b->timer, (int)(left < INT_MAX ? left : INT_MAX),
                                       on_timeout, b) < 0)
        out_of_memory();
    return 0;
}

double blocks_left(const struct blocks *b)
{
    return b->by_place ? (double)(b->end - b->at) / (double)b->size : -1;
}

int blocks_next(struct blocks *b, struct block *block)
{
    if (b->by_place)
        return next_place(b, block);
    for (;;) {
        size_t cut = find_cut(b);
        if (!cut && b->in.ended)
            cut = b->have;
        if (cut) {
            take(b, cut, block);
            return INPUT_ITEM;
        }
        if (b->in.ended)
            return INPUT_END;
        if (b->separator.regexp && b->have >= REGEXP_MAX) {
            b->have = 0;
            b->in.ended = true;
            return -EMSGSIZE;
        }
        bool begins = b->have == 0;
        int got = fill(b);
        if (begins && b->timeout_ms)
            b->since_ms = mp_loop_time(b->loop);
        if (got == INPUT_WAIT && (cut = find_late(b))) {
            take(b, cut, block);
            return INPUT_ITEM;
        }
        if (got)
            return got;
    }
}
