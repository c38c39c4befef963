// SPDX-License-Identifier: MIT
//
// What a pool promises when something dies.
#include "mptest.h"

#include "os/pidfd.h"

#include <dirent.h>
#include <errno.h>
#include <mp/arena.h>
#include <mp/pool.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

// What tasks and tests tell each other, in an arena.
struct board {
    _Atomic int go, up;        // tasks that wait: until go; how many do
    _Atomic unsigned counted;  // runs
    _Atomic int32_t pid[4096]; // by item
    _Atomic uint16_t runs[20000];
};

static mp_arena *arena;
static struct board *board;

static void new_board(void)
{
    void *p;
    mp_assert_ok(mp_arena_new(&arena, NULL));
    mp_assert_ok(mp_arena_alloc(arena, &p, 1, sizeof *board));
    board = p;
}

static mp_pool *new_pool(int workers, size_t staging)
{
    mp_pool *p;
    mp_assert_ok(mp_pool_new(&p, &(mp_pool_opts){.workers = workers, .staging = staging}));
    return p;
}

static int square(const void *in, void *out, void *ctx)
{
    (void)ctx;
    long x = *(const long *)in;
    *(long *)out = x * x;
    return 0;
}

static void check_works(mp_pool *p)
{
    long in[50], out[50];
    int status[50];
    mp_map_opts o = {.status = status};
    for (long i = 0; i < 50; i++)
        in[i] = i, out[i] = 0;
    mp_assert_ok(mp_pool_map(p, square, in, 8, out, 8, 50, NULL, &o));
    for (long i = 0; i < 50; i++) {
        ck_assert_int_eq(out[i], i * i);
        ck_assert_int_eq(status[i], 0);
    }
    ck_assert_str_eq(mp_pool_error(p), "");
}

// ---- a worker dies in a task ----

enum death { BY_KILL, BY_SEGV, BY_ABORT, BY_EXIT, BY_EXIT_0 };

static void die(enum death how)
{
    signal(SIGSEGV, SIG_DFL); // a sanitizer's handler would print
    signal(SIGABRT, SIG_DFL);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    if (how == BY_KILL)
        kill(getpid(), SIGKILL);
    else if (how == BY_SEGV)
        raise(SIGSEGV);
    else if (how == BY_ABORT)
        abort();
    _exit(how == BY_EXIT ? 3 : 0);
}

struct deadly {
    enum death how;
    long first, step, tells_at; // items that kill: first, first + step, ...
};

static bool is_deadly(const struct deadly *d, long i)
{
    return i >= d->first && (d->step ? (i - d->first) % d->step == 0 : i == d->first);
}

static int deadly_square(const void *in, void *out, void *ctx)
{
    const struct deadly *d = ctx;
    long x = *(const long *)in;
    atomic_fetch_add(&board->runs[x], 1);
    if (is_deadly(d, x))
        die(d->how);
    *(long *)out = x * x;
    return 0;
}

static int deadly_squares(size_t begin, size_t end, const void *in, void *out, void *ctx)
{
    const struct deadly *d = ctx;
    for (size_t i = begin; i < end; i++) {
        if (d->tells_at)
            mp_task_at(i);
        deadly_square((const long *)in + (i - begin), (long *)out + (i - begin), ctx);
    }
    return 0;
}

