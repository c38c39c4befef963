// SPDX-License-Identifier: MIT
#include "channel/queue.h"
#include "mptest.h"

#include <errno.h>
#include <mp/arena.h>
#include <mp/handle.h>
#include <mp/process.h>
#include <mp/wait.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

static mp_queue *new_queue(mp_queue_opts opts)
{
    mp_queue *q;
    mp_assert_ok(mp_queue_new(&q, &opts));
    return q;
}

static void put_text(mp_queue *q, const char *text)
{
    mp_assert_ok(mp_queue_put(q, text, strlen(text), 15000));
}

static void must_get(mp_queue *q, const char *text)
{
    char buf[64];
    int64_t n = mp_queue_get(q, buf, sizeof buf - 1, 15000);
    mp_assert_ok(n);
    buf[n] = 0;
    ck_assert_str_eq(buf, text);
}

// The kinds that a test is run for.
static const mp_queue_opts kinds[] = {
    {.kind = MP_FIFO},     {.kind = MP_FIFO, .ack = true},
    {.kind = MP_LIFO},     {.kind = MP_LIFO, .ack = true},
    {.kind = MP_PRIORITY}, {.kind = MP_PRIORITY, .ack = true},
};
#define EACH_KIND(k) for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)

MP_TEST(first_in_first_out)
{
    for (int ack = 0; ack < 2; ack++) {
        mp_queue *q = new_queue((mp_queue_opts){.ack = ack});
        for (uint32_t i = 0; i < 10000; i++)
            mp_assert_ok(mp_queue_put(q, &i, sizeof i, 0));
        ck_assert_int_eq(mp_queue_size(q), 10000);
        for (uint32_t i = 0, x; i < 10000; i++) {
            ck_assert_int_eq(mp_queue_get(q, &x, sizeof x, 0), sizeof x);
            ck_assert_uint_eq(x, i);
            if (ack)
                mp_assert_ok(mp_queue_task_done(q));
        }
        ck_assert(mp_queue_empty(q));
        mp_queue_free(q);
    }
}

MP_TEST(last_in_first_out)
{
    mp_queue *q = new_queue((mp_queue_opts){.kind = MP_LIFO});
    put_text(q, "a");
    put_text(q, "b");
    must_get(q, "b");
    put_text(q, "c");
    must_get(q, "c");
    must_get(q, "a");
    mp_queue_free(q);
}

MP_TEST(lowest_priority_first_and_equals_in_order)
{
    mp_queue *q = new_queue((mp_queue_opts){.kind = MP_PRIORITY});
    for (int64_t i = 0; i < 1000; i++) {
        int64_t x[2] = {(i * 7919) % 100 - 50, i};
        mp_assert_ok(mp_queue_put_priority(q, x[0], x, sizeof x, 0));
    }
    int64_t last[2] = {INT64_MIN, -1}, x[2];
    for (int i = 0; i < 1000; i++) {
        ck_assert_int_eq(mp_queue_get(q, x, sizeof x, 0), sizeof x);
        ck_assert(x[0] > last[0] || (x[0] == last[0] && x[1] > last[1]));
        memcpy(last, x, sizeof x);
    }
    mp_queue_free(q);
}

MP_TEST(items_of_any_size_come_out_whole)
{
    static const size_t sizes[] = {0, 1, 7, 8, 9, 64, 2047, 2048, 2049, 4096, 65537, 5000000};
    EACH_KIND(k)
    {
        mp_queue *q = new_queue(kinds[k]);
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            char *data = malloc(sizes[i] + 1), *back;
            memset(data, (int)i + 1, sizes[i] + 1);
            mp_assert_ok(mp_queue_put(q, data, sizes[i], 0));
            ck_assert_int_eq(mp_queue_next_size(q, 0), sizes[i]);
            ck_assert_int_eq(mp_queue_get_new(q, (void **)&back, 0), sizes[i]);
            ck_assert_mem_eq(back, data, sizes[i]);
            free(back);
            free(data);
        }
        mp_queue_free(q);
    }
}

