// SPDX-License-Identifier: MIT
//
// Random programs: what each makes and ends for itself, under a name or not.
#ifndef HOSTILE_OWN_H
#define HOSTILE_OWN_H

#include "hostile.h"

// ---- what one has for itself ----

static void misuse_pipe(mp_pipe *a, mp_pipe *b)
{
    mp_handle self = MP_HANDLE(a), other = MP_HANDLE(b), bad = MP_HANDLE(-1), none = {0};
    EXPECT(mp_pipe_send_handles(a, "", 1, &self, 1, 0), MP_EINVAL);
    EXPECT(mp_pipe_send_handles(a, "", 1, &other, 1, 0), MP_EINVAL);
    EXPECT(mp_pipe_send_handles(a, "", 1, &bad, 1, 0), MP_EINVAL);
    EXPECT(mp_pipe_send_handles(a, "", 1, &none, 1, 0), MP_EINVAL);
    EXPECT(mp_pipe_send_handles(a, "", 1, NULL, 1, 0), MP_EINVAL);
    EXPECT(mp_pipe_send(a, NULL, 1, 0), MP_EINVAL);
    EXPECT(mp_pipe_recv(a, NULL, 1, 0), MP_EINVAL);
    EXPECT(mp_pipe_recv(a, big, 1, no_timeout()), MP_EINVAL);
    EXPECT(mp_pipe_recv(b, big, sizeof big, some_ms()), MP_ETIMEDOUT);
}

static void use_pipe(void)
{
    static const mp_pipe_opts small = {.ring_size = 1, .max_size = 3000}; // 4 KiB
    mp_pipe *a, *b;
    int n = (int)below(5);
    void *made;
    int64_t r = CALL(mp_pipe_new(&a, &b, one_in(2) ? &small : NULL));
    must(r == 0);
    misuse_pipe(a, b);
    for (int i = 0; i < n; i++)
        EXPECT(mp_pipe_send(a, big, 10 + (size_t)i, 0), 0);
    if (n) {
        EXPECT(mp_pipe_recv(b, big, 9, some_ms()), MP_EMSGSIZE);
        EXPECT(mp_pipe_next_size(b, 0), 10);
    }
    if (one_in(2)) {
        CALL_VOID(mp_pipe_close(a));
        CALL_VOID(mp_pipe_close(a));
        EXPECT(mp_pipe_send(a, big, 1, 0), MP_ECLOSED);
    }
    for (int i = 0; i < n; i++) {
        EXPECT(mp_pipe_recv_new(b, &made, 0), 10 + i);
        free(made);
    }
    if (one_in(2)) {
        CALL_VOID(mp_pipe_free(a));
        EXPECT(mp_pipe_recv(b, big, 1, some_ms()), MP_EOF);
        must(CALL(mp_pipe_send(b, big, 1, 0)) == MP_EPIPE);
        a = NULL;
    }
    CALL_VOID(mp_pipe_free(b));
    CALL_VOID(mp_pipe_free(a));
}

// Made, ended by others' means, and used once more. (Where another thread makes objects,
// there may be one of its in the place.)
static void use_freed(void)
{
    mp_lock *l;
    mp_event *e;
    mp_shm_list *list;
    mp_queue *q;
    void *p;
    EXPECT(mp_lock_new(&l, NULL), 0);
    EXPECT(mp_event_new(&e, NULL), 0);
    EXPECT(mp_shm_list_new(&list, NULL), 0);
    EXPECT(mp_queue_new(&q, &queue_kinds[below(QUEUES)]), 0);
    EXPECT(mp_queue_put(q, big, 2000, 0), 0);
    EXPECT(mp_shm_list_append(list, big, 20), 0);
    EXPECT(mp_lock_acquire(l, 0), 0);
    EXPECT(mp_queue_shutdown(q, one_in(2) ? MP_DROP : MP_DRAIN), 0);
    EXPECT(mp_queue_put(q, big, 1, some_ms()), MP_ECLOSED);
    int64_t r = CALL(mp_queue_get_new(q, &p, some_ms()));
    must(r == 2000 || r == MP_EOF);
    free(p);
    CALL_VOID(mp_queue_free(q));
    CALL_VOID(mp_lock_free(l));
    CALL_VOID(mp_event_free(e));
    CALL_VOID(mp_shm_list_free(list));
    if (!alone)
        return;
    EXPECT(mp_lock_acquire(l, some_ms()), MP_EINVAL);
    EXPECT(mp_event_wait(e, some_ms()), MP_EINVAL);
    EXPECT(mp_shm_list_len(list), MP_EINVAL);
    CALL_VOID(mp_lock_free(l));
    CALL_VOID(mp_event_free(e));
    CALL_VOID(mp_shm_list_free(list));
}

