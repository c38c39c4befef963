// SPDX-License-Identifier: MIT
//
// The server: who is let in, what a round is, and the clock.
#include "server.h"

#include "base/clock.h"
#include "logfmt.h"
#include "os/fork.h"
#include "persist/persist.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MS            INT64_C(1000000)
#define DOOR_REST_MS  100 // without descriptors: until the next try
#define CROWD_REST_MS 5
#define SILENT_NS     (100 * MS)
#define ACCEPT_FAIR   64
#define IDLE_MS       60000

// ---- rounds --------------------------------------------------------------------------

static void flush_dirty(struct server *s)
{
    while (s->dirty) {
        struct conn *c = s->dirty;
        s->dirty = c->next_dirty;
        c->dirty = false;
        conn_flush(c);
        if (c->pipe && c->phase == GREETED && !c->hot && !conn_is_blocked(c))
            rings_heard(c);
        else
            conn_resume(c);
    }
}

static void bury(struct server *s, struct conn *c)
{
    char quoted[LOGFMT_QUOTED];
    logfmt_client(MP_LOG_INFO, "client_gone", "client=%llu pid=%d from=%s calls=%llu reason=%s",
                  (unsigned long long)c->number, (int)c->pid, c->from, (unsigned long long)c->calls,
                  logfmt_quote(quoted, c->reason));
    if (c->session)
        mp__session_end(s->core, c->session, mp__now());
    c->session = NULL;
    store_commit(s); // what it was to be told
    if (c->dirty) {  // off that list, too
        struct conn **p = &s->dirty;
        while (*p != c)
            p = &(*p)->next_dirty;
        *p = c->next_dirty;
    }
    conn_free(c);
}

static void tick(void *arg)
{
    struct server *s = arg;
    s->tick = 0;
    mp__core_tick(s->core, mp__now());
    server_settle(s);
}

// The core is asked again at the latest when it wants to be. An earlier call that is not needed
// any more is left to come.
static void set_clock(struct server *s)
{
    int64_t at = mp__core_deadline(s->core), commit = store_deadline(s);
    if (commit < at)
        at = commit;
    if (at == MP__NEVER || (s->tick && s->tick_at <= at))
        return;
    if (s->tick)
        mp_loop_cancel(s->loop, s->tick);
    int64_t left = at - mp__now();
    int64_t ms = left <= 0 ? 0 : (left + MS - 1) / MS;
    s->tick = mp_loop_call_later(s->loop, ms > 3600000 ? 3600000 : (int)ms, tick, s);
    s->tick_at = at;
    if (s->tick < 0)
        s->tick = 0; // no memory: the next round tries again
}

static void leave_when_idle(void *arg)
{
    struct server *s = arg;
    s->idle = 0;
    if (s->count == s->own && mp__core_stats(s->core).names == 0) {
        logfmt(MP_LOG_INFO, "idle", "seconds=%d", IDLE_MS / 1000);
        server_stop(s, false);
    }
}

static void watch_idle(struct server *s)
{
    if (s->options->exit_idle && s->count == s->own && !s->idle && !s->stopping)
        s->idle = mp_loop_call_later(s->loop, IDLE_MS, leave_when_idle, s);
    else if (s->count > s->own && s->idle > 0) {
        mp_loop_cancel(s->loop, s->idle);
        s->idle = 0;
    }
}

void server_settle(struct server *s)
{
    store_commit(s);
    while (s->dirty || s->dead) {
        flush_dirty(s);
        if (s->dead) {
            struct conn *c = s->dead;
            s->dead = c->next_dead;
            bury(s, c); // whose locks others get: there is more to send
        }
        store_commit(s);
    }
    set_clock(s);
    watch_idle(s);
}

// ---- the slow and the silent ---------------------------------------------------------

// True: it is to be looked at again.
static bool look_at(struct conn *c, int64_t now)
{
    const struct options *o = c->server->options;
    if (c->phase < GREETED) {
        if (now - c->since > (int64_t)o->greeting_ms * MS)
            conn_die(c, "it did not say hello");
        return true;
    }
    if (c->phase == DEAD || conn_waiting(c) <= o->slow_out)
        return false;
    if (now - c->moved_at > (int64_t)o->slow_ms * MS) {
        c->server->total.cut++;
        conn_die(c, "it takes nothing of what it asked for");
    }
    return true;
}