MP_TEST(an_item_that_does_not_fit_stays)
{
    EACH_KIND(k)
    {
        char buf[3000];
        mp_queue *q = new_queue(kinds[k]);
        for (size_t size = 100; size <= 2500; size += 2400) {
            memset(buf, 'x', size);
            mp_assert_ok(mp_queue_put(q, buf, size, 0));
            mp_assert_err(mp_queue_get(q, buf, size - 1, 0), MP_EMSGSIZE);
            mp_assert_err(mp_queue_get(q, NULL, 0, 0), MP_EMSGSIZE);
            ck_assert_int_eq(mp_queue_next_size(q, 0), size);
            ck_assert_int_eq(mp_queue_get(q, buf, size, 0), size);
        }
        mp_queue_free(q);
    }
}

MP_TEST(bounded_in_items)
{
    EACH_KIND(k)
    {
        mp_queue_opts o = kinds[k];
        for (o.max_items = 1; o.max_items < 200; o.max_items *= 7) {
            mp_queue *q = new_queue(o);
            for (size_t i = 0; i < o.max_items; i++) {
                ck_assert(!mp_queue_full(q));
                put_text(q, "x");
            }
            ck_assert(mp_queue_full(q));
            mp_assert_err(mp_queue_put(q, "y", 1, 0), MP_ETIMEDOUT);
            mp_assert_err(mp_queue_put(q, "y", 1, 20), MP_ETIMEDOUT);
            ck_assert_int_eq(mp_queue_size(q), o.max_items);
            must_get(q, "x");
            if (o.max_items < 32)
                put_text(q, "z");
            mp_queue_free(q);
        }
    }
}

MP_TEST(bounded_in_bytes)
{
    EACH_KIND(k)
    {
        mp_queue_opts o = kinds[k];
        o.max_bytes = 1 << 20;
        mp_queue *q = new_queue(o);
        static char big[(1 << 20) + 1];
        mp_assert_err(mp_queue_put(q, big, sizeof big, 0), MP_EMSGSIZE);
        for (size_t size = 1000; size <= 100000; size *= 10) {
            size_t n = 0;
            int r;
            while ((r = mp_queue_put(q, big, size, 0)) == 0)
                n++;
            mp_assert_err(r, MP_ETIMEDOUT);
            ck_assert_uint_le(n * size, 1 << 20);
            ck_assert_uint_ge(n * size, (1 << 20) * 3 / 4);
            for (size_t i = 0; i < n; i++) {
                mp_assert_ok(mp_queue_get(q, big, sizeof big, 0));
                if (o.ack)
                    mp_assert_ok(mp_queue_task_done(q));
            }
            mp_assert_err(mp_queue_get(q, big, sizeof big, 0), MP_ETIMEDOUT);
        }
        mp_queue_free(q);
    }
}

MP_TEST(many_at_a_time)
{
    EACH_KIND(k)
    {
        mp_queue_opts o = kinds[k];
        o.max_items = 100;
        mp_queue *q = new_queue(o);
        mp_slice items[150];
        char text[150][8], buf[4096];
        for (int i = 0; i < 150; i++) {
            snprintf(text[i], sizeof *text, "%d", i);
            items[i] = (mp_slice){text[i], strlen(text[i])};
        }
        ck_assert_int_eq(mp_queue_put_many(q, items, 150, 10), 100);
        mp_assert_err(mp_queue_put_many(q, items, 150, 0), MP_ETIMEDOUT);
        ck_assert_int_eq(mp_queue_put_many(q, items, 0, 0), 0);
        int64_t got = 0, n;
        while ((n = mp_queue_get_many(q, buf, sizeof buf, items, 150, 0)) > 0) {
            for (int64_t i = 0; i < n && o.kind != MP_LIFO; i++, got++) {
                snprintf(text[0], sizeof *text, "%d", (int)got);
                ck_assert_uint_eq(items[i].size, strlen(text[0]));
                ck_assert_mem_eq(items[i].data, text[0], items[i].size);
            }
        }
        mp_assert_err(n, MP_ETIMEDOUT);
        ck_assert_int_eq(got, o.kind == MP_LIFO ? 0 : 100);
        mp_queue_free(q);
    }
}

