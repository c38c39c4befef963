// SPDX-License-Identifier: MIT
#include "logged.h"
#include "mptest.h"

#include <errno.h>
#include <fcntl.h>
#include <mp/future.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>

static mp_future *new_future(void)
{
    mp_future *f;
    mp_assert_ok(mp_future_new(&f, NULL));
    return f;
}

static void set_int(mp_future *f, int value)
{
    mp_assert_ok(mp_future_set_result(f, &value, sizeof value));
}

static int get_int(mp_future *f)
{
    int value = -1;
    ck_assert_int_eq(mp_future_result(f, &value, sizeof value, MP_FOREVER), sizeof value);
    return value;
}

// ---- states ----

MP_TEST(pending_running_finished)
{
    mp_future *f = new_future();
    ck_assert(!mp_future_running(f) && !mp_future_done(f) && !mp_future_cancelled(f));
    mp_assert_err(mp_future_wait(f, 0), MP_ETIMEDOUT);
    mp_assert_ok(mp_future_set_running(f));
    ck_assert(mp_future_running(f) && !mp_future_done(f));
    mp_assert_err(mp_future_set_running(f), MP_ESTATE);
    mp_assert_err(mp_future_cancel(f), MP_ESTATE);
    set_int(f, 7);
    ck_assert(mp_future_done(f) && !mp_future_running(f) && !mp_future_cancelled(f));
    mp_assert_err(mp_future_cancel(f), MP_ESTATE);
    mp_assert_err(mp_future_set_running(f), MP_ESTATE);
    mp_assert_ok(mp_future_error(f, 0));
    ck_assert_int_eq(get_int(f), 7);
    ck_assert_int_eq(get_int(f), 7); // again
    mp_future_free(f);
}

MP_TEST(cancelled_stays_cancelled)
{
    mp_future *f = new_future();
    mp_assert_ok(mp_future_cancel(f));
    mp_assert_ok(mp_future_cancel(f));
    ck_assert(mp_future_cancelled(f) && mp_future_done(f));
    mp_assert_err(mp_future_set_running(f), MP_ECANCELED);
    mp_assert_err(mp_future_set_result(f, NULL, 0), MP_ESTATE);
    mp_assert_err(mp_future_set_error(f, MP_ETASK, 1, NULL), MP_ESTATE);
    mp_assert_ok(mp_future_wait(f, MP_FOREVER));
    mp_assert_err(mp_future_error(f, MP_FOREVER), MP_ECANCELED);
    mp_assert_err(mp_future_result(f, NULL, 0, MP_FOREVER), MP_ECANCELED);
    ck_assert_ptr_null(mp_future_data(f, NULL));
    ck_assert_str_eq(mp_future_error_text(f), "");
    mp_future_free(f);
}

MP_TEST(done_once_only)
{
    mp_future *f = new_future();
    set_int(f, 1);
    int other = 2;
    mp_assert_err(mp_future_set_result(f, &other, sizeof other), MP_ESTATE);
    mp_assert_err(mp_future_set_error(f, MP_ETASK, 1, NULL), MP_ESTATE);
    ck_assert_int_eq(get_int(f), 1);
    mp_future_free(f);
}

// ---- results ----

MP_TEST(results_of_all_sizes)
{
    static char big[100000], back[100000];
    for (size_t i = 0; i < sizeof big; i++)
        big[i] = (char)(i * 7);
    for (size_t size = 0; size <= sizeof big; size = size ? size * 10 : 1) {
        mp_future *f;
        mp_assert_ok(mp_future_new(&f, &(mp_future_opts){.room = 100}));
        mp_assert_ok(mp_future_set_result(f, big, size));
        if (size)
            mp_assert_err(mp_future_result(f, back, size - 1, 0), MP_EMSGSIZE);
        ck_assert_int_eq(mp_future_result(f, back, sizeof back, 0), (int64_t)size);
        ck_assert_mem_eq(big, back, size);
        size_t told;
        const void *data = mp_future_data(f, &told);
        ck_assert_uint_eq(told, size);
        ck_assert_mem_eq(data, big, size);
        mp_future_free(f);
    }
}

