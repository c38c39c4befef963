// SPDX-License-Identifier: MIT
//
// The daemon and its proxies, end to end: real processes on a real socket.
#include "managertest.h"

#include <errno.h>
#include <mp/future.h>
#include <pthread.h>
#include <sys/resource.h>

#define MANY 100

// ---- calls ---------------------------------------------------------------------------

MP_TEST(a_dict_holds_what_it_is_given)
{
    mp_proxy *d;
    double x;
    int64_t n;
    char text[16];
    manager_begin(NULL);
    mp_manager *m = manager_connect(NULL);
    ck_assert_int_eq(mp_manager_get(m, &d, "prices", "dict", ""), 1);
    mp_assert_ok(mp_dict_set(d, "tea", "d", 3.5));
    mp_assert_ok(mp_dict_set(d, "name", "s", "shop"));
    mp_assert_ok(mp_dict_get(d, NULL, "tea", "d", &x));
    ck_assert_double_eq(x, 3.5);
    mp_assert_ok(mp_dict_get(d, NULL, "name", "s", text, sizeof text));
    ck_assert_str_eq(text, "shop");
    mp_assert_ok(mp_dict_incr(d, "hits", 2, NULL));
    mp_assert_ok(mp_dict_incr(d, "hits", 3, &n));
    ck_assert_int_eq(n, 5);
    ck_assert_int_eq(mp_dict_len(d), 3);
    ck_assert_int_eq(mp_dict_contains(d, "tea"), 1);
    mp_assert_ok(mp_dict_del(d, "tea"));
    ck_assert_int_eq(mp_dict_contains(d, "tea"), 0);
    mp_assert_err(mp_dict_get(d, NULL, "tea", "d", &x), MP_ENOTFOUND);
    mp_assert_err(mp_call(d, NULL, 0, "no_such_method", ""), MP_ENOFUNC);
    mp_assert_err(mp_call(d, NULL, 0, "set", "s", "too few"), MP_EINVAL);
    mp_proxy_free(d);
    mp_manager_free(m);
    manager_end();
}

MP_TEST(objects_in_objects_are_the_same_for_everybody)
{
    mp_proxy *l, *d, *again;
    mp_buf b = {0};
    const void *object;
    size_t size;
    int64_t n;
    manager_begin(NULL);
    mp_manager *m = manager_connect(NULL), *other = manager_connect(NULL);
    mp_assert_ok(mp_manager_get(m, &l, "all", "list", ""));
    mp_assert_ok(mp_manager_create(m, &d, "dict", ""));
    mp_assert_ok(mp_proxy_pack(d, &b));
    mp_assert_ok(mp_list_append(l, "O#", (const void *)b.data, b.size));
    mp_proxy_free(l);
    mp_assert_ok(mp_manager_open(other, &l, "all"));
    mp_assert_ok(mp_list_get(l, &b, 0, "O#", &object, &size));
    mp_assert_ok(mp_proxy_new(other, &again, object, size));
    ck_assert_str_eq(mp_proxy_type(again), "dict");
    mp_assert_ok(mp_dict_set(d, "x", "i", 7));
    mp_assert_ok(mp_dict_get(again, NULL, "x", "I", &n));
    ck_assert_int_eq(n, 7);
    mp_buf_free(&b);
    mp_proxy_free(again);
    mp_proxy_free(l);
    mp_proxy_free(d);
    mp_manager_free(other);
    mp_manager_free(m);
    manager_end();
}