MP_TEST(shut_down_it_can_be_drained_or_dropped)
{
    EACH_KIND(k)
    {
        mp_queue *q = new_queue(kinds[k]);
        put_text(q, "a");
        mp_assert_ok(mp_queue_shutdown(q, MP_DRAIN));
        mp_assert_err(mp_queue_put(q, "b", 1, 0), MP_ECLOSED);
        must_get(q, "a");
        if (kinds[k].ack) {
            mp_assert_err(mp_queue_get(q, NULL, 0, 0), MP_ETIMEDOUT); // it may come back
            mp_assert_ok(mp_queue_task_done(q));
        }
        mp_assert_err(mp_queue_get(q, NULL, 0, MP_FOREVER), MP_EOF);
        mp_assert_ok(mp_queue_shutdown(q, MP_DRAIN));
        mp_queue_free(q);

        q = new_queue(kinds[k]);
        for (int i = 0; i < 100; i++)
            put_text(q, "a");
        must_get(q, "a"); // others may lie in a hand
        mp_assert_ok(mp_queue_shutdown(q, MP_DROP));
        mp_assert_err(mp_queue_get(q, NULL, 0, MP_FOREVER), MP_EOF);
        ck_assert_int_eq(mp_queue_size(q), 0);
        mp_assert_ok(mp_queue_join(q, 0));
        mp_queue_free(q);
    }
}

static void *shut_down_soon(void *q)
{
    usleep(20000);
    mp_queue_shutdown(q, MP_DRAIN);
    return NULL;
}

MP_TEST(shut_down_while_others_wait)
{
    EACH_KIND(k)
    {
        pthread_t t;
        mp_queue_opts o = kinds[k];
        o.max_items = 1;
        mp_queue *q = new_queue(o);
        pthread_create(&t, NULL, shut_down_soon, q);
        mp_assert_err(mp_queue_get(q, NULL, 0, MP_FOREVER), MP_EOF);
        pthread_join(t, NULL);
        mp_queue_free(q);
        q = new_queue(o);
        put_text(q, "full");
        pthread_create(&t, NULL, shut_down_soon, q);
        mp_assert_err(mp_queue_put(q, "x", 1, MP_FOREVER), MP_ECLOSED);
        pthread_join(t, NULL);
        mp_queue_free(q);
    }
}

MP_TEST(joined_when_all_is_reported)
{
    EACH_KIND(k)
    {
        mp_queue *q = new_queue(kinds[k]);
        mp_assert_ok(mp_queue_join(q, 0));
        for (int i = 0; i < 3; i++)
            put_text(q, "x");
        for (int i = 0; i < 3; i++) {
            mp_assert_err(mp_queue_join(q, 0), MP_ETIMEDOUT);
            must_get(q, "x");
            mp_assert_err(mp_queue_join(q, 0), MP_ETIMEDOUT);
            mp_assert_ok(mp_queue_task_done(q));
        }
        mp_assert_ok(mp_queue_join(q, MP_FOREVER));
        mp_assert_err(mp_queue_task_done(q), kinds[k].ack ? MP_ENOTHELD : MP_EBOUND);
        mp_queue_free(q);
    }
}

MP_TEST(held_until_acknowledged_or_returned)
{
    for (int k = 0; k < 3; k++) {
        mp_queue *q = new_queue((mp_queue_opts){.kind = (mp_queue_kind)k, .ack = true});
        mp_queue_item a, b, again;
        char x;
        put_text(q, "a");
        put_text(q, "b");
        ck_assert_int_eq(mp_queue_get_item(q, &x, 1, &a, 0), 1);
        ck_assert_int_eq(mp_queue_get_item(q, &x, 1, &b, 0), 1);
        ck_assert_uint_eq(a.attempts, 0);
        mp_assert_ok(mp_queue_return(q, a.tag));
        ck_assert_int_eq(mp_queue_size(q), 1);
        mp_assert_err(mp_queue_ack(q, a.tag), MP_ENOTHELD);
        ck_assert_int_eq(mp_queue_get_item(q, &x, 1, &again, 0), 1);
        ck_assert_uint_eq(again.attempts, 1);
        mp_assert_ok(mp_queue_ack(q, b.tag));
        mp_assert_err(mp_queue_ack(q, b.tag), MP_ENOTHELD);
        mp_assert_ok(mp_queue_ack(q, again.tag));
        mp_assert_ok(mp_queue_join(q, 0));
        mp_assert_err(mp_queue_ack(q, UINT64_MAX), MP_ENOTHELD);
        mp_queue_free(q);
    }
}

