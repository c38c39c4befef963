// SPDX-License-Identifier: MIT
//
// Sizes and counts that no memory has, alone and as products: each is refused with an error that
// says so, and none wraps around to a small one.
#include "mptest.h"

#include <errno.h>
#include <mp/mp.h>
#include <stdlib.h>

#define HUGE_SIZE (SIZE_MAX - 1)     // + sizeof(int) is small
#define HALF      (SIZE_MAX / 2 + 1) // x 2 is 0

// Too much, in one of the two ways that there are to say it.
#define too_much(call)                                                                             \
    do {                                                                                           \
        int64_t r = (call);                                                                        \
        ck_assert_msg(r == MP_EOVERFLOW || r == -ENOMEM || r == MP_EMSGSIZE, "%s: %s", #call,      \
                      mp_err_name(r));                                                             \
    } while (0)

static char buf[64];

static int nothing(const void *in, void *out, void *ctx)
{
    (void)in, (void)out, (void)ctx;
    return 0;
}
MP_TASK(nothing);

static int no_task(mp_task *task, const void *arg, size_t size, void *ctx)
{
    (void)arg, (void)size, (void)ctx;
    return mp_task_result(task, buf, HUGE_SIZE) == -ENOMEM ? 0 : 1;
}

static int no_item(void *item, void *arg)
{
    (void)item, (void)arg;
    return 0;
}

static int no_init(void *arg)
{
    (void)arg;
    return 0;
}
MP_TASK(no_init);

static int no_star(const void *const args[], void *out, void *ctx)
{
    (void)args, (void)out, (void)ctx;
    return 0;
}

static int no_fold(void *acc, const void *items, size_t n, void *ctx)
{
    (void)acc, (void)items, (void)n, (void)ctx;
    return 0;
}

static int no_combine(void *acc, const void *more, void *ctx)
{
    (void)acc, (void)more, (void)ctx;
    return 0;
}

MP_TEST(of_maps)
{
    mp_pool *p;
    mp_future *f;
    mp_imap *it;
    mp_column columns[2] = {{buf, HALF}, {buf, HALF}};
    mp_assert_ok(mp_pool_new(&p, &(mp_pool_opts){.workers = 1}));
    for (size_t n = 1; n < 5; n++) {
        too_much(mp_pool_map(p, nothing, buf, HUGE_SIZE, NULL, 0, n, NULL, NULL));
        too_much(mp_pool_map(p, nothing, NULL, 0, buf, HUGE_SIZE, n, NULL, NULL));
        too_much(mp_pool_map_async(&f, p, nothing, buf, HUGE_SIZE, NULL, 0, n, NULL));
        too_much(mp_pool_map_async(&f, p, nothing, NULL, 0, buf, HUGE_SIZE, n, NULL));
        too_much(mp_pool_map_async(&f, p, nothing, NULL, 0, buf, HALF, n, NULL));
        too_much(mp_pool_starmap(p, no_star, columns, 2, buf, 1, n, NULL, NULL));
        too_much(mp_pool_starmap(p, no_star, columns, 1, buf, HUGE_SIZE, n, NULL, NULL));
        too_much(mp_pool_reduce(p, no_fold, no_combine, buf, HUGE_SIZE, n, buf, 1, NULL));
        too_much(mp_pool_reduce(p, no_fold, no_combine, buf, 1, n, buf, HUGE_SIZE, NULL));
    }
    too_much(
        mp_pool_map(p, nothing, buf, 1, NULL, 0, 1, buf, &(mp_map_opts){.ctx_size = SIZE_MAX}));
    too_much(mp_pool_map_async(&f, p, nothing, buf, 1, NULL, 0, 1,
                               &(mp_map_async_opts){.ctx = buf, .ctx_size = SIZE_MAX}));
    too_much(mp_pool_imap(&it, p, nothing, no_item, NULL, HUGE_SIZE, 0, NULL));
    too_much(mp_pool_imap(&it, p, nothing, no_item, NULL, 0, HUGE_SIZE, NULL));
    mp_pool_free(p);
}

MP_TEST(of_tasks)
{
    mp_pool *p;
    mp_future *f;
    mp_assert_ok(mp_pool_new(&p, &(mp_pool_opts){.workers = 1}));
    too_much(mp_pool_apply(p, no_task, buf, HUGE_SIZE, NULL, 0, NULL));
    too_much(mp_pool_apply(p, no_task, buf, HALF, NULL, 0, NULL));
    too_much(mp_pool_apply_async(&f, p, no_task, buf, HUGE_SIZE, NULL));
    mp_assert_err(mp_pool_apply(p, no_task, buf, 5, buf, 5, NULL), 0);
    mp_pool_free(p);
}

