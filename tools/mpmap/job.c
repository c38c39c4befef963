// SPDX-License-Identifier: MIT
#include "job.h"
#include "say.h"

#include <errno.h>
#include <fcntl.h>
#include <mp/spawn.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { PIECE = 64 * 1024 };

static const struct launch *launch; // of the one run there is

static int64_t now_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

struct job *job_new(struct run *run, long seq, int slot, const struct item *item)
{
    struct job *j = xrealloc(NULL, sizeof *j);
    *j = (struct job){.run = run, .seq = seq, .log_seq = seq, .slot = slot, .pidfd = -1};
    j->began = (double)now_ns(CLOCK_REALTIME) / 1e9; // as far as it gets
    show(j->label, sizeof j->label, item->text, item->len);
    for (int i = 0; i < STREAMS; i++)
        j->stream[i] = (struct stream){.job = j, .fd = -1};
    return j;
}

static void stream_close(struct stream *s)
{
    mp_watch_close(s->watch);
    s->watch = NULL;
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}

void job_say(struct job *j, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    char *line = say_compose(format, ap);
    va_end(ap);
    // One that cannot be held is said at once, too.
    if (j->says_at_once || held_add(&j->stream[ERR].held, line, strlen(line)) < 0)
        say_line(line);
    free(line);
}

static void hold(struct job *j, struct stream *s, const char *data, size_t n)
{
    if (j->lost)
        return;
    int err = held_add(&s->held, data, n);
    if (err == 0)
        return;
    j->lost = true;
    say("job %ld (%s): output truncated: %s: cannot keep it in %s: %sset TMPDIR", j->seq, j->label,
        mp_strerror(err), held_dir(), err == -ENOSPC ? "free some room, or " : "");
}

// Reads once, what may not block: somebody has seen that there is something.
static ssize_t take(struct stream *s, size_t max)
{
    static char piece[PIECE];
    ssize_t n;
    do
        n = read(s->fd, piece, max < PIECE ? max : PIECE);
    while (n < 0 && errno == EINTR);
    if (n > 0) {
        s->job->wrote += n;
        s->job->received += s == &s->job->stream[OUT] ? n : 0;
        int stream = (int)(s - s->job->stream);
        if (s->job->latest)
            latest_add(s->job->latest, stream, piece, (size_t)n);
        else if (!launch->silent)
            hold(s->job, s, piece, (size_t)n);
        if (s->job->results)
            results_add(s->job->results, stream, piece, (size_t)n);
    }
    return n;
}

static void on_readable(mp_watch *w, int events, void *arg)
{
    (void)w, (void)events;
    struct stream *s = arg;
    struct job *j = s->job;
    if (take(s, PIECE) <= 0) {
        stream_close(s);
        return;
    }
    if (j->current || launch->lines)
        launch->on_output(j);
}

void job_resume(struct job *j)
{
    for (int i = 0; i < STREAMS; i++) {
        struct stream *s = &j->stream[i];
        bool rest = s->blocked || (j->current && !held_is_empty(&s->held));
        if (s->watch && rest != s->resting) {
            s->resting = rest;
            mp_watch_set_events(s->watch, rest ? 0 : MP_LOOP_READ);
        }
    }
}

// With writers left, as much as there is: a read beyond that would block.
static void take_rest(struct stream *s, bool writers)
{
    int left = 0;
    if (writers && ioctl(s->fd, FIONREAD, &left) < 0)
        return;
    for (ssize_t n = 1; n > 0 && left > 0; left -= (int)n)
        n = take(s, (size_t)left);
    while (!writers && take(s, PIECE) == PIECE) // less is all there was
        continue;
}

void job_drain(struct job *j)
{
    struct pollfd p[STREAMS];
    for (int i = 0; i < STREAMS; i++)
        p[i] = (struct pollfd){.fd = j->stream[i].fd, .events = POLLIN};
    while (poll(p, STREAMS, 0) < 0 && errno == EINTR)
        continue;
    for (int i = 0; i < STREAMS; i++) {
        struct stream *s = &j->stream[i];
        bool writers = s->fd >= 0 && !(p[i].revents & POLLHUP);
        if (p[i].revents & POLLIN)
            take_rest(s, writers);
        if (writers)
            j->left_behind = true;
        stream_close(s);
    }
}