MP_TEST(the_descriptor_tells_of_items)
{
    EACH_KIND(k)
    {
        mp_queue *q = new_queue(kinds[k]);
        char x;
        struct pollfd p = {.fd = mp_queue_fd(q), .events = POLLIN};
        mp_assert_ok(p.fd);
        ck_assert_int_eq(poll(&p, 1, 0), 0);
        put_text(q, "a");
        put_text(q, "b");
        ck_assert_int_eq(poll(&p, 1, 0), 1);
        mp_assert_ok(mp_queue_get(q, &x, 1, 0));
        ck_assert_int_eq(poll(&p, 1, 0), 1);
        mp_assert_ok(mp_queue_get(q, &x, 1, 0));
        ck_assert_int_eq(poll(&p, 1, 0), 0);
        mp_assert_ok(mp_queue_shutdown(q, MP_DRAIN));
        ck_assert_int_eq(poll(&p, 1, 0), 1);
        mp_queue_free(q);
    }
}

MP_TEST(waited_for_with_others)
{
    EACH_KIND(k)
    {
        mp_queue *a = new_queue(kinds[k]), *b = new_queue(kinds[k]);
        mp_wait_item items[] = {MP_WAIT_QUEUE(a), MP_WAIT_QUEUE(b)};
        ck_assert_int_eq(mp_wait(items, 2, 10), 0);
        put_text(b, "x");
        ck_assert_int_eq(mp_wait(items, 2, MP_FOREVER), 1);
        ck_assert(!items[0].ready && items[1].ready);
        must_get(b, "x");
        ck_assert_int_eq(mp_wait(items, 2, 0), 0);
        mp_queue_free(a);
        mp_queue_free(b);
    }
}

MP_TEST(found_by_name)
{
    EACH_KIND(k)
    {
        mp_queue *q, *other;
        const char *name = mptest_name("queue");
        mp_queue_opts o = kinds[k];
        o.name = name;
        q = new_queue(o);
        mp_assert_err(mp_queue_new(&other, &o), -EEXIST);
        ck_assert_ptr_null(other);
        mp_assert_ok(mp_queue_attach(&other, name));
        put_text(q, "x");
        must_get(other, "x");
        mp_assert_err(mp_queue_fd(other), MP_ENOTSUP);
        mp_wait_item item = MP_WAIT_QUEUE(other);
        ck_assert_int_eq(mp_wait(&item, 1, 0), 0);
        put_text(q, "x");
        ck_assert_int_eq(mp_wait(&item, 1, MP_FOREVER), 1);
        mp_assert_ok(mp_shm_unlink(name));
        mp_queue_free(q);
        mp_queue_free(other);
        mp_assert_err(mp_queue_attach(&other, name), MP_ENOTFOUND);
    }
}

