// SPDX-License-Identifier: MIT
//
// A session from its beginning to its end, and the handle that has one after the other. Requests
// and answers are in request.c.
//
// A fork takes the locks of all connections, so the child finds them at rest; there the session
// is its parent's, its socket is closed at once, and the first call makes another.
#include "session.h"

#include "os/fork.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE_MS 30000

// ---- all of them, and forks ----------------------------------------------------------

static pthread_mutex_t all = PTHREAD_MUTEX_INITIALIZER;
static struct mp_manager *first; // guarded by all

static void init_news(mp_manager *m)
{
    pthread_condattr_t a;
    pthread_condattr_init(&a);
    pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
    pthread_cond_init(&m->news, &a);
    pthread_condattr_destroy(&a);
}

static void before_fork(void)
{
    pthread_mutex_lock(&all);
    for (mp_manager *m = first; m; m = m->next)
        pthread_mutex_lock(&m->lock);
}

static void after_fork_parent(void)
{
    for (mp_manager *m = first; m; m = m->next)
        pthread_mutex_unlock(&m->lock);
    pthread_mutex_unlock(&all);
}

// The pipe's own hook lets go of the pipe, sooner or later than this one: its handle is freed when
// the child uses it or frees it.
static void after_fork_child(void)
{
    for (mp_manager *m = first; m; m = m->next) {
        if (m->link.fd >= 0)
            close(m->link.fd);
        m->link.fd = -1;
        m->reading = false;
        m->waiters = 0;
        init_news(m);
        pthread_mutex_unlock(&m->lock);
    }
    pthread_mutex_unlock(&all);
}

// Everything below may be called under a session's lock, as it reconnects.
MP__FORK_HOOKS(MP__HOOKS_SESSIONS) static void set_hooks(void)
{
    pthread_atfork(before_fork, after_fork_parent, after_fork_child);
}

static void list_add(mp_manager *m)
{
    pthread_mutex_lock(&all);
    m->next = first;
    if (first)
        first->prev = m;
    first = m;
    pthread_mutex_unlock(&all);
}

static void list_remove(mp_manager *m)
{
    pthread_mutex_lock(&all);
    if (m->next)
        m->next->prev = m->prev;
    if (m->prev)
        m->prev->next = m->next;
    else
        first = m->next;
    pthread_mutex_unlock(&all);
}

// ---- beginning and end ---------------------------------------------------------------

static int begin_session(mp_manager *m, char *text, size_t size)
{
    mp__link_release(&m->link);
    mp__requests_clear(m);
    m->lost = MP_ELOST;
    m->burst = 0;
    uint64_t token = mp__fork_token();
    int r = token ? mp__whither_go(&m->whither, &m->link, text, size) : -ENOMEM;
    if (r == 0 && (r = mp__request_hello(m, mp__deadline_in(m->whither.connect_ms))) < 0) {
        snprintf(text, size, "the manager at %.120s does not say hello: %s", m->whither.where,
                 mp_strerror(r));
        mp__link_release(&m->link);
    }
    if (r < 0)
        return r;
    m->owner = token;
    m->lost = 0;
    m->serial++;
    return 0;
}

int mp__session_ready(mp_manager *m)
{
    char text[MP__TEXT_SIZE];
    if (m->closed)
        return MP_ECLOSED;
    if (mp__fork_is_mine(m->owner))
        return m->lost;
    // A child that tried in vain tries again with the next call: it never had anything to lose.
    return begin_session(m, text, sizeof text);
}

static const char *own_name(const char *wish)
{
    return wish ? wish : program_invocation_short_name;
}

static int init(mp_manager *m, const char *where, const mp_manager_opts *o)
{
    pthread_mutex_init(&m->lock, NULL);
    init_news(m);
    mp__link_init(&m->link);
    m->refs = 1;
    m->no_rings = o->no_rings;
    m->patience_ms = o->patience_ms ? o->patience_ms : PATIENCE_MS;
    m->self = (mp_proxy){.m = m, .interface = MP__MANAGER, .type = "manager"};
    m->client = strdup(own_name(o->client));
    m->requests = calloc(MP__REQUESTS, sizeof *m->requests);
    if (!m->client || !m->requests)
        return -ENOMEM;
    return mp__whither_read(&m->whither, where, o);
}