// A map of n items of which some kill their worker. With the item form, and with ranges
// that tell where they are, exactly those are lost.
static void check_deadly(mp_pool *p, size_t n, size_t chunk, struct deadly d, bool range)
{
    long *in = malloc(n * 8), *out = malloc(n * 8);
    int *status = malloc(n * sizeof *status);
    size_t lost = 0, before[3] = {0};
    mp_map_opts o = {.chunk = chunk, .ctx_size = sizeof d, .status = status};
    for (size_t i = 0; i < n; i++) {
        in[i] = (long)i, out[i] = -1, status[i] = 99;
        board->runs[i] = 0;
        lost += is_deadly(&d, (long)i);
    }
    before[0] = lost;
    int r = range ? mp_pool_map_range(p, deadly_squares, in, 8, out, 8, n, &d, &o)
                  : mp_pool_map(p, deadly_square, in, 8, out, 8, n, &d, &o);
    mp_assert_err(r, MP_EWORKERDIED);
    for (size_t i = 0; i < n; i++) {
        bool dead = is_deadly(&d, (long)i);
        ck_assert_msg(board->runs[i] == 1, "item %zu of %zu ran %d times", i, n, board->runs[i]);
        ck_assert_msg(status[i] == (dead ? MP_EWORKERDIED : 0), "status %zu of %zu: %d", i, n,
                      status[i]);
        ck_assert_msg(out[i] == (dead ? -1 : (long)(i * i)), "result %zu of %zu: %ld", i, n,
                      out[i]);
    }
    char text[64];
    snprintf(text, sizeof text, "item %ld of %zu: worker ", d.first, n);
    ck_assert_msg(strncmp(mp_pool_error(p), text, strlen(text)) == 0, "%s", mp_pool_error(p));
    snprintf(text, sizeof text, "; %zu item%s failed, %zu done", before[0], lost == 1 ? "" : "s",
             n - lost);
    ck_assert_msg(strstr(mp_pool_error(p), text), "%s", mp_pool_error(p));
    free(in);
    free(out);
    free(status);
}

static void check_all_deaths(size_t staging)
{
    new_board();
    mp_pool *p = new_pool(2, staging);
    static const size_t chunks[] = {0, 1, 3, 1000};
    static const char *const how[] = {
        "was killed by signal 9 (Killed)", "was killed by signal 11 (Segmentation fault)",
        "was killed by signal 6 (Aborted)", "exited with code 3", "exited with code 0"};
    for (enum death d = BY_KILL; d <= BY_EXIT_0; d++) {
        for (size_t i = 0; i < 4; i++) {
            check_deadly(p, 20, chunks[i], (struct deadly){d, 7, 0, 0}, false);
            ck_assert_msg(strstr(mp_pool_error(p), how[d]), "%s", mp_pool_error(p));
            check_deadly(p, 20, chunks[i], (struct deadly){d, 7, 0, 1}, true);
            ck_assert_msg(strstr(mp_pool_error(p), how[d]), "%s", mp_pool_error(p));
        }
        check_works(p);
    }
    mp_pool_free(p);
    mp_arena_delete(arena);
}

MP_TEST(a_death_costs_its_item_only)
{
    check_all_deaths(0);
}

MP_TEST(a_death_in_a_stream_costs_its_item_only)
{
    check_all_deaths(32);
}

MP_TEST(first_and_last_items)
{
    new_board();
    mp_pool *p = new_pool(2, 0);
    for (size_t n = 1; n < 12; n++) {
        check_deadly(p, n, 0, (struct deadly){BY_KILL, 0, 0, 1}, n % 2);
        check_deadly(p, n, 4, (struct deadly){BY_KILL, (long)n - 1, 0, 1}, n % 2);
    }
    mp_pool_free(p);
    mp_arena_delete(arena);
}

MP_TEST_TIMEOUT(every_item_kills_its_worker, 60)
{
    new_board();
    mp_pool *p = new_pool(3, 0), *q = new_pool(3, 64);
    check_deadly(p, 300, 0, (struct deadly){BY_KILL, 0, 1, 0}, false);
    check_deadly(p, 300, 7, (struct deadly){BY_KILL, 0, 1, 1}, true);
    check_deadly(q, 300, 0, (struct deadly){BY_KILL, 0, 1, 0}, false);
    check_works(p);
    check_works(q);
    mp_pool_free(p);
    mp_pool_free(q);
    mp_arena_delete(arena);
}

