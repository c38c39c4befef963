// SPDX-License-Identifier: MIT
//
// Writers of a dict and a list killed at random, at any instruction, while others read and
// write; and memory that somebody damages. See tests/points for deaths at certain places.
#include "mptest.h"
#include "shm/shm_dict.h"
#include "shm/shm_list.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#define KILLS (MPTEST_TSAN || MPTEST_ASAN ? 100 : 600)
#define KEYS  60
#define MOST  400

static mp_arena *arena;
static mp_shm_dict *dict;
static mp_shm_list *list;

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static size_t make_value(unsigned char *value, unsigned key, uint64_t random)
{
    size_t size = 2 + (random >> 8) % (MOST - 2);
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

static void new_both(size_t shards)
{
    mp_assert_ok(mp_arena_new(&arena, NULL));
    mp_assert_ok(mp_shm_dict_new(&dict, &(mp_shm_dict_opts){.arena = arena, .shards = shards}));
    mp_assert_ok(mp_shm_list_new(&list, &(mp_shm_list_opts){.arena = arena}));
}

static void change_dict(uint64_t random)
{
    unsigned char value[MOST];
    unsigned key = (unsigned)(random >> 40) % KEYS;
    int64_t r;
    if (random % 4 == 0) {
        r = mp_shm_dict_remove(dict, &key, sizeof key);
        mptest_require(r == 0 || r == MP_ENOTFOUND);
    } else if (random % 64 == 1) {
        mptest_require(mp_shm_dict_clear(dict) == 0);
    } else {
        size_t size = make_value(value, key, random >> 4);
        mptest_require(mp_shm_dict_set(dict, &key, sizeof key, value, size) == 0);
    }
    key = (unsigned)(random >> 48) % KEYS;
    r = mp_shm_dict_get(dict, &key, sizeof key, value, sizeof value);
    mptest_require(r == MP_ENOTFOUND || is_whole(value, r, key));
}

static void change_list(uint64_t random)
{
    unsigned char item[MOST];
    int64_t index = (int64_t)(random >> 40) % 40 - 20, r = 0;
    size_t size = make_value(item, 0, random >> 4);
    if (random % 8 < 2)
        mptest_require(mp_shm_list_append(list, item, size) == 0);
    else if (random % 8 == 2)
        mptest_require(mp_shm_list_insert(list, index, item, size) == 0);
    else if (random % 8 == 3)
        r = mp_shm_list_set(list, index, item, size);
    else if (random % 8 < 7 || mp_shm_list_len(list) > 40)
        r = mp_shm_list_pop(list, index, NULL, 0);
    mptest_require(r >= 0 || r == MP_EINDEX);
    r = mp_shm_list_get(list, index, item, sizeof item);
    mptest_require(r == MP_EINDEX || is_whole(item, r, 0));
}

static _Noreturn void change_for_ever(uint64_t seed)
{
    uint64_t random = seed | 1;
    for (;;) {
        change_dict(next_random(&random));
        change_list(next_random(&random));
    }
}

static pid_t start_writer(int i)
{
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0)
        change_for_ever(88172645463325252u * (uint64_t)(i + 3));
    return pid;
}

static void check_dict(void)
{
    mp_shm_dict_iter *it;
    mp_shm_dict_item item;
    int64_t n = 0;
    mp_assert_ok(mp_shm_dict_iter_new(&it, dict));
    for (; mp_shm_dict_iter_next(it, &item) == 1; n++)
        ck_assert(is_whole(item.value, (int64_t)item.size, *(const unsigned *)item.key));
    mp_shm_dict_iter_free(it);
    ck_assert_int_eq(mp_shm_dict_count(dict), n);
}

static void check_list(void)
{
    mp_shm_list_item *items;
    int64_t n = mp_shm_list_copy(list, &items);
    mp_assert_ok(n);
    for (int64_t i = 0; i < n; i++)
        ck_assert(is_whole(items[i].data, (int64_t)items[i].size, 0));
    free(items);
}

