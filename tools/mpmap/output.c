// SPDX-License-Identifier: MIT
#include "output.h"
#include "say.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
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

void output_init(struct output *o, mp_loop *loop, bool keep_order, void (*room)(void *), void *arg)
{
    *o = (struct output){
        .loop = loop, .keep_order = keep_order, .next = 1, .on_room = room, .arg = arg};
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

void output_ended(struct output *o, struct job *j)
{
    o->waiting++;
    if (o->keep_order)
        return;
    j->next = NULL;
    *o->last = j;
    o->last = &j->next;
}

// Whether all that is held went out.
static bool write_stream(struct output *o, struct job *j, int i)
{
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
    if (n < 0) {
        say("job %ld (%s): output lost: its file in %s: %s", j->seq, j->label, held_dir(),
            mp_strerror(n));
        o->lost = true;
        held_free(h);
    }
    return true;
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

void output_pump(struct output *o)
{
    for (struct job *j; (j = current(o));) {
        bool through = true;
        for (int i = 0; i < STREAMS && through; i++)
            through = write_stream(o, j, i);
        if (!j->ended) {
            job_resume(j);
            return;
        }
        if (!through)
            return;
        advance(o, j);
    }
}

bool output_is_idle(const struct output *o)
{
    return o->waiting == 0;
}

void output_close(struct output *o)
{
    for (int i = 0; i < STREAMS; i++)
        mp_watch_close(o->sink[i].watch);
    while (o->first) {
        struct job *j = o->first;
        o->first = j->next;
        job_free(j);
    }
    for (int i = 0; i < WINDOW; i++)
        if (o->turn[i])
            job_free(o->turn[i]);
}
