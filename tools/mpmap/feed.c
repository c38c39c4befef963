// SPDX-License-Identifier: MIT
//
// Two things make this fast. Who fills a pipe from a file keeps its reader out for as long as
// the kernel looks for the pages. So they go into a pipe that nobody reads, the stock, and
// from there to the job's, which is a matter of pointers.
//
// And a pipe is filled again when a third of it is read. The kernel would tell already when the job
// has read its first few pages of a full one, and each time we wake, a job loses its CPU. So
// it is the time that wakes us, as long as the job goes on reading; how fast it reads was seen
// the last time. Of a job that has not read since then, the kernel tells when it does.
#include "feed.h"
#include "say.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum {
    PIPE_SIZE = 1024 * 1024,
    PIECE = 64 * 1024,
    PAUSE_MIN = 20000, // ns
    PAUSE_MAX = 20000000,
};

struct feed {
    int fd;      // -1: ended, or the job reads no more
    size_t room; // of the pipe, in bytes when all its pages are full
    int timer;
    mp_watch *watch, *timer_watch;
    int64_t full_at, pause; // ns: since when it is full, and from then to the next look
    size_t given, read;     // bytes: to the pipe, and of these by the job until full_at
    const struct blocks *from;
    struct block block;
    size_t at, header; // what it has of the block, and of the header before it
    long blocks;
    bool busy, ending, copying, lost;
    void (*on_idle)(void *);
    void *arg;
};

static int stock[2] = {-1, -1}; // empty but within put_some()

static int open_pipe(int p[2])
{
    if (pipe2(p, O_CLOEXEC) < 0)
        return -errno;
    fcntl(p[1], F_SETFL, O_NONBLOCK);
    fcntl(p[1], F_SETPIPE_SZ, PIPE_SIZE); // as far as it is allowed
    return 0;
}

int feed_new(struct feed **out, int *fd, const struct blocks *from, void (*on_idle)(void *),
             void *arg)
{
    int p[2] = {-1, -1}, err = stock[0] < 0 ? open_pipe(stock) : 0;
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (err == 0)
        err = timer < 0 ? -errno : open_pipe(p);
    if (err) {
        if (timer >= 0)
            close(timer);
        return err;
    }
    struct feed *f = xrealloc(NULL, sizeof *f);
    *f = (struct feed){.fd = p[1],
                       .room = (size_t)fcntl(p[1], F_GETPIPE_SZ),
                       .timer = timer,
                       .pause = PAUSE_MIN,
                       .from = from,
                       .on_idle = on_idle,
                       .arg = arg};
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
    mp_watch_close(f->timer_watch);
    f->watch = f->timer_watch = NULL;
    if (f->fd >= 0) {
        close(f->fd);
        close(f->timer);
    }
    f->fd = -1;
}

// ---- what --------------------------------------------------------------------------------

// A piece of a file through memory, where the file system cannot give its pages.
static ssize_t copy(struct feed *f, off_t from, size_t len)
{
    static char piece[PIECE];
    ssize_t n = pread(f->block.fd, piece, len < PIECE ? len : PIECE, from);
    return n <= 0 ? n : write(stock[1], piece, (size_t)n);
}

// Puts into the stock what comes next, at most max bytes.
static ssize_t stock_up(struct feed *f, size_t max)
{
    size_t left = f->block.len - f->at, header = f->from->header_len - f->header;
    size_t len = left < max ? left : max;
    if (header)
        return write(stock[1], f->from->header + f->header, header < max ? header : max);
    if (f->block.data)
        return write(stock[1], f->block.data + f->at, len);
    loff_t from = f->block.from + (off_t)f->at;
    if (f->copying)
        return copy(f, from, len);
    ssize_t n = splice(f->block.fd, &from, stock[1], NULL, len, SPLICE_F_NONBLOCK);
    if (n < 0 && errno == EINVAL) {
        f->copying = true;
        return copy(f, from, len);
    }
    return n;
}

// What the job's pipe did not take: it is in its block yet.
static void drop_stock(void)
{
    static char piece[PIECE];
    int left;
    while (
        ioctl(stock[0], FIONREAD, &left) == 0 && left > 0 &&
        (read(stock[0], piece, (size_t)left < PIECE ? (size_t)left : PIECE) > 0 || errno == EINTR))
        continue;
}

