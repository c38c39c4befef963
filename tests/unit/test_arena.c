// SPDX-License-Identifier: MIT
#include "mptest.h"
#include "shm/arena.h"

#include <errno.h>
#include <mp/arena.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

static mp_arena *new_arena(size_t max)
{
    mp_arena *a;
    mp_assert_ok(mp_arena_new(&a, &(mp_arena_opts){.max = max}));
    return a;
}

static mp_arena_stats stats(mp_arena *a)
{
    mp_arena_stats s;
    mp_assert_ok(mp_arena_get_stats(a, &s));
    return s;
}

MP_TEST(alloc_gives_zeroed_aligned_memory)
{
    mp_arena *a = new_arena(0);
    void *p[50];
    for (size_t i = 0; i < 50; i++) {
        mp_assert_ok(mp_arena_alloc(a, &p[i], i, 13));
        ck_assert_uint_eq((uintptr_t)p[i] % 64, 0);
        for (size_t k = 0; k < i * 13; k++)
            ck_assert_int_eq(((char *)p[i])[k], 0);
        ck_assert(mp_arena_contains(a, p[i], i * 13));
    }
    for (size_t i = 0; i < 50; i++)
        memset(p[i], (int)i + 1, i * 13);
    for (size_t i = 0; i < 50; i++)
        for (size_t k = 0; k < i * 13; k++)
            ck_assert_int_eq(((char *)p[i])[k], (int)i + 1);
    ck_assert_uint_eq(stats(a).blocks, 50);
    mp_arena_delete(a);
}

MP_TEST(zero_bytes_are_room_all_the_same)
{
    mp_arena *a = new_arena(0);
    void *p, *q;
    mp_assert_ok(mp_arena_alloc(a, &p, 0, 8));
    mp_assert_ok(mp_arena_alloc(a, &q, 8, 0));
    ck_assert_ptr_nonnull(p);
    ck_assert_ptr_ne(p, q);
    mp_assert_ok(mp_arena_free(a, p));
    mp_arena_delete(a);
}

MP_TEST(freed_blocks_are_used_again)
{
    mp_arena *a = new_arena(0);
    static const size_t sizes[] = {1,    63,   64,    65,    100,   128,     129,    500,
                                   4096, 5000, 65536, 65537, 99999, 1 << 20, 3 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        void *p, *again;
        mp_assert_ok(mp_arena_alloc(a, &p, sizes[i], 1));
        mp_assert_ok(mp_arena_free(a, p));
        mp_assert_ok(mp_arena_alloc(a, &again, sizes[i], 1));
        ck_assert_ptr_eq(p, again);
    }
    size_t held = stats(a).held;
    for (int i = 0; i < 10000; i++) {
        void *p;
        mp_assert_ok(mp_arena_alloc(a, &p, 777, 1));
        mp_assert_ok(mp_arena_free(a, p));
    }
    ck_assert_uint_le(stats(a).held, held + (1 << 20));
    mp_arena_delete(a);
}

MP_TEST(random_blocks_do_not_overlap)
{
    mp_arena *a = new_arena(64 << 20);
    struct {
        unsigned char *p;
        size_t size;
        int mark;
    } held[200] = {{0}};
    unsigned seed = 7;
    for (int step = 0; step < 20000; step++) {
        size_t i = (size_t)rand_r(&seed) % 200;
        if (held[i].p) {
            for (size_t k = 0; k < held[i].size; k += 61)
                ck_assert_int_eq(held[i].p[k], held[i].mark);
            mp_assert_ok(mp_arena_free(a, held[i].p));
            held[i].p = NULL;
            continue;
        }
        held[i].size = (size_t)1 << (rand_r(&seed) % 17);
        held[i].size += (size_t)rand_r(&seed) % held[i].size;
        held[i].mark = step & 0xff;
        void *p;
        mp_assert_ok(mp_arena_alloc(a, &p, held[i].size, 1));
        held[i].p = memset(p, held[i].mark, held[i].size);
    }
    mp_arena_delete(a);
}

