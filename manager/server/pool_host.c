// SPDX-License-Identifier: MIT
//
// The process beside the daemon that runs tasks. To the daemon it is a client that serves tasks
// (docs/protocol.md), and to its workers a program with a pool; so the daemon loads none of
// the users' code that runs here, shares no memory with it, and waits for nothing.
//
// A round takes what the daemon sent, passes it to the pool, and tells what has ended.
#include "pool.h"

#include "child.h"
#include "work/function.h"

#include <dlfcn.h>
#include <errno.h>
#include <mp/manager.h>
#include <mp/task.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TELL = 64, LOOK_MS = 50 };

struct running {
    uint64_t ticket;
    mp_future *future;
};

struct host {
    const struct pool_plan *plan;
    mp_manager *manager;
    mp_pool *pool;
    int64_t serving;    // the call that tasks come by
    size_t slots;       // tasks that the manager gives at a time
    size_t count, room; // that run: more, while those that it has given up end
    struct running *running;
    mp_buf event;
};

// ---- tasks by name -------------------------------------------------------------------

// What the library itself has registered is no task; nor, with plugins, what the program around
// them has.
static bool offered(const struct pool_plan *plan, const mp_function *f)
{
    Dl_info here, there;
    if (strncmp(f->name, "mp__", 4) == 0)
        return false;
    return plan->count == 0 ||
           (dladdr((void *)(uintptr_t)pool_host, &here) &&
            dladdr((void *)(uintptr_t)f->fn, &there) && here.dli_fbase != there.dli_fbase);
}

static const mp_function *next_offered(const struct pool_plan *plan, const mp_function *f)
{
    do
        f = mp__function_next(f);
    while (f && !offered(plan, f));
    return f;
}

static const mp_function *find(const struct pool_plan *plan, const char *name, size_t size)
{
    const mp_function *f = NULL;
    while ((f = next_offered(plan, f)))
        if (strlen(f->name) == size && memcmp(f->name, name, size) == 0)
            break;
    return f;
}

static int load(const struct pool_plan *plan, struct child_report *report)
{
    for (size_t i = 0; i < plan->count; i++) {
        if (dlopen(plan->plugins[i], RTLD_NOW | RTLD_GLOBAL)) // and it stays
            continue;
        snprintf(report->text, sizeof report->text, "%s", dlerror());
        return MP_EINVAL;
    }
    if (next_offered(plan, NULL))
        return 0;
    snprintf(report->text, sizeof report->text, "there are no tasks: none is named by MP_TASK()");
    return MP_ENOFUNC;
}

// The array of their names.
static int pack_names(const struct pool_plan *plan, mp_buf *b)
{
    size_t n = 0;
    const mp_function *f = NULL;
    while ((f = next_offered(plan, f)))
        n++;
    int r = mp_pack_array(b, n);
    while (r == 0 && (f = next_offered(plan, f)))
        r = mp_pack(b, "s", f->name);
    return r;
}

// ---- what has ended ------------------------------------------------------------------

static int64_t tell(struct host *h, uint64_t ticket, int status, const void *result, size_t size)
{
    mp_proxy *self = mp_manager_self(h->manager);
    if (status == 0)
        return mp_call_begin(self, MP_FOREVER, "task_done", "U i b#", ticket, 0, result, size);
    return mp_call_begin(self, MP_FOREVER, "task_done", "U i s#", ticket, status,
                         (const char *)result, size);
}

static int64_t tell_end(struct host *h, const struct running *t)
{
    size_t size = 0;
    const void *data = mp_future_data(t->future, &size);
    int status = data ? 0 : mp_future_error(t->future, 0);
    const char *text = mp_future_error_text(t->future);
    int64_t r = status == 0 ? tell(h, t->ticket, 0, data, size)
                            : tell(h, t->ticket, status, text, strlen(text));
    if (r != MP_EMSGSIZE)
        return r;
    static const char too_long[] = "its result is too long for the manager";
    return tell(h, t->ticket, MP_EMSGSIZE, too_long, sizeof too_long - 1);
}

// Tells of up to TELL tasks that have ended, all at once. Returns how many there were.
static int tell_ended(struct host *h)
{
    int64_t calls[TELL];
    int n = 0, r = 0;
    for (size_t i = 0; r >= 0 && n < TELL && i < h->count;) {
        struct running *t = &h->running[i];
        if (!mp_future_done(t->future)) {
            i++;
            continue;
        }
        calls[n] = tell_end(h, t);
        r = calls[n] < 0 ? (int)calls[n] : 0;
        n += r == 0;
        mp_future_free(t->future);
        *t = h->running[--h->count];
    }
    for (int i = 0; i < n; i++) {
        int ended = mp_call_end(h->manager, NULL, calls[i], "");
        r = r < 0 ? r : ended;
    }
    return r < 0 ? r : n;
}

// ---- what is to be done --------------------------------------------------------------

static int refuse(struct host *h, uint64_t ticket, int status)
{
    const char *text = mp_strerror(status);
    int64_t call = tell(h, ticket, status, text, strlen(text));
    return call < 0 ? (int)call : mp_call_end(h->manager, NULL, call, "");
}

