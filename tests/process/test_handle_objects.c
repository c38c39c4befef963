// SPDX-License-Identifier: MIT
//
// Shared objects that come through a pipe: each kind used by two processes, once where the
// other one was born before the object and has its memory elsewhere, once where it
// inherited it.
#include "mptest.h"

#include <mp/array.h>
#include <mp/barrier.h>
#include <mp/condition.h>
#include <mp/event.h>
#include <mp/handle.h>
#include <mp/lock.h>
#include <mp/process.h>
#include <mp/queue.h>
#include <mp/rwlock.h>
#include <mp/semaphore.h>
#include <mp/shm_dict.h>
#include <mp/shm_list.h>
#include <mp/value.h>
#include <mp/wait.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define LONG_MS 20000

static mp_pipe *ours, *theirs;
static mp_process *other;
static bool inherits;

// An empty message: "now you".
static void tell(mp_pipe *p)
{
    mptest_require(mp_pipe_send(p, NULL, 0, LONG_MS) == 0);
}

static void hear(mp_pipe *p)
{
    mptest_require(mp_pipe_recv(p, NULL, 0, LONG_MS) == 0);
}

// ---- what the other process does with each kind, and frees it ------------------------------

static void use_lock(mp_lock *l)
{
    mptest_require(mp_lock_acquire(l, 0) == MP_ETIMEDOUT);
    tell(theirs);
    mptest_require(mp_lock_acquire(l, LONG_MS) == 0);
    tell(theirs);
    hear(theirs);
    mptest_require(mp_lock_release(l) == 0);
    mp_lock_free(l);
}

static void use_rlock(mp_rlock *l)
{
    mptest_require(mp_rlock_acquire(l, 0) == MP_ETIMEDOUT);
    tell(theirs);
    mptest_require(mp_rlock_acquire(l, LONG_MS) == 0 && mp_rlock_acquire(l, LONG_MS) == 0);
    mptest_require(mp_rlock_release(l) == 0 && mp_rlock_release(l) == 0);
    mp_rlock_free(l);
}

static void use_semaphore(mp_semaphore *s)
{
    mptest_require(mp_semaphore_acquire(s, LONG_MS) == 0);
    tell(theirs);
    hear(theirs);
    mptest_require(mp_semaphore_release(s) == 0);
    mp_semaphore_free(s);
}

static void use_condition(mp_condition *c)
{
    mptest_require(mp_condition_acquire(c, LONG_MS) == 0); // when the other one waits
    mptest_require(mp_condition_notify(c, 1) >= 0 && mp_condition_release(c) == 0);
    mp_condition_free(c);
}

static void use_event(mp_event *e)
{
    mptest_require(mp_event_set(e) >= 0);
    mp_event_free(e);
}

static void use_barrier(mp_barrier *x)
{
    mptest_require(mp_barrier_wait(x, LONG_MS) >= 0);
    mp_barrier_free(x);
}

static void use_rwlock(mp_rwlock *rw)
{
    mptest_require(mp_rwlock_acquire_read(rw, LONG_MS) == 0);
    tell(theirs);
    hear(theirs);
    mptest_require(mp_rwlock_release_read(rw) == 0);
    mp_rwlock_free(rw);
}

static void use_value(mp_value *v)
{
    int64_t x;
    mptest_require(mp_value_type(v) == MP_INT32 && mp_value_get_int(v, &x) == 0 && x == 41);
    mptest_require(mp_value_set_int(v, x + 1) == 0);
    mp_value_free(v);
}

static void use_array(mp_array *v)
{
    double x[2];
    mptest_require(mp_array_type(v) == MP_DOUBLE && mp_array_len(v) == 1000);
    mptest_require(mp_array_read(v, 998, 2, x, sizeof *x, LONG_MS) == 0);
    mptest_require(mp_array_write(v, 0, 2, x, sizeof *x, LONG_MS) == 0);
    mp_array_free(v);
}

static void use_shm_dict(mp_shm_dict *d)
{
    char buf[10];
    mptest_require(mp_shm_dict_get(d, "key", 3, buf, sizeof buf) == 5);
    mptest_require(mp_shm_dict_set(d, "other", 5, buf, 5) == 0);
    mptest_require(mp_shm_dict_remove(d, "key", 3) >= 0);
    mp_shm_dict_free(d);
}

