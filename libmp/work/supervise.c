// SPDX-License-Identifier: MIT
//
// A monitor over the children, and what to do about an end it tells. Children that are ended on
// purpose are taken from the monitor first, so what it tells was never asked for.
//
// A start that fails counts like a child that died at once: it goes on being tried until the
// limit says that it is hopeless.
#include "base/clock.h"
#include "os/fork.h"

#include <errno.h>
#include <mp/monitor.h>
#include <mp/supervise.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RESTARTS  3
#define WITHIN_MS 5000
#define STOP_MS   5000

struct child {
    mp_supervised told;
    mp_process *process; // NULL: it has ended
};

struct mp_supervisor {
    uint64_t owner;
    mp_supervisor_opts opts;
    mp_monitor *monitor;
    size_t n;
    struct child *child;
    int64_t *when; // of the last restarts, as many as are allowed; a ring
    uint64_t restarts;
    bool gave_up;
    char error[160];
};

// ---- the limit -------------------------------------------------------------------

// Notes a restart. False: that would be one too many.
static bool may_restart(mp_supervisor *s)
{
    int64_t now = mp__now(), *oldest = &s->when[s->restarts % (unsigned)s->opts.restarts];
    if (s->restarts >= (unsigned)s->opts.restarts &&
        now - *oldest < (int64_t)s->opts.within_ms * 1000000)
        return false;
    *oldest = now;
    s->restarts++;
    return true;
}

static void describe(mp_supervisor *s, const struct child *c, int code)
{
    char how[64];
    if (code == MP_ESTATUS || code <= -1000)
        snprintf(how, sizeof how, "%s", mp_err_name(code));
    else if (code < 0)
        snprintf(how, sizeof how, "was killed by signal %d (%s)", -code, strsignal(-code));
    else
        snprintf(how, sizeof how, "ended with %d", code);
    snprintf(s->error, sizeof s->error, "%d restarts in %d ms, then child %zu %s", s->opts.restarts,
             s->opts.within_ms, (size_t)(c - s->child), how);
}

// ---- one child -------------------------------------------------------------------

static int start(mp_supervisor *s, struct child *c)
{
    int r = mp_process_start(&c->process, c->told.fn, c->told.arg, &c->told.opts);
    if (r < 0)
        return r;
    r = mp_monitor_add(s->monitor, c->process, c);
    if (r < 0) {
        mp_process_kill(c->process);
        mp_process_free(c->process);
        c->process = NULL;
    }
    return r;
}

static void bury(struct child *c)
{
    mp_process_free(c->process);
    c->process = NULL;
}

static void stop(mp_supervisor *s, struct child *c)
{
    if (!c->process)
        return;
    mp_monitor_remove(s->monitor, c->process);
    int ms = c->told.stop_ms ? c->told.stop_ms : STOP_MS;
    if (ms > 0)
        mp_process_terminate(c->process);
    if (ms < 0 || mp_process_join(c->process, ms) < 0) {
        mp_process_kill(c->process);
        (void)!mp_process_join(c->process, MP_FOREVER);
    }
    bury(c);
}

static void stop_from(mp_supervisor *s, size_t first)
{
    for (size_t i = s->n; i > first; i--)
        stop(s, &s->child[i - 1]);
}

// ---- restarts --------------------------------------------------------------------

static int give_up(mp_supervisor *s, const struct child *c, int code)
{
    describe(s, c, code);
    s->gave_up = true;
    stop_from(s, 0);
    return MP_EBROKEN;
}

static bool is_wanted(const struct child *c, int code)
{
    return c->told.restart == MP_RESTART_ALWAYS ||
           (c->told.restart == MP_RESTART_ON_FAILURE && code != 0);
}

// Starts a child, as often as the limit lets it fail.
static int start_again(mp_supervisor *s, struct child *c)
{
    int r;
    while ((r = start(s, c)) < 0)
        if (!may_restart(s))
            return give_up(s, c, r);
    return 0;
}

// What has ended for good before is not started again with the others.
static int restart(mp_supervisor *s, struct child *c)
{
    size_t i = (size_t)(c - s->child), n = s->n;
    bool *again = calloc(n, sizeof *again);
    if (!again)
        return give_up(s, c, -ENOMEM);
    size_t first = s->opts.strategy == MP_ONE_FOR_ALL ? 0 : i;
    size_t end = s->opts.strategy == MP_ONE_FOR_ONE ? i + 1 : n;
    for (size_t k = first; k < end; k++)
        again[k] = s->child[k].process != NULL && s->child[k].told.restart != MP_RESTART_NEVER;
    again[i] = true;
    if (s->opts.strategy != MP_ONE_FOR_ONE)
        stop_from(s, first);
    int r = 0;
    for (size_t k = first; k < end && r == 0; k++)
        if (again[k])
            r = start_again(s, &s->child[k]);
    free(again);
    return r;
}