MP_TEST(result_written_in_its_room)
{
    mp_future *f;
    mp_assert_ok(mp_future_new(&f, &(mp_future_opts){.room = 64}));
    char *room = mp_future_room(f);
    ck_assert_uint_eq((uintptr_t)room % _Alignof(max_align_t), 0);
    strcpy(room, "in place");
    ck_assert_ptr_null(mp_future_data(f, NULL)); // not before it is done
    mp_assert_err(mp_future_set_result(f, room, 65), MP_EINVAL);
    mp_assert_ok(mp_future_set_result(f, room, 9));
    ck_assert_ptr_eq(mp_future_data(f, NULL), room);
    ck_assert_str_eq(mp_future_data(f, NULL), "in place");
    mp_future_free(f);
}

MP_TEST(errors_with_their_text)
{
    mp_future *f = new_future();
    mp_assert_ok(mp_future_set_error(f, MP_ETASK, 3, NULL));
    mp_assert_err(mp_future_error(f, 0), MP_ETASK);
    mp_assert_err(mp_future_result(f, NULL, 0, 0), MP_ETASK);
    ck_assert_int_eq(mp_future_status(f), 3);
    ck_assert_str_eq(mp_future_error_text(f), "the task returned 3");
    ck_assert_ptr_null(mp_future_data(f, NULL));
    mp_future_free(f);

    f = new_future();
    mp_assert_ok(mp_future_set_error(f, MP_EWORKERDIED, 0, "worker 7 was killed by signal 9"));
    ck_assert_str_eq(mp_future_error_text(f), "worker 7 was killed by signal 9");
    ck_assert_int_eq(mp_future_status(f), 0);
    mp_future_free(f);

    f = new_future();
    mp_assert_ok(mp_future_set_error(f, -ENOMEM, 0, NULL));
    ck_assert_str_eq(mp_future_error_text(f), mp_strerror(-ENOMEM));
    mp_future_free(f);
}

// ---- errors nobody looked at ----

static void drop_unseen(void)
{
    mp_future *f = new_future();
    mp_assert_ok(mp_future_set_error(f, MP_ETASK, 42, NULL));
    mp_assert_ok(mp_future_wait(f, 0)); // that is not looking at it
    mp_future_free(f);
}

static void drop_seen(void)
{
    for (int how = 0; how < 3; how++) {
        mp_future *f = new_future();
        mp_assert_ok(mp_future_set_error(f, MP_ETASK, 42, NULL));
        if (how == 0)
            mp_assert_err(mp_future_error(f, 0), MP_ETASK);
        else if (how == 1)
            mp_assert_err(mp_future_result(f, NULL, 0, 0), MP_ETASK);
        else
            mp_future_error_text(f);
        mp_future_free(f);
    }
    mp_future *f = new_future();
    mp_assert_ok(mp_future_cancel(f)); // no error
    mp_future_free(f);
    mp_future_free(new_future()); // nobody completed it
}

static int failing(mp_future *f, void *arg)
{
    (void)f, (void)arg;
    return MP_ENOTFOUND;
}

static void fail_in_callback(void)
{
    mp_future *f = new_future();
    mp_assert_ok(mp_future_add_done_callback(f, failing, NULL));
    set_int(f, 1);
    mp_future_free(f);
}

MP_TEST(unseen_errors_are_logged)
{
    open_log();
    drop_unseen();
    check_log("the task returned 42");
    open_log();
    drop_seen();
    ck_assert_str_eq(close_log(), "");
    open_log();
    fail_in_callback();
    check_log("a callback of a future returned");
}

// ---- callbacks ----

struct note {
    int order[8], n;
    pthread_t thread;
};

static int add_note(mp_future *f, struct note *note, int what)
{
    ck_assert(mp_future_done(f));
    note->order[note->n++] = what;
    note->thread = pthread_self();
    return 0;
}

static int note_1(mp_future *f, void *arg)
{
    return add_note(f, arg, 1);
}

static int note_2(mp_future *f, void *arg)
{
    return add_note(f, arg, 2);
}

static int note_and_free(mp_future *f, void *arg)
{
    add_note(f, arg, 3);
    mp_future_free(f);
    return 0;
}

static int note_and_add(mp_future *f, void *arg)
{
    add_note(f, arg, 4);
    mp_assert_ok(mp_future_add_done_callback(f, note_1, arg)); // at once
    return 0;
}

MP_TEST(callbacks_in_their_order_and_at_once_when_done)
{
    struct note note = {0};
    mp_future *f = new_future();
    mp_assert_ok(mp_future_add_done_callback(f, note_2, &note));
    mp_assert_ok(mp_future_add_done_callback(f, note_and_add, &note));
    mp_assert_ok(mp_future_add_done_callback(f, note_2, &note));
    ck_assert_int_eq(note.n, 0);
    mp_assert_ok(mp_future_cancel(f));
    int want[] = {2, 4, 1, 2};
    ck_assert_int_eq(note.n, 4);
    ck_assert_mem_eq(note.order, want, sizeof want);
    mp_assert_ok(mp_future_add_done_callback(f, note_1, &note));
    ck_assert_int_eq(note.n, 5);
    mp_future_free(f);
}