static void use_shm_list(mp_shm_list *l)
{
    char buf[10];
    mptest_require(mp_shm_list_pop(l, 0, buf, sizeof buf) == 5);
    mptest_require(mp_shm_list_append(l, buf, 5) == 0);
    mp_shm_list_free(l);
}

static void use_queue(mp_queue *q)
{
    char buf[10];
    struct timespec pause = {.tv_nsec = 20000000};
    mptest_require(mp_queue_get(q, buf, sizeof buf, LONG_MS) == 4);
    tell(theirs);
    hear(theirs); // the other one is about to wait
    nanosleep(&pause, NULL);
    mptest_require(mp_queue_put(q, "back", 4, LONG_MS) == 0);
    hear(theirs); // it has it
    mp_queue_free(q);
}

#define CASE(KIND, name)                                                                           \
    case MP_HANDLE_##KIND: {                                                                       \
        mp_##name *it;                                                                             \
        mptest_require(mp_handle_take_##name(h, &it) == 0);                                        \
        use_##name(it);                                                                            \
        break;                                                                                     \
    }

static void use(mp_handle *h)
{
    switch (h->kind) {
        CASE(LOCK, lock)
        CASE(RLOCK, rlock)
        CASE(SEMAPHORE, semaphore)
        CASE(CONDITION, condition)
        CASE(EVENT, event)
        CASE(BARRIER, barrier)
        CASE(RWLOCK, rwlock)
        CASE(VALUE, value)
        CASE(ARRAY, array)
        CASE(SHM_DICT, shm_dict)
        CASE(SHM_LIST, shm_list)
        CASE(QUEUE, queue)
    default:
        mptest_require(false);
    }
}

// Uses what comes, until the end. Each time it tells where it has it.
static int serve(void *arg)
{
    theirs = arg;
    if (!inherits) // what comes is not where the others have it
        mptest_require(mmap(NULL, (size_t)256 << 30, PROT_NONE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) != MAP_FAILED);
    int before = mptest_fd_count();
    mp_handle h;
    size_t n = 1;
    int64_t r;
    while ((r = mp_pipe_recv_handles(theirs, NULL, 0, &h, &n, LONG_MS)) == 0) {
        mptest_require(n == 1 && h.error == 0);
        void *at = h.object;
        use(&h);
        mptest_require(mp_pipe_send(theirs, &at, sizeof at, LONG_MS) == 0);
        mptest_require(mptest_fd_count() == before); // nothing of it is left
        n = 1;
    }
    return r != MP_EOF;
}

// ---- our side ----------------------------------------------------------------------------

static void start(void)
{
    mp_assert_ok(mp_pipe_new(&ours, &theirs, NULL));
    mp_process_opts opts = {.give = (mp_pipe *[]){theirs, NULL}};
    mp_assert_ok(mp_process_start(&other, serve, theirs, &opts));
    mp_pipe_free(theirs);
    theirs = NULL;
}

static void stop(void)
{
    int code = -1;
    mp_pipe_free(ours);
    mp_assert_ok(mp_process_join(other, LONG_MS));
    mp_assert_ok(mp_process_exitcode(other, &code));
    ck_assert_int_eq(code, 0);
    mp_process_free(other);
}

static void hand_over(mp_handle h)
{
    if (inherits)
        start();
    mp_assert_ok(mp_pipe_send_handles(ours, NULL, 0, &h, 1, LONG_MS));
}

static void is_done(void *object)
{
    void *at;
    ck_assert_int_eq(mp_pipe_recv(ours, &at, sizeof at, LONG_MS), sizeof at);
    if (object)
        ck_assert((at == object) == inherits);
    if (inherits)
        stop();
}

static void with_lock(void)
{
    mp_lock *l;
    mp_assert_ok(mp_lock_new(&l, NULL));
    mp_assert_ok(mp_lock_acquire(l, 0));
    hand_over(MP_HANDLE(l));
    hear(ours);
    mp_assert_ok(mp_lock_release(l));
    hear(ours);
    mp_assert_err(mp_lock_acquire(l, 0), MP_ETIMEDOUT);
    tell(ours);
    is_done(l);
    mp_assert_ok(mp_lock_acquire(l, LONG_MS));
    mp_assert_ok(mp_lock_release(l));
    mp_lock_free(l);
}