// Ready is what it says.
static void use_descriptors(void)
{
    mp_pipe *a, *b;
    mp_queue *q;
    EXPECT(mp_pipe_new(&a, &b, NULL), 0);
    EXPECT(mp_queue_new(&q, &queue_kinds[below(QUEUES)]), 0);
    mp_wait_item w[4] = {MP_WAIT_PIPE(b), MP_WAIT_QUEUE(q), MP_WAIT_FD((int)CALL(mp_pipe_fd(b))),
                         MP_WAIT_FD((int)CALL(mp_queue_fd(q)))};
    mp_wait_item bad = MP_WAIT_FD(-1);
    EXPECT(mp_wait(&bad, 1, some_ms()), MP_EINVAL);
    EXPECT(mp_wait(NULL, 1, 0), MP_EINVAL);
    EXPECT(mp_wait(w, 3, some_ms()), 0);
    bool sent = one_in(2), put = one_in(2);
    if (sent)
        EXPECT(mp_pipe_send(a, big, 100, 0), 0);
    if (put)
        EXPECT(mp_queue_put(q, big, 100, 0), 0);
    must(CALL(mp_wait(w, 4, sent || put ? MP_FOREVER : 0)) >= (sent ? 2 : 0) + (put ? 2 : 0));
    must(w[0].ready == sent && w[1].ready == put && w[2].ready == sent);
    EXPECT(mp_pipe_recv(b, big, sizeof big, 0), sent ? 100 : MP_ETIMEDOUT);
    EXPECT(mp_queue_get(q, big, sizeof big, 0), put ? 100 : MP_ETIMEDOUT);
    CALL_VOID(mp_queue_free(q));
    CALL_VOID(mp_pipe_free(b));
    CALL_VOID(mp_pipe_free(a));
}

static void *send_all(void *end)
{
    (void)!mp_pipe_send(end, big, sizeof big, MP_FOREVER);
    return NULL;
}

// A message longer than the ring, with the other thread on the other side, or nobody.
static void use_long_message(void)
{
    mp_pipe *a, *b;
    pthread_t t;
    void *made;
    EXPECT(mp_pipe_new(&a, &b, &(mp_pipe_opts){.ring_size = 1, .ring_max = 1, .no_spin = true}), 0);
    must(pthread_create(&t, NULL, send_all, a) == 0);
    if (one_in(4)) {
        CALL_VOID(mp_pipe_close(one_in(2) ? a : b));
    } else {
        int64_t r = CALL(mp_pipe_recv_new(b, &made, MP_FOREVER));
        must(r == sizeof big);
        free(made);
    }
    pthread_join(t, NULL);
    CALL_VOID(mp_pipe_free(a));
    CALL_VOID(mp_pipe_free(b));
}

// ---- names ----

static void use_named_lock(const char *name)
{
    mp_lock *l = NULL;
    mp_queue *q = NULL;
    static const mp_lock_opts nowhere = {.name = "..", .arena = NULL};
    mp_lock_opts o = {.name = name};
    EXPECT(mp_lock_new(&l, &nowhere), MP_EINVAL);
    int64_t r = one_in(2) ? CALL(mp_lock_new(&l, &o)) : CALL(mp_lock_attach(&l, name));
    must(r == 0 || r == -EEXIST || r == MP_ENOTFOUND);
    int64_t wrong = CALL(mp_queue_attach(&q, name));
    must(wrong == MP_ETYPE || wrong == MP_ENOTFOUND);
    if (r < 0)
        return;
    r = CALL(mp_lock_acquire(l, some_ms()));
    if (r == MP_EOWNERDEAD)
        EXPECT(mp_lock_consistent(l), 0);
    must(r == 0 || r == MP_EOWNERDEAD || r == MP_ETIMEDOUT || r == MP_EHELD);
    if (one_in(2) && r != MP_ETIMEDOUT)
        EXPECT(mp_lock_release(l), 0);
    CALL_VOID(mp_lock_free(l));
}

