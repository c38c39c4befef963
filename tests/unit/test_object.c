// SPDX-License-Identifier: MIT
#include "mptest.h"
#include "shm/object.h"

#include <pthread.h>
#include <string.h>
#include <sys/wait.h>

// An object for tests.
struct thing {
    struct mp__object object;
    _Atomic uint64_t word;
    char text[200];
};

static struct thing *new_thing(mp_arena *arena)
{
    void *p;
    mp_assert_ok(mp__object_new(&p, arena, NULL, 0, MP__VALUE, 1, sizeof(struct thing)));
    return p;
}

MP_TEST(an_object_is_zeroed_and_knows_its_type)
{
    struct thing *t = new_thing(NULL);
    ck_assert(mp__object_is(t, MP__VALUE));
    ck_assert(!mp__object_is(t, MP__LOCK));
    ck_assert(!mp__object_is(NULL, MP__VALUE));
    ck_assert(!mp__object_gone(t));
    ck_assert(mp__object_is_mine(t));
    ck_assert_uint_eq((uintptr_t)t % 64, 0);
    for (size_t i = 0; i < sizeof t->text; i++)
        ck_assert_int_eq(t->text[i], 0);
    memset(t->text, 7, sizeof t->text);
    struct thing *other = new_thing(NULL);
    mp__object_free(t, true);
    struct thing *again = new_thing(NULL); // the same block, most likely
    for (size_t i = 0; i < sizeof t->text; i++)
        ck_assert_int_eq(again->text[i], 0);
    mp__object_free(again, true);
    mp__object_free(other, true);
}

MP_TEST(the_own_arena_comes_with_the_first_and_goes_with_the_last)
{
    int fds = mptest_fd_count();
    struct thing *a = new_thing(NULL), *b = new_thing(NULL);
    ck_assert_int_eq(mptest_fd_count(), fds + 1);
    ck_assert_ptr_eq(mp__object_base(a), mp__object_base(b));
    mp__object_free(a, true);
    ck_assert_int_eq(mptest_fd_count(), fds + 1);
    mp__object_free(b, true);
    ck_assert_int_eq(mptest_fd_count(), fds);
    a = new_thing(NULL);
    ck_assert_int_eq(mptest_fd_count(), fds + 1);
    mp__object_free(a, true);
    ck_assert_int_eq(mptest_fd_count(), fds);
}

MP_TEST(use_after_free_is_told)
{
    struct thing *a = new_thing(NULL), *b = new_thing(NULL);
    mp__object_free(a, true);
    ck_assert(!mp__object_is(a, MP__VALUE));
    ck_assert(mp__object_gone(a));
    mp__object_free(b, true); // the arena goes: its addresses can still be read
    ck_assert(!mp__object_is(b, MP__VALUE));
    ck_assert(mp__object_gone(b));
    for (int i = 0; i < 3000; i++) // would use up the address space
        mp__object_free(new_thing(NULL), true);
}

MP_TEST(memory_in_use_is_kept)
{
    struct thing *a = new_thing(NULL);
    mp__object_free(a, false);
    ck_assert(!mp__object_is(a, MP__VALUE));
    atomic_fetch_add(&a->word, 1); // what a thread that awakes just now may do
    struct thing *b = new_thing(NULL);
    ck_assert_ptr_ne(a, b);
    mp__object_free(b, true);
}

MP_TEST(parts_are_told_by_offset)
{
    struct thing *t = new_thing(NULL);
    uint64_t part;
    mp_assert_ok(mp__object_alloc(t, 1000, &part));
    char *p = mp__object_at(t, part);
    ck_assert_uint_eq(mp__object_offset(t, p), part);
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(p[i], 0);
    memset(p, 1, 1000);
    ck_assert(mp__object_holds(t, part, 1000));
    ck_assert(mp__object_holds(t, t->object.offset, sizeof *t));
    ck_assert(!mp__object_holds(t, part, UINT64_MAX));
    ck_assert(!mp__object_holds(t, UINT64_MAX, 1));
    ck_assert(!mp__object_holds(t, 0, 1));
    ck_assert(!mp__object_holds(t, (uint64_t)1 << 35, 1)); // mapped, but not committed
    mp__object_release(t, part);
    mp__object_release(t, part); // twice: nothing happens
    mp__object_release(t, 12345);
    mp__object_release(t, UINT64_MAX);
    uint64_t again;
    mp_assert_ok(mp__object_alloc(t, 1000, &again));
    p = mp__object_at(t, again);
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(p[i], 0);
    mp_assert_err(mp__object_alloc(t, SIZE_MAX, &again), -12);
    mp__object_free(t, true);
}

