// SPDX-License-Identifier: MIT
//
// Several processes at one dict, or one list. Values say whether they are whole.
#include "mptest.h"

#include <errno.h>
#include <mp/shm_dict.h>
#include <mp/shm_list.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define PROCESSES 4
#define KEYS      50
#define ROUNDS    (MPTEST_TSAN || MPTEST_ASAN ? 4000 : 100000)
#define MOST      3000 // bytes of a value

static mp_arena *arena;

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

// Of one key, of any size, all bytes the same but the first two: the key and that byte.
static size_t make_value(unsigned char *value, unsigned key, uint64_t random)
{
    size_t size = 2 + (random >> 8) % (random % 16 ? 200 : MOST - 2);
    memset(value, (int)(random & 0xff), size);
    value[0] = (unsigned char)key;
    value[1] = (unsigned char)random;
    return size;
}

static bool is_whole(const unsigned char *value, int64_t size, unsigned key)
{
    if (size < 2 || value[0] != key)
        return false;
    for (int64_t i = 2; i < size; i++)
        if (value[i] != value[1])
            return false;
    return true;
}

static void any_call(mp_shm_dict *d, uint64_t random)
{
    static __thread unsigned char value[MOST];
    unsigned key = (unsigned)(random >> 40) % KEYS;
    int64_t r = 0;
    size_t size;
    switch (random % 10) {
    case 0:
    case 1:
        size = make_value(value, key, random >> 4);
        mptest_require(mp_shm_dict_set(d, &key, sizeof key, value, size) == 0);
        return;
    case 2:
        r = mp_shm_dict_remove(d, &key, sizeof key);
        mptest_require(r == 0 || r == MP_ENOTFOUND);
        return;
    case 3:
        r = mp_shm_dict_pop(d, &key, sizeof key, value, sizeof value);
        break;
    case 4:
        size = make_value(value, key, random >> 4);
        r = mp_shm_dict_setdefault(d, &key, sizeof key, value, size);
        mptest_require(r == 0 || r == 1);
        return;
    default:
        r = mp_shm_dict_get(d, &key, sizeof key, value, sizeof value);
    }
    mptest_require(r == MP_ENOTFOUND || is_whole(value, r, key));
}

static void run(int (*fn)(void *, int), void *arg, int n)
{
    for (int i = 0; i < n; i++) {
        pid_t pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0)
            _exit(fn(arg, i));
    }
}

static void join(int n)
{
    for (int i = 0; i < n; i++) {
        int status;
        ck_assert_int_gt(wait(&status), 0);
        ck_assert_int_eq(status, 0);
    }
}

static int any_calls(void *d, int me)
{
    uint64_t random = 88172645463325252u + (uint64_t)me * 977;
    for (int i = 0; i < ROUNDS; i++)
        any_call(d, next_random(&random));
    return 0;
}

static void *any_calls_in_thread(void *d)
{
    any_calls(d, (int)((uintptr_t)pthread_self() >> 8) % 1000);
    return NULL;
}

static void check_blocks(mp_shm_dict *d)
{
    mp_shm_dict_stats s;
    mp_arena_stats as;
    mp_assert_ok(mp_shm_dict_get_stats(d, &s));
    mp_assert_ok(mp_arena_get_stats(arena, &as));
    ck_assert_uint_eq(as.blocks, s.blocks);
}

static mp_shm_dict *new_dict(size_t shards)
{
    mp_shm_dict *d;
    mp_assert_ok(mp_arena_new(&arena, NULL));
    mp_assert_ok(mp_shm_dict_new(&d, &(mp_shm_dict_opts){.arena = arena, .shards = shards}));
    return d;
}

static void end_dict(mp_shm_dict *d)
{
    check_blocks(d);
    mp_shm_dict_free(d);
    mp_arena_stats as;
    mp_assert_ok(mp_arena_get_stats(arena, &as));
    ck_assert_uint_eq(as.blocks, 0);
    mp_arena_delete(arena);
}