static void keep_house(void *arg)
{
    struct server *s = arg;
    int64_t now = mp__now();
    bool again = false;
    s->housekeeping = 0;
    for (struct conn *c = s->conns; c; c = c->next)
        again = look_at(c, now) || again;
    server_settle(s);
    if (again)
        server_watch_time(s);
}

void server_watch_time(struct server *s)
{
    if (s->housekeeping)
        return;
    s->housekeeping = mp_loop_call_later(s->loop, 250, keep_house, s);
    if (s->housekeeping < 0)
        s->housekeeping = 0;
}

// ---- the door ------------------------------------------------------------------------

// Of those that have not said hello, the oldest makes room, if it has had its time: so nobody keeps
// others out by saying nothing, and a crowd that comes at once is let in one after the other.
static bool make_room(struct server *s)
{
    struct conn *oldest = NULL;
    for (struct conn *c = s->conns; c; c = c->next)
        if (c->phase < GREETED)
            oldest = c; // new ones come first in the list
    if (!oldest || mp__now() - oldest->since < SILENT_NS)
        return false;
    conn_die(oldest, "others wait to say hello");
    return true;
}

int server_adopt(struct server *s, int fd)
{
    struct ucred who;
    socklen_t size = sizeof who;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) < 0) {
        close(fd);
        return -errno;
    }
    if (who.uid != geteuid() && who.uid != 0) {
        s->total.refused++;
        logfmt_client(MP_LOG_WARN, "refused", "uid=%u pid=%d reason=\"another user\"",
                      (unsigned)who.uid, (int)who.pid);
        close(fd);
        return MP_EUNSAFE;
    }
    return conn_local(s, fd, who.pid, who.uid);
}

static void open_door(void *arg)
{
    struct server *s = arg;
    s->door_opens = 0;
    if (s->door && mp_watch_set_events(s->door, MP_LOOP_READ) < 0)
        s->door_opens = mp_loop_call_later(s->loop, DOOR_REST_MS, open_door, s);
}

static void rest(struct server *s, int ms)
{
    if (mp_watch_set_events(s->door, 0) == 0)
        s->door_opens = mp_loop_call_later(s->loop, ms, open_door, s);
}

// No descriptors are left: the one kept for this lets a client in and out again, so that it
// learns that it is refused; then the door rests.
static void turn_away(struct server *s)
{
    close(s->reserve);
    int fd = accept4(s->place.listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0)
        close(fd);
    s->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
    s->total.refused++;
    logfmt_client(MP_LOG_WARN, "refused", "reason=\"no descriptors are left\"");
    rest(s, DOOR_REST_MS);
}

static void on_door(mp_watch *w, int events, void *arg)
{
    struct server *s = arg;
    (void)w;
    (void)events;
    for (int i = 0; i < ACCEPT_FAIR; i++) {
        if (s->greeting >= s->options->max_greeting && !make_room(s)) {
            rest(s, CROWD_REST_MS);
            break;
        }
        int fd = accept4(s->place.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            server_adopt(s, fd);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
            turn_away(s);
        if (errno != EINTR && errno != ECONNABORTED)
            break;
    }
    server_settle(s);
}

// ---- life ----------------------------------------------------------------------------

static void on_send(void *ctx, void *user, const void *data, size_t size)
{
    (void)ctx;
    conn_send(user, data, size);
}

static struct mp__core_limits limits_of(const struct options *o)
{
    return (struct mp__core_limits){
        .message = o->max_message,
        .nodes = o->max_nodes,
        .reply = o->max_message,
        .objects = o->max_objects,
        .session_objects = o->max_session_objects,
        .object_bytes = o->max_object_bytes,
        .bytes = o->max_bytes,
        .waiting = o->max_waiting,
        .object_waiting = o->max_object_waiting,
        .name = o->max_name,
        .key = o->max_key,
        .session_tasks = o->max_session_tasks,
    };
}

void server_new_options(struct server *s)
{
    struct mp__core_limits l = limits_of(s->options);
    mp__core_set_limits(s->core, &l);
}

// Each client takes two descriptors, five with rings.
static void raise_limit(void)
{
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l) == 0) {
        l.rlim_cur = l.rlim_max;
        setrlimit(RLIMIT_NOFILE, &l);
    }
}

