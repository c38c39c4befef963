// SPDX-License-Identifier: MIT
//
// A queue that is served, and used over each transport as if it were here.
#include "urltest.h"

#include <mp/handle.h>
#include <mp/process.h>
#include <mp/queue.h>
#include <mp/wait.h>
#include <pthread.h>
#include <signal.h>

static mp_url_opts serve_opts, connect_opts;

static mp_listener *serve(const struct transport *t, mp_queue *q)
{
    mp_listener *l;
    serve_opts = url_opts(t, true);
    url_assert_ok(mp_queue_serve(&l, q, t->url, &serve_opts));
    return l;
}

static mp_queue *reach(const struct transport *t, const mp_listener *l)
{
    mp_queue *q;
    connect_opts = url_opts(t, false);
    url_assert_ok(mp_queue_connect(&q, mp_listener_url(l), &connect_opts));
    return q;
}

static mp_queue *new_queue(const mp_queue_opts *o)
{
    mp_queue *q;
    mp_assert_ok(mp_queue_new(&q, o));
    return q;
}

static void put_number(mp_queue *q, int n)
{
    mp_assert_ok(mp_queue_put(q, &n, sizeof n, LONG_MS));
}

static int get_number(mp_queue *q)
{
    int n;
    ck_assert_int_eq(mp_queue_get(q, &n, sizeof n, LONG_MS), sizeof n);
    return n;
}

MP_TEST_EACH_URL(items_go_in_and_come_out)
{
    static const size_t sizes[] = {0, 1, 8, 100, 2048, 2049, 65536, 300000, 2000001};
    mp_queue *q = new_queue(NULL), *far;
    mp_listener *l = serve(t, q);
    unsigned char *data = malloc(2000001);
    void *got;
    far = reach(t, l);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        memset(data, (int)i + 1, sizes[i]);
        mp_assert_ok(mp_queue_put(far, data, sizes[i], LONG_MS));
        ck_assert_int_eq(mp_queue_size(q), 1); // it is there when put returns
        ck_assert_int_eq(mp_queue_next_size(far, LONG_MS), sizes[i]);
        ck_assert_int_eq(mp_queue_get_new(far, &got, LONG_MS), sizes[i]);
        ck_assert_int_eq(memcmp(got, data, sizes[i]), 0);
        free(got);
        ck_assert_int_eq(mp_queue_size(far), 0);
    }
    free(data);
    for (int i = 0; i < 100; i++)
        put_number(i & 1 ? far : q, i);
    ck_assert_int_eq(mp_queue_size(far), 100);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(get_number(far), i);
    ck_assert(mp_queue_empty(far));
    mp_queue_free(far);
    mp_listener_free(l);
    mp_queue_free(q);
}

MP_TEST_EACH_URL(many_go_at_once)
{
    enum { MANY = 5000 };
    static uint64_t numbers[MANY];
    static mp_slice out[MANY], in[MANY];
    static char buf[MANY * 8];
    mp_queue *q = new_queue(NULL);
    mp_listener *l = serve(t, q);
    mp_queue *far = reach(t, l);
    for (size_t i = 0; i < MANY; i++) {
        numbers[i] = i;
        out[i] = (mp_slice){&numbers[i], 8};
    }
    ck_assert_int_eq(mp_queue_put_many(far, out, MANY, LONG_MS), MANY);
    for (size_t got = 0; got < MANY;) {
        int64_t n = mp_queue_get_many(far, buf, sizeof buf, in, MANY, LONG_MS);
        mp_assert_ok(n);
        for (int64_t i = 0; i < n; i++, got++)
            ck_assert(in[i].size == 8 && *(const uint64_t *)in[i].data == got);
    }
    mp_assert_err(mp_queue_get_many(far, buf, sizeof buf, in, MANY, 0), MP_ETIMEDOUT);
    mp_queue_free(far);
    mp_listener_free(l);
    mp_queue_free(q);
}

