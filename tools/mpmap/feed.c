// SPDX-License-Identifier: MIT
#include "feed.h"
#include "say.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { PIPE_SIZE = 1024 * 1024, PIECE = 64 * 1024 };

struct feed {
    int fd; // -1: ended, or the job reads no more
    mp_watch *watch;
    const struct blocks *from;
    struct block block;
    size_t at, header; // what it has of the block, and of the header before it
    long blocks;
    bool busy, ending, copying;
    void (*on_idle)(void *);
    void *arg;
};

int feed_new(struct feed **out, int *fd, const struct blocks *from, void (*on_idle)(void *),
             void *arg)
{
    int p[2];
    if (pipe2(p, O_CLOEXEC) < 0)
        return -errno;
    fcntl(p[1], F_SETFL, O_NONBLOCK);
    fcntl(p[1], F_SETPIPE_SZ, PIPE_SIZE); // as far as it is allowed
    struct feed *f = xrealloc(NULL, sizeof *f);
    *f = (struct feed){.fd = p[1], .from = from, .on_idle = on_idle, .arg = arg};
    *fd = p[0];
    *out = f;
    return 0;
}

static void drop_block(struct feed *f)
{
    free(f->block.data);
    f->block = (struct block){.fd = -1};
    f->busy = false;
}

static void shut(struct feed *f)
{
    mp_watch_close(f->watch);
    f->watch = NULL;
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
}

// A piece of a file through memory, where the file system cannot give its pages.
static ssize_t copy(struct feed *f, off_t from, size_t len)
{
    static char piece[PIECE];
    ssize_t n = pread(f->block.fd, piece, len < PIECE ? len : PIECE, from);
    return n <= 0 ? n : write(f->fd, piece, (size_t)n);
}

static ssize_t put_some(struct feed *f)
{
    size_t len = f->block.len - f->at;
    if (f->header < f->from->header_len)
        return write(f->fd, f->from->header + f->header, f->from->header_len - f->header);
    if (f->block.data)
        return write(f->fd, f->block.data + f->at, len);
    loff_t from = f->block.from + (off_t)f->at;
    if (f->copying)
        return copy(f, from, len);
    ssize_t n = splice(f->block.fd, &from, f->fd, NULL, len, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
    if (n < 0 && errno == EINVAL) {
        f->copying = true;
        return copy(f, from, len);
    }
    return n;
}

// Gives what the pipe takes. What a job does not read is dropped, as with any pipe.
static void pump(struct feed *f)
{
    while (f->busy && f->at < f->block.len) {
        ssize_t n = put_some(f);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n <= 0) { // its end is closed, or the file has become shorter
            if (n == 0 || errno != EPIPE)
                say("%s: %s: a job did not get all of its block", f->from->in.name,
                    n == 0 ? "it has become shorter" : mp_strerror(-errno));
            drop_block(f);
            shut(f);
            return;
        }
        if (f->header < f->from->header_len)
            f->header += (size_t)n;
        else
            f->at += (size_t)n;
    }
    drop_block(f);
    if (f->ending)
        shut(f);
}

static void on_room(mp_watch *w, int events, void *arg)
{
    (void)events;
    struct feed *f = arg;
    pump(f);
    if (f->busy)
        return;
    if (f->fd >= 0)
        mp_watch_set_events(w, 0);
    f->on_idle(f->arg);
}

int feed_give(struct feed *f, mp_loop *loop, const struct block *block)
{
    f->block = *block;
    f->at = 0;
    f->busy = true;
    f->blocks++;
    pump(f);
    if (!f->busy)
        return 0;
    return f->watch ? mp_watch_set_events(f->watch, MP_LOOP_WRITE)
                    : mp_loop_add_fd(loop, &f->watch, f->fd, MP_LOOP_WRITE, on_room, f);
}

bool feed_is_idle(const struct feed *f)
{
    return f->fd >= 0 && !f->busy && !f->ending;
}

long feed_blocks(const struct feed *f)
{
    return f->blocks;
}

void feed_end(struct feed *f)
{
    f->ending = true;
    if (!f->busy)
        shut(f);
}

void feed_free(struct feed *f)
{
    if (!f)
        return;
    drop_block(f);
    shut(f);
    free(f);
}