static void with_rlock(void)
{
    mp_rlock *l;
    mp_assert_ok(mp_rlock_new(&l, NULL));
    mp_assert_ok(mp_rlock_acquire(l, 0));
    hand_over(MP_HANDLE(l));
    hear(ours);
    mp_assert_ok(mp_rlock_release(l));
    is_done(l);
    mp_rlock_free(l);
}

static void with_semaphore(void)
{
    mp_semaphore *s;
    mp_assert_ok(mp_semaphore_new(&s, 1, NULL));
    hand_over(MP_HANDLE(s));
    hear(ours);
    mp_assert_err(mp_semaphore_acquire(s, 0), MP_ETIMEDOUT);
    tell(ours);
    mp_assert_ok(mp_semaphore_acquire(s, LONG_MS));
    is_done(s);
    mp_semaphore_free(s);
}

static void with_condition(void)
{
    mp_condition *c;
    mp_assert_ok(mp_condition_new(&c, NULL));
    mp_assert_ok(mp_condition_acquire(c, 0));
    hand_over(MP_HANDLE(c));
    mp_assert_ok(mp_condition_wait(c, LONG_MS));
    mp_assert_ok(mp_condition_release(c));
    is_done(c);
    mp_condition_free(c);
}

static void with_event(void)
{
    mp_event *e;
    mp_assert_ok(mp_event_new(&e, NULL));
    hand_over(MP_HANDLE(e));
    mp_assert_ok(mp_event_wait(e, LONG_MS));
    is_done(e);
    mp_event_free(e);
}

static void with_barrier(void)
{
    mp_barrier *x;
    mp_assert_ok(mp_barrier_new(&x, 2, NULL));
    hand_over(MP_HANDLE(x));
    mp_assert_ok(mp_barrier_wait(x, LONG_MS));
    is_done(x);
    mp_barrier_free(x);
}

static void with_rwlock(void)
{
    mp_rwlock *rw;
    mp_assert_ok(mp_rwlock_new(&rw, NULL));
    hand_over(MP_HANDLE(rw));
    hear(ours);
    mp_assert_err(mp_rwlock_acquire_write(rw, 0), MP_ETIMEDOUT);
    tell(ours);
    mp_assert_ok(mp_rwlock_acquire_write(rw, LONG_MS));
    mp_assert_ok(mp_rwlock_release_write(rw));
    is_done(rw);
    mp_rwlock_free(rw);
}

static void with_value(void)
{
    mp_value *v;
    int64_t x;
    mp_assert_ok(mp_value_new(&v, MP_INT32, &(int32_t){41}, NULL));
    hand_over(MP_HANDLE(v));
    is_done(v);
    mp_assert_ok(mp_value_get_int(v, &x));
    ck_assert_int_eq(x, 42);
    mp_value_free(v);
}

static void with_array(void)
{
    mp_array *v;
    double x = 0, last = 2.5;
    mp_assert_ok(mp_array_new(&v, MP_DOUBLE, 1000, NULL, NULL));
    mp_assert_ok(mp_array_write(v, 999, 1, &last, sizeof last, LONG_MS));
    hand_over(MP_HANDLE(v));
    is_done(v);
    mp_assert_ok(mp_array_read(v, 1, 1, &x, sizeof x, LONG_MS));
    ck_assert(x > 2.4 && x < 2.6);
    mp_array_free(v);
}

static void with_shm_dict(void)
{
    mp_shm_dict *d;
    char buf[10];
    mp_assert_ok(mp_shm_dict_new(&d, NULL));
    mp_assert_ok(mp_shm_dict_set(d, "key", 3, "value", 5));
    hand_over(MP_HANDLE(d));
    is_done(d);
    ck_assert_int_eq(mp_shm_dict_get(d, "other", 5, buf, sizeof buf), 5);
    mp_assert_err(mp_shm_dict_get(d, "key", 3, buf, sizeof buf), MP_ENOTFOUND);
    mp_shm_dict_free(d);
}