static void use_named_queue(const char *name)
{
    mp_queue *q;
    mp_queue_opts o = queue_kinds[below(QUEUES)];
    o.name = name;
    int64_t r = one_in(2) ? CALL(mp_queue_new(&q, &o)) : CALL(mp_queue_attach(&q, name));
    must(r == 0 || r == -EEXIST || r == MP_ENOTFOUND);
    if (r < 0)
        return;
    for (int i = 0; i < 3; i++) {
        r = CALL(mp_queue_put(q, big, below(100), some_ms()));
        must(r == 0 || r == MP_ETIMEDOUT || r == MP_ECLOSED);
        r = CALL(mp_queue_get(q, big, sizeof big, some_ms()));
        must(r >= 0 || r == MP_ETIMEDOUT || r == MP_EOF);
    }
    if (one_in(20))
        EXPECT(mp_queue_shutdown(q, one_in(2) ? MP_DROP : MP_DRAIN), 0);
    CALL_VOID(mp_queue_free(q));
}

static void use_named_dict(const char *name)
{
    mp_shm_dict *d;
    mp_shm_dict_opts o = {.name = name, .max = 1 << 20, .shards = below(3)};
    int64_t r = one_in(2) ? CALL(mp_shm_dict_new(&d, &o)) : CALL(mp_shm_dict_attach(&d, name));
    must(r == 0 || r == -EEXIST || r == MP_ENOTFOUND);
    if (r < 0)
        return;
    for (int i = 0; i < 5; i++) {
        unsigned key = below(50);
        r = CALL(mp_shm_dict_set(d, &key, sizeof key, big, below(20000)));
        must(r == 0 || r == -ENOMEM);
        r = CALL(mp_shm_dict_remove(d, &key, sizeof key));
        must(r == 0 || r == MP_ENOTFOUND);
    }
    CALL_VOID(mp_shm_dict_free(d));
}

static void use_named(void)
{
    uint32_t i = below(6);
    if (one_in(6)) {
        int64_t r = CALL(mp_shm_unlink(names[i]));
        must(r == 0 || r == MP_ENOTFOUND);
    } else if (i < 2) {
        use_named_lock(names[i]);
    } else if (i < 4) {
        use_named_queue(names[i]);
    } else {
        use_named_dict(names[i]);
    }
}

// ---- processes, pools, threads ----

static int grandchild(void *arg)
{
    (void)arg;
    must(mp_lock_release(all.lock) == MP_ENOTHELD && mp_rlock_release(all.rlock) == MP_ENOTHELD);
    must(mp_event_set(all.event) == 0 && mp_shm_dict_count(all.dict) >= 0);
    return (int)below(200);
}

static void use_process(void)
{
    mp_process *p;
    int code;
    EXPECT(mp_process_start(&p, NULL, NULL, NULL), MP_EINVAL);
    int64_t r = CALL(mp_process_start(&p, grandchild, NULL, NULL));
    must(r == 0);
    if (one_in(3))
        EXPECT(mp_process_kill(p), 0);
    EXPECT(mp_process_join(p, MP_FOREVER), 0);
    EXPECT(mp_process_join(p, 0), 0);
    EXPECT(mp_process_kill(p), 0);
    EXPECT(mp_process_exitcode(p, &code), 0);
    must(code == -SIGKILL || (code >= 0 && code < 200));
    CALL_VOID(mp_process_free(p));
}

static int square_or_die(const void *in, void *out, void *ctx)
{
    int x = *(const int *)in;
    (void)ctx;
    if (x < 0)
        raise(SIGKILL);
    *(int *)out = x * x;
    return x == 13;
}

static int echo(mp_task *task, const void *arg, size_t size, void *ctx)
{
    (void)ctx;
    return mp_task_result(task, arg, size);
}

static void map_some(mp_pool *pool)
{
    int in[60], out[60], status[60], deaths = 0, failures = 0;
    for (int i = 0; i < 60; i++)
        in[i] = one_in(100) ? -1 : (int)below(200);
    for (int i = 0; i < 60; i++)
        deaths += in[i] < 0, failures += in[i] == 13;
    const mp_map_opts o = {.status = status, .chunk = one_in(3) ? SIZE_MAX : below(9)};
    EXPECT(mp_pool_map(pool, square_or_die, in, sizeof *in, out, sizeof *out, SIZE_MAX, NULL, &o),
           MP_EOVERFLOW);
    EXPECT(mp_pool_map(pool, NULL, in, sizeof *in, out, sizeof *out, 60, NULL, &o), MP_EINVAL);
    int64_t r =
        CALL(mp_pool_map(pool, square_or_die, in, sizeof *in, out, sizeof *out, 60, NULL, &o));
    must(r == (deaths ? MP_EWORKERDIED : failures ? MP_ETASK : 0));
    for (int i = 0; i < 60; i++)
        must(status[i] == (in[i] < 0 ? MP_EWORKERDIED : in[i] == 13) &&
             (status[i] || out[i] == in[i] * in[i]));
}