MP_TEST_TIMEOUT(writers_killed_at_random, 120)
{
    pid_t writers[3];
    uint64_t random = (uint64_t)time(NULL) | 1;
    new_both(2);
    for (int i = 0; i < 3; i++)
        writers[i] = start_writer(i);
    for (int i = 0; i < KILLS; i++) {
        nanosleep(&(struct timespec){0, (long)(next_random(&random) % 2000000)}, NULL);
        pid_t *victim = &writers[i % 3];
        int status;
        kill(*victim, SIGKILL);
        ck_assert_int_eq(waitpid(*victim, &status, 0), *victim);
        ck_assert_int_eq(status, SIGKILL);
        change_dict(next_random(&random));
        *victim = start_writer(i);
    }
    for (int i = 0; i < 3; i++) {
        kill(writers[i], SIGKILL);
        waitpid(writers[i], NULL, 0);
    }
    check_dict();
    check_list();
    mp_shm_dict_stats ds;
    mp_shm_list_stats ls;
    mp_arena_stats as;
    mp_assert_ok(mp_shm_dict_get_stats(dict, &ds));
    mp_assert_ok(mp_shm_list_get_stats(list, &ls));
    mp_assert_ok(mp_arena_get_stats(arena, &as));
    ck_assert_uint_gt(ds.recovered + ls.recovered, 0);
    ck_assert_uint_eq(as.blocks, ds.blocks + ls.blocks); // nothing was lost
    mp_assert_ok(mp_shm_dict_clear(dict));
    mp_assert_ok(mp_shm_list_clear(list));
    mp_assert_ok(mp_arena_get_stats(arena, &as));
    ck_assert_uint_eq(as.blocks, 2);
    mp_arena_delete(arena);
}

// Readers get on while a writer stands still in the middle of a change, with the lock.
MP_TEST(readers_do_not_wait_for_a_stopped_writer)
{
    new_both(1);
    unsigned char value[MOST];
    unsigned key = 7;
    size_t size = make_value(value, key, 1000);
    mp_assert_ok(mp_shm_dict_set(dict, &key, sizeof key, value, size));
    mp_assert_ok(mp_shm_list_append(list, value, size));
    mp_assert_ok(mp__mutex_lock(&dict->shard[0].lock, MP__NEVER));
    mp_assert_ok(mp__mutex_lock(&list->lock, MP__NEVER));
    pid_t pid = fork();
    if (pid == 0) {
        unsigned char got[MOST];
        mptest_require(mp_shm_dict_get(dict, &key, sizeof key, got, sizeof got) == (int64_t)size);
        mptest_require(memcmp(got, value, size) == 0);
        mptest_require(mp_shm_dict_contains(dict, "x", 1) == 0);
        mptest_require(mp_shm_list_get(list, 0, got, sizeof got) == (int64_t)size);
        mptest_require(mp_shm_list_len(list) == 1);
        _exit(0);
    }
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    mp__mutex_unlock(&dict->shard[0].lock);
    mp__mutex_unlock(&list->lock);
    mp_shm_dict_free(dict);
    mp_shm_list_free(list);
    mp_arena_delete(arena);
}

// ---- damaged memory ----

// Any result is right, but it comes: no crash, no endless loop.
static void call_everything(void)
{
    static unsigned char buf[MOST];
    mp_shm_dict_item item;
    mp_shm_dict_iter *it;
    mp_shm_dict_stats ds;
    mp_shm_list_stats ls;
    mp_shm_list_item *items;
    void *got;
    uint64_t r = 0; // whose sum may wrap
    for (unsigned key = 0; key < KEYS + 5; key++) {
        r += (uint64_t)mp_shm_dict_get(dict, &key, sizeof key, buf, sizeof buf);
        r += (uint64_t)mp_shm_dict_get_new(dict, &key, sizeof key, &got);
        free(got);
        r += (uint64_t)mp_shm_dict_incr(dict, &key, sizeof key, 1, NULL);
        r += (uint64_t)mp_shm_dict_set(dict, &key, sizeof key, buf, key * 5);
        r += (uint64_t)(key % 3 ? mp_shm_dict_remove(dict, &key, sizeof key)
                                : mp_shm_dict_pop(dict, &key, sizeof key, buf, sizeof buf));
        r += (uint64_t)mp_shm_list_get(list, key, buf, sizeof buf);
        r += (uint64_t)mp_shm_list_set(list, key, buf, key);
        r += (uint64_t)mp_shm_list_insert(list, key, buf, key);
        r += (uint64_t)mp_shm_list_pop(list, -(int64_t)key, buf, sizeof buf);
        r += (uint64_t)mp_shm_list_append(list, buf, key);
    }
    if (mp_shm_dict_iter_new(&it, dict) == 0) {
        for (int i = 0; i < 10000 && mp_shm_dict_iter_next(it, &item) == 1; i++)
            r += item.size ? *(const unsigned char *)item.value : 0;
        mp_shm_dict_iter_free(it);
    }
    r += (uint64_t)mp_shm_list_copy(list, &items);
    free(items);
    r += (uint64_t)mp_shm_list_index(list, "none", 4);
    r += (uint64_t)mp_shm_list_len(list);
    r += (uint64_t)mp_shm_dict_get_stats(dict, &ds);
    r += (uint64_t)mp_shm_list_get_stats(list, &ls);
    r += (uint64_t)mp_shm_dict_count(dict);
    r += (uint64_t)mp_shm_dict_clear(dict);
    r += (uint64_t)mp_shm_list_clear(list);
    ck_assert_uint_ne(r, UINT64_MAX / 3);
}