static void with_shm_list(void)
{
    mp_shm_list *l;
    char buf[10];
    mp_assert_ok(mp_shm_list_new(&l, NULL));
    mp_assert_ok(mp_shm_list_append(l, "first", 5));
    mp_assert_ok(mp_shm_list_append(l, "second", 6));
    hand_over(MP_HANDLE(l));
    is_done(l);
    ck_assert_int_eq(mp_shm_list_get(l, 0, buf, sizeof buf), 6);
    ck_assert_int_eq(mp_shm_list_get(l, 1, buf, sizeof buf), 5);
    mp_shm_list_free(l);
}

static void with_queue(const mp_queue_opts *opts)
{
    mp_queue *q;
    char buf[10];
    mp_assert_ok(mp_queue_new(&q, opts));
    mp_assert_ok(mp_queue_put(q, "item", 4, 0));
    hand_over(MP_HANDLE(q));
    hear(ours);
    mp_wait_item item = MP_WAIT_QUEUE(q);
    ck_assert_int_eq(mp_wait(&item, 1, 0), 0);
    tell(ours);
    ck_assert_int_eq(mp_wait(&item, 1, LONG_MS), 1);
    ck_assert_int_eq(mp_queue_get(q, buf, sizeof buf, 0), 4);
    tell(ours);
    is_done(NULL); // a queue's handle is each process's own
    mp_queue_free(q);
}

static void with_all(void)
{
    with_lock();
    with_rlock();
    with_semaphore();
    with_condition();
    with_event();
    with_barrier();
    with_rwlock();
    with_value();
    with_array();
    with_shm_dict();
    with_shm_list();
    with_queue(NULL);
    with_queue(&(mp_queue_opts){.kind = MP_LIFO});
}

MP_TEST_TIMEOUT(objects_made_after_the_other_process, 60)
{
    inherits = false;
    start();
    for (int i = 0; i < 3; i++)
        with_all();
    stop();
}

MP_TEST_TIMEOUT(objects_that_the_other_process_inherited, 60)
{
    inherits = true;
    with_all();
}

// ---- who makes, who dies -----------------------------------------------------------------

static int make_and_die(void *arg)
{
    mp_value *v;
    mp_lock *l;
    mptest_require(mp_value_new(&v, MP_INT64, &(int64_t){7}, NULL) == 0);
    mptest_require(mp_lock_new(&l, NULL) == 0 && mp_lock_acquire(l, 0) == 0);
    mp_handle h[] = {MP_HANDLE(v), MP_HANDLE(l)};
    mptest_require(mp_pipe_send_handles(arg, NULL, 0, h, 2, LONG_MS) == 0);
    raise(SIGKILL);
    return 0;
}

MP_TEST(an_object_outlives_its_maker_and_tells_of_its_death)
{
    mp_pipe *p, *q;
    mp_process *maker;
    mp_value *v;
    mp_lock *l;
    mp_handle h[2];
    size_t n = 2;
    int64_t x = 0;
    mp_assert_ok(mp_pipe_new(&p, &q, NULL));
    mp_process_opts opts = {.give = (mp_pipe *[]){q, NULL}};
    mp_assert_ok(mp_process_start(&maker, make_and_die, q, &opts));
    mp_pipe_free(q);
    mp_assert_ok(mp_process_join(maker, LONG_MS));
    mp_process_free(maker);
    mp_assert_ok(mp_pipe_recv_handles(p, NULL, 0, h, &n, LONG_MS));
    ck_assert_uint_eq(n, 2);
    mp_assert_ok(mp_handle_take_value(&h[0], &v));
    mp_assert_ok(mp_handle_take_lock(&h[1], &l));
    mp_assert_ok(mp_value_get_int(v, &x));
    ck_assert_int_eq(x, 7);
    mp_assert_err(mp_lock_acquire(l, LONG_MS), MP_EOWNERDEAD);
    mp_assert_ok(mp_lock_consistent(l));
    mp_assert_ok(mp_lock_release(l));
    mp_value_free(v);
    mp_lock_free(l);
    mp_pipe_free(p);
}

// ---- one process ---------------------------------------------------------------------------