// Through the socket, then through rings, and messages far larger than either has room for.
MP_TEST(a_burst_changes_over_to_rings)
{
    enum { LONG = 3 << 20 };
    mp_proxy *d;
    mp_manager_info info;
    mp_buf b = {0};
    const void *got;
    size_t size;
    int64_t n;
    manager_begin(NULL);
    mp_manager *m = manager_connect(NULL),
               *plain = manager_connect(&(mp_manager_opts){.no_rings = true});
    unsigned char *data = malloc(LONG);
    for (int i = 0; i < LONG; i++)
        data[i] = (unsigned char)(i * 7 + i / 256);
    mp_assert_ok(mp_manager_get(m, &d, "d", "dict", ""));
    mp_assert_ok(mp_manager_get_info(m, &info));
    ck_assert(!info.rings);
    mp_assert_ok(mp_dict_set(d, "long", "b#", (const void *)data, (size_t)LONG));
    // A slow machine may not do a hundred calls in a second at first.
    for (int i = 0; i < 100000 && !info.rings; i++) {
        mp_assert_ok(mp_dict_set(d, "x", "i", i));
        mp_assert_ok(mp_dict_get(d, NULL, "x", "I", &n));
        ck_assert_int_eq(n, i);
        mp_assert_ok(mp_manager_get_info(m, &info));
    }
    ck_assert(info.rings);
    mp_assert_ok(mp_dict_get(d, &b, "long", "b#", &got, &size));
    ck_assert_uint_eq(size, LONG);
    ck_assert_int_eq(memcmp(got, data, size), 0);
    mp_assert_ok(mp_dict_set(d, "long2", "b#", (const void *)data, (size_t)LONG));
    mp_assert_ok(mp_dict_get(d, &b, "long2", "b#", &got, &size));
    ck_assert_int_eq(memcmp(got, data, LONG), 0);
    mp_proxy_free(d);
    mp_assert_ok(mp_manager_get(plain, &d, "d", "dict", ""));
    for (int i = 0; i < 300; i++)
        mp_assert_ok(mp_dict_get(d, NULL, "x", "I", &n));
    mp_assert_ok(mp_manager_get_info(plain, &info));
    ck_assert(!info.rings);
    mp_assert_ok(mp_dict_get(d, &b, "long2", "b#", &got, &size));
    ck_assert_int_eq(memcmp(got, data, LONG), 0);
    mp_proxy_free(d);
    mp_buf_free(&b);
    free(data);
    mp_manager_free(plain);
    mp_manager_free(m);
    manager_end();
}

// More answers than anything has room for, before the first is taken.
static void check_pipeline(mp_manager *m, size_t long_size)
{
    enum { N = 240 };
    mp_proxy *d;
    mp_buf b = {0};
    int64_t tickets[N];
    const void *got;
    size_t size;
    char *data = calloc(1, long_size);
    mp_assert_ok(mp_manager_get(m, &d, "p", "dict", ""));
    mp_assert_ok(mp_dict_set(d, "v", "b#", (const void *)data, long_size));
    for (int i = 0; i < N; i++) {
        tickets[i] =
            i % 2 ? mp_call_begin(d, MP_FOREVER, "get", "s", "v")
                  : mp_call_begin(d, MP_FOREVER, "set", "s b#", "w", (const void *)data, long_size);
        mp_assert_ok(tickets[i]);
    }
    for (int i = N - 1; i >= 0; i--) {
        if (i % 2) {
            mp_assert_ok(mp_call_end(m, &b, tickets[i], "b#", &got, &size));
            ck_assert_uint_eq(size, long_size);
        } else {
            mp_assert_ok(mp_call_end(m, NULL, tickets[i], ""));
        }
    }
    mp_assert_err(mp_call_end(m, NULL, tickets[0], ""), MP_EINVAL);
    mp_buf_free(&b);
    mp_proxy_free(d);
    free(data);
}

MP_TEST(many_calls_are_under_way_at_once)
{
    manager_begin(NULL);
    mp_manager *m = manager_connect(NULL),
               *plain = manager_connect(&(mp_manager_opts){.no_rings = true});
    for (int i = 0; i < 5; i++) {
        check_pipeline(m, 10);
        check_pipeline(plain, 10);
    }
    check_pipeline(m, 50000);
    check_pipeline(plain, 50000);
    mp_manager_free(plain);
    mp_manager_free(m);
    manager_end();
}

MP_TEST(watch_tells_of_changes)
{
    mp_proxy *d, *same;
    mp_buf b = {0};
    int64_t op;
    const char *key;
    size_t size;
    int value;
    manager_begin(NULL);
    mp_manager *m = manager_connect(NULL), *other = manager_connect(NULL);
    mp_assert_ok(mp_manager_get(m, &d, "d", "dict", ""));
    mp_assert_ok(mp_manager_get(other, &same, "d", "dict", ""));
    int64_t t = mp_call_begin(d, MP_FOREVER, "watch", "");
    mp_assert_ok(t);
    ck_assert_int_eq(mp_call_next(m, t, &b, LONG_MS), 1); // it has begun
    mp_assert_err(mp_call_next(m, t, &b, 0), MP_ETIMEDOUT);
    mp_assert_ok(mp_dict_set(same, "k", "i", 5));
    ck_assert_int_eq(mp_call_poll(m, t, LONG_MS), 1);
    ck_assert_int_eq(mp_call_next(m, t, &b, LONG_MS), 1);
    mp_assert_ok(mp_unpack(b.data, b.size, "[I [s# i] *]", &op, &key, &size, &value));
    ck_assert_int_eq(value, 5);
    mp_assert_ok(mp_call_cancel(m, t));
    mp_assert_err(mp_call_end(m, NULL, t, ""), MP_ECANCELED);
    mp_buf_free(&b);
    mp_proxy_free(same);
    mp_proxy_free(d);
    mp_manager_free(other);
    mp_manager_free(m);
    manager_end();
}