MP_TEST_TIMEOUT(many_items_kill_their_worker, 60)
{
    new_board();
    mp_pool *p = new_pool(2, 0), *q = new_pool(4, 1000);
    check_deadly(p, 10000, 0, (struct deadly){BY_KILL, 3, 100, 0}, false);
    check_deadly(p, 10000, 0, (struct deadly){BY_KILL, 3, 100, 1}, true);
    check_deadly(q, 10000, 0, (struct deadly){BY_KILL, 3, 100, 0}, false);
    check_deadly(q, 10000, 13, (struct deadly){BY_KILL, 3, 100, 1}, true);
    mp_pool_free(p);
    mp_pool_free(q);
    mp_arena_delete(arena);
}

static int fork_and_return(const void *in, void *out, void *ctx)
{
    long i = *(const long *)in;
    (void)out, (void)ctx;
    atomic_fetch_add(&board->runs[i], 1);
    return fork() < 0; // the child returns as well
}

static int fork_range(size_t begin, size_t end, const void *in, void *out, void *ctx)
{
    (void)in, (void)out, (void)ctx;
    for (size_t i = begin; i < end; i++)
        atomic_fetch_add(&board->runs[i], 1);
    return fork() < 0;
}

// Who returns from the task in a process that the task forked is no worker: no item runs
// twice, and nobody is left (mptest looks).
MP_TEST(a_task_that_forks_and_returns_twice)
{
    long in[100];
    new_board();
    mp_pool *p = new_pool(2, 0);
    for (long i = 0; i < 100; i++)
        in[i] = i;
    mp_assert_ok(mp_pool_map(p, fork_and_return, in, 8, NULL, 0, 100, NULL, NULL));
    mp_assert_ok(
        mp_pool_map_range(p, fork_range, NULL, 0, NULL, 0, 100, NULL, &(mp_map_opts){.chunk = 10}));
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(board->runs[i], 2);
    check_works(p);
    mp_pool_free(p);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(board->runs[i], 2);
    mp_arena_delete(arena);
}

MP_TEST(a_range_that_does_not_tell_costs_the_range)
{
    new_board();
    mp_pool *p = new_pool(2, 0);
    long in[100], out[100];
    int status[100];
    struct deadly d = {BY_KILL, 20, 0, 0};
    mp_map_opts o = {.chunk = 8, .ctx_size = sizeof d, .status = status};
    for (long i = 0; i < 100; i++)
        in[i] = i, out[i] = -1;
    mp_assert_err(mp_pool_map_range(p, deadly_squares, in, 8, out, 8, 100, &d, &o), MP_EWORKERDIED);
    for (long i = 0; i < 100; i++) {
        bool dead = i >= 16 && i < 24;
        ck_assert_int_eq(status[i], dead ? MP_EWORKERDIED : 0);
        ck_assert_int_eq(out[i], dead ? -1 : i * i);
    }
    ck_assert_msg(strncmp(mp_pool_error(p), "items 16 to 23 of 100: worker ", 30) == 0, "%s",
                  mp_pool_error(p));
    ck_assert(strstr(mp_pool_error(p), "; 8 items failed, 92 done"));
    mp_pool_free(p);
    mp_arena_delete(arena);
}

MP_TEST(a_death_in_a_one_shot_map)
{
    new_board();
    long in[20], out[20];
    char *text;
    struct deadly d = {BY_KILL, 7, 0, 0};
    mp_map_opts o = {.workers = 2, .error = &text};
    for (long i = 0; i < 20; i++)
        in[i] = i;
    mp_assert_err(mp_map(deadly_square, in, 8, out, 8, 20, &d, &o), MP_EWORKERDIED);
    ck_assert_msg(strncmp(text, "item 7 of 20: worker ", 21) == 0, "%s", text);
    ck_assert_msg(strstr(text, "was killed by signal 9 (Killed), had ") &&
                      strstr(text, " at most; 1 item failed, 19 done"),
                  "%s", text);
    for (long i = 0; i < 20; i++)
        if (i != 7)
            ck_assert_int_eq(out[i], i * i);
    free(text);
    mp_arena_delete(arena);
}

static jmp_buf before_the_map;

static int jump_out(const void *in, void *out, void *ctx)
{
    long x = *(const long *)in;
    (void)out, (void)ctx;
    if (x == 7)
        longjmp(before_the_map, 1);
    return 0;
}

