// SPDX-License-Identifier: MIT
//
// The memory of a queue after somebody wrote over it: any result is right, but it comes. No
// crash, no endless loop, in who uses the queue and in who frees it.
#include "channel/queue.h"
#include "mptest.h"

#include <mp/queue.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

enum { PLACES = 20000, FRONT = 1152 }; // bytes at the front of a block: what is said of the rest

static mp_queue *queue;

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

// Short items and a long one, some of which somebody has taken.
static void new_queue(mp_queue_kind kind, bool ack)
{
    static char item[4000];
    mp_assert_ok(mp_queue_new(&queue, &(mp_queue_opts){.kind = kind, .ack = ack}));
    for (size_t i = 0; i < 30; i++)
        mp_assert_ok(mp_queue_put(queue, item, i == 9 ? sizeof item : i, 0));
    for (int i = 0; i < 3; i++)
        mp_assert_ok(mp_queue_get(queue, item, sizeof item, 0));
}

// ---- using it --------------------------------------------------------------------------

static uint64_t take(void)
{
    static unsigned char buf[8192];
    mp_slice got[4];
    mp_queue_item item;
    void *made = NULL;
    uint64_t r = 0; // whose sum may wrap
    r += (uint64_t)mp_queue_next_size(queue, 0);
    r += (uint64_t)mp_queue_get(queue, buf, 3, 0);
    r += (uint64_t)mp_queue_get(queue, buf, sizeof buf, 1);
    r += (uint64_t)mp_queue_get_new(queue, &made, 0);
    free(made);
    r += (uint64_t)mp_queue_get_many(queue, buf, sizeof buf, got, 4, 0);
    if (mp_queue_get_item(queue, buf, sizeof buf, &item, 0) >= 0)
        r += (uint64_t)mp_queue_return(queue, item.tag);
    if (mp_queue_get_item(queue, buf, sizeof buf, &item, 0) >= 0)
        r += (uint64_t)mp_queue_ack(queue, item.tag);
    r += (uint64_t)mp_queue_task_done(queue);
    return r;
}

static uint64_t put(void)
{
    static unsigned char buf[4000];
    const mp_slice items[] = {{buf, 1}, {buf, 2000}, {buf, sizeof buf}, {buf, 0}};
    uint64_t r = 0;
    r += (uint64_t)mp_queue_put(queue, buf, 10, 0);
    r += (uint64_t)mp_queue_put_priority(queue, -1, buf, 10, 0);
    r += (uint64_t)mp_queue_put_many(queue, items, 4, 1);
    for (int i = 0; i < 70; i++) // so that it grows
        r += (uint64_t)mp_queue_put(queue, buf, 2000, 0);
    return r;
}

static void call_everything(uint64_t random)
{
    uint64_t r = take() + put();
    r += (uint64_t)mp_queue_size(queue);
    r += (uint64_t)mp_queue_full(queue) + (uint64_t)mp_queue_empty(queue);
    r += (uint64_t)mp_queue_join(queue, 0);
    for (int i = 0; i < 10; i++)
        r += take();
    if (random % 2)
        r += (uint64_t)mp_queue_shutdown(queue, random % 4 == 1 ? MP_DROP : MP_DRAIN);
    r += take() + put();
    ck_assert_uint_ne(r, UINT64_MAX / 3);
}

// ---- damaging it -----------------------------------------------------------------------

static bool within(const char *place, const void *of, size_t size)
{
    return place >= (const char *)of && place < (const char *)of + size;
}

// All but locks (the C library's own, which trusts them) and the headers of objects and blocks
// (which are constant, and the arena's).
static bool may_damage(const char *place)
{
    struct mp__queue *s = queue->shared;
    struct mp__hand *h = atomic_load(&queue->hand);
    return !within(place, &s->object, sizeof s->object) &&
           !within(place, &s->fifo.put, sizeof s->fifo.put) && // and the lock of the other kinds
           !within(place, &s->fifo.get, sizeof s->fifo.get) &&
           !(h && within(place, &h->lock, sizeof h->lock));
}

static size_t find_places(uint64_t *places)
{
    size_t n = 0;
    char *base = mp__object_base(queue->shared);
    for (uint64_t at = 4096; mp__object_holds(queue->shared, at, 64 + 64);) {
        const uint64_t *block = (const uint64_t *)(void *)(base + at); // magic, capacity
        uint64_t capacity = block[1];
        if (!block[0] || !mp__object_holds(queue->shared, at + 64, capacity))
            break;
        for (uint64_t w = 0; w < capacity && w < FRONT && n < PLACES; w += 8)
            if (may_damage(base + at + 64 + w))
                places[n++] = at + 64 + w;
        at += 64 + capacity;
    }
    ck_assert_uint_gt(n, 200);
    return n;
}

static int damage_and_call(const uint64_t *places, size_t n, uint64_t random)
{
    static const uint64_t strange[] = {0, 1, UINT64_MAX, 1ull << 32, 1ull << 42, 4096, 64};
    alarm(20);
    for (uint64_t i = 0; i <= random % 3; i++) {
        char *at = (char *)mp__object_base(queue->shared) + places[next_random(&random) % n];
        uint64_t *word = (uint64_t *)(void *)at;
        if (random % 3 == 0)
            *word ^= 1ull << (random >> 20) % 64;
        else
            *word = random % 3 == 1 ? strange[(random >> 8) % 7] : places[(random >> 8) % n];
    }
    call_everything(random >> 32);
    return 0;
}

static void damage(mp_queue_kind kind, bool ack)
{
    static uint64_t places[PLACES];
    uint64_t random = (uint64_t)time(NULL) | 1;
    int times = getenv("MP_TEST_LONG") ? 10000 : MPTEST_ASAN || MPTEST_TSAN ? 100 : 200;
    for (int i = 0; i < times; i++) {
        int status;
        uint64_t seed = next_random(&random);
        new_queue(kind, ack);
        size_t n = find_places(places);
        pid_t pid = fork();
        if (pid == 0)
            _exit(damage_and_call(places, n, seed));
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_msg(status == 0, "seed %#llx ends with %#x", (unsigned long long)seed, status);
        atomic_store(&queue->shared->id, queue->id); // or it would not be this handle's
        mp_queue_free(queue);
    }
}

MP_TEST_TIMEOUT(a_damaged_fifo, 240)
{
    damage(MP_FIFO, false);
}

MP_TEST_TIMEOUT(a_damaged_lifo, 240)
{
    damage(MP_LIFO, false);
}

MP_TEST_TIMEOUT(a_damaged_queue_with_priorities, 240)
{
    damage(MP_PRIORITY, false);
}

MP_TEST_TIMEOUT(a_damaged_queue_with_acknowledgements, 240)
{
    damage(MP_FIFO, true);
}
