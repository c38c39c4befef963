// SPDX-License-Identifier: MIT
#include "loop.h"

#include "base/clock.h"

#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

static int epoll = -1, kick = -1;
static bool ended;
static struct timer *timers;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; // guards the queue
static struct work *first, **last = &first;

static void hear_kick(struct source *s, uint32_t events)
{
    uint64_t count;
    ssize_t n = read(kick, &count, sizeof count);
    (void)n, (void)s, (void)events;
}

static struct source kicked = {hear_kick};

int loop_init(void)
{
    epoll = epoll_create1(EPOLL_CLOEXEC);
    kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return epoll < 0 || kick < 0 ? -errno : loop_watch(kick, EPOLLIN, &kicked);
}

int loop_watch(int fd, uint32_t events, struct source *s)
{
    struct epoll_event e = {.events = events, .data.ptr = s};
    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) < 0 ? -errno : 0;
}

void loop_unwatch(int fd)
{
    epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL);
}

void loop_post(struct work *w)
{
    uint64_t one = 1;
    pthread_mutex_lock(&lock);
    bool wake = !first;
    if (!w->posted) {
        w->posted = true;
        w->next = NULL;
        *last = w;
        last = &w->next;
    }
    pthread_mutex_unlock(&lock);
    if (wake && write(kick, &one, sizeof one) < 0)
        return; // full: it is readable
}

static struct work *next_work(void)
{
    pthread_mutex_lock(&lock);
    struct work *w = first;
    if (w) {
        first = w->next;
        if (!first)
            last = &first;
        w->posted = false;
    }
    pthread_mutex_unlock(&lock);
    return w;
}

void loop_cancel(struct work *w)
{
    pthread_mutex_lock(&lock);
    if (w->posted)
        for (struct work **at = &first; *at; at = &(*at)->next)
            if (*at == w) {
                *at = w->next;
                if (!*at)
                    last = at;
                break;
            }
    w->posted = false;
    pthread_mutex_unlock(&lock);
}

void loop_stop_timer(struct timer *t)
{
    if (!t->at)
        return;
    if (t->prev)
        t->prev->next = t->next;
    else
        timers = t->next;
    if (t->next)
        t->next->prev = t->prev;
    t->at = 0;
}

// Kept in the order of ringing. They are few: one a connection that begins or ends.
void loop_set_timer(struct timer *t, int64_t ns)
{
    loop_stop_timer(t);
    t->at = mp__now() + ns;
    struct timer **at = &timers, *before = NULL;
    while (*at && (*at)->at <= t->at) {
        before = *at;
        at = &(*at)->next;
    }
    t->next = *at;
    t->prev = before;
    if (t->next)
        t->next->prev = t;
    *at = t;
}

static void ring_timers(void)
{
    while (timers && timers->at <= mp__now()) {
        struct timer *t = timers;
        loop_stop_timer(t);
        t->ring(t);
    }
}

void loop_run(void)
{
    struct epoll_event events[64];
    while (!ended) {
        int n = epoll_wait(epoll, events, 64, timers ? mp__left_ms(timers->at) : -1);
        for (int i = 0; i < n; i++) {
            struct source *s = events[i].data.ptr;
            s->ready(s, events[i].events);
        }
        ring_timers();
        for (struct work *w; (w = next_work());)
            w->run(w);
    }
}

void loop_end(void)
{
    ended = true;
}