// Who jumps out of a task is in a copy of the caller, and no worker any more: however that
// ends, it costs the item.
MP_TEST(a_task_that_jumps_out_of_the_map)
{
    static long in[20];
    static char *text;
    const pid_t caller = getpid();
    mp_map_opts o = {.workers = 2, .error = &text};
    for (long i = 0; i < 20; i++)
        in[i] = i;
    if (setjmp(before_the_map) != 0)
        _exit(getpid() == caller ? 98 : 33);
    mp_assert_err(mp_map(jump_out, in, 8, NULL, 0, 20, NULL, &o), MP_EWORKERDIED);
    ck_assert_msg(strncmp(text, "item 7 of 20: worker ", 21) == 0, "%s", text);
    ck_assert_msg(strstr(text, "33") && strstr(text, "; 1 item failed, 19 done"), "%s", text);
    free(text);
}

static int fail_or_die(const void *in, void *out, void *ctx)
{
    long x = *(const long *)in;
    (void)out;
    (void)ctx;
    if (x == 5)
        die(BY_KILL);
    return x == 3 || x == 8 ? 42 : 0;
}

MP_TEST(deaths_come_before_failures)
{
    mp_pool *p = new_pool(2, 0);
    long in[10];
    int status[10];
    for (long i = 0; i < 10; i++)
        in[i] = i;
    for (size_t chunk = 0; chunk < 12; chunk++) {
        mp_map_opts o = {.status = status, .chunk = chunk};
        mp_assert_err(mp_pool_map(p, fail_or_die, in, 8, NULL, 0, 10, NULL, &o), MP_EWORKERDIED);
        for (int i = 0; i < 10; i++)
            ck_assert_int_eq(status[i], i == 5 ? MP_EWORKERDIED : i == 3 || i == 8 ? 42 : 0);
        ck_assert(strncmp(mp_pool_error(p), "item 5 of 10: worker ", 21) == 0);
        ck_assert(strstr(mp_pool_error(p), "; 3 items failed, 7 done"));
    }
    mp_pool_free(p);
}

static int in_place(const void *in, void *out, void *ctx)
{
    const struct deadly *d = ctx;
    long x = *(const long *)in;
    if (is_deadly(d, x))
        die(d->how);
    *(long *)out = -x;
    return 0;
}

MP_TEST(items_after_a_death_are_not_run_on_results)
{
    for (size_t staging = 0; staging < 200; staging += 64) {
        mp_pool *p = new_pool(2, staging);
        long x[500];
        struct deadly d = {BY_KILL, 10, 50, 0};
        mp_map_opts o = {.ctx_size = sizeof d};
        for (long i = 0; i < 500; i++)
            x[i] = i;
        mp_assert_err(mp_pool_map(p, in_place, x, 8, x, 8, 500, &d, &o), MP_EWORKERDIED);
        for (long i = 0; i < 500; i++)
            ck_assert_int_eq(x[i], is_deadly(&d, i) ? i : -i);
        mp_pool_free(p);
    }
}

// ---- killed from outside ----

static int note_pid(const void *in, void *out, void *ctx)
{
    long i = *(const long *)in;
    (void)out;
    (void)ctx;
    board->pid[i] = getpid();
    board->up++;
    while (!board->go)
        usleep(500);
    return 0;
}

static int32_t parent_of(int32_t pid)
{
    char path[64], line[256] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *f = fopen(path, "r");
    if (!f)
        return -1;
    char *end = fgets(line, sizeof line, f) ? strrchr(line, ')') : NULL;
    fclose(f);
    int parent = -1;
    return end && sscanf(end + 1, " %*c %d", &parent) == 1 ? parent : -1;
}

struct map_thread {
    pthread_t thread;
    mp_pool *pool;
    mp_item_fn *fn;
    size_t n;
    int result;
    int *status;
};