static int count_done(mp_future *f, void *arg)
{
    (void)f;
    ++*(int *)arg;
    return 0;
}

static void check_futures(mp_manager *m)
{
    enum { N = 20 };
    mp_proxy *d, *q;
    mp_future *futures[N], *item;
    int64_t n;
    int done = 0;
    const void *data;
    size_t size;
    mp_assert_ok(mp_manager_create(m, &d, "dict", ""));
    mp_assert_ok(mp_manager_create(m, &q, "Queue", ""));
    mp_assert_ok(mp_call_future(q, &item, LONG_MS, "get", ""));
    for (int i = 0; i < N; i++) {
        mp_assert_ok(mp_call_future(d, &futures[i], 0, "incr", "s i", "n", 1));
        mp_assert_ok(mp_future_add_done_callback(futures[i], count_done, &done));
    }
    ck_assert_int_eq(mp_futures_wait(futures, N, MP_ALL_DONE, LONG_MS), N);
    ck_assert_int_eq(done, N);
    for (int i = 0; i < N; i++) {
        data = mp_future_data(futures[i], &size);
        ck_assert_ptr_nonnull(data);
        mp_assert_ok(mp_unpack(data, size, "I", &n));
        ck_assert_int_eq(n, i + 1);
        mp_future_free(futures[i]);
    }
    ck_assert(!mp_future_done(item));
    mp_assert_err(mp_future_wait(item, 1), MP_ETIMEDOUT);
    mp_assert_err(mp_future_cancel(item), MP_ESTATE);
    mp_assert_ok(mp_remote_queue_put(q, 0, "i", 7)); // by the same connection
    mp_assert_ok(mp_future_wait(item, LONG_MS));
    mp_future_free(item);
    mp_assert_ok(mp_call_future(d, &item, 0, "get", "s", "nothing"));
    mp_assert_err(mp_future_error(item, LONG_MS), MP_ENOTFOUND);
    mp_future_free(item);
    mp_assert_err(mp_call_future(d, &item, 0, "fly", ""), MP_ENOFUNC);
    mp_proxy_free(q);
    mp_proxy_free(d);
}

MP_TEST(answers_as_futures)
{
    mp_manager_info info = {0};
    mp_proxy *q;
    mp_future *lost;
    manager_begin(NULL);
    mp_manager *m = manager_connect(NULL), *rings = manager_connect(NULL);
    check_futures(m);
    check_futures(m);
    for (int i = 0; i < 100000 && !info.rings; i++) {
        mp_assert_ok(mp_call(mp_manager_self(rings), NULL, 0, "ping", ""));
        mp_assert_ok(mp_manager_get_info(rings, &info));
    }
    check_futures(rings);
    mp_assert_ok(mp_manager_create(m, &q, "Queue", ""));
    mp_assert_ok(mp_call_future(q, &lost, MP_FOREVER, "get", ""));
    manager_kill();
    mp_assert_err(mp_future_error(lost, LONG_MS), MP_ELOST);
    mp_future_free(lost);
    manager_begin(NULL);
    mp_assert_ok(mp_manager_reconnect(m));
    check_futures(m);
    mp_proxy_free(q);
    mp_assert_ok(mp_manager_create(m, &q, "Queue", ""));
    mp_assert_ok(mp_call_future(q, &lost, MP_FOREVER, "get", ""));
    mp_manager_free(rings);
    mp_manager_free(m);
    mp_assert_err(mp_future_error(lost, LONG_MS), MP_ECLOSED);
    mp_future_free(lost);
    mp_proxy_free(q);
    manager_end();
}