static void use_pool(void)
{
    mp_pool *pool;
    mp_future *f[3];
    char reply[8];
    EXPECT(mp_pool_new(&pool, &(mp_pool_opts){.workers = 1025}), MP_EINVAL);
    EXPECT(mp_pool_new(&pool, &(mp_pool_opts){.workers = 2}), 0);
    map_some(pool);
    EXPECT(mp_pool_apply(pool, echo, "hello", 5, reply, 4, NULL), MP_EMSGSIZE);
    EXPECT(mp_pool_apply(pool, echo, "hello", 5, reply, 8, NULL), 5);
    for (int i = 0; i < 3; i++)
        EXPECT(mp_pool_apply_async(&f[i], pool, echo, big, below(90000), NULL), 0);
    int64_t r = CALL(mp_pool_cancel(pool, f[2]));
    must(r == 0 || r == MP_ESTATE);
    if (one_in(2))
        EXPECT(one_in(2) ? mp_pool_terminate(pool) : mp_pool_close(pool), 0);
    for (int i = 0; i < 3; i++) {
        r = CALL(mp_future_error(f[i], MP_FOREVER));
        must(r == 0 || r == MP_ECANCELED);
        CALL_VOID(mp_future_free(f[i]));
    }
    CALL_VOID(mp_pool_free(pool));
}

static int next_item(void *item, void *arg)
{
    int *left = arg;
    *(int *)item = *left;
    return (*left)-- > 0;
}

static void use_stream(void)
{
    mp_pool *pool;
    mp_imap *it;
    mp_future *f;
    int left = 40, out, status, n = 0, in[50], to[50];
    EXPECT(mp_pool_new(&pool, &(mp_pool_opts){.workers = 1, .max_tasks = (int)below(4)}), 0);
    EXPECT(mp_pool_imap(&it, pool, square_or_die, next_item, &left, sizeof out, sizeof out,
                        &(mp_imap_opts){.unordered = one_in(2), .chunk = below(3)}),
           0);
    int64_t r;
    while ((r = CALL(mp_imap_next(it, &out, &status, MP_FOREVER))) >= 0) {
        n++;
        must(status ? r == 27 : out == (int)(40 - r) * (int)(40 - r)); // 13 fails
        if (one_in(60))
            EXPECT(mp_pool_resize(pool, 1 + (int)below(2)), 0);
        if (one_in(100))
            break;
    }
    must(r >= 0 || (r == MP_EOF && n == 40));
    for (int i = 0; i < 50; i++)
        in[i] = (int)below(12);
    EXPECT(mp_pool_map_async(&f, pool, square_or_die, in, sizeof *in, to, sizeof *to, 50, NULL), 0);
    if (one_in(2))
        CALL_VOID(mp_imap_free(it));
    EXPECT(mp_future_error(f, MP_FOREVER), 0);
    for (int i = 0; i < 50; i++)
        must(to[i] == in[i] * in[i]);
    CALL_VOID(mp_future_free(f));
    CALL_VOID(mp_pool_free(pool));
}

static void use_executor(void)
{
    mp_executor *e;
    mp_future *f[6];
    int n = 1 + (int)below(6), in = (int)below(20), out;
    EXPECT(mp_executor_new_threads(&e, &(mp_executor_opts){.workers = 2}), 0);
    EXPECT(mp_executor_submit(e, f, NULL, &in, sizeof in, sizeof in, NULL), MP_EINVAL);
    for (int i = 0; i < n; i++)
        EXPECT(mp_executor_submit(e, &f[i], square_or_die, &in, sizeof in, sizeof in, NULL), 0);
    if (one_in(3))
        must(CALL(mp_future_cancel(f[0])) <= 0);
    if (one_in(2))
        EXPECT(mp_executor_shutdown(e, one_in(2) ? MP_DROP : MP_DRAIN), 0);
    for (int i = 0; i < n; i++) {
        int64_t r = CALL(mp_future_result(f[i], &out, one_in(9) ? 1 : sizeof out, MP_FOREVER));
        must(r == MP_ECANCELED || (in == 13 ? r == MP_ETASK : r == MP_EMSGSIZE || out == in * in));
        CALL_VOID(mp_future_free(f[i]));
    }
    CALL_VOID(mp_executor_free(e));
}

#endif