static void *run_map(void *arg)
{
    struct map_thread *t = arg;
    long *in = malloc(t->n * 8);
    mp_map_opts o = {.chunk = 1, .status = t->status};
    for (size_t i = 0; i < t->n; i++)
        in[i] = (long)i;
    t->result = mp_pool_map(t->pool, t->fn, in, 8, NULL, 0, t->n, NULL, &o);
    free(in);
    return NULL;
}

static void start_map(struct map_thread *t)
{
    ck_assert_int_eq(pthread_create(&t->thread, NULL, run_map, t), 0);
}

MP_TEST(the_supervisor_is_killed)
{
    new_board();
    struct map_thread t = {.pool = new_pool(2, 0), .fn = note_pid, .n = 4};
    start_map(&t);
    ck_assert(mptest_eventually(board->up == 2, 15000));
    int32_t workers[] = {board->pid[0], board->pid[1]};
    int32_t supervisor = parent_of(workers[0]);
    ck_assert_int_gt(supervisor, 1);
    int64_t start = mp__now();
    ck_assert_int_eq(kill(supervisor, SIGKILL), 0);
    pthread_join(t.thread, NULL);
    ck_assert_int_lt(mp__now() - start, 15000000000);
    mp_assert_err(t.result, MP_EBROKEN);
    ck_assert_int_eq(board->up, 2);
    long x = 1, y;
    mp_assert_err(mp_pool_map(t.pool, square, &x, 8, &y, 8, 1, NULL, NULL), MP_EBROKEN);
    ck_assert_str_eq(mp_pool_error(t.pool), mp_strerror(MP_EBROKEN));
    for (int i = 0; i < 2; i++)
        ck_assert(mptest_eventually(kill(workers[i], 0) < 0, 15000));
    mp_assert_ok(mp_pool_close(t.pool));
    mp_assert_ok(mp_pool_join(t.pool, 15000));
    mp_pool_free(t.pool);
    mp_arena_delete(arena);
}

MP_TEST(the_supervisor_is_killed_while_idle)
{
    new_board();
    mp_pool *p = new_pool(2, 0);
    long in = 0;
    board->go = 1;
    mp_assert_ok(mp_pool_map(p, note_pid, &in, 8, NULL, 0, 1, NULL, NULL));
    int fd = mp__pidfd_open(parent_of(board->pid[0]));
    ck_assert_int_ge(fd, 0);
    mp__pidfd_kill(fd, SIGKILL);
    mp_assert_ok(mp__pidfd_wait(fd, MP__NEVER));
    close(fd);
    mp_assert_err(mp_pool_map(p, note_pid, &in, 8, NULL, 0, 1, NULL, NULL), MP_EBROKEN);
    mp_pool_free(p);
    mp_arena_delete(arena);
}

MP_TEST(a_stopped_supervisor_does_not_keep_free_waiting_for_ever)
{
    new_board();
    mp_pool *p = new_pool(1, 0);
    long in = 0;
    board->go = 1;
    mp_assert_ok(mp_pool_map(p, note_pid, &in, 8, NULL, 0, 1, NULL, NULL));
    kill(parent_of(board->pid[0]), SIGSTOP);
    mp_pool_free(p);
    ck_assert(mptest_eventually(kill(board->pid[0], 0) < 0, 15000));
    mp_arena_delete(arena);
}

MP_TEST(a_stopped_worker_is_waited_for)
{
    new_board();
    struct map_thread t = {.pool = new_pool(2, 0), .fn = note_pid, .n = 4};
    start_map(&t);
    ck_assert(mptest_eventually(board->up == 2, 15000));
    kill(board->pid[0], SIGSTOP);
    board->go = 1;
    ck_assert(mptest_eventually(board->up == 4, 15000)); // the other one goes on
    kill(board->pid[0], SIGCONT);
    pthread_join(t.thread, NULL);
    mp_assert_ok(t.result);
    mp_pool_free(t.pool);
    mp_arena_delete(arena);
}

