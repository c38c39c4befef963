// SPDX-License-Identifier: MIT
//
// c_mpmc_spin: a bounded lock-free queue of slots (Vyukov's), spinning. What shared memory
// gives when nobody may be killed and nobody ever sleeps.
#include "queue_test.h"

struct slot {
    _Atomic uint64_t turn;
    unsigned char item[QUEUE_ITEM];
};

static struct ring {
    APART _Atomic uint64_t put;
    APART _Atomic uint64_t get_at;
    APART struct slot slot[QUEUE_MAX];
} * ring;

static void make(int producers, int consumers)
{
    (void)producers, (void)consumers;
    ring = shared(sizeof *ring);
    for (uint64_t i = 0; i < QUEUE_MAX; i++)
        atomic_store(&ring->slot[i].turn, i);
}

static void put(const void *item)
{
    uint64_t at = atomic_fetch_add(&ring->put, 1);
    struct slot *s = &ring->slot[at % QUEUE_MAX];
    while (atomic_load_explicit(&s->turn, memory_order_acquire) != at)
        cpu_relax();
    memcpy(s->item, item, QUEUE_ITEM);
    atomic_store_explicit(&s->turn, at + 1, memory_order_release);
}

static void get(void *item)
{
    uint64_t at = atomic_fetch_add(&ring->get_at, 1);
    struct slot *s = &ring->slot[at % QUEUE_MAX];
    while (atomic_load_explicit(&s->turn, memory_order_acquire) != at + 1)
        cpu_relax();
    memcpy(item, s->item, QUEUE_ITEM);
    atomic_store_explicit(&s->turn, at + QUEUE_MAX, memory_order_release);
}

int main(int argc, char **argv)
{
    static const struct queue_engine engine = {"c_mpmc_spin", "queue", make, NULL,
                                               put,           get,     NULL, NULL};
    return queue_test_main(argc, argv, &engine);
}