MP_TEST(what_makes_no_sense_is_told)
{
    mp_queue *q = new_queue((mp_queue_opts){0}), *none;
    void *data;
    char buf[8];
    mp_slice slice = {NULL, 3};
    mp_queue_item item;
    mp_assert_err(mp_queue_new(NULL, NULL), MP_EINVAL);
    mp_assert_err(mp_queue_new(&none, &(mp_queue_opts){.kind = (mp_queue_kind)7}), MP_EINVAL);
    mp_assert_err(mp_queue_new(&none, &(mp_queue_opts){.name = "a/b"}), MP_EINVAL);
    mp_assert_err(mp_queue_attach(&none, NULL), MP_EINVAL);
    mp_assert_err(mp_queue_attach(NULL, "x"), MP_EINVAL);
    mp_assert_err(mp_queue_put(NULL, "x", 1, 0), MP_EINVAL);
    mp_assert_err(mp_queue_put(q, NULL, 1, 0), MP_EINVAL);
    mp_assert_err(mp_queue_put(q, "x", 1, -2), MP_EINVAL);
    mp_assert_err(mp_queue_put(q, "x", SIZE_MAX, 0), MP_EMSGSIZE);
    mp_assert_err(mp_queue_put_priority(q, 1, "x", 1, 0), MP_ESTATE);
    mp_assert_err(mp_queue_put_many(q, &slice, 1, 0), MP_EINVAL);
    mp_assert_err(mp_queue_put_many(q, NULL, 1, 0), MP_EINVAL);
    mp_assert_err(mp_queue_get(NULL, buf, 1, 0), MP_EINVAL);
    mp_assert_err(mp_queue_get(q, NULL, 1, 0), MP_EINVAL);
    mp_assert_err(mp_queue_get(q, buf, 1, -5), MP_EINVAL);
    mp_assert_err(mp_queue_get(q, buf, 1, 0), MP_ETIMEDOUT);
    mp_assert_err(mp_queue_get_new(q, NULL, 0), MP_EINVAL);
    mp_assert_err(mp_queue_get_new(q, &data, 0), MP_ETIMEDOUT);
    ck_assert_ptr_null(data);
    mp_assert_err(mp_queue_get_many(q, buf, 8, NULL, 1, 0), MP_EINVAL);
    mp_assert_err(mp_queue_get_item(q, buf, 8, &item, 0), MP_ESTATE);
    mp_assert_err(mp_queue_ack(q, 0), MP_ESTATE);
    mp_assert_err(mp_queue_return(q, 0), MP_ESTATE);
    mp_assert_err(mp_queue_task_done(NULL), MP_EINVAL);
    mp_assert_err(mp_queue_join(NULL, 0), MP_EINVAL);
    mp_assert_err(mp_queue_join(q, -7), MP_EINVAL);
    mp_assert_err(mp_queue_size(NULL), MP_EINVAL);
    mp_assert_err(mp_queue_fd(NULL), MP_EINVAL);
    mp_assert_err(mp_queue_shutdown(NULL, MP_DRAIN), MP_EINVAL);
    mp_assert_err(mp_queue_shutdown(q, (mp_shutdown)9), MP_EINVAL);
    ck_assert(!mp_queue_empty(NULL));
    ck_assert(!mp_queue_full(NULL));
    mp_queue_free(NULL);
    mp_queue_free(q);
}

// A place counts bytes and items in one word; both wrap, in a ring that grows, too.
MP_TEST(places_wrap)
{
    mp_queue *q = new_queue((mp_queue_opts){.max_items = 5000});
    struct mp__queue *s = q->shared;
    mp__place near = ~UINT64_C(0) - (UINT64_C(4000) << 28) - 40;
    atomic_store(&s->fifo.head, near);
    atomic_store(&s->fifo.tail, near);
    s->fifo.seen_head = near;
    atomic_store(&s->done, near & MP__PLACE_COUNT);
    mp_assert_ok(mp_queue_join(q, 0));
    uint32_t x[40], put = 0, got = 0;
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 1000; i++) {
            x[0] = put++;
            mp_assert_ok(mp_queue_put(q, x, sizeof x, 0));
        }
        ck_assert_int_eq(mp_queue_size(q), put - got);
        for (int i = 0; i < 800 + 200 * (round == 19); i++) {
            ck_assert_int_eq(mp_queue_get(q, x, sizeof x, 0), sizeof x);
            ck_assert_uint_eq(x[0], got++);
            mp_assert_ok(mp_queue_task_done(q));
        }
    }
    mp_assert_err(mp_queue_join(q, 0), MP_ETIMEDOUT);
    for (; got < put; got++)
        mp_assert_ok(mp_queue_get(q, x, sizeof x, 0));
    ck_assert(mp_queue_empty(q));
    mp_queue_free(q);
}

MP_TEST(limits_beyond_all_memory)
{
    EACH_KIND(k)
    {
        mp_queue_opts o = kinds[k];
        o.max_bytes = o.max_items = SIZE_MAX;
        mp_queue *q = new_queue(o);
        put_text(q, "x");
        ck_assert(!mp_queue_full(q));
        must_get(q, "x");
        mp_queue_free(q);
    }
}