static int see_to(mp_supervisor *s, const mp_exit *e)
{
    struct child *c = e->arg;
    int code = e->code;
    if (s->opts.on_exit)
        s->opts.on_exit((size_t)(c - s->child), code, s->opts.arg);
    bury(c);
    if (!is_wanted(c, code))
        return 0;
    return may_restart(s) ? restart(s, c) : give_up(s, c, code);
}

// ---- the public calls ------------------------------------------------------------

static bool moves_pipes(const mp_process_opts *o)
{
    for (size_t i = 0; o->handles && i < o->n_handles; i++)
        if (o->handles[i].kind == MP_HANDLE_PIPE)
            return true;
    return o->give && o->give[0];
}

static int check(const mp_supervised *c, size_t n, const mp_supervisor_opts *o)
{
    if (!c || n == 0 || n > PTRDIFF_MAX / sizeof(struct child) || o->restarts < 0 ||
        o->within_ms < 0 || (unsigned)o->strategy > MP_REST_FOR_ONE)
        return MP_EINVAL;
    for (size_t i = 0; i < n; i++)
        if (!c[i].fn || (unsigned)c[i].restart > MP_RESTART_NEVER || c[i].stop_ms < -1 ||
            (c[i].restart != MP_RESTART_NEVER && moves_pipes(&c[i].opts)))
            return MP_EINVAL;
    return 0;
}

static int usable(const mp_supervisor *s)
{
    if (!s)
        return MP_EINVAL;
    return mp__fork_is_mine(s->owner) ? 0 : MP_EOWNER;
}

static int init(mp_supervisor *s, const mp_supervised *children)
{
    s->owner = mp__fork_token();
    s->opts.restarts = s->opts.restarts ? s->opts.restarts : RESTARTS;
    s->opts.within_ms = s->opts.within_ms ? s->opts.within_ms : WITHIN_MS;
    s->child = calloc(s->n, sizeof *s->child);
    s->when = calloc((size_t)s->opts.restarts, sizeof *s->when);
    if (!s->child || !s->when || !s->owner)
        return -ENOMEM;
    for (size_t i = 0; i < s->n; i++)
        s->child[i].told = children[i];
    int r = mp_monitor_new(&s->monitor);
    for (size_t i = 0; i < s->n && r == 0; i++)
        r = start(s, &s->child[i]);
    return r;
}

int mp_supervisor_new(mp_supervisor **out, const mp_supervised *children, size_t n,
                      const mp_supervisor_opts *opts)
{
    static const mp_supervisor_opts defaults;
    if (!out)
        return MP_EINVAL;
    *out = NULL;
    int r = check(children, n, opts ? opts : &defaults);
    if (r < 0)
        return r;
    mp_supervisor *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    s->opts = opts ? *opts : defaults;
    s->n = n;
    r = init(s, children);
    if (r < 0) {
        mp_supervisor_free(s);
        return r;
    }
    *out = s;
    return 0;
}

int mp_supervisor_run(mp_supervisor *s, int timeout_ms)
{
    mp__deadline d = mp__deadline_in(timeout_ms);
    int r = usable(s);
    if (r < 0)
        return r;
    if (timeout_ms < MP_FOREVER)
        return MP_EINVAL;
    while (!s->gave_up) {
        mp_exit e;
        r = mp_monitor_wait(s->monitor, &e, timeout_ms < 0 ? MP_FOREVER : mp__left_ms(d));
        if (r == 0)
            r = see_to(s, &e);
        if (r < 0)
            return r == MP_EOF ? 0 : r;
    }
    return MP_EBROKEN;
}

int mp_supervisor_stop(mp_supervisor *s)
{
    int r = usable(s);
    if (r == 0)
        stop_from(s, 0);
    return r;
}

int mp_supervisor_fd(mp_supervisor *s)
{
    int r = usable(s);
    return r < 0 ? r : mp_monitor_fd(s->monitor);
}

mp_process *mp_supervisor_process(mp_supervisor *s, size_t i)
{
    return usable(s) == 0 && i < s->n ? s->child[i].process : NULL;
}

uint64_t mp_supervisor_restarts(const mp_supervisor *s)
{
    return s ? s->restarts : 0;
}

const char *mp_supervisor_error(const mp_supervisor *s)
{
    return s ? s->error : "";
}

void mp_supervisor_free(mp_supervisor *s)
{
    if (!s)
        return;
    if (mp__fork_is_mine(s->owner) && s->child)
        stop_from(s, 0);
    mp_monitor_free(s->monitor);
    free(s->child);
    free(s->when);
    free(s);
}
