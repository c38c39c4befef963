// SPDX-License-Identifier: MIT
#include "output.h"
#include "say.h"
#include "terminal.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void sink_init(struct sink *s, int fd)
{
    struct stat st;
    *s = (struct sink){.fd = fd};
    s->patient =
        fstat(fd, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode) || isatty(fd));
}

// How many bytes it took, 0 if it would block. After an error everything is
// taken, and lost.
static size_t sink_write(struct sink *s, const char *data, size_t n)
{
    if (s->err)
        return n;
    bar_hide();
    if (s->patient) {
        struct pollfd p = {.fd = s->fd, .events = POLLOUT};
        if (poll(&p, 1, 0) <= 0)
            return 0;
        n = n < PIPE_BUF ? n : PIPE_BUF; // that much fits when poll() says so
    }
    ssize_t w = write(s->fd, data, n);
    if (w >= 0)
        return (size_t)w;
    if (errno == EINTR || errno == EAGAIN)
        return 0;
    s->err = -errno;
    return n;
}

static void on_room(mp_watch *w, int events, void *arg)
{
    (void)events;
    struct output *o = arg;
    mp_watch_set_events(w, 0);
    o->on_room(o->arg);
}

// Has the loop tell when the sink takes more.
static void sink_wait(struct output *o, struct sink *s)
{
    int err = s->watch ? mp_watch_set_events(s->watch, MP_LOOP_WRITE)
                       : mp_loop_add_fd(o->loop, &s->watch, s->fd, MP_LOOP_WRITE, on_room, o);
    if (err)
        s->err = err;
}

void output_init(struct output *o, mp_loop *loop, const struct args *a, struct job *const *live,
                 void (*room)(void *), void *arg)
{
    *o = (struct output){.loop = loop,
                         .keep_order = a->keep_order,
                         .lines = a->line_buffer && !a->keep_order,
                         .tags = a->tag,
                         .color = a->tag && may_color(STDOUT_FILENO),
                         .live = live,
                         .next = 1,
                         .on_room = room,
                         .arg = arg};
    o->last = &o->first;
    sink_init(&o->sink[OUT], STDOUT_FILENO);
    sink_init(&o->sink[ERR], STDERR_FILENO);
}

bool output_has_room(const struct output *o, long seq)
{
    return o->keep_order ? seq - o->next < WINDOW : o->waiting < WINDOW;
}

void output_add(struct output *o, struct job *j)
{
    if (!o->keep_order)
        return;
    o->turn[j->seq % WINDOW] = j;
    j->current = j->seq == o->next;
}

void output_remove(struct output *o, struct job *j)
{
    if (o->keep_order)
        o->turn[j->seq % WINDOW] = NULL;
}

void output_ended(struct output *o, struct job *j)
{
    o->waiting++;
    if (o->keep_order)
        return;
    j->next = NULL;
    *o->last = j;
    o->last = &j->next;
}

// ---- composing lines ----------------------------------------------------------------------

static void compose(struct sink *s, const char *data, size_t n)
{
    if (n == 0)
        return; // of a tag, and there may be no buffer yet
    if (s->end + n > s->cap) {
        s->cap = 2 * (s->end + n);
        s->buf = xrealloc(s->buf, s->cap);
    }
    memcpy(s->buf + s->end, data, n);
    s->end += n;
}

static void compose_tag(const struct output *o, struct sink *s, const struct job *j)
{
    static const char on[] = "\x1b[36m", off[] = "\x1b[0m";
    if (o->color)
        compose(s, on, sizeof on - 1);
    compose(s, j->tag, strlen(j->tag));
    if (o->color)
        compose(s, off, sizeof off - 1);
    compose(s, "\t", 1);
}

// The data, with tags where lines begin.
static void compose_lines(const struct output *o, struct sink *s, struct stream *from,
                          const char *data, size_t n)
{
    while (n) {
        const char *newline = memchr(data, '\n', n);
        size_t len = newline ? (size_t)(newline + 1 - data) : n;
        if (!from->in_line && o->tags && from->job->tag)
            compose_tag(o, s, from->job);
        compose(s, data, len);
        from->in_line = !newline;
        data += len;
        n -= len;
    }
}

// How much of the data may go out now: whole lines, or the beginning of one that is long.
static size_t lines_of(const struct output *o, const struct stream *from, const char *data,
                       size_t n)
{
    if (n > LONG_LINE)
        n = LONG_LINE;
    if (!o->lines || from->job->ended || n == LONG_LINE)
        return n;
    const char *newline = memrchr(data, '\n', n);
    return newline ? (size_t)(newline + 1 - data) : from->in_line ? n : 0;
}

