// SPDX-License-Identifier: MIT
#include "mptest.h"
#include "os/alive.h"
#include "shm/life.h"
#include "shm/object.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

struct board {
    struct mp__object object;
    _Atomic uint64_t life[300];
    _Atomic int taken;
};

static struct board *new_board(void)
{
    void *p;
    mp_assert_ok(mp__object_new(&p, NULL, NULL, 0, MP__VALUE, 1, sizeof(struct board)));
    return p;
}

// A child that takes a life, tells it and waits to be killed.
static pid_t start_child(struct board *b, int i)
{
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        mp__life life;
        mptest_require(mp__life_mine(b, &life) == 0);
        atomic_store(&b->life[i], life);
        for (;;)
            pause();
    }
    ck_assert(mptest_eventually(atomic_load(&b->life[i]), 10000));
    return pid;
}

MP_TEST(a_process_has_one_life_an_arena)
{
    struct board *b = new_board();
    mp_arena *a;
    mp_assert_ok(mp_arena_new(&a, NULL));
    void *other;
    mp_assert_ok(mp__object_new(&other, a, NULL, 0, MP__VALUE, 1, 64));
    mp__life one, two;
    mp_assert_ok(mp__life_mine(b, &one));
    mp_assert_ok(mp__life_mine(b, &two));
    ck_assert_uint_eq(one, two);
    ck_assert_uint_ne(mp__life_number(one), 0);
    ck_assert(!mp__life_over(b, one));
    ck_assert(mp__life_over(b, one + 1));
    ck_assert(mp__life_over(b, UINT64_MAX));
    ck_assert(mp__life_over(b, 0));
    mp_assert_ok(mp__life_mine(other, &two));
    ck_assert(!mp__life_over(other, two));
    mp__object_free(other, true);
    mp_arena_delete(a);
    mp__object_free(b, true);
}

MP_TEST(a_killed_process_is_over_and_its_place_is_used_again)
{
    struct board *b = new_board();
    mp__life mine;
    mp_assert_ok(mp__life_mine(b, &mine));
    uint32_t highest = 0;
    for (int i = 0; i < 100; i++) {
        pid_t pid = start_child(b, i);
        mp__life life = b->life[i];
        ck_assert(!mp__life_over(b, life));
        kill(pid, SIGKILL);
        ck_assert(mptest_eventually(mp__life_over(b, life), 10000)); // a zombie is dead, too
        ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
        ck_assert(mp__life_over(b, life));
        for (int k = 0; k < i; k++)
            ck_assert_uint_ne(b->life[k], life);
        if (mp__life_place(life) > highest)
            highest = mp__life_place(life);
    }
    ck_assert_uint_lt(highest, 8);
    ck_assert(!mp__life_over(b, mine));
    mp__object_free(b, true);
}

MP_TEST(many_lives_at_a_time)
{
    struct board *b = new_board();
    pid_t pid[100];
    for (int i = 0; i < 100; i++)
        pid[i] = start_child(b, i);
    for (int i = 0; i < 100; i++) {
        ck_assert(!mp__life_over(b, b->life[i]));
        for (int k = 0; k < i; k++)
            ck_assert_uint_ne(mp__life_place(b->life[i]), mp__life_place(b->life[k]));
    }
    for (int i = 0; i < 100; i += 2)
        kill(pid[i], SIGKILL);
    for (int i = 0; i < 100; i += 2)
        ck_assert(mptest_eventually(mp__life_over(b, b->life[i]), 10000));
    for (int i = 1; i < 100; i += 2) {
        ck_assert(!mp__life_over(b, b->life[i]));
        kill(pid[i], SIGKILL);
    }
    for (int i = 0; i < 100; i++)
        waitpid(pid[i], NULL, 0);
    mp__object_free(b, true);
}

static void *take_life(void *arg)
{
    struct board *b = arg;
    mp__life life;
    if (mp__life_mine(b, &life) == 0)
        atomic_store(&b->life[0], life);
    return NULL;
}