// The line that is left of it all.
static void hold_latest(struct job *j)
{
    size_t len;
    const char *line = latest_line(j->latest, &len);
    if (!len || launch->silent)
        return;
    hold(j, &j->stream[OUT], line, len);
    hold(j, &j->stream[OUT], "\n", 1);
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static void on_child(mp_watch *w, int code, const struct rusage *usage, void *arg)
{
    struct job *j = arg;
    mp_watch_close(w);
    j->child = NULL;
    close(j->pidfd);
    j->pidfd = -1;
    j->ended = true;
    j->code = code;
    j->runtime = (double)(now_ns(CLOCK_MONOTONIC) - j->began_ns) / 1e9;
    j->cpu = seconds(usage->ru_utime) + seconds(usage->ru_stime);
    j->memory = usage->ru_maxrss;
    bool lost = feed_has_lost(j->feed);
    feed_free(j->feed);
    j->feed = NULL;
    job_drain(j);
    if (j->latest)
        hold_latest(j);
    j->lost |= lost;
    launch->on_end(j);
}

// A pipe for each stream: ours in the stream, the job's in fds. 0 or -errno.
static int open_streams(struct job *j, int *fds)
{
    for (int i = 0; i < STREAMS; i++) {
        int p[2];
        if (pipe2(p, O_CLOEXEC) < 0)
            return -errno;
        j->stream[i].fd = p[0];
        fds[1 + i] = p[1];
    }
    return 0;
}

// No memory: what cannot be watched cannot be kept.
static void check_watch(struct job *j, int err)
{
    if (!err)
        return;
    say("cannot watch job %ld: %s", j->seq, mp_strerror(err));
    job_kill(j, SIGKILL);
    exit(EXIT_IO);
}

void job_listen(struct job *j)
{
    int err = 0;
    for (int i = 0; i < STREAMS && err == 0; i++)
        if (j->stream[i].fd >= 0)
            err = mp_loop_add_fd(launch->loop, &j->stream[i].watch, j->stream[i].fd, MP_LOOP_READ,
                                 on_readable, &j->stream[i]);
    check_watch(j, err);
    j->listening = true;
}

int job_start(struct job *j, const struct launch *l, char *const argv[])
{
    int fds[3] = {l->null, MP_SPAWN_INHERIT, MP_SPAWN_INHERIT};
    launch = l;
    j->began = (double)now_ns(CLOCK_REALTIME) / 1e9;
    j->began_ns = now_ns(CLOCK_MONOTONIC);
    int err = l->capture ? open_streams(j, fds) : 0;
    if (l->latest) {
        j->latest = xrealloc(j->latest, sizeof *j->latest);
        *j->latest = (struct latest){0};
    }
    if (err == 0 && l->blocks)
        err = feed_new(&j->feed, &fds[0], l->blocks, l->on_idle, j->run);
    if (err == 0)
        err = mp_spawn(&j->pid, &j->pidfd, argv,
                       &(mp_spawn_opts){.path = l->path,
                                        .fds = fds,
                                        .env = l->env,
                                        .cwd = l->workdir,
                                        .groups = l->groups,
                                        .signals = &l->signals,
                                        .own_group = true,
                                        .die_with_caller = true});
    for (int i = 0; i <= STREAMS; i++)
        if (fds[i] >= 0 && fds[i] != l->null)
            close(fds[i]);
    if (err) {
        feed_free(j->feed);
        j->feed = NULL;
        for (int i = 0; i < STREAMS; i++)
            stream_close(&j->stream[i]);
        return err;
    }
    check_watch(j, mp_loop_add_child(l->loop, &j->child, j->pidfd, on_child, j));
    return 0;
}

void job_kill(struct job *j, int sig)
{
    if (j->pid > 0)
        kill(-j->pid, sig);
}

void job_json(FILE *f, const struct job *j)
{
    fprintf(f,
            "\"runtime\":%.3f,\"exit\":%d,\"signal\":%d,\"timed_out\":%s,\"out_of_memory\":%s,"
            "\"tries\":%d,\"received\":%ld,\"cpu\":%.3f,\"memory_kib\":%ld",
            j->runtime, j->code < 0 ? 0 : j->code, j->code < 0 ? -j->code : 0,
            j->timed_out ? "true" : "false", j->out_of_memory ? "true" : "false", j->tries,
            j->received, j->cpu, j->memory);
}

void job_again(struct job *j)
{
    for (int i = 0; i < STREAMS; i++) {
        held_free(&j->stream[i].held);
        j->stream[i].blocked = j->stream[i].resting = false;
    }
    results_free(j->results);
    j->results = NULL;
    j->pid = 0;
    j->ended = j->lost = j->left_behind = j->listening = false;
    j->timed_out = j->put_back = j->wants_terminal = j->out_of_memory = false;
    j->term_step = 0;
    j->received = j->wrote = 0;
}

void job_free(struct job *j)
{
    results_free(j->results);
    kept_free(j->kept);
    free(j->command);
    free(j->tag);
    free(j->latest);
    mp_watch_close(j->child);
    feed_free(j->feed);
    if (j->pidfd >= 0)
        close(j->pidfd);
    for (int i = 0; i < STREAMS; i++) {
        stream_close(&j->stream[i]);
        held_free(&j->stream[i].held);
    }
    free(j);
}