MP_TEST(stopped_idle_workers_do_not_hold_up_a_map)
{
    new_board();
    mp_pool *p = new_pool(3, 0);
    struct map_thread t = {.pool = p, .fn = note_pid, .n = 3};
    start_map(&t);
    ck_assert(mptest_eventually(board->up == 3, 15000));
    board->go = 1;
    pthread_join(t.thread, NULL);
    usleep(2000); // let them go to sleep
    kill(board->pid[0], SIGSTOP);
    kill(board->pid[1], SIGSTOP);
    check_works(p);
    mp_pool_free(p);
    mp_arena_delete(arena);
}

MP_TEST(all_workers_are_killed_at_once)
{
    new_board();
    int status[10];
    struct map_thread t = {.pool = new_pool(3, 0), .fn = note_pid, .n = 10, .status = status};
    start_map(&t);
    ck_assert(mptest_eventually(board->up == 3, 15000));
    int32_t pids[] = {board->pid[0], board->pid[1], board->pid[2]};
    for (int i = 0; i < 3; i++)
        kill(pids[i], SIGKILL);
    board->go = 1;
    pthread_join(t.thread, NULL);
    mp_assert_err(t.result, MP_EWORKERDIED);
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(status[i], i < 3 ? MP_EWORKERDIED : 0);
    check_works(t.pool);
    mp_pool_free(t.pool);
    mp_arena_delete(arena);
}

MP_TEST(idle_workers_are_replaced)
{
    new_board();
    mp_pool *p = new_pool(2, 0);
    for (int round = 0; round < 30; round++) {
        board->go = 0;
        board->up = 0;
        struct map_thread t = {.pool = p, .fn = note_pid, .n = 2};
        start_map(&t);
        ck_assert(mptest_eventually(board->up == 2, 15000));
        board->go = 1;
        pthread_join(t.thread, NULL);
        mp_assert_ok(t.result);
        kill(board->pid[0], SIGKILL);
        kill(board->pid[1], SIGKILL);
    }
    mp_pool_free(p);
    mp_arena_delete(arena);
}

// Each item runs at most once, whatever is killed, and those that did not run are named.
static int count_run(const void *in, void *out, void *ctx)
{
    long x = *(const long *)in;
    long spins = *(const long *)ctx;
    atomic_fetch_add(&board->runs[x], 1);
    atomic_fetch_add(&board->counted, 1);
    for (volatile long k = 0; k < spins;)
        k++;
    *(long *)out = x * x;
    return 0;
}

static int count_runs(size_t begin, size_t end, const void *in, void *out, void *ctx)
{
    for (size_t i = begin; i < end; i++) {
        mp_task_at(i);
        count_run((const long *)in + (i - begin), (long *)out + (i - begin), ctx);
    }
    return 0;
}

// Kills a random grandchild now and then, until told to stop.
struct killer {
    pthread_t thread;
    atomic_bool stop;
    int32_t supervisor;
    unsigned seed, kills, most_us;
};

static int pick_child(struct killer *k)
{
    char path[64];
    int pids[64], n = 0;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", k->supervisor, k->supervisor);
    FILE *f = fopen(path, "r");
    if (!f)
        return 0;
    while (n < 64 && fscanf(f, "%d", &pids[n]) == 1)
        n++;
    fclose(f);
    return n ? pids[rand_r(&k->seed) % n] : 0;
}

static void *kill_at_random(void *arg)
{
    struct killer *k = arg;
    unsigned seen = board->counted;
    while (!k->stop) {
        usleep((unsigned)rand_r(&k->seed) % k->most_us);
        int pid = board->counted != seen ? pick_child(k) : 0; // somebody works
        seen = board->counted;
        if (pid > 0 && kill(pid, SIGKILL) == 0)
            k->kills++;
    }
    return NULL;
}