MP_TEST(bad_arguments)
{
    mp_arena *a = new_arena(1 << 20);
    void *p = &p;
    char here[128];
    mp_assert_err(mp_arena_new(NULL, NULL), MP_EINVAL);
    mp_assert_err(mp_arena_alloc(NULL, &p, 1, 1), MP_EINVAL);
    ck_assert_ptr_null(p);
    mp_assert_err(mp_arena_alloc(a, NULL, 1, 1), MP_EINVAL);
    mp_assert_err(mp_arena_alloc(a, &p, SIZE_MAX / 2, 3), MP_EOVERFLOW);
    mp_assert_err(mp_arena_alloc(a, &p, SIZE_MAX, 1), -ENOMEM);
    mp_assert_err(mp_arena_free(NULL, here), MP_EINVAL);
    mp_assert_ok(mp_arena_free(a, NULL));
    mp_assert_err(mp_arena_free(a, here), MP_EINVAL);
    mp_assert_ok(mp_arena_alloc(a, &p, 256, 1));
    mp_assert_err(mp_arena_free(a, (char *)p + 1), MP_EINVAL);
    mp_assert_err(mp_arena_free(a, (char *)p + 64), MP_EINVAL);
    mp_assert_err(mp_arena_free(a, (char *)p + 8192), MP_EINVAL);
    mp_assert_ok(mp_arena_free(a, p));
    mp_assert_err(mp_arena_free(a, p), MP_EINVAL); // twice
    mp_assert_err(mp_arena_get_stats(a, NULL), MP_EINVAL);
    mp_assert_err(mp_arena_get_stats(NULL, &(mp_arena_stats){0}), MP_EINVAL);
    ck_assert(!mp_arena_contains(NULL, p, 1));
    ck_assert(!mp_arena_contains(a, NULL, 1));
    ck_assert(!mp_arena_contains(a, here, 1));
    ck_assert(!mp_arena_contains(a, p, SIZE_MAX));
    mp_arena_delete(a);
    mp_arena_delete(NULL);
    mp_assert_err(mp_arena_new(&a, &(mp_arena_opts){.max = SIZE_MAX}), -ENOMEM);
    ck_assert_ptr_null(a);
}

MP_TEST(a_full_arena_says_so_and_recovers)
{
    mp_arena *a = new_arena(1 << 20);
    void *p[64], *last;
    int n = 0, r;
    while ((r = mp_arena_alloc(a, &p[n], 64 << 10, 1)) == 0)
        n++;
    ck_assert_int_eq(r, -ENOMEM);
    ck_assert_int_ge(n, 14);
    mp_assert_ok(mp_arena_free(a, p[3]));
    mp_assert_ok(mp_arena_alloc(a, &last, 1 << 10, 1)); // a larger block does as well
    ck_assert_uint_le(stats(a).held, (1 << 20) + 8192);
    mp_arena_delete(a);
}

static int fill_block(void *arg)
{
    void **p = arg; // in the arena
    mp_arena *a = p[0];
    if (mp_arena_alloc(a, &p[1], 100, 1) < 0)
        return 1;
    strcpy(p[1], "from the child");
    return 0;
}

MP_TEST(children_share_it_at_the_same_address)
{
    mp_arena *a = new_arena(0);
    void *shared;
    mp_assert_ok(mp_arena_alloc(a, &shared, 2, sizeof(void *)));
    void **p = shared;
    p[0] = a;
    ck_assert_int_eq(mptest_in_child(fill_block, p), 0);
    ck_assert_str_eq(p[1], "from the child");
    mp_assert_ok(mp_arena_free(a, p[1]));
    mp_arena_delete(a);
}

struct churn {
    mp_arena *a;
    _Atomic unsigned rounds;
};

// Allocates and frees for ever, to be killed.
static void churn(struct churn *c, unsigned seed)
{
    void *p[8] = {0};
    for (;;) {
        size_t i = (size_t)rand_r(&seed) % 8;
        if (p[i])
            mptest_require(mp_arena_free(c->a, p[i]) == 0);
        mptest_require(mp_arena_alloc(c->a, &p[i], (size_t)rand_r(&seed) % 5000, 1) == 0);
        memset(p[i], 1, 1);
        c->rounds++;
    }
}

MP_TEST_TIMEOUT(kill_at_any_instruction, 60)
{
    mp_arena *a = new_arena(256 << 20);
    void *p;
    mp_assert_ok(mp_arena_alloc(a, &p, 1, sizeof(struct churn)));
    struct churn *c = p;
    c->a = a;
    unsigned seed = 3;
    for (int i = 0; i < 200; i++) {
        pid_t pids[2];
        unsigned before = c->rounds;
        for (int k = 0; k < 2; k++)
            if ((pids[k] = fork()) == 0)
                churn(c, (unsigned)(i * 2 + k));
        ck_assert(mptest_eventually(c->rounds != before, 15000));
        usleep((unsigned)rand_r(&seed) % 1000);
        for (int k = 0; k < 2; k++) {
            int status;
            kill(pids[k], SIGKILL);
            ck_assert_int_eq(waitpid(pids[k], &status, 0), pids[k]);
            ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        }
        // It works, and at most 8 blocks a process are lost.
        mp_assert_ok(mp_arena_alloc(a, &p, 100, 1));
        mp_assert_ok(mp_arena_free(a, p));
        ck_assert_uint_le(stats(a).blocks, 1 + 18 * (size_t)(i + 1));
        ck_assert_uint_le(stats(a).used, stats(a).held);
    }
    mp_arena_delete(a);
}

