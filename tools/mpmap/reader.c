// SPDX-License-Identifier: MIT
#include "reader.h"
#include "say.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK = 64 * 1024 };

static int open_stdin(struct reader *r)
{
    r->name = "standard input";
    r->fd = STDIN_FILENO;
    int flags = fcntl(r->fd, F_GETFL);
    if ((flags & O_ACCMODE) == O_WRONLY) // closed: main() put this in its place
        return usage_error("standard input is closed: give the items with :::, -a or a pipe");
    if (isatty(r->fd))
        say("reading items from the terminal, one a line: end with Ctrl-D");
    return 0;
}

static int open_file(struct reader *r, const char *file)
{
    r->name = file;
    // A FIFO without a writer is waited for in the loop, not in open().
    r->fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    return r->fd < 0 ? usage_error("%s: %s", file, mp_strerror(-errno)) : 0;
}

int reader_open(struct reader *r, const struct source *source)
{
    // MAX_ARG_STRLEN of the kernel, which counts the NUL.
    *r = (struct reader){.fd = -1, .limit = 32 * (size_t)sysconf(_SC_PAGESIZE) - 1};
    r->separator = "\n";
    r->separator_len = 1;
    if (source && !source->file) {
        r->name = ":::";
        r->words = source->words;
        r->words_left = source->words_len;
        return 0;
    }
    bool is_stdin = !source || !strcmp(source->file, "-");
    int status = is_stdin ? open_stdin(r) : open_file(r, source->file);
    struct stat st;
    if (status == 0 && fstat(r->fd, &st) == 0 && S_ISDIR(st.st_mode))
        return usage_error("%s: is a directory: find %s | mpmap ... would list it", r->name,
                           r->name);
    return status;
}

static void on_ready(mp_watch *w, int events, void *arg)
{
    (void)events;
    struct reader *r = arg;
    mp_watch_set_events(w, 0); // until somebody asks again
    r->ready = true;
    r->fn(r->arg);
}

int reader_watch(struct reader *r, mp_loop *loop, void (*fn)(void *), void *arg)
{
    r->fn = fn;
    r->arg = arg;
    if (r->fd < 0)
        return 0;
    int err = mp_loop_add_fd(loop, &r->watch, r->fd, MP_LOOP_READ, on_ready, r);
    return err == -EPERM ? 0 : err; // a file: always ready
}

// Makes room for a block: moves what is left to the front, grows when an item fills it all.
static void make_room(struct reader *in)
{
    if (in->start) {
        memmove(in->buf, in->buf + in->start, in->end - in->start);
        in->scanned -= in->start;
        in->end -= in->start;
        in->start = 0;
    }
    if (in->cap - in->end < BLOCK) {
        in->cap = in->end + BLOCK;
        in->buf = xrealloc(in->buf, in->cap + 1); // one more for the last item's NUL
    }
}

// 0 with something read or the end reached; INPUT_WAIT; -errno.
static int fill(struct reader *in)
{
    if (in->watch && !in->ready) {
        mp_watch_set_events(in->watch, MP_LOOP_READ);
        return INPUT_WAIT;
    }
    in->ready = false;
    make_room(in);
    if (!in->watch) // nobody else to serve: wait here. A file is always ready.
        poll(&(struct pollfd){.fd = in->fd, .events = POLLIN}, 1, -1);
    ssize_t n = read(in->fd, in->buf + in->end, BLOCK);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
        if (in->watch)
            mp_watch_set_events(in->watch, MP_LOOP_READ);
        return in->watch ? INPUT_WAIT : 0;
    }
    if (n > 0) {
        in->end += (size_t)n;
        return 0;
    }
    in->ended = true;
    if (n == 0)
        return 0;
    in->start = in->scanned = in->end; // half an item is none
    return -errno;
}

static int give(struct reader *in, struct record *record, size_t len, size_t taken)
{
    record->text = in->buf + in->start;
    record->len = len;
    record->too_long = in->skipping || len > in->limit;
    record->torn = in->in_quotes;
    record->text[len] = '\0';
    in->start += taken;
    in->scanned = in->start;
    in->skipping = in->in_quotes = false;
    in->records++;
    return INPUT_ITEM;
}

static int next_word(struct reader *in, struct record *record)
{
    if (in->words_left == 0)
        return INPUT_END;
    in->words_left--;
    record->text = *in->words++;
    record->len = strlen(record->text);
    record->too_long = record->len > in->limit;
    record->torn = false;
    in->records++;
    return INPUT_ITEM;
}

// The bytes of an endless record: all but the first are forgotten as they come, and but
// for the last, which may be the beginning of a separator.
static void skip(struct reader *in)
{
    size_t keep = in->separator_len - 1;
    char *to = in->buf + in->start + SHOWN;
    if (in->end - in->start < SHOWN + keep)
        return;
    memmove(to, in->buf + in->end - keep, keep);
    in->skipping = true;
    in->end = in->scanned = in->start + SHOWN + keep;
}

// The separator in what is not yet scanned, or NULL. A part of it may be at the end.
static char *find_separator(struct reader *in)
{
    char *from = in->buf + in->scanned, *end = in->buf + in->end;
    if (!in->csv || in->skipping) {
        size_t back = in->scanned - in->start; // the longer ones may have begun before
        back = back < in->separator_len ? back : in->separator_len - 1;
        return from < end ? memmem(from - back, (size_t)(end - from) + back, in->separator,
                                   in->separator_len)
                          : NULL;
    }
    for (; from < end; from++) {
        char before = from > in->buf + in->start ? from[-1] : in->csv;
        if (*from == '"' && (in->in_quotes || before == in->csv || before == '"'))
            in->in_quotes = !in->in_quotes;
        else if (*from == '\n' && !in->in_quotes)
            return from;
    }
    return NULL;
}

int reader_next(struct reader *in, struct record *record)
{
    if (in->fd < 0)
        return next_word(in, record);
    for (;;) {
        char *sep = find_separator(in);
        if (sep) {
            size_t at = (size_t)(sep - in->buf);
            size_t len = in->skipping ? SHOWN : at - in->start;
            return give(in, record, len, at + in->separator_len - in->start);
        }
        in->scanned = in->end;
        size_t have = in->end - in->start;
        if (in->ended)
            return have ? give(in, record, have, have) : INPUT_END;
        if (have > in->limit || in->skipping)
            skip(in);
        int r = fill(in);
        if (r)
            return r;
    }
}

double reader_left(const struct reader *r)
{
    struct stat st;
    if (r->fd < 0)
        return r->words_left;
    off_t at = lseek(r->fd, 0, SEEK_CUR);
    if (at < 0 || fstat(r->fd, &st) < 0 || !S_ISREG(st.st_mode))
        return -1;
    double used = (double)at - (double)(r->end - r->start), left = (double)st.st_size - used;
    return used > 0 && left > 0 ? (double)r->records * left / used : left > 0 ? -1 : 0;
}

void reader_close(struct reader *r)
{
    mp_watch_close(r->watch);
    r->watch = NULL;
    if (r->fd > STDERR_FILENO)
        close(r->fd);
    r->fd = -1;
    free(r->buf);
    r->buf = NULL;
}
