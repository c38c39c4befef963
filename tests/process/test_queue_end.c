// SPDX-License-Identifier: MIT
//
// The end of a queue while other processes use it: shutting down ends their calls, freeing tells
// who sleeps or comes late, and what its memory is used for next is nobody's business but the
// new owner's.
#include "channel/queue.h"
#include "mptest.h"

#include <mp/queue.h>
#include <mp/wait.h>
#include <stdlib.h>
#include <sys/wait.h>

static const mp_queue_opts kinds[] = {
    {.kind = MP_FIFO, .max_items = 1},
    {.kind = MP_FIFO, .max_items = 1, .ack = true},
    {.kind = MP_LIFO, .max_items = 1},
    {.kind = MP_PRIORITY, .max_items = 1, .ack = true},
};
#define EACH_KIND(k) for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)

static mp_queue *new_queue(const mp_queue_opts *opts)
{
    mp_queue *q;
    mp_assert_ok(mp_queue_new(&q, opts));
    return q;
}

static pid_t start(mp_queue *q, int (*fn)(mp_queue *q))
{
    fflush(NULL);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0)
        _exit(fn(q));
    return pid;
}

static void await(pid_t pid)
{
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
}

// ---- those who wait --------------------------------------------------------------------

static int get_from_empty(mp_queue *q)
{
    char x;
    return mp_queue_get(q, &x, 1, MP_FOREVER) != MP_EINVAL;
}

static int put_to_full(mp_queue *q)
{
    return mp_queue_put(q, "x", 1, MP_FOREVER) != MP_EINVAL;
}

static int join_what_is_not_done(mp_queue *q)
{
    return mp_queue_join(q, MP_FOREVER) != MP_ECLOSED;
}

static int wait_until_it_is_gone(mp_queue *q)
{
    char x;
    mp_wait_item item = MP_WAIT_QUEUE(q);
    mptest_require(mp_wait(&item, 1, MP_FOREVER) == 1);
    return mp_queue_get(q, &x, 1, 0) != MP_EINVAL;
}

static bool sleeps(mp_queue *q, int (*fn)(mp_queue *))
{
    struct mp__queue *s = q->shared;
    return fn == get_from_empty          ? mp__sleepers_any(&s->data_sleepers)
           : fn == put_to_full           ? mp__sleepers_any(&s->space_sleepers)
           : fn == join_what_is_not_done ? mp__sleepers_any(&s->done_sleepers)
                                         : atomic_load(&s->poll_wanted) & 1;
}

MP_TEST(who_sleeps_in_it_when_it_is_freed_is_told)
{
    static const struct {
        int (*fn)(mp_queue *q);
        bool full;
    } ways[] = {{get_from_empty, false},
                {put_to_full, true},
                {join_what_is_not_done, true},
                {wait_until_it_is_gone, false}};
    EACH_KIND(k)
    {
        for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
            mp_queue *q = new_queue(&kinds[k]);
            if (ways[i].full)
                mp_assert_ok(mp_queue_put(q, "x", 1, 0));
            pid_t pid = start(q, ways[i].fn);
            ck_assert(mptest_eventually(sleeps(q, ways[i].fn), 10000));
            mp_queue_free(q);
            await(pid);
        }
    }
}

// ---- those who come late ---------------------------------------------------------------

static int line[2];

static int use_when_told(mp_queue *q)
{
    char x;
    mptest_require(read(line[0], &x, 1) == 1);
    mptest_require(mp_queue_put(q, "late", 4, 0) == MP_EINVAL);
    mptest_require(mp_queue_get(q, &x, 1, 0) == MP_EINVAL);
    mptest_require(mp_queue_size(q) == MP_EINVAL);
    mptest_require(mp_queue_join(q, 0) == MP_EINVAL);
    mptest_require(mp_queue_shutdown(q, MP_DROP) == MP_EINVAL);
    mp_queue_free(q);
    return 0;
}

// An old handle does not reach a new queue, though that be in the same place.
MP_TEST(a_new_queue_in_its_place_is_another)
{
    mp_queue *other = new_queue(NULL); // keeps the memory that both are in
    ck_assert_int_eq(pipe(line), 0);
    EACH_KIND(k)
    {
        mp_queue *q = new_queue(&kinds[k]);
        struct mp__queue *place = q->shared;
        pid_t pid = start(q, use_when_told);
        mp_queue_free(q);
        q = new_queue(&kinds[k]);
        ck_assert_ptr_eq(q->shared, place);
        mp_assert_ok(mp_queue_put(q, "n", 1, 0));
        ck_assert_int_eq(write(line[1], "x", 1), 1);
        await(pid);
        ck_assert_int_eq(mp_queue_size(q), 1);
        mp_assert_ok(mp_queue_shutdown(q, MP_DRAIN));
        mp_queue_free(q);
    }
    close(line[0]);
    close(line[1]);
    mp_queue_free(other);
}

// ---- in order --------------------------------------------------------------------------

static int put_on_and_on(mp_queue *q)
{
    int r;
    for (uint64_t i = 0; (r = mp_queue_put(q, &i, sizeof i, MP_FOREVER)) == 0;)
        i++;
    return r != MP_ECLOSED;
}

static int get_on_and_on(mp_queue *q)
{
    uint64_t x;
    int64_t r;
    while ((r = mp_queue_get(q, &x, sizeof x, MP_FOREVER)) == sizeof x)
        if (q->shared->ack)
            mptest_require(mp_queue_task_done(q) == 0);
    return r != MP_EOF;
}

// Shut down in full flow: all calls end, also those that wait; then it is freed, and the next one
// has the same memory.
MP_TEST_TIMEOUT(shut_down_then_waited_for_then_freed, 60)
{
    mp_queue *other = new_queue(NULL);
    EACH_KIND(k)
    {
        mp_queue_opts o = kinds[k];
        struct mp__queue *place = NULL;
        for (int round = 0; round < 30; round++) {
            pid_t pid[4];
            o.max_items = round & 1 ? 1 : 100;
            mp_queue *q = new_queue(&o);
            ck_assert_msg(!place || place == q->shared, "round %d: memory was not used again",
                          round);
            place = q->shared;
            for (int i = 0; i < 4; i++)
                pid[i] = start(q, i & 1 ? put_on_and_on : get_on_and_on);
            usleep((useconds_t)(rand() % 3000));
            mp_assert_ok(mp_queue_shutdown(q, round & 2 ? MP_DROP : MP_DRAIN));
            for (int i = 0; i < 4; i++)
                await(pid[i]);
            mp_queue_free(q);
        }
    }
    mp_queue_free(other);
}

// What is still in it goes with it.
MP_TEST(long_items_that_nobody_took_leave_nothing)
{
    enum { SIZE = 1 << 20 };
    mp_queue *other = new_queue(NULL); // keeps the memory that both are in
    char *data = calloc(1, SIZE);
    uint64_t end = 0;
    EACH_KIND(k)
    {
        mp_queue_opts o = {.kind = kinds[k].kind, .ack = kinds[k].ack};
        for (int round = 0; round < 20; round++) {
            mp_queue *q = new_queue(&o);
            for (int i = 0; i < 5; i++)
                mp_assert_ok(mp_queue_put(q, data, SIZE, 0));
            ck_assert_int_eq(mp_queue_get(q, data, SIZE, 0), SIZE);
            if (round == 0)
                end = mp__object_reach(other->shared).end;
            mp_queue_free(q);
        }
        ck_assert_uint_le(mp__object_reach(other->shared).end, end);
    }
    free(data);
    mp_queue_free(other);
}