// ---- threads and forks ---------------------------------------------------------------

static void *acquire_in_thread(void *arg)
{
    int *r = malloc(sizeof *r);
    *r = mp_remote_lock_acquire(arg, LONG_MS, NULL);
    if (*r == 0)
        *r = mp_remote_lock_release(arg);
    return r;
}

// A lock belongs to a thread, and who waits for one keeps nobody from calling.
MP_TEST(threads_share_a_connection)
{
    mp_proxy *l, *c;
    pthread_t threads[4];
    int64_t n;
    manager_begin(NULL);
    mp_manager *m = manager_connect(NULL);
    mp_assert_ok(mp_manager_get(m, &l, "l", "Lock", ""));
    mp_assert_ok(mp_manager_get(m, &c, "c", "counter", ""));
    mp_assert_ok(mp_remote_lock_acquire(l, 0, NULL));
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, acquire_in_thread, l), 0);
    for (int i = 1; i <= 500; i++) {
        mp_assert_ok(mp_counter_add(c, 1, &n));
        ck_assert_int_eq(n, i);
    }
    mp_assert_ok(mp_remote_lock_release(l));
    for (int i = 0; i < 4; i++) {
        void *r;
        ck_assert_int_eq(pthread_join(threads[i], &r), 0);
        mp_assert_ok(*(int *)r);
        free(r);
    }
    mp_assert_err(mp_remote_lock_release(l), MP_ENOTHELD);
    mp_proxy_free(c);
    mp_proxy_free(l);
    mp_manager_free(m);
    manager_end();
}

MP_TEST(a_forked_child_has_a_session_of_its_own)
{
    mp_proxy *l, *c;
    mp_manager_info mine, its;
    int64_t n;
    int status;
    manager_begin(NULL);
    mp_manager *m = manager_connect(NULL);
    mp_assert_ok(mp_manager_get(m, &l, "l", "Lock", ""));
    mp_assert_ok(mp_manager_create(m, &c, "counter", "i", 40)); // without a name
    mp_assert_ok(mp_remote_lock_acquire(l, 0, NULL));
    mp_assert_ok(mp_manager_get_info(m, &mine));
    pid_t pid = fork();
    if (pid == 0) {
        mptest_require(mp_counter_add(c, 2, &n) == 0 && n == 42);
        mptest_require(mp_manager_get_info(m, &its) == 0 && its.session != mine.session);
        mptest_require(mp_remote_lock_acquire(l, 0, NULL) == MP_EAGAIN);
        mptest_require(mp_remote_lock_release(l) == MP_ENOTHELD);
        mp_proxy_free(c);
        mp_proxy_free(l);
        mp_manager_free(m);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    mp_assert_ok(mp_remote_lock_release(l)); // the child's end took nothing away
    mp_assert_ok(mp_counter_add(c, 0, &n));
    ck_assert_int_eq(n, 42);
    mp_proxy_free(c);
    mp_proxy_free(l);
    mp_manager_free(m);
    manager_end();
}

// ---- connect or start ----------------------------------------------------------------

static int start_one(void *arg)
{
    mp_manager *m;
    mp_manager_info info;
    char text[400] = "";
    int fd = *(int *)arg;
    mp_manager_opts o = {
        .start = true, .error = text, .error_size = sizeof text, .connect_ms = LONG_MS};
    int r = mp_connect_manager(&m, "herd", &o);
    if (r < 0)
        fprintf(stderr, "%s: %s\n", mp_err_name(r), text);
    mptest_require(r == 0);
    mptest_require(mp_manager_get_info(m, &info) == 0);
    mptest_require(write(fd, &info.instance, sizeof info.instance) == sizeof info.instance);
    char byte;
    mptest_require(read(fd, &byte, 1) == 0); // until all have said it
    mp_manager_free(m);
    return 0;
}

MP_TEST(of_many_that_start_one_all_get_the_same)
{
    enum { N = 8 };
    int sv[N][2], status;
    pid_t pids[N];
    uint64_t instance = 0, other;
    mp_manager *m;
    manager_place();
    mp_assert_err(mp_connect_manager(&m, "herd", NULL), -ENOENT);
    for (int i = 0; i < N; i++) {
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv[i]), 0);
        pids[i] = fork();
        if (pids[i] == 0) {
            for (int k = 0; k <= i; k++)
                close(sv[k][0]);
            _exit(start_one(&sv[i][1]));
        }
        close(sv[i][1]);
    }
    for (int i = 0; i < N; i++) {
        ck_assert_int_eq(read(sv[i][0], &other, sizeof other), sizeof other);
        ck_assert(i == 0 || other == instance);
        instance = other;
    }
    mp_assert_ok(mp_connect_manager(&m, "herd", NULL));
    mp_assert_ok(mp_call(mp_manager_self(m), NULL, 0, "shutdown", ""));
    mp_manager_free(m);
    for (int i = 0; i < N; i++) {
        close(sv[i][0]);
        ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
        ck_assert_int_eq(status, 0);
    }
    manager_clean();
}