MP_TEST(of_what_a_pool_is_told)
{
    mp_pool *p;
    for (size_t less = 0; less < 5000; less += 250) {
        mp_pool_opts o = {.workers = 1,
                          .init = no_init,
                          .init_arg = buf,
                          .init_arg_size = SIZE_MAX - less,
                          .start = MP_START_SPAWN};
        mp_assert_err(mp_pool_new(&p, &o), -ENOMEM);
    }
}

MP_TEST(of_executors)
{
    mp_executor *e;
    mp_future *f;
    mp_assert_ok(mp_executor_new_threads(&e, NULL));
    too_much(mp_executor_submit(e, &f, nothing, buf, HUGE_SIZE, 1, NULL));
    too_much(mp_executor_submit(e, &f, nothing, buf, 1, HUGE_SIZE, NULL));
    too_much(mp_executor_submit(e, &f, nothing, buf, HALF, HALF, NULL));
    for (size_t n = 1; n < 5; n++) {
        for (int ms = MP_FOREVER; ms <= 0; ms++) {
            too_much(mp_executor_map(e, nothing, buf, HUGE_SIZE, NULL, 0, n, NULL, NULL, ms));
            too_much(mp_executor_map(e, nothing, NULL, 0, buf, HUGE_SIZE, n, NULL, NULL, ms));
            too_much(mp_executor_map(e, nothing, buf, HALF, buf, 1, n, NULL, NULL, ms));
        }
    }
    mp_executor_free(e);
    too_much(mp_future_new(&f, &(mp_future_opts){.room = HUGE_SIZE}));
}

MP_TEST(of_messages)
{
    mp_queue *q;
    for (int kind = MP_FIFO; kind <= MP_PRIORITY; kind++) {
        for (int ack = 0; ack < 2; ack++) {
            mp_queue_opts o = {.kind = (mp_queue_kind)kind, .ack = ack, .max_bytes = SIZE_MAX};
            mp_assert_ok(mp_queue_new(&q, &o));
            for (size_t less = 0; less < 200; less += 8)
                too_much(mp_queue_put(q, buf, SIZE_MAX - less, 0));
            too_much(mp_queue_put(q, buf, HALF, 0));
            ck_assert_int_eq(mp_queue_size(q), 0);
            mp_queue_free(q);
        }
    }
    mp_pipe *a, *b;
    mp_assert_ok(mp_pipe_new(&a, &b, NULL));
    too_much(mp_pipe_send(a, buf, HUGE_SIZE, 0));
    too_much(mp_pipe_send(a, buf, HALF, 0));
    mp_pipe_free(a);
    mp_pipe_free(b);
}

MP_TEST(of_dicts_and_lists)
{
    mp_shm_dict *d;
    mp_shm_list *l;
    mp_assert_ok(mp_shm_dict_new(&d, NULL));
    mp_assert_err(mp_shm_dict_set(d, buf, HUGE_SIZE, buf, 1), MP_EINVAL); // no key has so many
    too_much(mp_shm_dict_set(d, buf, 1, buf, HUGE_SIZE));
    mp_assert_err(mp_shm_dict_set(d, buf, HALF, buf, HALF), MP_EINVAL);
    ck_assert_int_eq(mp_shm_dict_count(d), 0);
    mp_shm_dict_free(d);
    mp_assert_ok(mp_shm_list_new(&l, NULL));
    mp_shm_list_item items[2] = {{buf, 3}, {buf, HUGE_SIZE}};
    too_much(mp_shm_list_append(l, buf, HUGE_SIZE));
    too_much(mp_shm_list_insert(l, 0, buf, HALF));
    too_much(mp_shm_list_extend(l, items, 2)); // all or nothing
    too_much(mp_shm_list_extend(l, items, HALF));
    ck_assert_int_eq(mp_shm_list_len(l), 0);
    mp_shm_list_free(l);
}

MP_TEST(of_memory)
{
    mp_arena *a;
    mp_value *v;
    mp_array *y;
    void *p;
    too_much(mp_arena_new(&a, &(mp_arena_opts){.max = SIZE_MAX}));
    mp_assert_ok(mp_arena_new(&a, NULL));
    too_much(mp_arena_alloc(a, &p, SIZE_MAX, 1));
    too_much(mp_arena_alloc(a, &p, HALF, 2));
    too_much(mp_arena_alloc_aligned(a, &p, 1, SIZE_MAX - 100, 4096));
    mp_arena_delete(a);
    too_much(mp_value_new(&v, MP_STRUCT, NULL, &(mp_value_opts){.size = SIZE_MAX}));
    too_much(mp_value_new(&v, MP_STRUCT, NULL, &(mp_value_opts){.size = HALF}));
    too_much(mp_array_new(&y, MP_INT64, SIZE_MAX / 8 + 2, NULL, NULL));
    too_much(mp_array_new(&y, MP_INT8, SIZE_MAX, NULL, NULL));
    too_much(mp_array_new(&y, MP_STRUCT, 2, NULL, &(mp_array_opts){.item = HALF}));
}