MP_TEST_EACH_URL(timeouts_and_bounds_hold)
{
    mp_queue *q = new_queue(&(mp_queue_opts){.max_items = 2, .max_bytes = 1 << 20});
    mp_listener *l = serve(t, q);
    mp_queue *far = reach(t, l);
    char small[2], *large = calloc(1, 2 << 20);
    mp_assert_err(mp_queue_get(far, small, 2, 0), MP_ETIMEDOUT);
    mp_assert_err(mp_queue_get(far, small, 2, 30), MP_ETIMEDOUT);
    mp_assert_err(mp_queue_next_size(far, 0), MP_ETIMEDOUT);
    mp_assert_err(mp_queue_put(far, large, 2 << 20, 0), MP_EMSGSIZE);
    ck_assert(!mp_queue_full(far));
    mp_slice three[3] = {{"long one", 8}, {"b", 1}, {"c", 1}};
    ck_assert_int_eq(mp_queue_put_many(far, three, 3, 30), 2);
    ck_assert(mp_queue_full(far));
    mp_assert_err(mp_queue_put(far, "x", 1, 0), MP_ETIMEDOUT);
    mp_assert_err(mp_queue_put(far, "x", 1, 30), MP_ETIMEDOUT);
    ck_assert_int_eq(mp_queue_size(far), 2);
    mp_assert_err(mp_queue_get(far, small, 2, 0), MP_EMSGSIZE); // it stays
    ck_assert_int_eq(mp_queue_next_size(far, 0), 8);
    mp_assert_err(mp_queue_put(far, NULL, 1, 0), MP_EINVAL);
    mp_assert_err(mp_queue_get(far, small, 2, -2), MP_EINVAL);
    mp_assert_err(mp_queue_ack(far, 1), MP_ESTATE);
    mp_assert_err(mp_queue_put_priority(far, 1, "x", 1, 0), MP_ESTATE);
    mp_queue_free(far);
    mp_listener_free(l);
    mp_queue_free(q);
    free(large);
}

// ---- waiting --------------------------------------------------------------------------

struct later {
    mp_queue *q;
    int what;
};

static int do_later(void *arg)
{
    struct later *l = arg;
    int n = 7;
    usleep(100000); // the others shall be waiting by then; it holds as well if they are not
    if (l->what == 'p')
        return mp_queue_put(l->q, &n, sizeof n, LONG_MS) < 0;
    if (l->what == 'g')
        return mp_queue_get(l->q, &n, sizeof n, LONG_MS) < 0;
    return mp_queue_shutdown(l->q, MP_DRAIN) < 0;
}

static mp_process *later(mp_queue *q, int what)
{
    static struct later l;
    mp_process *p;
    l = (struct later){q, what};
    mp_assert_ok(mp_process_start(&p, do_later, &l, NULL));
    return p;
}

static void join(mp_process *p)
{
    mp_assert_ok(mp_process_join(p, LONG_MS));
    int code;
    mp_assert_ok(mp_process_exitcode(p, &code));
    ck_assert_int_eq(code, 0);
    mp_process_free(p);
}

MP_TEST_EACH_URL(who_waits_is_served)
{
    mp_queue *q = new_queue(&(mp_queue_opts){.max_items = 1});
    mp_listener *l = serve(t, q);
    mp_queue *far = reach(t, l);
    mp_process *p = later(q, 'p');
    ck_assert_int_eq(get_number(far), 7);
    join(p);
    put_number(far, 1);
    p = later(q, 'g');
    put_number(far, 2); // waits for room
    join(p);
    ck_assert_int_eq(get_number(q), 2);
    p = later(q, 's');
    char byte;
    mp_assert_err(mp_queue_get(far, &byte, 1, LONG_MS), MP_EOF);
    mp_assert_err(mp_queue_put(far, &byte, 1, LONG_MS), MP_ECLOSED);
    join(p);
    mp_queue_free(far);
    mp_listener_free(l);
    mp_queue_free(q);
}

MP_TEST_EACH_URL(a_remote_queue_can_be_waited_for)
{
    mp_queue *q = new_queue(NULL);
    mp_listener *l = serve(t, q);
    mp_queue *far = reach(t, l);
    mp_wait_item w = MP_WAIT_QUEUE(far);
    ck_assert_int_eq(mp_wait(&w, 1, 0), 0);
    ck_assert_int_eq(mp_wait(&w, 1, 20), 0);
    for (int i = 0; i < 10; i++) {
        mp_process *p = later(q, 'p');
        ck_assert_int_eq(mp_wait(&w, 1, LONG_MS), 1);
        ck_assert(w.ready);
        ck_assert_int_eq(get_number(far), 7);
        int n;
        mp_assert_err(mp_queue_get(far, &n, sizeof n, 0), MP_ETIMEDOUT);
        join(p);
        i += i > 2 ? 3 : 0;
    }
    int fd = mp_queue_fd(far);
    mp_assert_ok(fd);
    mp_wait_item f = MP_WAIT_FD(fd);
    put_number(q, 1);
    ck_assert_int_eq(mp_wait(&f, 1, LONG_MS), 1);
    ck_assert_int_eq(get_number(far), 1);
    int n;
    while (mp_queue_get(far, &n, sizeof n, 0) == MP_ETIMEDOUT && mp_wait(&f, 1, 0) == 1)
        ;
    put_number(q, 2);
    ck_assert_int_eq(mp_wait(&f, 1, LONG_MS), 1);
    ck_assert_int_eq(get_number(far), 2);
    mp_assert_ok(mp_queue_shutdown(far, MP_DRAIN));
    ck_assert_int_eq(mp_wait(&w, 1, LONG_MS), 1);
    mp_assert_err(mp_queue_get(far, &n, sizeof n, 0), MP_EOF);
    mp_queue_free(far);
    mp_listener_free(l);
    mp_queue_free(q);
}

