// SPDX-License-Identifier: MIT
//
// Large arrays of the caller's own, which are copied in and out while the workers run. Most
// tests stop the caller in the middle of a copy: a page of its array is out of reach, and who
// touches it comes to at_gate() in the test, which opens it when it has seen what it waits for.
#include "crew.h"

#include <errno.h>
#include <mp/pool.h>
#include <stdatomic.h>

#define N    4096
#define PAGE 4096
#define LAST (N - 1)

// Four to a page, some hundred to a piece.
struct item {
    long x;
    char rest[1016];
};

// What tasks, tests and children tell each other.
struct board {
    _Atomic int seen, open;
    _Atomic int32_t pid[2];
    _Atomic uint16_t runs[N];
};

static struct board *board;
static struct item *in, *out;
static int status[N];
static mp_pool *pool;

// ---- the gate ----

static char *gate;
static void (*at_gate)(void);

static void on_touch(int sig, siginfo_t *info, void *context)
{
    char *at = info->si_addr;
    (void)context;
    if (!gate || at < gate || at >= gate + PAGE) {
        signal(sig, SIG_DFL);
        return;
    }
    if (at_gate)
        at_gate();
    mprotect(gate, PAGE, PROT_READ | PROT_WRITE);
    gate = NULL;
}

static void shut(struct item *page, void (*when_touched)(void))
{
    struct sigaction sa = {.sa_sigaction = on_touch, .sa_flags = SA_SIGINFO};
    gate = (char *)page;
    at_gate = when_touched;
    ck_assert_int_eq(sigaction(SIGSEGV, &sa, NULL), 0);
    ck_assert_int_eq(mprotect(gate, PAGE, PROT_NONE), 0);
}

// For what comes by itself: the test's timeout ends it.
static void wait_for(_Atomic int *flag)
{
    while (!atomic_load(flag))
        usleep(500);
}

static void wait_until_seen(void)
{
    wait_for(&board->seen);
}

// ---- the arrays ----