MP_TEST_TIMEOUT(any_calls_by_all, 60)
{
    for (size_t shards = 1; shards <= 16; shards *= 16) {
        mp_shm_dict *d = new_dict(shards);
        run(any_calls, d, PROCESSES);
        join(PROCESSES);
        end_dict(d);
    }
}

MP_TEST_TIMEOUT(any_calls_by_threads, 60)
{
    mp_shm_dict *d = new_dict(2);
    pthread_t threads[PROCESSES];
    for (int i = 0; i < PROCESSES; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, any_calls_in_thread, d), 0);
    for (int i = 0; i < PROCESSES; i++)
        pthread_join(threads[i], NULL);
    end_dict(d);
}

static int count(void *d, int me)
{
    (void)me;
    for (int i = 0; i < ROUNDS; i++) {
        int key = i % 7;
        mptest_require(mp_shm_dict_incr(d, &key, sizeof key, 1, NULL) == 0);
    }
    return 0;
}

MP_TEST(increments_are_not_lost)
{
    mp_shm_dict *d = new_dict(0);
    run(count, d, PROCESSES);
    join(PROCESSES);
    int64_t sum = 0;
    for (int key = 0; key < 7; key++) {
        int64_t n;
        ck_assert_int_eq(mp_shm_dict_get(d, &key, sizeof key, &n, sizeof n), sizeof n);
        sum += n;
    }
    ck_assert_int_eq(sum, PROCESSES * (int64_t)ROUNDS);
    end_dict(d);
}

// Each adds by compare and set, with a value too long to be changed in place.
static int count_by_compare_set(void *d, int me)
{
    (void)me;
    for (int i = 0; i < ROUNDS / 50; i++) {
        int64_t old[2], new[2];
        do {
            mptest_require(mp_shm_dict_get(d, "n", 1, old, sizeof old) == sizeof old);
            mptest_require(old[0] == -old[1]);
            new[0] = old[0] + 1;
            new[1] = -new[0];
        } while (mp_shm_dict_compare_set(d, "n", 1, old, sizeof old, new, sizeof new) != 1);
    }
    return 0;
}

MP_TEST(compare_and_set_is_one_step)
{
    mp_shm_dict *d = new_dict(0);
    int64_t n[2] = {0, 0};
    mp_assert_ok(mp_shm_dict_set(d, "n", 1, n, sizeof n));
    run(count_by_compare_set, d, PROCESSES);
    join(PROCESSES);
    ck_assert_int_eq(mp_shm_dict_get(d, "n", 1, n, sizeof n), sizeof n);
    ck_assert_int_eq(n[0], PROCESSES * (ROUNDS / 50));
    end_dict(d);
}

// One sets each key once, whoever is first; one pops it.
static int set_first(void *d, int me)
{
    int64_t mine = 0;
    for (int i = 0; i < 2000; i++) {
        int key = i;
        mine += mp_shm_dict_setdefault(d, &key, sizeof key, &me, sizeof me);
    }
    return mp_shm_dict_incr(d, "set", 3, mine, NULL);
}

static int pop_all(void *d, int me)
{
    int64_t mine = 0;
    (void)me;
    for (int key = 0; key < 2000; key++) {
        int who;
        mine += mp_shm_dict_pop(d, &key, sizeof key, &who, sizeof who) == sizeof who;
    }
    return mp_shm_dict_incr(d, "popped", 6, mine, NULL);
}

MP_TEST(one_sets_and_one_pops)
{
    mp_shm_dict *d = new_dict(4);
    int64_t n;
    run(set_first, d, PROCESSES);
    join(PROCESSES);
    ck_assert_int_eq(mp_shm_dict_get(d, "set", 3, &n, sizeof n), 8);
    ck_assert_int_eq(n, 2000);
    run(pop_all, d, PROCESSES);
    join(PROCESSES);
    ck_assert_int_eq(mp_shm_dict_get(d, "popped", 6, &n, sizeof n), 8);
    ck_assert_int_eq(n, 2000);
    ck_assert_int_eq(mp_shm_dict_count(d), 2);
    end_dict(d);
}