MP_TEST(callback_frees_the_last_reference_but_one)
{
    struct note note = {0};
    mp_future *f = new_future();
    mp_future_hold(f);
    mp_assert_ok(mp_future_add_done_callback(f, note_and_free, &note));
    mp_assert_ok(mp_future_add_done_callback(f, note_1, &note));
    set_int(f, 1);
    ck_assert_int_eq(note.n, 2);
    ck_assert_int_eq(get_int(f), 1);
    mp_future_free(f);
}

static void *complete(void *arg)
{
    set_int(arg, 5);
    return NULL;
}

MP_TEST(callback_runs_in_the_completing_thread)
{
    struct note note = {0};
    pthread_t thread;
    mp_future *f = new_future();
    mp_assert_ok(mp_future_add_done_callback(f, note_1, &note));
    pthread_create(&thread, NULL, complete, f);
    ck_assert_int_eq(get_int(f), 5);
    pthread_t who = thread;
    pthread_join(thread, NULL);
    ck_assert_int_eq(note.n, 1);
    ck_assert(pthread_equal(note.thread, who));
    mp_future_free(f);
}

// ---- waiting ----

static void *complete_later(void *arg)
{
    usleep(20000);
    set_int(arg, 5);
    return NULL;
}

MP_TEST(sleepers_are_woken)
{
    pthread_t thread;
    mp_future *f = new_future();
    mp_assert_err(mp_future_wait(f, 10), MP_ETIMEDOUT);
    mp_assert_err(mp_future_result(f, NULL, 0, 1), MP_ETIMEDOUT);
    mp_assert_err(mp_future_error(f, 1), MP_ETIMEDOUT);
    pthread_create(&thread, NULL, complete_later, f);
    ck_assert_int_eq(get_int(f), 5);
    pthread_join(thread, NULL);
    mp_future_free(f);
}

MP_TEST(wait_for_the_first_the_first_error_or_all)
{
    mp_future *f[4];
    for (int i = 0; i < 4; i++)
        f[i] = new_future();
    for (int until = MP_ALL_DONE; until <= MP_FIRST_ERROR; until++) {
        mp_assert_err(mp_futures_wait(f, 4, (mp_futures_until)until, 0), MP_ETIMEDOUT);
        ck_assert_int_eq(mp_futures_wait(NULL, 0, (mp_futures_until)until, MP_FOREVER), 0);
    }
    set_int(f[2], 1);
    ck_assert_int_eq(mp_futures_wait(f, 4, MP_FIRST_DONE, MP_FOREVER), 1);
    mp_assert_ok(mp_future_cancel(f[3]));
    mp_assert_err(mp_futures_wait(f, 4, MP_FIRST_ERROR, 1), MP_ETIMEDOUT);
    mp_assert_ok(mp_future_set_error(f[0], MP_ETASK, 1, NULL));
    ck_assert_int_eq(mp_futures_wait(f, 4, MP_FIRST_ERROR, MP_FOREVER), 3);
    mp_assert_err(mp_futures_wait(f, 4, MP_ALL_DONE, 1), MP_ETIMEDOUT);
    pthread_t thread;
    pthread_create(&thread, NULL, complete_later, f[1]);
    ck_assert_int_eq(mp_futures_wait(f, 4, MP_ALL_DONE, MP_FOREVER), 4);
    pthread_join(thread, NULL);
    ck_assert_int_eq(mp_futures_wait(&f[1], 2, MP_FIRST_ERROR, 0), 2); // all done, no error
    for (int i = 0; i < 4; i++)
        mp_future_free(f[i]);
}

MP_TEST(one_future_twice_in_a_list)
{
    mp_future *f = new_future(), *both[] = {f, f};
    pthread_t thread;
    pthread_create(&thread, NULL, complete_later, f);
    ck_assert_int_eq(mp_futures_wait(both, 2, MP_ALL_DONE, MP_FOREVER), 2);
    pthread_join(thread, NULL);
    mp_future_free(f);
}

