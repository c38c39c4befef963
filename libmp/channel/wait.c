// SPDX-License-Identifier: MIT
//
// mp_wait(): arm every pipe and queue, look at each again, then one poll() over their bells
// and hang-ups and the plain descriptors.
#include "channel/pipe.h"
#include "channel/queue.h"

#include <errno.h>
#include <limits.h>
#include <mp/wait.h>
#include <poll.h>
#include <stdlib.h>

#define ON_STACK 16 // items for which no memory is allocated
#define LOOK_MS  50 // queues tell nobody that a consumer died with items in its hand

static bool is_fd(const mp_wait_item *item)
{
    return !item->pipe && !item->queue;
}

// A pipe takes two entries, the others one. (poll() leaves out a queue's that is negative.)
static size_t fill(struct pollfd *fds, const mp_wait_item *items, size_t n)
{
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        if (items[i].pipe) {
            const struct mp__channel *c = &items[i].pipe->channel;
            fds[k++] = (struct pollfd){.fd = c->bell, .events = POLLIN};
            fds[k++] = (struct pollfd){.fd = c->sock, .events = POLLRDHUP};
        } else {
            int fd = items[i].queue ? mp__queue_bell(items[i].queue) : items[i].fd;
            fds[k++] = (struct pollfd){.fd = fd, .events = POLLIN};
        }
    }
    return k;
}

static int check(const mp_wait_item *items, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int r = 0;
        if (items[i].pipe)
            r = mp__pipe_receivable(items[i].pipe);
        else if (items[i].queue ? !mp__queue_is_valid(items[i].queue) : items[i].fd < 0)
            r = MP_EINVAL;
        else if (items[i].queue)
            r = mp__queue_bell(items[i].queue);
        if (r == MP_ENOTSUP || r == MP_EBROKEN)
            r = 0; // no descriptor: it is looked at now and then; or there is nothing to wait for
        if (r < 0)
            return r;
    }
    return 0;
}

// Marks the pipes and queues that have something; the memory tells.
static size_t look(mp_wait_item *items, size_t n)
{
    size_t ready = 0;
    for (size_t i = 0; i < n; i++) {
        if (is_fd(&items[i]))
            continue;
        items[i].ready = items[i].pipe ? mp__channel_readable(&items[i].pipe->channel)
                                       : mp__queue_ready(items[i].queue);
        ready += items[i].ready;
    }
    return ready;
}

static void arm(mp_wait_item *items, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (items[i].pipe)
            mp__channel_arm(&items[i].pipe->channel);
        else if (items[i].queue)
            mp__queue_arm(items[i].queue);
    MP__PROBE_ARMED();
    atomic_thread_fence(memory_order_seq_cst);
}

// Takes poll's word for the descriptors, and lets the others look again.
static int take(mp_wait_item *items, size_t n, const struct pollfd *fds)
{
    for (size_t i = 0; i < n; i++) {
        if (items[i].pipe) {
            mp__channel_woken(&items[i].pipe->channel, fds[0].revents, fds[1].revents);
            fds += 2;
        } else if (items[i].queue) {
            if (fds++->revents) // others poll the same descriptor
                mp__queue_ring_again(items[i].queue);
        } else {
            if (fds->revents & POLLNVAL)
                return -EBADF;
            items[i].ready = fds->revents != 0;
            fds++;
        }
    }
    return 0;
}

static bool has_queue(const mp_wait_item *items, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!items[i].pipe && items[i].queue)
            return true;
    return false;
}

static int wait_all(mp_wait_item *items, size_t n, struct pollfd *fds, mp__deadline d)
{
    int most = has_queue(items, n) ? LOOK_MS : INT_MAX;
    for (;;) {
        int ms = mp__left_ms(d);
        if (ms < 0 || ms > most)
            ms = most == INT_MAX ? ms : most;
        if (look(items, n))
            ms = 0;
        if (ms) {
            arm(items, n);
            if (!MP__OMITS(MP__RECHECK) && look(items, n))
                ms = 0;
        }
        size_t k = fill(fds, items, n);
        int r = poll(fds, k, ms);
        if (r < 0 && errno != EINTR)
            return -errno;
        if (r > 0 && (r = take(items, n, fds)) < 0)
            return r;
        size_t ready = look(items, n);
        for (size_t i = 0; i < n; i++)
            ready += is_fd(&items[i]) && items[i].ready;
        if (ready || mp__left_ns(d) == 0)
            return (int)ready;
    }
}

int mp_wait(mp_wait_item *items, size_t n, int timeout_ms)
{
    if ((!items && n) || timeout_ms < MP_FOREVER || n > INT32_MAX / 2)
        return MP_EINVAL;
    int r = check(items, n);
    if (r < 0)
        return r;
    struct pollfd some[2 * ON_STACK], *fds = some;
    if (n > ON_STACK && !(fds = malloc(2 * n * sizeof *fds)))
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        items[i].ready = false;
    r = wait_all(items, n, fds, mp__deadline_in(timeout_ms));
    for (size_t i = 0; i < n; i++)
        if (items[i].pipe)
            mp__channel_settle(&items[i].pipe->channel);
    if (fds != some)
        free(fds);
    return r;
}