// ---- acknowledging, priorities, joining ------------------------------------------------

MP_TEST_EACH_URL(acknowledgements_and_priorities_travel)
{
    mp_queue *q = new_queue(&(mp_queue_opts){.kind = MP_PRIORITY, .ack = true});
    mp_listener *l = serve(t, q);
    mp_queue *far = reach(t, l), *other = reach(t, l);
    mp_queue_item a, b;
    char x;
    mp_assert_ok(mp_queue_put_priority(far, 5, "b", 1, LONG_MS));
    mp_assert_ok(mp_queue_put_priority(far, -5, "a", 1, LONG_MS));
    ck_assert_int_eq(mp_queue_get_item(far, &x, 1, &a, LONG_MS), 1);
    ck_assert(x == 'a' && a.priority == -5 && a.attempts == 0);
    ck_assert_int_eq(mp_queue_get_item(other, &x, 1, &b, LONG_MS), 1);
    ck_assert(x == 'b' && b.priority == 5);
    mp_assert_err(mp_queue_ack(other, a.tag), MP_ENOTHELD);
    mp_assert_ok(mp_queue_return(far, a.tag));
    mp_assert_err(mp_queue_ack(far, a.tag), MP_ENOTHELD);
    ck_assert_int_eq(mp_queue_get_item(far, &x, 1, &a, LONG_MS), 1);
    ck_assert(x == 'a' && a.attempts == 1);
    mp_assert_ok(mp_queue_ack(far, a.tag));
    mp_assert_err(mp_queue_join(far, 20), MP_ETIMEDOUT);
    mp_assert_ok(mp_queue_task_done(other));
    mp_assert_err(mp_queue_task_done(other), MP_ENOTHELD);
    mp_assert_ok(mp_queue_join(far, LONG_MS));
    mp_queue_free(far);
    mp_queue_free(other);
    mp_listener_free(l);
    mp_queue_free(q);
}

MP_TEST(joining_without_acknowledgements)
{
    mp_queue *q = new_queue(NULL);
    mp_listener *l = serve(&tcp, q);
    mp_queue *far = reach(&tcp, l);
    put_number(far, 1);
    mp_assert_err(mp_queue_join(far, 0), MP_ETIMEDOUT);
    ck_assert_int_eq(get_number(far), 1);
    mp_assert_ok(mp_queue_task_done(far));
    mp_assert_err(mp_queue_task_done(far), MP_EBOUND);
    mp_assert_ok(mp_queue_join(far, LONG_MS));
    mp_assert_ok(mp_queue_put(far, "x", 1, 0));
    mp_assert_ok(mp_queue_shutdown(far, MP_DROP));
    mp_assert_ok(mp_queue_join(q, LONG_MS));
    mp_queue_free(far);
    mp_listener_free(l);
    mp_queue_free(q);
}

// ---- who owns it, and its end ----------------------------------------------------------

static int use_it(void *arg)
{
    mp_queue *far = arg;
    char x;
    mp_wait_item w = MP_WAIT_QUEUE(far);
    mptest_require(mp_queue_put(far, "x", 1, 0) == MP_EOWNER);
    mptest_require(mp_queue_get(far, &x, 1, 0) == MP_EOWNER);
    mptest_require(mp_queue_size(far) == MP_EOWNER);
    mptest_require(mp_wait(&w, 1, 0) < 0);
    mp_queue_free(far);
    return 0;
}