MP_TEST(as_completed_tells_each_once_in_order_of_completion)
{
    mp_future *f[5], *told;
    mp_completed *it;
    for (int i = 0; i < 5; i++)
        f[i] = new_future();
    set_int(f[4], 1);
    mp_assert_ok(mp_futures_as_completed(&it, f, 5));
    ck_assert_int_eq(mp_completed_next(it, &told, MP_FOREVER), 4);
    ck_assert_ptr_eq(told, f[4]);
    mp_assert_err(mp_completed_next(it, &told, 0), MP_ETIMEDOUT);
    ck_assert_ptr_null(told);
    set_int(f[3], 1);
    mp_assert_ok(mp_future_cancel(f[0]));
    ck_assert_int_eq(mp_completed_next(it, NULL, MP_FOREVER), 3);
    ck_assert_int_eq(mp_completed_next(it, NULL, MP_FOREVER), 0);
    pthread_t thread;
    pthread_create(&thread, NULL, complete_later, f[1]);
    ck_assert_int_eq(mp_completed_next(it, NULL, MP_FOREVER), 1);
    pthread_join(thread, NULL);
    for (int i = 0; i < 5; i++)
        mp_future_free(f[i]); // the iterator has its own references
    mp_assert_err(mp_completed_next(it, NULL, 1), MP_ETIMEDOUT);
    mp_completed_free(it);

    mp_assert_ok(mp_futures_as_completed(&it, NULL, 0));
    mp_assert_err(mp_completed_next(it, &told, MP_FOREVER), MP_EOF);
    mp_completed_free(it);
}

// Many futures, many completers, many waiters at once.
#define MANY 2000

static mp_future *many[MANY];

static void *complete_some(void *arg)
{
    for (intptr_t i = (intptr_t)arg; i < MANY; i += 2)
        set_int(many[i], (int)i);
    return NULL;
}

static void *wait_for_all(void *arg)
{
    (void)arg;
    ck_assert_int_eq(mp_futures_wait(many, MANY, MP_ALL_DONE, MP_FOREVER), MANY);
    return NULL;
}

static void *wait_in_order(void *arg)
{
    (void)arg;
    for (int i = 0; i < MANY; i++)
        ck_assert_int_eq(get_int(many[i]), i);
    return NULL;
}

static void *iterate(void *arg)
{
    static bool seen[MANY];
    mp_completed *it = arg;
    for (int n = 0; n < MANY; n++) {
        int64_t i = mp_completed_next(it, NULL, MP_FOREVER);
        ck_assert(i >= 0 && i < MANY && !seen[i]);
        seen[i] = true;
    }
    mp_assert_err(mp_completed_next(it, NULL, MP_FOREVER), MP_EOF);
    return NULL;
}

MP_TEST(many_completers_and_many_waiters)
{
    pthread_t threads[5];
    mp_completed *it;
    for (int i = 0; i < MANY; i++)
        many[i] = new_future();
    mp_assert_ok(mp_futures_as_completed(&it, many, MANY));
    pthread_create(&threads[0], NULL, wait_for_all, NULL);
    pthread_create(&threads[1], NULL, wait_in_order, NULL);
    pthread_create(&threads[2], NULL, iterate, it);
    pthread_create(&threads[3], NULL, complete_some, (void *)0);
    pthread_create(&threads[4], NULL, complete_some, (void *)1);
    for (int i = 0; i < 5; i++)
        pthread_join(threads[i], NULL);
    mp_completed_free(it);
    for (int i = 0; i < MANY; i++)
        mp_future_free(many[i]);
}

// ---- sources ----

// Something that completes its future when its descriptor says so.
struct source {
    mp_future_source *handle;
    int fd;
    mp_future *future;
    atomic_bool refuse; // to cancel
    atomic_int calls;
};

static void source_progress(void *arg, bool arm)
{
    struct source *s = arg;
    uint64_t value;
    (void)arm;
    s->calls++;
    if (read(s->fd, &value, sizeof value) == sizeof value)
        set_int(s->future, (int)value);
}

static int source_cancel(void *arg, mp_future *f)
{
    struct source *s = arg;
    ck_assert_ptr_eq(s->future, f);
    return s->refuse ? MP_ESTATE : 0;
}

static const mp_future_source_ops source_ops = {source_progress, source_cancel};