// Where damage is done: all that the two have, but locks (the C library's own, which trusts
// them) and the headers of objects and blocks (which are constant, and the arena's).
static bool may_damage(const char *place)
{
    for (uint64_t i = 0; i < dict->shards; i++) {
        const char *lock = (const char *)&dict->shard[i].lock;
        if (place >= lock && place < lock + sizeof dict->shard[i].lock)
            return false;
    }
    const char *lock = (const char *)&list->lock, *d = (const char *)dict, *l = (const char *)list;
    return !(place >= lock && place < lock + sizeof list->lock) &&
           !(place >= d && place < d + sizeof dict->object) &&
           !(place >= l && place < l + sizeof list->object);
}

// The places of one word each that damage can be done to.
static size_t find_places(uint64_t **places)
{
    size_t n = 0;
    *places = malloc(sizeof **places * 200000);
    ck_assert_ptr_nonnull(*places);
    char *base = mp__object_base(dict);
    for (uint64_t at = 4096; mp__object_holds(dict, at, 64 + 64) && n < 100000;) {
        const uint64_t *block = (const uint64_t *)(void *)(base + at); // magic, capacity
        uint64_t capacity = block[1];
        if (!block[0] || !mp__object_holds(dict, at + 64, capacity))
            break;
        for (uint64_t w = 0; w < capacity; w += 8)
            if (may_damage(base + at + 64 + w))
                (*places)[n++] = at + 64 + w;
        at += 64 + capacity;
    }
    ck_assert_uint_gt(n, 1000);
    return n;
}

static int damage_and_call(uint64_t *places, size_t n, uint64_t random)
{
    static const uint64_t strange[] = {0, 1, UINT64_MAX, 1ull << 32, 1ull << 42, 4096, 64};
    alarm(20);
    for (uint64_t i = 0; i <= random % 5; i++) {
        char *at = (char *)mp__object_base(dict) + places[next_random(&random) % n];
        uint64_t *word = (uint64_t *)(void *)at;
        if (random % 3)
            *word ^= 1ull << (random >> 20) % 64;
        else
            *word = random % 2 ? strange[(random >> 8) % 7] : places[(random >> 8) % n];
    }
    call_everything();
    return 0;
}

MP_TEST_TIMEOUT(damaged_memory, 240)
{
    uint64_t random = (uint64_t)time(NULL) | 1, *places;
    for (int i = 0; i < KILLS * 2; i++) {
        uint64_t seed = next_random(&random);
        new_both(2);
        for (unsigned key = 0; key < KEYS; key++) {
            unsigned char value[MOST];
            size_t size = make_value(value, key, next_random(&random));
            mp_assert_ok(mp_shm_dict_set(dict, &key, sizeof key, value, size));
            mp_assert_ok(mp_shm_list_append(list, value, size));
        }
        size_t n = find_places(&places);
        pid_t pid = fork();
        if (pid == 0)
            _exit(damage_and_call(places, n, seed));
        int status;
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_msg(status == 0, "seed %#llx ends with %#x", (unsigned long long)seed, status);
        free(places);
        mp_arena_delete(arena);
    }
}