static struct item *new_items(void)
{
    void *p = mmap(NULL, N * sizeof(struct item), PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(p, MAP_FAILED);
    return p;
}

static void fill(void)
{
    for (long i = 0; i < N; i++) {
        in[i].x = i;
        in[i].rest[1015] = (char)i;
        out[i].x = -1;
        out[i].rest[1015] = 99;
        status[i] = 99;
        board->runs[i] = 0;
    }
    board->seen = board->open = 0;
}

static void begin(size_t staging)
{
    board = crew_share(sizeof *board);
    in = new_items();
    out = new_items();
    mp_assert_ok(mp_pool_new(&pool, &(mp_pool_opts){.workers = 2, .staging = staging}));
    fill();
}

static void end(void)
{
    mp_pool_free(pool);
    munmap(in, N * sizeof *in);
    munmap(out, N * sizeof *out);
    munmap(board, sizeof *board);
    signal(SIGSEGV, SIG_DFL);
}

static void do_item(const struct item *x, struct item *y)
{
    long i = x->x;
    atomic_fetch_add(&board->runs[i], 1);
    y->rest[1015] = (char)(x->rest[1015] + 1);
    y->x = i * 2;
}

static int map(mp_item_fn *fn, size_t chunk)
{
    mp_map_opts o = {.status = status, .chunk = chunk};
    return mp_pool_map(pool, fn, in, sizeof *in, out, sizeof *out, N, NULL, &o);
}

// Item i ran once, or not at all if it was lost or cancelled, and has its result.
static void check_item(long i, int want)
{
    bool done = want == 0;
    ck_assert_msg(status[i] == want, "status of %ld: %d, not %d", i, status[i], want);
    ck_assert_msg(board->runs[i] == (want != MP_ECANCELED), "%ld ran %d times", i, board->runs[i]);
    ck_assert_msg(out[i].x == (done ? i * 2 : -1), "result of %ld: %ld", i, out[i].x);
    ck_assert_int_eq(out[i].rest[1015], (char)(done ? i + 1 : 99));
}

static void check_all_but(long special, int want)
{
    for (long i = 0; i < N; i++)
        check_item(i, i == special ? want : 0);
}

// ---- copies and tasks at the same time ----

static int show_first(const void *x, void *y, void *ctx)
{
    (void)ctx;
    do_item(x, y);
    if (((const struct item *)x)->x == 0)
        board->seen = 1;
    return 0;
}

static void check_begins_early(size_t staging, size_t chunk)
{
    begin(staging);
    shut(&in[N * 3 / 4], wait_until_seen);
    mp_assert_ok(map(show_first, chunk));
    ck_assert_ptr_null(gate);
    check_all_but(0, 0);
    end();
}

MP_TEST(workers_begin_while_the_rest_is_copied_in)
{
    check_begins_early(0, 0);
    check_begins_early(0, 1);
    check_begins_early(0, 100);
}

MP_TEST(workers_begin_while_a_window_is_filled)
{
    check_begins_early((size_t)1 << 20, 0);
    check_begins_early((size_t)1 << 20, 10);
}

static void open_last(void)
{
    board->open = 1;
}

static int last_waits(const void *x, void *y, void *ctx)
{
    (void)ctx;
    if (((const struct item *)x)->x == LAST)
        wait_for(&board->open);
    do_item(x, y);
    return 0;
}

MP_TEST(results_are_copied_out_while_the_last_task_runs)
{
    for (size_t chunk = 0; chunk < 200; chunk += 99) {
        begin(0);
        shut(out, open_last);
        mp_assert_ok(map(last_waits, chunk));
        ck_assert_ptr_null(gate);
        check_all_but(0, 0);
        end();
    }
}

// The caller sleeps by then.
static int first_waits_for_last(const void *x, void *y, void *ctx)
{
    long i = ((const struct item *)x)->x;
    (void)ctx;
    do_item(x, y);
    if (i == LAST)
        board->open = 1;
    if (i == 0)
        wait_for(&board->open);
    return 0;
}

// However long one chunk takes, all others are fed, run, and waited for by nobody.
MP_TEST(a_slow_chunk_stops_nobody)
{
    for (size_t chunk = 0; chunk < 3; chunk++) {
        begin(0);
        mp_assert_ok(map(first_waits_for_last, chunk));
        check_all_but(0, 0);
        end();
    }
}

// ---- what goes wrong meanwhile ----

static int first_fails(const void *x, void *y, void *ctx)
{
    if (((const struct item *)x)->x != 0)
        return show_first(x, y, ctx);
    board->runs[0]++;
    ((struct item *)y)->x = -1;
    ((struct item *)y)->rest[1015] = 99;
    board->seen = 1;
    return 42;
}

MP_TEST(a_task_fails_while_others_are_copied_in)
{
    for (size_t chunk = 0; chunk < 8; chunk += 7) {
        begin(0);
        shut(&in[N * 3 / 4], wait_until_seen);
        mp_assert_err(map(first_fails, chunk), MP_ETASK);
        check_all_but(0, 42);
        ck_assert_str_eq(mp_pool_error(pool),
                         "item 0 of 4096: the task returned 42; 1 item failed, 4095 done");
        fill(); // what was noted of the failure is forgotten
        mp_assert_ok(map(show_first, chunk));
        check_all_but(0, 0);
        end();
    }
}

static int first_tells_and_waits(const void *x, void *y, void *ctx)
{
    if (((const struct item *)x)->x != 0)
        return show_first(x, y, ctx);
    board->runs[0]++;
    board->pid[0] = getpid();
    board->seen = 1;
    wait_for(&board->open); // never
    return 0;
}

static void kill_first(void)
{
    wait_until_seen();
    int fd = mp__pidfd_open(board->pid[0]);
    kill(board->pid[0], SIGKILL);
    (void)mp__pidfd_wait(fd, mp__deadline_in(10000));
    close(fd);
}

MP_TEST(a_worker_is_killed_while_others_are_copied_in)
{
    static const size_t chunks[] = {0, 1, 100};
    for (size_t k = 0; k < 3; k++) {
        begin(0);
        shut(&in[N * 3 / 4], kill_first);
        mp_assert_err(map(first_tells_and_waits, chunks[k]), MP_EWORKERDIED);
        check_all_but(0, MP_EWORKERDIED);
        end();
    }
}

// Items 5, 105, 205, ... kill their worker; in one array, a lost one stays as it was.
static int some_die(const void *x, void *y, void *ctx)
{
    long i = ((const struct item *)x)->x;
    (void)ctx;
    if (i % 100 == 5)
        kill(getpid(), SIGKILL);
    do_item(x, y);
    return 0;
}

MP_TEST_TIMEOUT(many_workers_die, 60)
{
    static const size_t chunks[] = {0, 1, 64};
    for (size_t k = 0; k < 6; k++) {
        bool in_place = k >= 3;
        mp_map_opts o = {.status = status, .chunk = chunks[k % 3]};
        begin(0);
        struct item *y = in_place ? in : out;
        mp_assert_err(mp_pool_map(pool, some_die, in, sizeof *in, y, sizeof *y, N, NULL, &o),
                      MP_EWORKERDIED);
        for (long i = 0; i < N; i++) {
            bool dead = i % 100 == 5;
            ck_assert_int_eq(status[i], dead ? MP_EWORKERDIED : 0);
            ck_assert_int_eq(board->runs[i], !dead);
            ck_assert_int_eq(y[i].x, !dead ? i * 2 : in_place ? i : -1);
        }
        end();
    }
}

static void interrupt_when_seen(void)
{
    wait_until_seen();
    (void)mp_pool_interrupt(pool);
}

// What was claimed by then is copied in and run, the rest is not.
MP_TEST(interrupted_while_others_are_copied_in)
{
    for (size_t chunk = 0; chunk < 8; chunk += 7) {
        begin(0);
        shut(&in[N / 4], interrupt_when_seen);
        mp_assert_err(map(show_first, chunk), MP_ECANCELED);
        for (long i = 0; i < N; i++)
            check_item(i, status[i] == 0 ? 0 : MP_ECANCELED);
        check_item(0, 0);
        check_item(LAST, MP_ECANCELED);
        mp_assert_ok(mp_pool_join(pool, MP_FOREVER));
        end();
    }
}

static void terminate_when_seen(void)
{
    wait_until_seen();
    (void)mp_pool_terminate(pool);
}

MP_TEST(terminated_while_others_are_copied_in)
{
    begin(0);
    shut(&in[N / 4], terminate_when_seen);
    mp_assert_err(map(show_first, 0), MP_ECANCELED);
    ck_assert_int_eq(status[LAST], MP_ECANCELED);
    mp_assert_ok(mp_pool_join(pool, MP_FOREVER));
    end();
}

// ---- the caller is killed ----

static int two_tell_and_wait(const void *x, void *y, void *ctx)
{
    static _Atomic int told; // in each worker
    (void)x, (void)y, (void)ctx;
    if (!atomic_exchange(&told, 1))
        board->pid[atomic_fetch_add(&board->seen, 1) % 2] = getpid();
    wait_for(&board->open); // never
    return 0;
}

static void die_when_two_are_seen(void)
{
    while (board->seen < 2 || !board->pid[0] || !board->pid[1])
        usleep(500);
    kill(getpid(), SIGKILL);
}

static void die_while_copying(void *arg)
{
    (void)arg;
    shut(&in[N * 3 / 4], die_when_two_are_seen);
    mptest_require(mp_pool_new(&pool, &(mp_pool_opts){.workers = 2}) == 0);
    (void)map(two_tell_and_wait, 1);
}

static bool is_gone(pid_t pid)
{
    return kill(pid, 0) < 0 && errno == ESRCH;
}

MP_TEST(the_caller_is_killed_while_it_copies)
{
    board = crew_share(sizeof *board);
    in = new_items();
    out = new_items();
    fill();
    ck_assert_int_eq(crew_end_of(crew_start(die_while_copying, NULL)), -SIGKILL);
    ck_assert_int_eq(board->seen, 2);
    for (int i = 0; i < 2; i++)
        ck_assert(mptest_eventually(is_gone(board->pid[i]), 10000));
    munmap(in, N * sizeof *in);
    munmap(out, N * sizeof *out);
    munmap(board, sizeof *board);
}

// ---- many small items ----

static int some_fail(const void *x, void *y, void *ctx)
{
    int i = *(const int *)x;
    (void)ctx;
    *(int *)y = -i;
    return i % 1000 == 7 ? i : 0;
}

// A copy is many chunks, and some of them have failures.
MP_TEST(small_chunks_travel_together)
{
    enum { MANY = 300000 };
    int *x = malloc(MANY * sizeof *x), *y = malloc(MANY * sizeof *y), *s = malloc(MANY * sizeof *s);
    mp_assert_ok(mp_pool_new(&pool, &(mp_pool_opts){.workers = 2}));
    for (int i = 0; i < MANY; i++)
        x[i] = i;
    for (size_t chunk = 1; chunk < 70; chunk = chunk * 2 + 1) {
        memset(y, 0, MANY * sizeof *y);
        mp_map_opts o = {.status = s, .chunk = chunk};
        mp_assert_err(mp_pool_map(pool, some_fail, x, 4, y, 4, MANY, NULL, &o), MP_ETASK);
        for (int i = 0; i < MANY; i++)
            if (y[i] != -i || s[i] != (i % 1000 == 7 ? i : 0))
                ck_abort_msg("chunk %zu, item %d: result %d, status %d", chunk, i, y[i], s[i]);
    }
    mp_pool_free(pool);
    free(x);
    free(y);
    free(s);
}

// As much staging memory as can be told is no more than is needed.
MP_TEST(staging_without_end)
{
    begin(SIZE_MAX);
    mp_assert_ok(map(show_first, 0));
    check_all_but(0, 0);
    end();
}