MP_TEST(a_second_daemon_says_whose_it_is)
{
    char *argv[] = {(char *)"mpmanager", NULL};
    int fds[3] = {MP_SPAWN_NULL, MP_SPAWN_NULL, -1}, pipe_fds[2], status;
    char text[400] = "", pid_text[32];
    pid_t second;
    manager_begin(NULL);
    ck_assert_int_eq(pipe(pipe_fds), 0);
    fds[2] = pipe_fds[1];
    mp_assert_ok(
        mp_spawn(&second, NULL, argv, &(mp_spawn_opts){.path = getenv("MP_MANAGER"), .fds = fds}));
    close(pipe_fds[1]);
    for (size_t n = 0; n < sizeof text - 1;) {
        ssize_t k = read(pipe_fds[0], text + n, sizeof text - 1 - n);
        if (k <= 0)
            break;
        n += (size_t)k;
    }
    close(pipe_fds[0]);
    ck_assert_int_eq(waitpid(second, &status, 0), second);
    ck_assert_int_eq(WEXITSTATUS(status), 73);
    snprintf(pid_text, sizeof pid_text, "pid %d", (int)manager_pid);
    ck_assert_msg(strstr(text, pid_text) != NULL, "it said: %s", text);
    mp_manager *m = manager_connect(NULL); // the first serves on
    mp_assert_ok(mp_call(mp_manager_self(m), NULL, 0, "ping", ""));
    mp_manager_free(m);
    manager_end();
}

// ---- misuse --------------------------------------------------------------------------

MP_TEST(misuse_is_an_error)
{
    mp_manager *m;
    mp_proxy *d;
    mp_buf b = {0};
    const char *text;
    size_t size;
    manager_begin(NULL);
    mp_assert_err(mp_connect_manager(NULL, NULL, NULL), MP_EINVAL);
    mp_assert_err(mp_connect_manager(&m, "../x y", NULL), -ENOENT);
    mp_assert_err(mp_connect_manager(&m, ".hidden", NULL), MP_EINVAL);
    mp_assert_err(mp_connect_manager(&m, "nobody", NULL), -ENOENT);
    m = manager_connect(NULL);
    mp_assert_err(mp_manager_open(m, &d, "nothing"), MP_ENOTFOUND);
    ck_assert_ptr_null(d);
    mp_assert_err(mp_manager_create(m, &d, "no type", ""), MP_ENOTFOUND);
    mp_assert_ok(mp_manager_create(m, &d, "dict", ""));
    mp_assert_err(mp_call(d, NULL, -2, "len", ""), MP_EINVAL);
    mp_assert_err(mp_call(NULL, NULL, 0, "len", ""), MP_EINVAL);
    mp_assert_err(mp_dict_get(d, NULL, "x", "s#", &text, &size), MP_EINVAL); // points to nowhere
    mp_assert_err(mp_dict_get(d, &b, NULL, "s#", &text, &size), MP_EINVAL);
    mp_assert_err(mp_list_append(d, "i", 1), MP_ENOFUNC);
    mp_assert_err(mp_call_end(m, NULL, 12345, ""), MP_EINVAL);
    mp_assert_err(mp_manager_reconnect(m), MP_ESTATE);
    mp_manager_close(m);
    mp_assert_err(mp_call(d, NULL, 0, "len", ""), MP_ECLOSED);
    mp_manager_free(m);
    mp_assert_err(mp_call(d, NULL, 0, "len", ""), MP_ECLOSED);
    mp_proxy_free(d);
    mp_proxy_free(NULL);
    mp_manager_free(NULL);
    mp_buf_free(&b);
    manager_end();
}