MP_TEST(a_users_arena_gets_its_memory_back)
{
    mp_arena *a;
    mp_arena_stats s;
    mp_assert_ok(mp_arena_new(&a, NULL));
    struct thing *t = new_thing(a);
    ck_assert(mp_arena_contains(a, t, sizeof *t));
    mp_assert_ok(mp_arena_get_stats(a, &s));
    ck_assert_uint_eq(s.blocks, 1);
    mp__object_free(t, true);
    mp_assert_ok(mp_arena_get_stats(a, &s));
    ck_assert_uint_eq(s.blocks, 0);
    mp_arena_delete(a);
    void *p = &p;
    mp_assert_ok(mp_arena_new(&a, &(mp_arena_opts){.max = 4096}));
    mp_assert_err(mp__object_new(&p, a, NULL, 0, MP__VALUE, 1, 100000), -12);
    ck_assert_ptr_null(p);
    mp_assert_err(mp__object_new(&p, a, "name", 0, MP__VALUE, 1, 100), MP_EINVAL);
    mp_arena_delete(a);
}

static int in_child(void *arg)
{
    struct thing *t = arg;
    mptest_require(mp__object_is(t, MP__VALUE) && !mp__object_is_mine(t));
    struct thing *own = new_thing(NULL); // in an arena of the child's
    mptest_require(mp__object_base(own) != mp__object_base(t));
    mptest_require(mp__object_is_mine(own));
    atomic_fetch_add(&t->word, 5);
    mp__object_free(t, true);
    mptest_require(mp__object_is(t, MP__VALUE)); // it is the parent's
    mp__object_free(own, true);
    mptest_require(mp__object_is(t, MP__VALUE));
    return 0;
}

MP_TEST(children_have_it_and_cannot_free_it)
{
    struct thing *t = new_thing(NULL);
    ck_assert_int_eq(mptest_in_child(in_child, t), 0);
    ck_assert_uint_eq(t->word, 5);
    mp__object_free(t, true);
}

MP_TEST(a_child_is_told_when_the_parent_frees)
{
    struct thing *t = new_thing(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        atomic_store(&t->word, 1);
        mptest_require(mptest_eventually(mp__object_gone(t), 10000));
        mptest_require(!mp__object_is(t, MP__VALUE));
        _exit(0);
    }
    ck_assert(mptest_eventually(t->word == 1, 10000));
    mp__object_free(t, false);
    int status;
    waitpid(pid, &status, 0);
    ck_assert_int_eq(status, 0);
}

static void *make_and_free(void *arg)
{
    for (int i = 0; i < 300; i++) {
        void *p;
        if (mp__object_new(&p, NULL, NULL, 0, MP__VALUE, 1, sizeof(struct thing)) < 0)
            return arg;
        struct thing *t = p;
        atomic_store(&t->word, 1);
        mp__object_free(t, true);
    }
    return NULL;
}

// The own arena comes and goes all the time while threads and forks are about.
MP_TEST(threads_and_forks_make_objects_at_a_time)
{
    pthread_t t[3];
    int arg;
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(pthread_create(&t[i], NULL, make_and_free, &arg), 0);
    for (int i = 0; i < (MPTEST_TSAN ? 0 : 20); i++) { // which takes their threads for leaks
        pid_t pid = fork();
        if (pid == 0)
            _exit(make_and_free(&arg) != NULL);
        int status;
        waitpid(pid, &status, 0);
        ck_assert_int_eq(status, 0);
    }
    for (int i = 0; i < 3; i++) {
        void *bad;
        pthread_join(t[i], &bad);
        ck_assert_ptr_null(bad);
    }
}
