// SPDX-License-Identifier: MIT
//
// Persistence, as the server sees it: a commit at the end of each round, and a snapshot by a
// child when the log has grown, or somebody asks. A round that could not be committed is not
// answered: the daemon ends, and says why.
#include "store.h"

#include "base/clock.h"
#include "logfmt.h"
#include "persist/persist.h"
#include "server.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void warn(void *ctx, const char *text)
{
    char quoted[LOGFMT_QUOTED];
    (void)ctx;
    logfmt(MP_LOG_WARN, "store", "text=%s", logfmt_quote(quoted, text));
}

static int fsync_mode(const char *word, enum mp__fsync *mode)
{
    static const char *const words[] = {"everysec", "always", "no"};
    for (int i = 0; i < 3; i++) {
        if (strcmp(word, words[i]) == 0) {
            *mode = (enum mp__fsync)i;
            return 0;
        }
    }
    return MP_EINVAL;
}

int store_open(struct server *s, struct mp__core_hooks *hooks, char *text, size_t size)
{
    struct mp__persist_opts o = {.dir = s->options->dir, .warn = warn, .ctx = s};
    if (fsync_mode(s->options->fsync, &o.fsync) < 0) {
        snprintf(text, size, "fsync is always, everysec or no");
        return MP_EINVAL;
    }
    if (!o.dir)
        return 0;
    int r = mp__persist_open(&s->persist, &o);
    if (r < 0)
        snprintf(text, size, "%s: %s", o.dir, mp_strerror(r));
    else
        mp__persist_hooks(s->persist, hooks);
    return r;
}

int store_load(struct server *s, char *text, size_t size)
{
    if (!s->persist)
        return 0;
    int r = mp__persist_load(s->persist, s->core);
    if (r < 0)
        snprintf(text, size, "%s: %s", s->options->dir, mp_strerror(r));
    else
        logfmt(MP_LOG_INFO, "loaded", "names=%llu",
               (unsigned long long)mp__core_stats(s->core).names);
    return r;
}

void store_close(struct server *s)
{
    mp__persist_close(s->persist);
    s->persist = NULL;
}

int64_t store_deadline(const struct server *s)
{
    return s->persist ? mp__persist_deadline(s->persist) : MP__NEVER;
}

// ---- snapshots -----------------------------------------------------------------------

static void answer(struct server *s, int status)
{
    for (struct conn *c = s->conns; c; c = c->next)
        if (c->snapshots && c->phase == GREETED)
            mp__core_reply(s->core, c->session, c->snapshot, status, NULL, 0);
    for (struct conn *c = s->conns; c; c = c->next)
        c->snapshots = false;
}

static void on_child(mp_watch *w, int code, const struct rusage *usage, void *arg)
{
    struct server *s = arg;
    (void)w;
    (void)usage;
    mp_watch_close(s->snapshot_watch);
    close(s->snapshot_pidfd);
    s->snapshot_watch = NULL;
    s->snapshot_pidfd = -1;
    int r = mp__persist_snapshot_end(s->persist, code == 0);
    logfmt(r < 0 || code ? MP_LOG_ERROR : MP_LOG_INFO, "snapshot", "ok=%s code=%d",
           r < 0 || code ? "no" : "yes", code);
    answer(s, code ? -EIO : r);
    server_settle(s);
}

static int begin_snapshot(struct server *s)
{
    if (s->snapshot_watch)
        return 0;
    pid_t pid = mp__persist_snapshot_begin(s->persist, s->core);
    if (pid < 0)
        return (int)pid;
    s->snapshot_pidfd = mp__pidfd_open(pid);
    int r = s->snapshot_pidfd < 0
                ? s->snapshot_pidfd
                : mp_loop_add_child(s->loop, &s->snapshot_watch, s->snapshot_pidfd, on_child, s);
    if (r < 0)
        logfmt(MP_LOG_ERROR, "snapshot", "ok=no error=%s", mp_err_name(r));
    return r;
}

int store_snapshot(struct server *s, struct conn *asker, uint64_t id, bool may_later)
{
    if (!s->persist || !may_later)
        return MP_ENOTSUP;
    if (asker->snapshots)
        return MP_ESTATE; // it has asked already
    int r = begin_snapshot(s);
    if (r < 0)
        return r;
    asker->snapshots = true;
    asker->snapshot = id;
    return MP__LATER;
}

void store_commit(struct server *s)
{
    if (!s->persist || s->failed)
        return;
    int r = mp__persist_commit(s->persist, mp__now());
    if (r < 0) {
        s->failed = true;
        logfmt(MP_LOG_ERROR, "store",
               "error=%s text=\"what was done cannot be kept: the manager ends\"", mp_err_name(r));
        server_stop(s, true);
        return;
    }
    if (mp__persist_log_size(s->persist) > s->options->snapshot_size && !s->stopping)
        begin_snapshot(s);
}

// ---- custom types --------------------------------------------------------------------

static int add_types(struct server *s, const mp_manager_type *const *types, const char *from,
                     char *text, size_t size)
{
    for (; *types; types++) {
        int r = mp__core_add_type(s->core, *types);
        if (r < 0) {
            snprintf(text, size, "%s: type %s: %s", from, (*types)->name ? (*types)->name : "?",
                     mp_strerror(r));
            return r;
        }
        logfmt(MP_LOG_INFO, "type", "name=%s from=%s", (*types)->name, from);
    }
    return 0;
}

static int load_one(struct server *s, const char *file, char *text, size_t size)
{
    void *lib = dlopen(file, RTLD_NOW | RTLD_LOCAL); // which stays
    const mp_manager_type *const *types = lib ? dlsym(lib, "mp_manager_types") : NULL;
    if (types)
        return add_types(s, types, file, text, size);
    snprintf(text, size, "%s: %s", file, lib ? "it has no mp_manager_types" : dlerror());
    return MP_EINVAL;
}

int types_load(struct server *s, char *text, size_t size)
{
    const struct options *o = s->options;
    int r = o->types ? add_types(s, o->types, "opts.types", text, size) : 0;
    for (size_t i = 0; r == 0 && i < o->type.count; i++)
        r = load_one(s, o->type.items[i], text, size);
    return r;
}