static int make_core(struct server *s, char *text, size_t size)
{
    struct mp__core_opts opts = {
        .hooks = {.ctx = s, .send = on_send, .control = admin_control},
        .limits = limits_of(s->options),
        .tasks = s->options->tasks.count > 0 || s->options->own_tasks,
    };
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall); // so that tokens grow over restarts
    opts.token = (uint64_t)wall.tv_sec * 1000000000 + (uint64_t)wall.tv_nsec;
    while (opts.instance == 0) {
        if (getrandom(opts.seed, sizeof opts.seed, 0) != sizeof opts.seed ||
            getrandom(&opts.instance, sizeof opts.instance, 0) != sizeof opts.instance)
            return -errno;
    }
    int r = store_open(s, &opts.hooks, text, size);
    if (r == 0)
        r = mp__core_new(&s->core, &opts);
    if (r == 0)
        r = types_load(s, text, size);
    return r < 0 ? r : store_load(s, text, size);
}

// A child (for a snapshot, or the pool) has nobody's connection: the kernel tells a client that we
// are gone when the last descriptor is. Nor has a child of its: the numbers may be others' then.
static struct server *here;

static void after_fork_child(void)
{
    if (!here)
        return;
    for (struct conn *c = here->conns; c; c = c->next)
        if (c->fd >= 0)
            close(c->fd);
    if (here->place.listener >= 0)
        close(here->place.listener);
    here = NULL;
}

MP__FORK_HOOKS(MP__HOOKS_MANAGER) static void set_hooks(void)
{
    pthread_atfork(NULL, NULL, after_fork_child);
}

int server_new(struct server **out, const struct options *o, char *text, size_t size)
{
    struct server *s = calloc(1, sizeof *s);
    *out = NULL;
    *text = '\0';
    if (!s)
        return -ENOMEM;
    s->options = o;
    s->place = (struct place)PLACE_NONE;
    s->snapshot_pidfd = -1;
    s->began = mp__now();
    s->began_wall = time(NULL);
    raise_limit();
    mp__spin_init();
    s->spin.keen = true;
    s->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int r = mp_loop_new(&s->loop);
    if (r == 0)
        r = make_core(s, text, size);
    if (r < 0) {
        if (!*text)
            snprintf(text, size, "%s", mp_strerror(r));
        server_free(s);
        return r;
    }
    here = s;
    *out = s;
    return 0;
}

int server_listen(struct server *s, const char *path, char *text, size_t size)
{
    int r = place_take(&s->place, path, text, size);
    if (r == 0)
        r = mp_loop_add_fd(s->loop, &s->door, s->place.listener, MP_LOOP_READ, on_door, s);
    return r;
}

int server_run(struct server *s)
{
    watch_idle(s);
    int r = mp_loop_run_forever(s->loop);
    return r;
}

static void stop_now(void *arg)
{
    struct server *s = arg;
    if (s->persist && !s->stop_now && !s->failed) {
        int r = s->snapshot_watch ? 0 : mp__persist_snapshot(s->persist, s->core);
        logfmt(r < 0 ? MP_LOG_ERROR : MP_LOG_INFO, "snapshot", "ok=%s", r < 0 ? "no" : "yes");
    }
    for (struct conn *c = s->conns; c; c = c->next)
        conn_die(c, "the manager ends");
    server_settle(s);
    mp_loop_stop(s->loop);
}

// What has been answered goes out first: the round that asked for the end is still on.
void server_stop(struct server *s, bool now)
{
    if (s->stopping)
        return;
    s->stopping = true;
    s->stop_now = now;
    logfmt(MP_LOG_INFO, "stopping", "clients=%u", s->count);
    mp_watch_close(s->door);
    s->door = NULL;
    remote_close_all(s);
    if (mp_loop_call_soon(s->loop, stop_now, s) < 0)
        mp_loop_stop(s->loop);
}

void server_free(struct server *s)
{
    if (!s)
        return;
    for (struct conn *c = s->conns; c; c = c->next)
        conn_die(c, "the manager ends");
    if (s->core && s->loop)
        server_settle(s);
    pool_end(s);
    remote_close_all(s);
    mp_watch_close(s->door);
    mp_watch_close(s->snapshot_watch);
    if (s->snapshot_pidfd >= 0)
        close(s->snapshot_pidfd);
    place_leave(&s->place);
    here = NULL;
    store_close(s);
    mp__core_free(s->core);
    mp_loop_free(s->loop);
    if (s->reserve >= 0)
        close(s->reserve);
    free(s);
}
