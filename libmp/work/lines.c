// SPDX-License-Identifier: MIT
//
// stdout and stderr of a worker become streams of ours, which keep what they are given until
// there is a newline, and write whole lines under a lock that all workers of the pool share.
// No process in between: when the call that ended a line returns, the line is where it should
// be, and nothing is lost that a line's end was printed of, however the worker ends.
//
// The lock is robust. Who was killed while it wrote may have left half a line, which happens in
// pipes only; the next one begins a new line then. One that was stopped while it wrote keeps
// the others for a while, and then they write all the same.
#include "work/lines.h"

#include <errno.h>
#include <mp/error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE_MS 1000
#define LONGEST     ((size_t)1 << 20) // a line may be; the rest of it is another

static struct stream {
    int fd;
    struct mp__mutex *lock;
    char *held; // no newline in it
    size_t size, room;
} streams[2];

static void write_all(int fd, const char *data, size_t size)
{
    while (size) {
        ssize_t n = write(fd, data, size);
        if (n < 0 && errno != EINTR)
            return; // as with stdio, nobody hears of it who does not ask
        if (n > 0) {
            data += n;
            size -= (size_t)n;
        }
    }
}

static void write_lines(struct stream *s, const char *data, size_t size)
{
    int r = mp__mutex_lock(s->lock, mp__deadline_in(PATIENCE_MS));
    if (r == MP_EOWNERDEAD) {
        write_all(s->fd, "\n", 1);
        mp__mutex_consistent(s->lock);
    }
    write_all(s->fd, data, size);
    if (r == 0 || r == MP_EOWNERDEAD)
        mp__mutex_unlock(s->lock);
}

// Keeps more of an unfinished line. False: it is too long, or there is no memory.
static bool hold(struct stream *s, const char *data, size_t size)
{
    if (size == 0)
        return true;
    if (size > LONGEST - s->size)
        return false;
    if (s->size + size > s->room) {
        size_t room = (s->size + size) * 2;
        char *more = realloc(s->held, room);
        if (!more)
            return false;
        s->held = more;
        s->room = room;
    }
    memcpy(s->held + s->size, data, size);
    s->size += size;
    return true;
}

static void write_held(struct stream *s)
{
    write_lines(s, s->held, s->size);
    s->size = 0;
}

// The lines go out in one piece with what was kept of the first one; the rest is kept.
static ssize_t take(void *cookie, const char *data, size_t size)
{
    struct stream *s = cookie;
    const char *last = memrchr(data, '\n', size);
    size_t whole = last ? (size_t)(last - data) + 1 : 0;
    if (whole && s->size == 0)
        write_lines(s, data, whole);
    else if (whole && hold(s, data, whole))
        write_held(s);
    else
        whole = 0;
    if (!hold(s, data + whole, size - whole)) {
        write_held(s);
        write_lines(s, data + whole, size - whole);
    }
    return (ssize_t)size;
}

static FILE *open_stream(struct stream *s, int fd, struct mp__mutex *lock)
{
    *s = (struct stream){.fd = fd, .lock = lock};
    FILE *f = fopencookie(s, "w", (cookie_io_functions_t){.write = take});
    if (f)
        setvbuf(f, NULL, _IOLBF, 0);
    return f;
}

int mp__lines_begin(struct mp__mutex *lock)
{
    FILE *out = open_stream(&streams[0], STDOUT_FILENO, lock);
    FILE *err = open_stream(&streams[1], STDERR_FILENO, lock);
    if (!out || !err || atexit(mp__lines_end) != 0)
        return -ENOMEM; // the process ends
    stdout = out;
    stderr = err;
    return 0;
}

void mp__lines_end(void)
{
    fflush(stdout);
    fflush(stderr);
    for (int i = 0; i < 2; i++) {
        if (streams[i].size && hold(&streams[i], "\n", 1))
            write_held(&streams[i]);
    }
}