// ---- list ----

// Items are made as values of key 0.
static int use_list(void *arg, int me)
{
    static unsigned char item[MOST];
    mp_shm_list *l = arg;
    uint64_t random = 88172645463325252u + (uint64_t)me * 977;
    for (int i = 0; i < ROUNDS / 4; i++) {
        next_random(&random);
        int64_t index = (int64_t)(random >> 40) % 60 - 30, r = 0;
        size_t size = make_value(item, 0, random >> 4);
        switch (random % 8) {
        case 0:
            mptest_require(mp_shm_list_append(l, item, size) == 0);
            continue;
        case 1:
            mptest_require(mp_shm_list_insert(l, index, item, size) == 0);
            continue;
        case 2:
            r = mp_shm_list_set(l, index, item, size);
            mptest_require(r == 0 || r == MP_EINDEX);
            continue;
        case 3:
        case 4:
            r = mp_shm_list_pop(l, index, item, sizeof item);
            break;
        default:
            r = mp_shm_list_get(l, index, item, sizeof item);
        }
        mptest_require(r == MP_EINDEX || is_whole(item, r, 0));
    }
    return 0;
}

static mp_shm_list *new_list(void)
{
    mp_shm_list *l;
    mp_assert_ok(mp_arena_new(&arena, NULL));
    mp_assert_ok(mp_shm_list_new(&l, &(mp_shm_list_opts){.arena = arena}));
    return l;
}

static void end_list(mp_shm_list *l)
{
    mp_shm_list_stats s;
    mp_arena_stats as;
    mp_assert_ok(mp_shm_list_get_stats(l, &s));
    mp_assert_ok(mp_arena_get_stats(arena, &as));
    ck_assert_uint_eq(as.blocks, s.blocks);
    mp_shm_list_free(l);
    mp_assert_ok(mp_arena_get_stats(arena, &as));
    ck_assert_uint_eq(as.blocks, 0);
    mp_arena_delete(arena);
}

MP_TEST_TIMEOUT(any_calls_to_a_list, 60)
{
    mp_shm_list *l = new_list();
    run(use_list, l, PROCESSES);
    join(PROCESSES);
    end_list(l);
}

// As a queue: what one appends comes out once, and in its order.
static int produce(void *l, int me)
{
    for (int i = 0; i < ROUNDS / 4; i++) {
        int item[2] = {me, i};
        mptest_require(mp_shm_list_append(l, item, sizeof item) == 0);
    }
    return 0;
}

MP_TEST_TIMEOUT(a_list_keeps_the_order_of_each, 60)
{
    mp_shm_list *l = new_list();
    int next[2] = {0, 0};
    run(produce, l, 2);
    while (next[0] + next[1] < 2 * (ROUNDS / 4)) {
        int item[2];
        int64_t r = mp_shm_list_pop(l, 0, item, sizeof item);
        if (r == MP_EINDEX)
            continue;
        ck_assert_int_eq(r, sizeof item);
        ck_assert_int_eq(item[1], next[item[0]]++);
    }
    join(2);
    ck_assert_int_eq(mp_shm_list_len(l), 0);
    end_list(l);
}

// A reader never sees a list that never was: here all items are equal at any time.
static int read_all(void *l, int me)
{
    (void)me;
    for (int i = 0; i < ROUNDS / 100; i++) {
        mp_shm_list_item *items;
        int64_t n = mp_shm_list_copy(l, &items);
        mptest_require(n == 0 || n == 3 || n == 5);
        for (int64_t k = 0; k < n; k++)
            mptest_require(*(const char *)items[k].data == *(const char *)items[0].data);
        free(items);
        n = mp_shm_list_len(l);
        mptest_require(n == 0 || n == 3 || n == 5);
    }
    return 0;
}

