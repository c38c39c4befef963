// SPDX-License-Identifier: MIT
//
// libmp: mp_queue.
#include "queue_test.h"

#include <mp/queue.h>

static mp_queue *queue;

static void must(int64_t r, const char *what)
{
    if (r < 0)
        die("%s: %s", what, mp_strerror(r));
}

static void make(int producers, int consumers)
{
    (void)producers, (void)consumers;
    must(mp_queue_new(&queue, &(mp_queue_opts){.max_items = QUEUE_MAX}), "mp_queue_new");
}

static void put(const void *item)
{
    must(mp_queue_put(queue, item, QUEUE_ITEM, MP_FOREVER), "mp_queue_put");
}

static void get(void *item)
{
    int64_t n = mp_queue_get(queue, item, QUEUE_ITEM, MP_FOREVER);
    must(n, "mp_queue_get");
    if (n != QUEUE_ITEM)
        die("an item of %lld bytes", (long long)n);
}

static void unmake(void)
{
    mp_queue_free(queue);
}

int main(int argc, char **argv)
{
    static const struct queue_engine engine = {"libmp", "queue", make, NULL,
                                               put,     get,     NULL, unmake};
    return queue_test_main(argc, argv, &engine);
}