static void open_source(struct source *s)
{
    *s = (struct source){.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    mp_assert_ok(mp_future_source_new(&s->handle, s->fd, &source_ops, s));
    mp_assert_ok(mp_future_new(&s->future, &(mp_future_opts){.source = s->handle}));
    ck_assert_int_eq(mp_future_source_fd(s->handle), s->fd);
    ck_assert_ptr_eq(mp_future_get_source(s->future), s->handle);
}

static void close_source(struct source *s)
{
    mp_future_cancel(s->future);
    mp_future_source_free(s->handle);
    close(s->fd);
    mp_future_free(s->future);
}

static void news(struct source *s, uint64_t value)
{
    ck_assert_int_eq(write(s->fd, &value, sizeof value), sizeof value);
}

static void *news_later(void *arg)
{
    usleep(20000);
    news(arg, 3);
    return NULL;
}

MP_TEST(waiting_drives_the_source)
{
    struct source s;
    pthread_t thread;
    open_source(&s);
    ck_assert(!mp_future_done(s.future));
    news(&s, 1);
    ck_assert(mp_future_done(s.future)); // asked for its news
    ck_assert_int_eq(get_int(s.future), 1);
    close_source(&s);

    open_source(&s);
    pthread_create(&thread, NULL, news_later, &s);
    ck_assert_int_eq(get_int(s.future), 3);
    pthread_join(thread, NULL);
    int calls = s.calls;
    ck_assert(mp_future_done(s.future));
    ck_assert_int_eq(s.calls, calls); // done: no more asked
    close_source(&s);
}

MP_TEST(source_is_asked_before_a_cancel)
{
    struct source s;
    open_source(&s);
    s.refuse = true;
    mp_assert_err(mp_future_cancel(s.future), MP_ESTATE);
    ck_assert(!mp_future_done(s.future));
    s.refuse = false;
    mp_assert_ok(mp_future_cancel(s.future));
    close_source(&s);
}

// Two threads wait for the two futures of one kind, and one for a mixture of all.
static void *wait_for_mixture(void *arg)
{
    mp_future **f = arg;
    ck_assert_int_eq(mp_futures_wait(f, 3, MP_ALL_DONE, MP_FOREVER), 3);
    return NULL;
}

static void *wait_for_one(void *arg)
{
    get_int(arg);
    return NULL;
}

MP_TEST(mixture_of_sources_and_threads)
{
    for (int round = 0; round < 20; round++) {
        struct source a, b;
        pthread_t threads[4];
        open_source(&a);
        open_source(&b);
        mp_future *f[] = {a.future, new_future(), b.future};
        pthread_create(&threads[0], NULL, wait_for_mixture, f);
        pthread_create(&threads[1], NULL, wait_for_one, a.future);
        pthread_create(&threads[2], NULL, wait_for_one, b.future);
        pthread_create(&threads[3], NULL, round % 2 ? complete_later : complete, f[1]);
        news(&b, 1);
        if (round % 4 == 0)
            usleep(2000);
        news(&a, 2);
        for (int i = 0; i < 4; i++)
            pthread_join(threads[i], NULL);
        close_source(&a);
        close_source(&b);
        mp_future_free(f[1]);
    }
}

// A source may end while somebody still waits for others.
static void *wait_for_both(void *arg)
{
    mp_future **f = arg;
    ck_assert_int_eq(mp_futures_wait(f, 2, MP_ALL_DONE, MP_FOREVER), 2);
    return NULL;
}

MP_TEST(source_ends_while_its_waiter_sleeps)
{
    for (int round = 0; round < 20; round++) {
        struct source a, b;
        pthread_t thread;
        open_source(&a);
        open_source(&b);
        mp_future *f[] = {a.future, mp_future_hold(b.future)};
        pthread_create(&thread, NULL, wait_for_both, f);
        usleep(round * 200);
        close_source(&b);
        news(&a, 1);
        pthread_join(thread, NULL);
        close_source(&a);
        ck_assert(mp_future_cancelled(f[1])); // outlives its source
        mp_future_free(f[1]);
    }
}

// ---- nonsense, other processes ----

MP_TEST(nonsense)
{
    mp_future *f = new_future(), *none[] = {f, NULL};
    mp_completed *it;
    mp_assert_err(mp_future_new(NULL, NULL), MP_EINVAL);
    mp_assert_err(mp_future_new(&none[1], &(mp_future_opts){.room = SIZE_MAX}), MP_EOVERFLOW);
    ck_assert_ptr_null(none[1]);
    mp_assert_err(mp_future_wait(NULL, 0), MP_EINVAL);
    mp_assert_err(mp_future_wait(f, -2), MP_EINVAL);
    mp_assert_err(mp_future_result(NULL, NULL, 0, 0), MP_EINVAL);
    mp_assert_err(mp_future_result(f, NULL, 4, 0), MP_EINVAL);
    mp_assert_err(mp_future_error(NULL, 0), MP_EINVAL);
    mp_assert_err(mp_future_cancel(NULL), MP_EINVAL);
    mp_assert_err(mp_future_set_running(NULL), MP_EINVAL);
    mp_assert_err(mp_future_set_result(NULL, NULL, 0), MP_EINVAL);
    mp_assert_err(mp_future_set_result(f, NULL, 1), MP_EINVAL);
    mp_assert_err(mp_future_set_error(NULL, MP_ETASK, 0, NULL), MP_EINVAL);
    mp_assert_err(mp_future_set_error(f, 0, 0, NULL), MP_EINVAL);
    mp_assert_err(mp_future_set_error(f, 5, 0, NULL), MP_EINVAL);
    mp_assert_err(mp_future_add_done_callback(NULL, note_1, NULL), MP_EINVAL);
    mp_assert_err(mp_future_add_done_callback(f, NULL, NULL), MP_EINVAL);
    ck_assert(!mp_future_done(NULL) && !mp_future_running(NULL) && !mp_future_cancelled(NULL));
    ck_assert_ptr_null(mp_future_data(NULL, NULL));
    ck_assert_ptr_null(mp_future_room(NULL));
    ck_assert_ptr_null(mp_future_hold(NULL));
    ck_assert_str_eq(mp_future_error_text(NULL), "");
    ck_assert_int_eq(mp_future_status(NULL), 0);
    mp_future_free(NULL);
    mp_assert_err(mp_futures_wait(none, 2, MP_ALL_DONE, 0), MP_EINVAL);
    mp_assert_err(mp_futures_wait(NULL, 2, MP_ALL_DONE, 0), MP_EINVAL);
    mp_assert_err(mp_futures_wait(&f, 1, (mp_futures_until)3, 0), MP_EINVAL);
    mp_assert_err(mp_futures_wait(&f, 1, MP_ALL_DONE, -2), MP_EINVAL);
    mp_assert_err(mp_futures_as_completed(NULL, &f, 1), MP_EINVAL);
    mp_assert_err(mp_futures_as_completed(&it, none, 2), MP_EINVAL);
    ck_assert_ptr_null(it);
    mp_assert_err(mp_completed_next(NULL, NULL, 0), MP_EINVAL);
    mp_completed_free(NULL);
    mp_future_source *s;
    mp_assert_err(mp_future_source_new(NULL, -1, &source_ops, NULL), MP_EINVAL);
    mp_assert_err(mp_future_source_new(&s, -1, NULL, NULL), MP_EINVAL);
    mp_assert_err(mp_future_source_new(&s, -2, &source_ops, NULL), MP_EINVAL);
    mp_assert_err(mp_future_source_new(&s, -1, &(mp_future_source_ops){0}, NULL), MP_EINVAL);
    ck_assert_int_eq(mp_future_source_fd(NULL), -1);
    ck_assert_ptr_null(mp_future_get_source(NULL));
    mp_future_source_progress(NULL, true);
    mp_future_source_free(NULL);
    mp_future_free(f);
}

static int use_in_child(void *arg)
{
    mp_future *f = arg;
    mp_completed *it;
    mptest_require(mp_future_wait(f, MP_FOREVER) == MP_EOWNER);
    mptest_require(mp_future_result(f, NULL, 0, MP_FOREVER) == MP_EOWNER);
    mptest_require(mp_future_cancel(f) == MP_EOWNER);
    mptest_require(mp_future_set_running(f) == MP_EOWNER);
    mptest_require(mp_future_set_result(f, NULL, 0) == MP_EOWNER);
    mptest_require(mp_future_set_error(f, MP_ETASK, 1, NULL) == MP_EOWNER);
    mptest_require(mp_future_add_done_callback(f, note_1, NULL) == MP_EOWNER);
    mptest_require(mp_futures_wait(&f, 1, MP_ALL_DONE, MP_FOREVER) == MP_EOWNER);
    mptest_require(mp_futures_as_completed(&it, &f, 1) == MP_EOWNER);
    mptest_require(!mp_future_done(f));
    mp_future_free(f);
    return 0;
}

MP_TEST(not_in_a_forked_child)
{
    mp_future *f = new_future();
    ck_assert_int_eq(mptest_in_child(use_in_child, f), 0);
    set_int(f, 1);
    ck_assert_int_eq(mptest_in_child(use_in_child, f), 0); // done makes no difference
    mp_future_free(f);
}