MP_TEST(an_object_freed_on_the_way_is_told_when_taken)
{
    mp_pipe *p, *q;
    mp_value *v, *w;
    mp_queue *queue, *none;
    mp_handle h[3];
    size_t n = 3;
    mp_assert_ok(mp_pipe_new(&p, &q, NULL));
    mp_assert_ok(mp_value_new(&v, MP_INT64, NULL, NULL));
    mp_assert_ok(mp_value_new(&w, MP_INT64, NULL, NULL));
    mp_assert_ok(mp_queue_new(&queue, NULL));
    h[0] = MP_HANDLE(v);
    h[1] = MP_HANDLE(queue);
    h[2] = MP_HANDLE(w);
    mp_assert_ok(mp_pipe_send_handles(p, "x", 1, h, 3, 0));
    mp_assert_ok(mp_pipe_send(p, "behind", 6, 0));
    mp_value_free(v);
    mp_queue_free(queue);
    char buf[6];
    ck_assert_int_eq(mp_pipe_recv_handles(q, buf, sizeof buf, h, &n, 0), 1);
    ck_assert_uint_eq(n, 3);
    mp_assert_err(mp_handle_take_lock(&h[0], &(mp_lock *){NULL}), MP_ETYPE);
    mp_assert_err(mp_handle_take_value(&h[0], &v), MP_ENOTFOUND);
    ck_assert_ptr_null(v);
    mp_assert_err(mp_handle_take_queue(&h[1], &none), MP_ENOTFOUND);
    ck_assert_ptr_null(none);
    mp_assert_err(mp_handle_take_value(&h[0], &v), MP_ETYPE);
    mp_assert_ok(mp_handle_take_value(&h[2], &v));
    ck_assert_ptr_eq(v, w); // its own
    ck_assert_int_eq(mp_pipe_recv(q, buf, sizeof buf, 0), 6);
    mp_value_free(v);
    int64_t x;
    mp_assert_ok(mp_value_get_int(w, &x)); // freed as often as it was had
    mp_value_free(w);
    mp_assert_err(mp_value_get_int(w, &x), MP_EINVAL);
    mp_pipe_free(p);
    mp_pipe_free(q);
}

MP_TEST(what_is_no_whole_object_is_not_sent)
{
    mp_pipe *p, *q;
    mp_value *v;
    mp_lock *l;
    mp_assert_ok(mp_pipe_new(&p, &q, NULL));
    mp_assert_ok(mp_value_new(&v, MP_INT64, NULL, NULL));
    mp_assert_ok(mp_lock_new(&l, NULL));
    mp_handle bad[] = {MP_HANDLE(mp_value_lock(v)),      MP_HANDLE((mp_lock *)NULL),
                       MP_HANDLE((mp_queue *)NULL),      MP_HANDLE((mp_lock *)(void *)v),
                       MP_HANDLE((mp_value *)(void *)l), MP_HANDLE(l)};
    mp_lock_free(l);
    for (int i = 0; i < 6; i++)
        mp_assert_err(mp_pipe_send_handles(p, NULL, 0, &bad[i], 1, 0), MP_EINVAL);
    ck_assert_int_eq(mp_pipe_poll(q, 0), 0);
    mp_value_free(v);
    mp_pipe_free(p);
    mp_pipe_free(q);
}

MP_TEST(untaken_objects_are_closed)
{
    mp_pipe *p, *q;
    mp_event *e;
    mp_queue *queue;
    mp_arena *arena;
    mp_assert_ok(mp_pipe_new(&p, &q, NULL));
    mp_assert_ok(mp_event_new(&e, NULL));
    mp_assert_ok(mp_queue_new(&queue, NULL));
    mp_assert_ok(mp_arena_new(&arena, NULL));
    int before = mptest_fd_count();
    for (int i = 0; i < 20; i++) {
        mp_handle h[] = {MP_HANDLE(e), MP_HANDLE(queue), MP_HANDLE(arena)};
        size_t n = 3;
        mp_assert_ok(mp_pipe_send_handles(p, NULL, 0, h, 3, 0));
        mp_assert_ok(mp_pipe_recv_handles(q, NULL, 0, h, &n, 0));
        ck_assert_uint_eq(n, 3);
        mp_handle_close(h, 3);
        ck_assert_int_eq(mptest_fd_count(), before);
    }
    mp_assert_ok(mp_event_set(e));
    mp_assert_ok(mp_queue_put(queue, "x", 1, 0));
    mp_event_free(e);
    mp_queue_free(queue);
    mp_arena_delete(arena);
    mp_pipe_free(p);
    mp_pipe_free(q);
}
