// SPDX-License-Identifier: MIT
#include "input.h"
#include "say.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK = 64 * 1024 };

static int open_stdin(struct input *in)
{
    in->name = "standard input";
    in->fd = STDIN_FILENO;
    int flags = fcntl(in->fd, F_GETFL);
    if ((flags & O_ACCMODE) == O_WRONLY) // closed: main() put this in its place
        return usage_error("standard input is closed: give the items with :::, -a or a pipe");
    if (isatty(in->fd))
        say("reading items from the terminal, one a line: end with Ctrl-D");
    return 0;
}

int input_open(struct input *in, const struct args *a)
{
    // MAX_ARG_STRLEN of the kernel, which counts the NUL.
    *in = (struct input){.fd = -1, .limit = 32 * (size_t)sysconf(_SC_PAGESIZE) - 1};
    in->separator = a->null ? '\0' : '\n';
    const struct source *source = a->sources;
    if (source && !source->file) {
        in->list = source->words;
        in->list_left = source->words_len;
        return 0;
    }
    if (!source || !strcmp(source->file, "-")) {
        int status = open_stdin(in);
        if (status)
            return status;
    } else {
        in->name = source->file;
        // A FIFO without a writer is waited for in the loop, not in open().
        in->fd = open(source->file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (in->fd < 0)
            return usage_error("%s: %s", source->file, mp_strerror(-errno));
    }
    struct stat st;
    if (fstat(in->fd, &st) == 0 && S_ISDIR(st.st_mode))
        return usage_error("%s: is a directory: find %s | mpmap ... would list it", in->name,
                           in->name);
    return 0;
}

struct callback {
    struct input *in;
    void (*fn)(void *);
    void *arg;
};

static void on_ready(mp_watch *w, int events, void *arg)
{
    (void)events;
    struct callback *c = arg;
    mp_watch_set_events(w, 0); // until somebody asks again
    c->in->ready = true;
    c->fn(c->arg);
}

int input_watch(struct input *in, mp_loop *loop, void (*fn)(void *), void *arg)
{
    static struct callback c;
    c = (struct callback){in, fn, arg};
    if (in->fd < 0)
        return 0;
    int err = mp_loop_add_fd(loop, &in->watch, in->fd, MP_LOOP_READ, on_ready, &c);
    return err == -EPERM ? 0 : err; // a file: always ready
}

// Makes room for a block: moves what is left to the front, grows when an item fills it all.
static void make_room(struct input *in)
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
static int fill(struct input *in)
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

static int give(struct input *in, struct item *item, size_t len, size_t taken)
{
    item->text = in->buf + in->start;
    item->len = len;
    item->too_long = in->skipping || len > in->limit;
    item->text[len] = '\0';
    in->start += taken;
    in->scanned = in->start;
    in->skipping = false;
    return INPUT_ITEM;
}

static int next_of_list(struct input *in, struct item *item)
{
    if (in->list_left == 0)
        return INPUT_END;
    in->list_left--;
    item->text = *in->list++;
    item->len = strlen(item->text);
    item->too_long = item->len > in->limit;
    return INPUT_ITEM;
}

// The bytes of an endless item: all but the first are forgotten as they come.
static void skip(struct input *in)
{
    in->skipping = true;
    in->end = in->scanned = in->start + SHOWN;
}

int input_next(struct input *in, struct item *item)
{
    if (in->fd < 0)
        return next_of_list(in, item);
    for (;;) {
        char *sep = in->end > in->scanned
                        ? memchr(in->buf + in->scanned, in->separator, in->end - in->scanned)
                        : NULL;
        if (sep) {
            size_t at = (size_t)(sep - in->buf);
            size_t len = in->skipping ? SHOWN : at - in->start;
            return give(in, item, len, at + 1 - in->start);
        }
        in->scanned = in->end;
        size_t have = in->end - in->start;
        if (in->ended)
            return have ? give(in, item, have, have) : INPUT_END;
        if (have > in->limit || in->skipping)
            skip(in);
        int r = fill(in);
        if (r)
            return r;
    }
}

void input_close(struct input *in)
{
    mp_watch_close(in->watch);
    in->watch = NULL;
    if (in->fd > STDERR_FILENO)
        close(in->fd);
    in->fd = -1;
    free(in->buf);
}