// What can never be put is not waited for.
MP_TEST(too_long_with_what_is_kept_beside_it)
{
    static char big[8192];
    EACH_KIND(k)
    {
        mp_queue_opts o = kinds[k];
        o.max_bytes = 8000;
        mp_queue *q = new_queue(o);
        size_t size = 8001;
        while (mp_queue_put(q, big, size, 0) == MP_EMSGSIZE)
            size--;
        ck_assert_uint_ge(size, 7900);
        ck_assert_int_eq(mp_queue_get(q, big, sizeof big, 0), size);
        mp_queue_free(q);
    }
}

MP_TEST(each_delivery_has_a_tag_of_its_own)
{
    mp_queue *q = new_queue((mp_queue_opts){.ack = true});
    mp_queue_item first, again;
    char x;
    put_text(q, "a");
    put_text(q, "b");
    ck_assert_int_eq(mp_queue_get_item(q, &x, 1, &first, 0), 1);
    mp_assert_ok(mp_queue_return(q, first.tag));
    ck_assert_int_eq(mp_queue_get_item(q, &x, 1, &again, 0), 1);
    mp_assert_err(mp_queue_ack(q, first.tag), MP_ENOTHELD);
    mp_assert_err(mp_queue_return(q, first.tag), MP_ENOTHELD);
    ck_assert_int_eq(mp_queue_get(q, &x, 1, 0), 1);
    mp_assert_ok(mp_queue_task_done(q));
    mp_assert_err(mp_queue_task_done(q), MP_ENOTHELD); // the other is held by its tag
    mp_assert_ok(mp_queue_ack(q, again.tag));
    mp_queue_free(q);
}

MP_TEST(with_acknowledgement_one_at_a_time)
{
    mp_queue *q = new_queue((mp_queue_opts){.ack = true});
    char buf[64];
    mp_slice items[2];
    put_text(q, "a");
    put_text(q, "b");
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(mp_queue_get_many(q, buf, sizeof buf, items, 2, 0), 1);
        mp_assert_ok(mp_queue_task_done(q));
    }
    mp_assert_ok(mp_queue_join(q, 0));
    mp_queue_free(q);
}