static int make_room(struct host *h)
{
    if (h->count < h->room)
        return 0;
    void *more = realloc(h->running, 2 * h->room * sizeof *h->running);
    if (!more)
        return -ENOMEM;
    h->running = more;
    h->room *= 2;
    return 0;
}

static int begin_task(struct host *h)
{
    uint64_t ticket;
    const char *name;
    const void *args;
    size_t name_size, size;
    mp_task_opts opts = {0};
    mp_future *f;
    int r = mp_unpack(h->event.data, h->event.size, "[U s# b# i i]", &ticket, &name, &name_size,
                      &args, &size, &opts.timeout_ms, &opts.retries);
    if (r < 0)
        return r;
    const mp_function *fn = find(h->plan, name, name_size);
    r = fn ? make_room(h) : MP_ENOFUNC;
    if (r < 0)
        return refuse(h, ticket, r);
    r = mp_pool_apply_async(&f, h->pool, (mp_task_fn *)(uintptr_t)fn->fn, args, size, &opts);
    if (r == MP_EBROKEN)
        return r;
    if (r < 0)
        return refuse(h, ticket, r);
    h->running[h->count++] = (struct running){ticket, f};
    return 0;
}

// An event: a task, or the ticket of one that is not wanted; nil is the beginning.
static int take_event(struct host *h)
{
    uint64_t ticket;
    if (h->event.size == 1)
        return 0;
    if (mp_unpack(h->event.data, h->event.size, "[U]", &ticket) < 0)
        return begin_task(h);
    for (size_t i = 0; i < h->count; i++)
        if (h->running[i].ticket == ticket)
            (void)!mp_pool_cancel(h->pool, h->running[i].future);
    return 0;
}

// Returns how many there were.
static int take_events(struct host *h)
{
    int n = 0, r;
    while ((r = mp_call_next(h->manager, h->serving, &h->event, 0)) == 1) {
        n++;
        r = take_event(h);
        if (r < 0)
            return r;
    }
    return r == MP_ETIMEDOUT || r == MP_EAGAIN ? n : r;
}

// ---- the life of it ------------------------------------------------------------------

// Sleeps until somebody says something. What ends is announced from arming on.
static void rest(struct host *h)
{
    mp_future_source *source = h->count ? mp_future_get_source(h->running[0].future) : NULL;
    if (source)
        mp_future_source_progress(source, true);
    for (size_t i = 0; i < h->count; i++)
        if (mp_future_done(h->running[i].future))
            return;
    struct pollfd p[] = {{.fd = mp_manager_fd(h->manager), .events = POLLIN},
                         {.fd = source ? mp_future_source_fd(source) : -1, .events = POLLIN}};
    (void)!poll(p, 2, h->count ? LOOK_MS : -1);
    if (source)
        mp_future_source_progress(source, false);
}

static int serve(struct host *h)
{
    for (;;) {
        int events = take_events(h);
        if (events < 0)
            return events;
        int ended = tell_ended(h);
        if (ended < 0)
            return ended;
        if (events + ended == 0)
            rest(h);
    }
}

static int begin(struct host *h, const struct pool_plan *plan, struct child_report *report)
{
    int r = load(plan, report);
    if (r == 0)
        r = mp_pool_new(&h->pool, &(mp_pool_opts){.workers = plan->workers, .name = "mptask"});
    if (r < 0)
        return r;
    h->slots = h->room = 2 * (size_t)mp_pool_workers(h->pool);
    h->running = calloc(h->room, sizeof *h->running);
    return h->running ? 0 : -ENOMEM;
}

static int connect_to(struct host *h, const struct pool_plan *plan)
{
    mp_buf names = {0};
    const mp_manager_opts opts = {.client = "tasks", .patience_ms = MP_FOREVER, .no_rings = true};
    int r = mp_connect_manager(&h->manager, plan->socket, &opts);
    if (r == 0)
        r = pack_names(plan, &names);
    if (r == 0) {
        h->serving = mp_call_begin(mp_manager_self(h->manager), MP_FOREVER, "serve_tasks", "U O#",
                                   (uint64_t)h->slots, names.data, names.size);
        r = h->serving < 0 ? (int)h->serving : 0;
    }
    mp_buf_free(&names);
    return r;
}

int pool_host(const struct pool_plan *plan, int fd, struct child_report *report)
{
    struct host h = {.plan = plan};
    report->err = begin(&h, plan, report);
    bool go = child_tell(fd, report) && report->err == 0;
    int r = go ? connect_to(&h, plan) : MP_EBROKEN;
    if (r == 0)
        r = serve(&h);
    mp_pool_free(h.pool);
    for (size_t i = 0; i < h.count; i++)
        mp_future_free(h.running[i].future);
    free(h.running);
    mp_buf_free(&h.event);
    mp_manager_free(h.manager);
    return r == MP_ELOST || r == MP_ECLOSED ? 0 : 1;
}