MP_TEST_TIMEOUT(extend_and_clear_are_one_step, 60)
{
    mp_shm_list *l = new_list();
    run(read_all, l, 2);
    for (int i = 0; i < ROUNDS / 50; i++) {
        char c = (char)i;
        mp_shm_list_item items[5];
        for (int k = 0; k < 5; k++)
            items[k] = (mp_shm_list_item){&c, 1};
        mp_assert_ok(mp_shm_list_extend(l, items, i % 2 ? 5 : 3));
        mp_assert_ok(mp_shm_list_clear(l));
    }
    join(2);
    end_list(l);
}

// ---- by name ----

static const char *name, *list_name;

// Makes both under names, and writes; does not free them.
static int make_named(void *arg)
{
    mp_shm_dict *d;
    mp_shm_list *l;
    (void)arg;
    mptest_require(mp_shm_dict_new(&d, &(mp_shm_dict_opts){.name = name, .shards = 2}) == 0);
    mptest_require(mp_shm_list_new(&l, &(mp_shm_list_opts){.name = list_name}) == 0);
    mptest_require(mp_shm_dict_new(&d, &(mp_shm_dict_opts){.name = name}) == -EEXIST);
    mptest_require(mp_shm_dict_attach(&d, name) == 0);
    mptest_require(mp_shm_dict_set(d, "key", 3, "from its maker", 14) == 0);
    mptest_require(mp_shm_list_append(l, "from its maker", 14) == 0);
    any_calls(d, 1);
    return 0;
}

// An address that the others do not have.
static int attach_elsewhere(void *arg, int me)
{
    mp_shm_dict *d;
    mp_arena *other[3];
    (void)arg;
    for (int i = 0; i < me % 3; i++)
        mptest_require(mp_arena_new(&other[i], &(mp_arena_opts){.max = 1 << 30}) == 0);
    mptest_require(mp_shm_dict_attach(&d, name) == 0);
    any_calls(d, me);
    mptest_require(mp_shm_dict_incr(d, "n", 1, 1, NULL) == 0);
    mp_shm_dict_free(d);
    return 0;
}

MP_TEST_TIMEOUT(strangers_attach_by_name, 60)
{
    mp_shm_dict *d;
    mp_shm_list *l;
    char buf[20];
    name = mptest_name("dict");
    list_name = mptest_name("list");
    mp_assert_err(mp_shm_dict_attach(&d, name), MP_ENOTFOUND);
    mp_assert_err(mp_shm_list_attach(&l, list_name), MP_ENOTFOUND);
    ck_assert_int_eq(mptest_in_child(make_named, NULL), 0);
    mp_assert_err(mp_shm_dict_attach(&d, list_name), MP_ETYPE);
    mp_assert_err(mp_shm_list_attach(&l, name), MP_ETYPE);
    mp_assert_err(mp_shm_dict_attach(&d, "no/name"), MP_EINVAL);
    run(attach_elsewhere, NULL, PROCESSES);
    join(PROCESSES);
    mp_assert_ok(mp_shm_dict_attach(&d, name));
    mp_assert_ok(mp_shm_list_attach(&l, list_name));
    ck_assert_int_eq(mp_shm_dict_get(d, "key", 3, buf, sizeof buf), 14);
    ck_assert_mem_eq(buf, "from its maker", 14);
    ck_assert_int_eq(mp_shm_list_get(l, 0, buf, sizeof buf), 14);
    int64_t n;
    ck_assert_int_eq(mp_shm_dict_get(d, "n", 1, &n, sizeof n), 8);
    ck_assert_int_eq(n, PROCESSES);
    mp_shm_dict_free(d);
    mp_shm_list_free(l);
    mp_assert_ok(mp_shm_unlink(name));
    mp_assert_ok(mp_shm_unlink(list_name));
    mp_assert_err(mp_shm_dict_attach(&d, name), MP_ENOTFOUND);
}