// Gives the job up to max bytes: how many it got; 0: the block has become shorter; -1.
static ssize_t put_some(struct feed *f, size_t max)
{
    ssize_t n = stock_up(f, max);
    if (n <= 0)
        return n;
    ssize_t put = splice(stock[0], NULL, f->fd, NULL, (size_t)n, SPLICE_F_NONBLOCK);
    if (put < n) {
        int err = errno;
        drop_stock();
        errno = err;
    }
    return put;
}

static size_t bytes_queued(const struct feed *f)
{
    int queued;
    return ioctl(f->fd, FIONREAD, &queued) < 0 ? 0 : (size_t)queued;
}

// How many bytes are to be given now. Pages that are not full take room as well, so it may
// have less: not with `all`, when it is filled until it takes no more.
static size_t portion(const struct feed *f, bool all)
{
    if (all)
        return PIECE;
    size_t queued = bytes_queued(f), room = f->room > queued ? f->room - queued : 0;
    return room < f->room / 4 ? 0 : room;
}

static void lose(struct feed *f, bool shorter)
{
    f->lost = shorter || errno != EPIPE;
    if (f->lost)
        say("%s: %s: a job did not get all of its block", f->from->in.name,
            shorter ? "it has become shorter" : mp_strerror(-errno));
    drop_block(f);
    shut(f);
}

// Gives what the pipe takes. What a job does not read is dropped, as with any pipe.
static void pump(struct feed *f, bool all)
{
    while (f->busy && f->at < f->block.len) {
        size_t max = portion(f, all);
        ssize_t n = max ? put_some(f, max) : -1;
        if (!max || (n < 0 && (errno == EAGAIN || errno == EINTR)))
            return;
        if (n <= 0) {
            lose(f, n == 0);
            return;
        }
        f->given += (size_t)n;
        if (f->header < f->from->header_len)
            f->header += (size_t)n;
        else
            f->at += (size_t)n;
    }
    drop_block(f);
    if (f->ending)
        shut(f);
}

// ---- when ---------------------------------------------------------------------------------

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t clamp(double ns)
{
    return ns < PAUSE_MIN ? PAUSE_MIN : ns > PAUSE_MAX ? PAUSE_MAX : (int64_t)ns;
}

// The pipe has what it is to have: time tells when to look again, or the kernel when it
// has room.
static int begin_pause(struct feed *f)
{
    struct itimerspec t = {.it_value.tv_nsec = f->pause};
    f->full_at = now_ns();
    f->read = f->given - bytes_queued(f);
    return timerfd_settime(f->timer, 0, &t, NULL) < 0 ? -errno : 0;
}

static void go_on(struct feed *f)
{
    pump(f, false);
    if (!f->busy)
        f->on_idle(f->arg);
    else if (begin_pause(f) < 0)
        mp_watch_set_events(f->watch, MP_LOOP_WRITE);
}

static void on_time(mp_watch *w, int events, void *arg)
{
    (void)w, (void)events;
    struct feed *f = arg;
    uint64_t times;
    if (read(f->timer, &times, sizeof times) < 0)
        return;
    size_t had = f->given - f->read, read_since = had - bytes_queued(f);
    if (read_since > 0) {
        f->pause = clamp((double)(now_ns() - f->full_at) * (double)had / 3 / (double)read_since);
        go_on(f);
        return;
    }
    pump(f, true);
    f->pause = PAUSE_MIN;
    if (!f->busy)
        f->on_idle(f->arg);
    else
        mp_watch_set_events(f->watch, MP_LOOP_WRITE);
}

static void on_room(mp_watch *w, int events, void *arg)
{
    (void)events;
    mp_watch_set_events(w, 0);
    go_on(arg);
}

static int watch(struct feed *f, mp_loop *loop)
{
    if (f->watch)
        return 0;
    int err = mp_loop_add_fd(loop, &f->watch, f->fd, 0, on_room, f);
    return err ? err : mp_loop_add_fd(loop, &f->timer_watch, f->timer, MP_LOOP_READ, on_time, f);
}

int feed_give(struct feed *f, mp_loop *loop, const struct block *block)
{
    f->block = *block;
    f->at = 0;
    f->busy = true;
    f->blocks++;
    pump(f, false);
    if (!f->busy)
        return 0;
    int err = watch(f, loop);
    return err ? err : begin_pause(f);
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

bool feed_has_lost(const struct feed *f)
{
    return f && f->lost;
}

void feed_free(struct feed *f)
{
    if (!f)
        return;
    drop_block(f);
    shut(f);
    free(f);
}
