// SPDX-License-Identifier: MIT
#include "loop/inbox.h"

#include <mp/error.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

// What the head is when nothing goes in any more.
static struct note closed;

struct inbox *mp__inbox_new(void)
{
    struct inbox *box = calloc(1, sizeof *box);
    if (!box)
        return NULL;
    box->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (box->bell < 0) {
        free(box);
        return NULL;
    }
    box->holders = 1;
    return box;
}

struct inbox *mp__inbox_hold(struct inbox *box)
{
    atomic_fetch_add_explicit(&box->holders, 1, memory_order_relaxed);
    return box;
}

void mp__inbox_drop(struct inbox *box)
{
    if (atomic_fetch_sub(&box->holders, 1) > 1)
        return;
    close(box->bell);
    free(box);
}

void mp__inbox_ring(struct inbox *box)
{
    int saved = errno;
    uint64_t one = 1;
    if (atomic_load(&box->asleep)) // a full counter rings as well
        while (write(box->bell, &one, sizeof one) < 0 && errno == EINTR)
            ;
    errno = saved;
}

int mp__inbox_push(struct inbox *box, struct note *n)
{
    struct note *head = atomic_load_explicit(&box->head, memory_order_relaxed);
    do {
        if (head == &closed)
            return MP_ECLOSED;
        n->next = head;
    } while (!atomic_compare_exchange_weak(&box->head, &head, n)); // a full fence, too
    mp__inbox_ring(box);
    return 0;
}

bool mp__inbox_is_closed(const struct inbox *box)
{
    return atomic_load(&box->head) == &closed;
}

bool mp__inbox_is_empty(const struct inbox *box)
{
    return !atomic_load(&box->head);
}

void mp__inbox_doze(struct inbox *box, bool asleep)
{
    atomic_store(&box->asleep, asleep);
}

static void run_all(struct note *newest, bool dropped)
{
    struct note *oldest = NULL;
    while (newest) {
        struct note *n = newest;
        newest = n->next;
        n->next = oldest;
        oldest = n;
    }
    while (oldest) {
        struct note *n = oldest;
        oldest = n->next; // run may free the note
        n->run(n, dropped);
    }
}

void mp__inbox_run(struct inbox *box)
{
    if (atomic_load_explicit(&box->head, memory_order_relaxed))
        run_all(atomic_exchange(&box->head, NULL), false);
}

void mp__inbox_close(struct inbox *box)
{
    struct note *newest = atomic_exchange(&box->head, &closed);
    if (newest != &closed)
        run_all(newest, true);
}