MP_TEST(a_fork_has_it_no_longer)
{
    mp_queue *q = new_queue(NULL), *none = q;
    mp_listener *l = serve(&ipc, q);
    mp_queue *far = reach(&ipc, l);
    ck_assert_int_eq(mptest_in_child(use_it, far), 0);
    put_number(far, 3);
    ck_assert_int_eq(get_number(far), 3);
    mp_pipe *a, *b;
    mp_assert_ok(mp_pipe_new(&a, &b, NULL));
    mp_handle h = mp_handle_queue(far);
    mp_assert_err(mp_pipe_send_handles(a, "", 0, &h, 1, 0), MP_ENOTSUP);
    mp_pipe_free(a);
    mp_pipe_free(b);
    mp_listener *l2 = l;
    mp_assert_err(mp_queue_serve(&l2, far, "ipc://", NULL), MP_ENOTSUP);
    mp_assert_err(mp_queue_serve(&l2, NULL, "ipc://", NULL), MP_EINVAL);
    mp_assert_err(mp_queue_serve(NULL, q, "ipc://", NULL), MP_EINVAL);
    mp_assert_err(mp_queue_connect(NULL, "ipc://", NULL), MP_EINVAL);
    mp_assert_err(mp_queue_connect(&none, NULL, NULL), MP_EINVAL);
    ck_assert_ptr_null(none);
    mp_pipe *p;
    mp_assert_err(mp_accept(l, &p, 0), MP_ENOTSUP);
    mp_queue_free(far);
    mp_listener_free(l);
    mp_queue_free(q);
}

MP_TEST_EACH_URL(the_end_of_serving_is_told)
{
    mp_queue *q = new_queue(NULL);
    mp_listener *l = serve(t, q);
    mp_queue *far = reach(t, l);
    put_number(far, 1);
    mp_listener_close(l);
    char byte;
    mp_assert_err(mp_queue_get(far, &byte, 0, LONG_MS) == MP_EMSGSIZE ? mp_queue_join(far, LONG_MS)
                                                                      : MP_EBROKEN,
                  MP_EBROKEN);
    mp_assert_err(mp_queue_put(far, "x", 1, LONG_MS), MP_EBROKEN);
    mp_wait_item w = MP_WAIT_QUEUE(far);
    ck_assert_int_eq(mp_wait(&w, 1, LONG_MS), 1); // a get would not wait
    ck_assert_int_eq(get_number(q), 1);           // the queue lives on
    mp_queue_free(far);
    mp_listener_free(l);
    mp_queue_free(q);
}

// A pipe's client at a queue, and the other way round.
MP_TEST_EACH_URL(pipes_and_queues_are_not_confused)
{
    mp_queue *q = new_queue(NULL), *far;
    mp_listener *l = serve(t, q);
    mp_pipe *p;
    connect_opts = url_opts(t, false);
    mp_assert_err(mp_connect(&p, mp_listener_url(l), &connect_opts), MP_EPROTO);
    mp_listener_free(l);
    serve_opts = url_opts(t, true);
    url_assert_ok(mp_listen(&l, t->url, &serve_opts));
    connect_opts = url_opts(t, false);
    mp_assert_err(mp_queue_connect(&far, mp_listener_url(l), &connect_opts), MP_EPROTO);
    ck_assert_ptr_nonnull(strstr(url_error, mp_listener_url(l)));
    connect_opts.foreign = true;
    mp_assert_err(mp_queue_connect(&far, mp_listener_url(l), &connect_opts), MP_EINVAL);
    mp_listener_free(l);
    mp_queue_free(q);
}

// ---- threads ---------------------------------------------------------------------------

enum { THREADS = 4, EACH = 300 };

static void *put_many(void *arg)
{
    for (int i = 0; i < EACH; i++)
        if (mp_queue_put(arg, &i, sizeof i, LONG_MS) < 0)
            return arg;
    return NULL;
}

static void *get_many(void *arg)
{
    int sum = 0, n;
    while (mp_queue_get(arg, &n, sizeof n, LONG_MS) == sizeof n && n >= 0)
        sum += n;
    return (void *)(intptr_t)sum;
}

MP_TEST(threads_share_a_connection)
{
    pthread_t getters[THREADS], putters[THREADS];
    mp_queue *q = new_queue(&(mp_queue_opts){.max_items = 10});
    mp_listener *l = serve(&tcp, q);
    mp_queue *far = reach(&tcp, l);
    int sum = 0, stop = -1;
    for (int i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_create(&getters[i], NULL, get_many, far), 0);
        ck_assert_int_eq(pthread_create(&putters[i], NULL, put_many, far), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        void *failed;
        pthread_join(putters[i], &failed);
        ck_assert_ptr_null(failed);
    }
    for (int i = 0; i < THREADS; i++)
        mp_assert_ok(mp_queue_put(far, &stop, sizeof stop, LONG_MS));
    for (int i = 0; i < THREADS; i++) {
        void *got;
        pthread_join(getters[i], &got);
        sum += (int)(intptr_t)got;
    }
    ck_assert_int_eq(sum, THREADS * (EACH * (EACH - 1) / 2));
    mp_queue_free(far);
    mp_listener_free(l);
    mp_queue_free(q);
}