static void destroy(mp_manager *m)
{
    mp__link_release(&m->link);
    if (m->requests)
        mp__requests_clear(m);
    free(m->requests);
    free(m->client);
    mp__whither_free(&m->whither);
    mp_buf_free(&m->out);
    mp_buf_free(&m->in);
    pthread_cond_destroy(&m->news);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

static void explain(const mp_manager_opts *o, const char *text)
{
    if (o->error && o->error_size)
        snprintf(o->error, o->error_size, "%s", text);
}

int mp_connect_manager(mp_manager **out, const char *where, const mp_manager_opts *opts)
{
    static const mp_manager_opts defaults;
    char text[MP__TEXT_SIZE] = "";
    if (!out)
        return MP_EINVAL;
    *out = NULL;
    opts = opts ? opts : &defaults;
    if (opts->connect_ms < MP_FOREVER || opts->patience_ms < MP_FOREVER)
        return MP_EINVAL;
    mp_manager *m = calloc(1, sizeof *m);
    if (!m)
        return -ENOMEM;
    int r = init(m, where, opts);
    if (r < 0)
        snprintf(text, sizeof text, "%.100s is no name, path or URL of a manager: %s",
                 where ? where : "default", mp_strerror(r));
    else
        r = begin_session(m, text, sizeof text);
    if (r < 0) {
        explain(opts, text);
        destroy(m);
        return r;
    }
    list_add(m);
    *out = m;
    return 0;
}

int mp_manager_reconnect(mp_manager *m)
{
    char text[MP__TEXT_SIZE];
    if (!m)
        return MP_EINVAL;
    pthread_mutex_lock(&m->lock);
    int r = m->closed ? MP_ECLOSED : 0;
    if (r == 0 && !m->lost && mp__fork_is_mine(m->owner))
        r = MP_ESTATE;
    if (r == 0)
        mp__reader_await(m); // who waits is told first
    pthread_mutex_unlock(&m->lock);
    mp__futures_settle(m);
    pthread_mutex_lock(&m->lock);
    if (r == 0)
        r = begin_session(m, text, sizeof text);
    pthread_mutex_unlock(&m->lock);
    return r;
}

int mp_manager_get_info(mp_manager *m, mp_manager_info *out)
{
    if (!m || !out)
        return MP_EINVAL;
    pthread_mutex_lock(&m->lock);
    int r = mp__session_ready(m);
    if (r == 0)
        *out = (mp_manager_info){m->instance, m->session, m->link.pipe && !m->whither.is_url};
    pthread_mutex_unlock(&m->lock);
    return r;
}

void mp_manager_close(mp_manager *m)
{
    if (!m)
        return;
    pthread_mutex_lock(&m->lock);
    m->closed = true;
    if (mp__fork_is_mine(m->owner))
        mp__session_lose(m, MP_ECLOSED);
    pthread_mutex_unlock(&m->lock);
}

void mp__manager_hold(mp_manager *m)
{
    pthread_mutex_lock(&m->lock);
    m->refs++;
    pthread_mutex_unlock(&m->lock);
}

void mp__manager_drop(mp_manager *m)
{
    pthread_mutex_lock(&m->lock);
    bool last = --m->refs == 0;
    pthread_mutex_unlock(&m->lock);
    if (!last)
        return;
    list_remove(m);
    destroy(m);
}

void mp_manager_free(mp_manager *m)
{
    if (!m)
        return;
    mp_manager_close(m);
    mp__futures_settle(m);
    mp_future_source_free(m->source);
    m->source = NULL;
    mp__manager_drop(m);
}

mp_proxy *mp_manager_self(mp_manager *m)
{
    return m ? &m->self : NULL;
}

int mp_manager_fd(mp_manager *m)
{
    if (!m)
        return MP_EINVAL;
    pthread_mutex_lock(&m->lock);
    int r = mp__session_ready(m);
    if (r == 0)
        r = m->link.pipe ? mp_pipe_fd(m->link.pipe) : m->link.fd;
    m->no_rings = true;
    pthread_mutex_unlock(&m->lock);
    return r;
}