static bool flush(struct output *o, struct sink *s)
{
    while (s->start < s->end) {
        size_t w = sink_write(s, s->buf + s->start, s->end - s->start);
        if (w == 0) {
            sink_wait(o, s);
            return false;
        }
        s->start += w;
    }
    s->start = s->end = 0;
    return true;
}

static void lose(struct output *o, struct job *j, int i, int err)
{
    say("job %ld (%s): output lost: its file in %s: %s", j->seq, j->label, held_dir(),
        mp_strerror(err));
    o->lost = true;
    held_free(&j->stream[i].held);
}

// Whether all that may go out went.
static bool write_lines(struct output *o, struct job *j, int i)
{
    struct stream *from = &j->stream[i];
    struct sink *s = &o->sink[i];
    const char *data;
    ssize_t n = 0;
    for (;;) {
        from->blocked = !flush(o, s) || (s->owner && s->owner != from);
        if (from->blocked)
            return false;
        n = held_peek(&from->held, &data);
        size_t len = n > 0 ? lines_of(o, from, data, (size_t)n) : 0;
        if (len == 0)
            break;
        compose_lines(o, s, from, data, len);
        held_take(&from->held, len);
        s->owner = from->in_line ? from : NULL;
    }
    if (n < 0)
        lose(o, j, i, (int)n);
    if (j->ended && s->owner == from)
        s->owner = NULL;
    return true;
}

// ---- writing ------------------------------------------------------------------------------

// Whether all that is held went out.
static bool write_stream(struct output *o, struct job *j, int i)
{
    if (o->lines || o->tags)
        return write_lines(o, j, i);
    struct held *h = &j->stream[i].held;
    struct sink *s = &o->sink[i];
    const char *data;
    ssize_t n;
    while ((n = held_peek(h, &data)) > 0) {
        size_t w = sink_write(s, data, (size_t)n);
        if (w == 0) {
            sink_wait(o, s);
            return false;
        }
        held_take(h, w);
    }
    if (n < 0)
        lose(o, j, i, (int)n);
    return true;
}

static bool write_job(struct output *o, struct job *j)
{
    bool through = true;
    for (int i = 0; i < STREAMS && through; i++)
        through = write_stream(o, j, i);
    return through;
}

static void write_line(struct output *o, struct job *j)
{
    int err = table_put(&o->table, j);
    if (err && !o->table.err) {
        say("--results %s: %s: incomplete: job %ld (%s)", o->table.name, mp_strerror(err), j->seq,
            j->label);
        o->table.err = err;
    }
}

static struct job *current(const struct output *o)
{
    return o->keep_order ? o->turn[o->next % WINDOW] : o->first;
}

static void advance(struct output *o, struct job *j)
{
    o->waiting--;
    if (!o->keep_order) {
        o->first = j->next;
        if (!o->first)
            o->last = &o->first;
    } else {
        o->turn[o->next++ % WINDOW] = NULL;
        struct job *next = current(o);
        if (next)
            next->current = true;
    }
    job_free(j);
}

// The job in the middle of whose line a sink is comes first; then whoever runs.
static void pump_lines(struct output *o)
{
    for (int i = 0; i < STREAMS; i++)
        if (o->sink[i].owner)
            write_lines(o, o->sink[i].owner->job, i);
    for (struct job *j = *o->live; j; j = j->next) {
        for (int i = 0; i < STREAMS; i++)
            write_lines(o, j, i);
        job_resume(j);
    }
}

void output_pump(struct output *o)
{
    if (o->lines)
        pump_lines(o);
    for (struct job *j; (j = current(o));) {
        if (o->table.file) {
            if (!j->ended)
                return;
            write_line(o, j);
            advance(o, j);
            continue;
        }
        if (j->whole && !j->ended)
            return;
        bool through = write_job(o, j);
        if (!j->ended) {
            job_resume(j);
            return;
        }
        if (!through)
            return;
        advance(o, j);
    }
}

void output_look(struct output *o)
{
    struct pollfd p = {.fd = STDOUT_FILENO};
    if (poll(&p, 1, 0) > 0 && (p.revents & POLLERR))
        o->sink[OUT].err = -EPIPE;
}

bool output_is_idle(const struct output *o)
{
    return o->waiting == 0;
}

void output_close(struct output *o)
{
    table_close(&o->table);
    for (int i = 0; i < STREAMS; i++) {
        mp_watch_close(o->sink[i].watch);
        free(o->sink[i].buf);
    }
    while (o->first) {
        struct job *j = o->first;
        o->first = j->next;
        job_free(j);
    }
    for (int i = 0; i < WINDOW; i++)
        if (o->turn[i])
            job_free(o->turn[i]);
}
