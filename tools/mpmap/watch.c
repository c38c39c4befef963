// SPDX-License-Identifier: MIT
//
// The status line is drawn anew a few times a second, as wide as the terminal is then,
// and taken away when something else is written.
#include "watch.h"
#include "terminal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { DRAW_MS = 500, LATEST_MS = 100, WIDTH_MAX = 200 };

// ---- the status line ----------------------------------------------------------------------

static double elapsed(const struct watch *w)
{
    return (double)(mp_loop_time(w->loop) - w->begin_ms) / 1000;
}

// Seconds to go, or -1.
static double left(const struct progress *p, double elapsed)
{
    if (p->total < 0 || p->done == 0)
        return -1;
    return p->total > p->done ? elapsed / (double)p->done * (double)(p->total - p->done) : 0;
}

static void show_time(char *buf, size_t size, double s)
{
    long t = (long)(s + 0.5);
    if (t >= 3600)
        snprintf(buf, size, "%ld:%02ld:%02ld", t / 3600, t / 60 % 60, t % 60);
    else
        snprintf(buf, size, "%ld:%02ld", t / 60, t % 60);
}

// The most important first, as it is cut on a narrow terminal.
static void describe(const struct progress *p, double elapsed, char *buf, size_t size)
{
    char time[32];
    double eta = left(p, elapsed);
    size_t at = 0;
    if (p->total >= 0)
        at += (size_t)snprintf(buf, size, "%3.0f%% %ld/%s%ld",
                               p->total ? 100.0 * (double)p->done / (double)p->total : 100.0,
                               p->done, p->sure ? "" : "~", p->total);
    else
        at += (size_t)snprintf(buf, size, "%ld done", p->done);
    if (p->failed)
        at += (size_t)snprintf(buf + at, size - at, " %ld failed", p->failed);
    show_time(time, sizeof time, eta >= 0 ? eta : elapsed);
    at += (size_t)snprintf(buf + at, size - at, "  %s %s", eta >= 0 ? "ETA" : "since", time);
    if (p->waits)
        snprintf(buf + at, size - at, "  waits: %s", p->waits);
    else
        snprintf(buf + at, size - at, "  %d run  %.3g/s", p->running,
                 elapsed > 0 ? (double)p->done / elapsed : 0.0);
}

static void measure(int *columns, int *rows)
{
    struct winsize size = {0};
    ioctl(STDERR_FILENO, TIOCGWINSZ, &size);
    *columns = (size.ws_col ? size.ws_col : 80) - 1; // the last one would wrap on some terminals
    *rows = size.ws_row ? size.ws_row : 24;
    if (*columns > WIDTH_MAX)
        *columns = WIDTH_MAX;
}

// The line, with what is done in reverse: text and bar at once need no width of their own.
static void draw(const struct watch *w, const struct progress *p, int columns, FILE *f)
{
    char text[WIDTH_MAX + 1];
    describe(p, elapsed(w), text, sizeof text);
    int len = (int)strlen(text);
    if (w->args->bar && p->total >= 0) {
        memset(text + len, ' ', sizeof text - 1 - (size_t)len);
        len = columns;
    }
    len = len < columns ? len : columns;
    long full = w->args->bar && p->total > 0 ? len * p->done / p->total : 0;
    int done = (int)(full < len ? full : len);
    if (done <= 0)
        fprintf(f, "\x1b[K%.*s", len, text);
    else
        fprintf(f, "\x1b[K\x1b[7m%.*s\x1b[27m%.*s", done, text, len - done, text + done);
}

static int print_latest(const struct job *j, int columns, FILE *f)
{
    char line[4 * WIDTH_MAX];
    size_t n = 0, len = 0;
    const char *text = j->latest ? latest_line(j->latest, &len) : "";
    if (len == 0)
        return 0;
    if (j->tag) {
        n = latest_fit(line, sizeof line, j->tag, strlen(j->tag), columns / 2);
        fprintf(f, "\x1b[K%.*s ", (int)n, line);
        columns -= (int)n + 1;
    } else {
        fputs("\x1b[K", f);
    }
    n = latest_fit(line, sizeof line, text, len, columns);
    fprintf(f, "%.*s\n", (int)n, line);
    return 1;
}

// Of the oldest jobs, as many as there is room for: how many.
static int print_jobs(const struct job *live, int columns, int rows, FILE *f)
{
    int printed = 0;
    while (live && live->next)
        live = live->next;
    for (; live && printed < rows; live = live->prev)
        printed += print_latest(live, columns, f);
    return printed;
}

static bool has_status(const struct args *a)
{
    return a->bar || a->eta;
}