static void check_random_kills(size_t staging, bool range, size_t chunk, long spins)
{
    enum { N = 10000 };
    new_board();
    mp_pool *p = new_pool(3, staging);
    long *in = malloc(N * 8), *out = malloc(N * 8), zero = 0;
    int *status = malloc(N * sizeof *status);
    board->go = 1;
    mp_assert_ok(mp_pool_map(p, note_pid, &zero, 8, NULL, 0, 1, NULL, NULL));
    // Not so often that no worker lives to see its first job: such a pool gives up, rightly.
    unsigned most_us = MPTEST_ASAN || MPTEST_TSAN ? 20000 : 3000;
    struct killer k = {.supervisor = parent_of(board->pid[0]), .seed = 5, .most_us = most_us};
    ck_assert_int_eq(pthread_create(&k.thread, NULL, kill_at_random, &k), 0);
    mp_map_opts o = {.status = status, .ctx_size = sizeof spins, .chunk = chunk};
    for (int round = 0; round < 20; round++) {
        size_t lost = 0;
        for (long i = 0; i < N; i++)
            in[i] = i, out[i] = -1, board->runs[i] = 0;
        int r = range ? mp_pool_map_range(p, count_runs, in, 8, out, 8, N, &spins, &o)
                      : mp_pool_map(p, count_run, in, 8, out, 8, N, &spins, &o);
        for (long i = 0; i < N; i++) {
            bool dead = status[i] == MP_EWORKERDIED;
            lost += dead;
            ck_assert_msg(board->runs[i] <= 1 && (dead || board->runs[i] == 1),
                          "item %ld ran %d times, status %d", i, board->runs[i], status[i]);
            ck_assert_msg(out[i] == (dead ? -1 : i * i), "result %ld: %ld", i, out[i]);
        }
        mp_assert_err(r, lost ? MP_EWORKERDIED : 0);
    }
    k.stop = true;
    pthread_join(k.thread, NULL);
    ck_assert_uint_gt(k.kills, 10);
    check_works(p);
    mp_pool_free(p);
    free(in);
    free(out);
    free(status);
    mp_arena_delete(arena);
}

MP_TEST_TIMEOUT(random_kills_items, 120)
{
    check_random_kills(0, false, 0, 300);
}

MP_TEST_TIMEOUT(random_kills_items_one_by_one, 120)
{
    check_random_kills(0, false, 1, 100);
}

MP_TEST_TIMEOUT(random_kills_ranges, 120)
{
    check_random_kills(0, true, 0, 300);
}

MP_TEST_TIMEOUT(random_kills_stream, 120)
{
    check_random_kills(2000, false, 0, 300);
}

MP_TEST_TIMEOUT(random_kills_stream_one_by_one, 120)
{
    check_random_kills(200, true, 1, 100);
}

// ---- nested ----

static int nest(const void *in, void *out, void *ctx)
{
    (void)out;
    mp_map_opts o = {.workers = 1};
    return mp_map(note_pid, in, 8, NULL, 0, 1, ctx, &o);
}

MP_TEST(nested_pools_go_with_their_worker)
{
    new_board();
    struct map_thread t = {.pool = new_pool(2, 0), .fn = nest, .n = 2};
    start_map(&t);
    ck_assert(mptest_eventually(board->up == 2, 15000));
    int fds[] = {mp__pidfd_open(board->pid[0]), mp__pidfd_open(board->pid[1])};
    mp_pool_terminate(t.pool);
    pthread_join(t.thread, NULL);
    mp_assert_err(t.result, MP_ECANCELED);
    for (int i = 0; i < 2; i++) {
        mp_assert_ok(mp__pidfd_wait(fds[i], mp__deadline_in(15000)));
        close(fds[i]);
    }
    mp_pool_free(t.pool);
    mp_arena_delete(arena);
}

// ---- workers that cannot start ----

static pid_t test_process;
static _Atomic int *stillborn;

static void die_in_worker(void)
{
    // The fork of a fork, while that is wanted.
    if (stillborn && *stillborn && getpid() != test_process && getppid() != test_process)
        _exit(5);
}

MP_TEST(workers_that_die_before_they_wait_break_the_pool)
{
    new_board();
    test_process = getpid();
    stillborn = &board->go;
    pthread_atfork(NULL, NULL, die_in_worker);
    *stillborn = 1;
    mp_pool *p = new_pool(3, 0);
    long x = 3, y = 0;
    mp_assert_err(mp_pool_map(p, square, &x, 8, &y, 8, 1, NULL, NULL), MP_EBROKEN);
    mp_pool_free(p);
    *stillborn = 0;
    p = new_pool(3, 0);
    check_works(p);
    mp_pool_free(p);
    mp_arena_delete(arena);
}