// An item goes from those that wait to those that are held, and is not lost sight of.
MP_TEST(not_joined_before_the_last_is_reported)
{
    mp_queue *q = new_queue((mp_queue_opts){.ack = true});
    _Atomic int *acked =
        mmap(NULL, sizeof *acked, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(acked, MAP_FAILED);
    pid_t pid = fork();
    if (pid == 0) {
        char x;
        while (mp_queue_get(q, &x, 1, MP_FOREVER) == 1) {
            atomic_fetch_add(acked, 1);
            mptest_require(mp_queue_task_done(q) == 0);
        }
        _exit(0);
    }
    for (int i = 1, r; i <= 2000; i++) {
        put_text(q, "x");
        while ((r = mp_queue_join(q, 0)) == MP_ETIMEDOUT)
            continue;
        mp_assert_ok(r);
        ck_assert_int_eq(atomic_load(acked), i);
    }
    mp_assert_ok(mp_queue_shutdown(q, MP_DRAIN));
    int status;
    waitpid(pid, &status, 0);
    ck_assert_int_eq(status, 0);
    mp_queue_free(q);
    munmap((void *)acked, sizeof *acked);
}

struct flow {
    mp_queue *q;
    uint64_t put, got;
};

static void *put_until_closed(void *arg)
{
    struct flow *f = arg;
    int r;
    while ((r = mp_queue_put(f->q, "x", 1, MP_FOREVER)) == 0)
        f->put++;
    mptest_require(r == MP_ECLOSED);
    return NULL;
}

static void *get_until_the_end(void *arg)
{
    struct flow *f = arg;
    char x;
    int64_t n;
    while ((n = mp_queue_get(f->q, &x, 1, MP_FOREVER)) == 1)
        f->got++;
    mptest_require(n == MP_EOF);
    return NULL;
}

// A put that succeeds while the queue is shut down is got before the end.
MP_TEST_TIMEOUT(what_was_put_comes_before_the_end, 120)
{
    EACH_KIND(k)
    for (int round = 0; round < 50; round++) {
        struct flow f = {.q = new_queue(kinds[k])};
        pthread_t putter, getter;
        if (kinds[k].ack) {
            mp_queue_free(f.q);
            continue; // its end waits for acknowledgements
        }
        pthread_create(&getter, NULL, get_until_the_end, &f);
        pthread_create(&putter, NULL, put_until_closed, &f);
        usleep((useconds_t)(rand() % 1000));
        mp_assert_ok(mp_queue_shutdown(f.q, MP_DRAIN));
        pthread_join(putter, NULL);
        pthread_join(getter, NULL);
        ck_assert_uint_eq(f.put, f.got);
        mp_queue_free(f.q);
    }
}

// Another process that waits for the queue does not make its descriptor dumb for this one.
MP_TEST(the_descriptor_still_tells_when_another_looked)
{
    EACH_KIND(k)
    {
        mp_queue *q = new_queue(kinds[k]);
        pid_t pid = fork();
        if (pid == 0) {
            mp_wait_item item = MP_WAIT_QUEUE(q);
            _exit(mp_wait(&item, 1, MP_FOREVER) == 1 ? 0 : 1);
        }
        struct pollfd p = {.fd = mp_queue_fd(q), .events = POLLIN};
        uint32_t before = atomic_load(&q->shared->poll_wanted);
        mptest_eventually(atomic_load(&q->shared->poll_wanted) != before, 10);
        put_text(q, "x");
        int status;
        waitpid(pid, &status, 0);
        ck_assert_int_eq(status, 0);
        ck_assert_int_eq(poll(&p, 1, 15000), 1);
        must_get(q, "x");
        mp_queue_free(q);
    }
}

MP_TEST(handles_that_go_leave_their_hands)
{
    mp_queue *q, *other;
    const char *name = mptest_name("hands");
    q = new_queue((mp_queue_opts){.name = name});
    for (int i = 0; i < 20; i++) {
        mp_assert_ok(mp_queue_attach(&other, name));
        put_text(q, "x");
        must_get(other, "x");
        mp_queue_free(other);
    }
    uint64_t first = atomic_load(&q->shared->fifo.hands);
    ck_assert_uint_eq(((struct mp__hand *)mp__object_at(q->shared, first))->next, 0);
    mp_assert_ok(mp_shm_unlink(name));
    mp_queue_free(q);
}

static int use_what_comes(void *arg)
{
    mp_pipe *pipe = arg;
    mp_handle h;
    size_t n = 1;
    mp_queue *q;
    char x;
    mptest_require(mp_pipe_recv_handles(pipe, &x, 1, &h, &n, MP_FOREVER) == 0 && n == 1);
    mptest_require(mp_handle_take_queue(&h, &q) == 0);
    struct pollfd p = {.fd = mp_queue_fd(q), .events = POLLIN};
    mptest_require(p.fd >= 0 && poll(&p, 1, 10000) == 1);
    mptest_require(mp_queue_get(q, &x, 1, 0) == 1 && x == 'a');
    mptest_require(mp_queue_task_done(q) == 0);
    mp_queue_free(q);
    return 0;
}

MP_TEST(passed_through_a_pipe)
{
    mp_pipe *here, *there;
    mp_process *child; // from before there is a queue
    mp_assert_ok(mp_pipe_new(&here, &there, NULL));
    mp_process_opts give = {.give = (mp_pipe *[]){there, NULL}};
    mp_assert_ok(mp_process_start(&child, use_what_comes, there, &give));
    mp_queue *q = new_queue((mp_queue_opts){0});
    put_text(q, "a");
    mp_assert_ok(mp_pipe_send_handles(here, NULL, 0, (mp_handle[]){MP_HANDLE(q)}, 1, 1000));
    mp_assert_ok(mp_queue_join(q, 10000));
    int code = -1;
    mp_assert_ok(mp_process_join(child, 10000));
    mp_assert_ok(mp_process_exitcode(child, &code));
    ck_assert_int_eq(code, 0);
    mp_process_free(child);
    mp_queue_free(q);
    mp_pipe_free(here);
    mp_pipe_free(there);
}