// All that is drawn, a line after the other, in one go.
static void draw_all(const struct watch *w, const struct progress *p)
{
    char *text;
    size_t len;
    int columns, rows, jobs = 0;
    measure(&columns, &rows);
    if (columns < 1)
        return;
    FILE *f = text_open(&text, &len);
    if (w->args->latest_line)
        jobs = print_jobs(p->live, columns, rows - 1, f);
    if (has_status(w->args))
        draw(w, p, columns, f);
    text_close(f, &text);
    bar_show(text, len, jobs + 1);
    free(text);
}

static void tell(const struct watch *w, const struct progress *p)
{
    char line[400], total[32] = "null", eta[32] = "null";
    double s = left(p, elapsed(w));
    if (p->total >= 0)
        snprintf(total, sizeof total, "%ld", p->total);
    if (s >= 0)
        snprintf(eta, sizeof eta, "%.1f", s);
    int n = snprintf(line, sizeof line,
                     "{\"elapsed\":%.1f,\"done\":%ld,\"failed\":%ld,\"running\":%d,\"total\":%s,"
                     "\"sure\":%s,\"eta\":%s}\n",
                     elapsed(w), p->done, p->failed, p->running, total, p->sure ? "true" : "false",
                     eta);
    if (write(w->args->progress_fd, line, (size_t)n) < 0) {
        // Nobody looks.
    }
}

static bool wants_bar(const struct args *a)
{
    return (has_status(a) || a->latest_line) && has_cursor(STDERR_FILENO);
}

static void show_all(struct watch *w)
{
    struct progress p = {.total = -1};
    w->look(w->run, &p);
    if (wants_bar(w->args))
        draw_all(w, &p);
    if (w->args->progress_fd)
        tell(w, &p);
}

static int begin_timer(struct watch *w);

static void on_time(mp_watch *timer, void *arg)
{
    struct watch *w = arg;
    mp_watch_close(timer);
    w->timer = NULL;
    show_all(w);
    if (begin_timer(w) < 0)
        w->timer = NULL; // no more of it
}

static int begin_timer(struct watch *w)
{
    int ms = w->args->latest_line ? LATEST_MS : DRAW_MS;
    return mp_loop_add_timer(w->loop, &w->timer, ms, on_time, w);
}

int watch_init(struct watch *w, const struct args *a, mp_loop *loop,
               void (*look)(void *run, struct progress *p), void *run)
{
    *w = (struct watch){.args = a, .loop = loop, .look = look, .run = run};
    w->begin_ms = mp_loop_time(loop);
    if (!wants_bar(a) && !a->progress_fd)
        return 0;
    return begin_timer(w);
}

// ---- the state, and the summary -------------------------------------------------------------

static void count_slow(struct watch *w, const struct job *j)
{
    int at = w->slowest_len;
    while (at > 0 && w->slowest[at - 1].runtime < j->runtime)
        at--;
    if (at == SLOWEST)
        return;
    if (w->slowest_len < SLOWEST)
        w->slowest_len++;
    memmove(&w->slowest[at + 1], &w->slowest[at],
            (size_t)(w->slowest_len - 1 - at) * sizeof *w->slowest);
    struct slow_job *s = &w->slowest[at];
    s->runtime = j->runtime;
    s->seq = j->seq;
    memcpy(s->label, j->label, sizeof s->label);
}

void watch_count(struct watch *w, const struct job *j)
{
    if (!w->args->summary)
        return;
    w->busy += j->runtime;
    w->cpu += j->cpu;
    w->memory = j->memory > w->memory ? j->memory : w->memory;
    count_slow(w, j);
}

void watch_state(struct watch *w, const struct job *live)
{
    char text[WIDTH_MAX];
    struct progress p = {.total = -1};
    w->look(w->run, &p);
    describe(&p, elapsed(w), text, sizeof text);
    say("%s", text + strspn(text, " "));
    for (; live; live = live->next)
        say("job %ld (%s): slot %d, process %d, for %.1f s", live->seq, live->label, live->slot,
            (int)live->pid, (double)(mp_loop_time(w->loop) - job_began_ms(live)) / 1000);
}

static void summarize(struct watch *w)
{
    struct progress p = {.total = -1};
    double s = elapsed(w);
    w->look(w->run, &p);
    say("%ld jobs in %.3f s, %ld failed", p.done, s, p.failed);
    say("%.3f s of jobs: speed-up %.2f; %.3f s of CPU; at most %.1f MiB a job", w->busy,
        s > 0 ? w->busy / s : 1.0, w->cpu, (double)w->memory / 1024);
    for (int i = 0; i < w->slowest_len; i++)
        say("%s %8.3f s  job %ld (%s)", i ? "       " : "slowest", w->slowest[i].runtime,
            w->slowest[i].seq, w->slowest[i].label);
}

void watch_end(struct watch *w)
{
    mp_watch_close(w->timer);
    if (!w->args)
        return;
    bar_hide();
    if (w->args->progress_fd) {
        struct progress p = {.total = -1};
        w->look(w->run, &p);
        tell(w, &p);
    }
    if (w->args->summary)
        summarize(w);
}