MP_TEST(no_room_under_a_file_size_limit)
{
    struct rlimit lim = {1 << 20, 1 << 20};
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &lim), 0);
    mp_arena *a;
    mp_assert_err(mp_arena_new(&a, &(mp_arena_opts){.max = 2 << 20}), -EFBIG);
    mp_assert_ok(mp_arena_new(&a, NULL)); // the default is less then
    void *p;
    mp_assert_ok(mp_arena_alloc(a, &p, 1000, 1));
    mp_assert_err(mp_arena_alloc(a, &p, 2 << 20, 1), -ENOMEM);
    mp_arena_delete(a);
}

MP_TEST(default_size_under_an_address_space_limit)
{
    if (MPTEST_ASAN || MPTEST_TSAN)
        mp_skip("sanitizers need address space");
    struct rlimit lim = {(rlim_t)1 << 30, (rlim_t)1 << 30};
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &lim), 0);
    mp_arena *a;
    mp_assert_ok(mp_arena_new(&a, NULL));
    ck_assert_uint_le(stats(a).max, (size_t)1 << 28);
    mp_arena_delete(a);
    mp_assert_err(mp_arena_new(&a, &(mp_arena_opts){.max = (size_t)2 << 30}), -ENOMEM);
}

MP_TEST(registry_knows_what_a_child_would_see)
{
    uint64_t none = mp__arena_youngest();
    mp_arena *a = new_arena(0);
    uint64_t first = mp__arena_youngest();
    mp_arena *b = new_arena(0);
    void *p, *q;
    mp_assert_ok(mp_arena_alloc(a, &p, 100, 1));
    mp_assert_ok(mp_arena_alloc(b, &q, 100, 1));
    ck_assert(!mp__arena_shares(p, 100, none));
    ck_assert(mp__arena_shares(p, 100, first));
    ck_assert(!mp__arena_shares(q, 100, first)); // made later
    ck_assert(mp__arena_shares(q, 100, mp__arena_youngest()));
    mp_arena_delete(b);
    mp_arena *c = new_arena(0); // quite likely at the same address
    ck_assert(!mp__arena_shares(q, 100, first));
    mp_arena_delete(c);
    mp_arena_delete(a);
    ck_assert(!mp__arena_shares(p, 100, first));
}

static void *alloc_in_thread(void *arg)
{
    for (int i = 0; i < 2000; i++) {
        void *p;
        if (mp_arena_alloc(arg, &p, 100, 1) < 0 || mp_arena_free(arg, p) < 0)
            return arg;
    }
    return NULL;
}

MP_TEST(threads_may_share_it)
{
    mp_arena *a = new_arena(0);
    pthread_t t[4];
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&t[i], NULL, alloc_in_thread, a), 0);
    for (int i = 0; i < 4; i++) {
        void *bad;
        pthread_join(t[i], &bad);
        ck_assert_ptr_null(bad);
    }
    ck_assert_uint_eq(stats(a).blocks, 0);
    mp_arena_delete(a);
}

MP_TEST(aligned_blocks)
{
    mp_arena *a = new_arena(16 << 20);
    void *p[300];
    size_t align[300];
    for (size_t i = 0; i < 300; i++) {
        size_t size = i * 37 % 3000;
        align[i] = (size_t)1 << (i % 13);
        mp_assert_ok(mp_arena_alloc_aligned(a, &p[i], 1, size, align[i]));
        ck_assert_uint_eq((uintptr_t)p[i] % align[i], 0);
        memset(p[i], (int)i, size);
    }
    for (size_t i = 0; i < 300; i++)
        for (size_t k = 0; k < i * 37 % 3000; k++)
            if (((unsigned char *)p[i])[k] != (unsigned char)i)
                ck_abort_msg("block %zu is not its own at %zu", i, k);
    ck_assert_uint_eq(stats(a).blocks, 300);
    for (size_t i = 0; i < 300; i++)
        mp_assert_ok(mp_arena_free(a, p[i]));
    ck_assert_uint_eq(stats(a).used, 0);
    size_t held = stats(a).held;
    for (int i = 0; i < 5000; i++) { // they are found again
        mp_assert_ok(mp_arena_alloc_aligned(a, &p[0], 4096, 1, 4096));
        ck_assert_uint_eq((uintptr_t)p[0] % 4096, 0);
        mp_assert_ok(mp_arena_free(a, p[0]));
    }
    ck_assert_uint_le(stats(a).held, held + (1 << 20));
    mp_assert_err(mp_arena_alloc_aligned(a, p, 1, 1, 0), MP_EINVAL);
    mp_assert_err(mp_arena_alloc_aligned(a, p, 1, 1, 3), MP_EINVAL);
    mp_assert_err(mp_arena_alloc_aligned(a, p, 1, 1, (size_t)1 << 20), MP_EINVAL);
    mp_assert_err(mp_arena_alloc_aligned(NULL, p, 1, 1, 8), MP_EINVAL);
    mp_assert_err(mp_arena_alloc_aligned(a, NULL, 1, 1, 8), MP_EINVAL);
    mp_arena_delete(a);
}

