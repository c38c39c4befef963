// SPDX-License-Identifier: MIT
//
// Producers and consumers around a box of ten: one reentrant lock, two conditions on it.
//
//   04_dropbox [SECONDS]
#include "seed.h"

#include <stdint.h>

#define ROOM  10
#define PAUSE 0.05 // of the whole time, at most, to produce or to consume

struct item {
    int producer, number;
};

// Guarded by the lock.
static struct box {
    mp_rlock *lock;
    mp_condition *filled, *emptied;
    struct item item[ROOM];
    int n;
    bool closed;
} box;

static double seconds;

static void work_a_while(unsigned *seed)
{
    pause_for(seconds * PAUSE * rand_r(seed) / RAND_MAX);
}

static void open_box(void)
{
    must(mp_rlock_new(&box.lock, NULL), "lock");
    mp_condition_opts opts = {.rlock = box.lock};
    must(mp_condition_new(&box.filled, &opts), "condition");
    must(mp_condition_new(&box.emptied, &opts), "condition");
}

// False when the box is closed.
static bool put(struct item item)
{
    bool done = false;
    MP_WITH(box.lock) {
        while (box.n == ROOM && !box.closed)
            must(mp_condition_wait(box.emptied, MP_FOREVER), "wait");
        if (!box.closed) {
            box.item[box.n++] = item;
            must(mp_condition_notify(box.filled, 1), "notify");
            done = true;
        }
    }
    return done;
}

// Takes the one that was put in last. False when the box is closed.
static bool take(struct item *item)
{
    bool done = false;
    MP_WITH(box.lock) {
        while (box.n == 0 && !box.closed)
            must(mp_condition_wait(box.filled, MP_FOREVER), "wait");
        if (!box.closed) {
            *item = box.item[--box.n];
            must(mp_condition_notify(box.emptied, 1), "notify");
            done = true;
        }
    }
    return done;
}

static void close_box(void)
{
    MP_WITH(box.lock) {
        printf("Closing the box\n");
        box.closed = true;
        must(mp_condition_notify_all(box.filled), "notify");
        must(mp_condition_notify_all(box.emptied), "notify");
    }
}

static int produce(void *arg)
{
    int me = (int)(intptr_t)arg;
    unsigned seed = (unsigned)me;
    bool open = true;
    for (int i = 1; open; i++) {
        work_a_while(&seed);
        printf("Producer%d produced: P%d-%d\n", me, me, i);
        // The lock is reentrant, so that nobody prints "got" before this prints "put".
        MP_WITH(box.lock) {
            open = put((struct item){me, i});
            if (open)
                printf("Producer%d put: P%d-%d\n", me, me, i);
        }
    }
    return 0;
}

static int consume(void *arg)
{
    int me = (int)(intptr_t)arg;
    unsigned seed = (unsigned)me + 100;
    struct item item;
    while (take(&item)) {
        printf("Consumer%d got: P%d-%d\n", me, item.producer, item.number);
        work_a_while(&seed);
        printf("Consumer%d consumed: P%d-%d\n", me, item.producer, item.number);
    }
    return 0;
}

int main(int argc, char **argv)
{
    mp_thread *thread[4];
    seconds = argument(argc, argv, 10);
    open_box();
    for (intptr_t i = 0; i < 4; i++)
        must(mp_thread_start(&thread[i], i < 2 ? produce : consume, (void *)(i % 2 + 1), NULL),
             "thread");
    pause_for(seconds);
    close_box();
    for (int i = 0; i < 4; i++) {
        must(mp_thread_join(thread[i], MP_FOREVER), "join");
        mp_thread_free(thread[i]);
    }
    printf("All threads done\n");
    mp_condition_free(box.filled);
    mp_condition_free(box.emptied);
    mp_rlock_free(box.lock);
    return 0;
}