// ---- what the report tells ----

static __attribute__((noinline)) int touch(volatile int *p)
{
    return *p + 1;
}

static int crash(const void *in, void *out, void *ctx)
{
    (void)out, (void)ctx;
    if (*(const long *)in == 3)
        return touch((volatile int *)(uintptr_t)0x1230);
    return 0;
}

// The calls are told by the names that the program shows, or by places in it.
MP_TEST(a_crash_is_told_with_address_and_calls)
{
    long in[5] = {0, 1, 2, 3, 4};
    mp_pool *p = new_pool(2, 0);
    for (int again = 0; again < 2; again++) {
        mp_assert_err(mp_pool_map(p, crash, in, 8, NULL, 0, 5, NULL, NULL), MP_EWORKERDIED);
        const char *text = mp_pool_error(p);
        ck_assert_msg(strstr(text, "signal 11 (Segmentation fault) at address 0x1230 in "), "%s",
                      text);
        ck_assert_msg(strstr(text, "test_pool_faults+0x"), "%s", text);
        ck_assert_msg(strstr(text, " < ") && strstr(text, "at most; 1 item failed, 4 done"), "%s",
                      text);
    }
    mp_pool_free(p);
}

static int crash_in_a_child(const void *in, void *out, void *ctx)
{
    int status;
    (void)in, (void)out, (void)ctx;
    pid_t pid = fork();
    if (pid == 0)
        touch((volatile int *)(uintptr_t)0x1230);
    waitpid(pid, &status, 0);
    raise(SIGKILL);
    return 0;
}

MP_TEST(a_crash_of_what_a_task_forked_is_not_the_workers)
{
    mp_pool *p = new_pool(1, 0);
    mp_assert_err(mp_pool_map(p, crash_in_a_child, NULL, 0, NULL, 0, 1, NULL, NULL),
                  MP_EWORKERDIED);
    ck_assert_msg(strstr(mp_pool_error(p), "signal 9 (Killed), had "), "%s", mp_pool_error(p));
    mp_pool_free(p);
}

static int give_up(const void *in, void *out, void *ctx)
{
    (void)in, (void)out, (void)ctx;
    signal(SIGALRM, SIG_IGN); // the guard's comes all the same
    abort();
}

MP_TEST(an_abort_is_told_with_its_calls)
{
    mp_pool *p = new_pool(1, 0);
    mp_assert_err(mp_pool_map(p, give_up, NULL, 0, NULL, 0, 1, NULL, NULL), MP_EWORKERDIED);
    ck_assert_msg(strstr(mp_pool_error(p), "signal 6 (Aborted) in "), "%s", mp_pool_error(p));
    ck_assert_msg(strstr(mp_pool_error(p), "abort+0x"), "%s", mp_pool_error(p));
    mp_pool_free(p);
}

static int eat(const void *in, void *out, void *ctx)
{
    (void)in, (void)out, (void)ctx;
    size_t size = (size_t)64 << 20;
    char *p = malloc(size);
    for (size_t i = 0; p && i < size; i += 4096)
        ((volatile char *)p)[i] = 1;
    raise(SIGKILL);
    return 0;
}

MP_TEST(memory_is_told_at_its_most)
{
    mp_pool *p = new_pool(1, 0);
    int most = 0;
    mp_assert_err(mp_pool_map(p, eat, NULL, 0, NULL, 0, 1, NULL, NULL), MP_EWORKERDIED);
    const char *had = strstr(mp_pool_error(p), ", had ");
    ck_assert_msg(had && sscanf(had, ", had %d", &most) == 1 && strstr(had, " MiB at most"), "%s",
                  mp_pool_error(p));
    ck_assert_int_ge(most, 64);
    mp_pool_free(p);
}