// A robust mutex would say that its owner died.
MP_TEST(it_outlives_the_thread_that_took_it)
{
    struct board *b = new_board();
    pid_t pid = fork();
    if (pid == 0) {
        pthread_t t;
        mptest_require(pthread_create(&t, NULL, take_life, b) == 0);
        pthread_join(t, NULL);
        atomic_store(&b->taken, 1);
        for (;;)
            pause();
    }
    ck_assert(mptest_eventually(b->taken, 10000));
    ck_assert(b->life[0]);
    ck_assert(!mp__life_over(b, b->life[0]));
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    ck_assert(mp__life_over(b, b->life[0]));
    mp__object_free(b, true);
}

static void *sleep_on(void *arg)
{
    for (;;)
        pause();
    return arg;
}

// Lost locks, and a first thread that ends before the process: it lives all the same.
MP_TEST(a_process_without_lock_or_first_thread_lives)
{
    struct board *b = new_board();
    pid_t pid = fork();
    if (pid == 0) {
        pthread_t t;
        take_life(b);
        for (int fd = 3; fd < 64; fd++)
            close(fd);
        mptest_require(pthread_create(&t, NULL, sleep_on, NULL) == 0);
        atomic_store(&b->taken, 1);
        pthread_exit(NULL);
    }
    ck_assert(mptest_eventually(b->taken, 10000));
    for (int i = 0; i < 50; i++) {
        ck_assert(!mp__life_over(b, b->life[0]));
        usleep(1000);
    }
    mp__life mine; // and its place is not taken
    mp_assert_ok(mp__life_mine(b, &mine));
    ck_assert_uint_ne(mp__life_place(mine), mp__life_place(b->life[0]));
    kill(pid, SIGKILL);
    ck_assert(mptest_eventually(mp__life_over(b, b->life[0]), 10000));
    waitpid(pid, NULL, 0);
    mp__object_free(b, true);
}

static int drop_and_stay(void *arg)
{
    struct board *b = arg;
    take_life(b);
    pid_t pid = fork(); // the life is not inherited
    if (pid == 0) {
        mp__life life;
        mptest_require(mp__life_mine(b, &life) == 0 && life != b->life[0]);
        mptest_require(!mp__life_over(b, b->life[0]));
        _exit(0);
    }
    int status;
    waitpid(pid, &status, 0);
    return status;
}

MP_TEST(a_child_has_a_life_of_its_own)
{
    struct board *b = new_board();
    ck_assert_int_eq(mptest_in_child(drop_and_stay, b), 0);
    ck_assert(mp__life_over(b, b->life[0]));
    mp__object_free(b, true);
}

MP_TEST(who_drops_the_arena_gives_its_life_back)
{
    mp_arena *a;
    mp_assert_ok(mp_arena_new(&a, NULL));
    void *p;
    mp_assert_ok(mp__object_new(&p, a, NULL, 0, MP__VALUE, 1, sizeof(struct board)));
    struct board *b = p;
    int go[2];
    ck_assert_int_eq(pipe2(go, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        char c;
        take_life(b);
        while (read(go[0], &c, 1) < 0)
            ;
        mp_arena_delete(a);
        for (;;)
            pause();
    }
    ck_assert(mptest_eventually(b->life[0], 10000));
    ck_assert(!mp__life_over(b, b->life[0]));
    ck_assert_int_eq(write(go[1], "", 1), 1);
    ck_assert(mptest_eventually(mp__life_over(b, b->life[0]), 10000));
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(go[0]);
    close(go[1]);
    mp_arena_delete(a);
}

MP_TEST(gone_processes)
{
    ck_assert(!mp__process_is_gone(getpid(), 0));
    ck_assert(!mp__process_is_gone(getpid(), mp__process_start_of(getpid())));
    ck_assert(mp__process_is_gone(getpid(), mp__process_start_of(getpid()) + 1));
    ck_assert(!mp__process_is_gone(1, 0));
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    ck_assert(mptest_eventually(mp__process_is_gone(pid, 0), 10000)); // a zombie
    waitpid(pid, NULL, 0);
    ck_assert(mp__process_is_gone(pid, 0));
    ck_assert_uint_eq(mp__process_start_of(pid), 0);
}