MP_TEST(offsets_and_the_root)
{
    mp_arena *a = new_arena(1 << 20);
    void *p;
    mp_assert_ok(mp_arena_alloc(a, &p, 100, 1));
    uint64_t offset = mp_arena_offset(a, p);
    ck_assert_uint_ne(offset, 0);
    ck_assert_ptr_eq(mp_arena_at(a, offset, 100), p);
    ck_assert_ptr_eq(mp_arena_at(a, offset + 5, 95), (char *)p + 5);
    ck_assert_ptr_null(mp_arena_at(a, 0, 0));
    ck_assert_ptr_null(mp_arena_at(a, offset, SIZE_MAX));
    ck_assert_ptr_null(mp_arena_at(a, UINT64_MAX, 1));
    ck_assert_ptr_null(mp_arena_at(a, 100, 1));     // the head
    ck_assert_ptr_null(mp_arena_at(a, 1 << 20, 1)); // not committed
    ck_assert_ptr_null(mp_arena_at(NULL, offset, 1));
    ck_assert_uint_eq(mp_arena_offset(a, NULL), 0);
    ck_assert_uint_eq(mp_arena_offset(a, &p), 0);
    ck_assert_uint_eq(mp_arena_offset(NULL, p), 0);
    ck_assert_ptr_null(mp_arena_root(a, 1));
    mp_assert_err(mp_arena_set_root(a, &p), MP_EINVAL);
    mp_assert_err(mp_arena_set_root(NULL, p), MP_EINVAL);
    mp_assert_ok(mp_arena_set_root(a, p));
    ck_assert_ptr_eq(mp_arena_root(a, 100), p);
    ck_assert_ptr_null(mp_arena_root(a, 1 << 20));
    ck_assert_ptr_null(mp_arena_root(NULL, 1));
    mp_assert_ok(mp_arena_set_root(a, NULL));
    ck_assert_ptr_null(mp_arena_root(a, 1));
    mp_arena_delete(a);
}

MP_TEST(the_peak_stays)
{
    mp_arena *a = new_arena(0);
    void *p, *q;
    mp_assert_ok(mp_arena_alloc(a, &p, 1000, 1));
    mp_assert_ok(mp_arena_alloc(a, &q, 5000, 1));
    size_t used = stats(a).used;
    mp_assert_ok(mp_arena_free(a, q));
    ck_assert_uint_eq(stats(a).peak, used);
    ck_assert_uint_lt(stats(a).used, used);
    mp_arena_delete(a);
}

MP_TEST(a_deleted_arena_is_none)
{
    mp_arena *a;
    void *p = NULL;
    mp_arena_stats st;
    mp_assert_ok(mp_arena_new(&a, NULL));
    mp_assert_ok(mp_arena_alloc(a, &p, 1, 100));
    mp_arena_delete(a);
    void *old = p;
    mp_assert_err(mp_arena_alloc(a, &p, 1, 1), MP_EINVAL);
    ck_assert_ptr_null(p);
    mp_assert_err(mp_arena_free(a, old), MP_EINVAL);
    mp_assert_err(mp_arena_set_root(a, old), MP_EINVAL);
    mp_assert_err(mp_arena_get_stats(a, &st), MP_EINVAL);
    ck_assert(!mp_arena_contains(a, old, 1));
    ck_assert(mp_arena_offset(a, old) == 0);
    ck_assert_ptr_null(mp_arena_at(a, 4096, 1));
    ck_assert_ptr_null(mp_arena_root(a, 1));
    mp_arena_delete(a);
}
