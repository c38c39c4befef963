// SPDX-License-Identifier: MIT
//
// Single tasks whose workers are killed, hang, or never start: nothing is lost, every end is
// told, and nobody waits for the dead. Under every start method: fault rows 1 to 3 and 5 to 10.
#include "crew.h"

#include "work/board.h"
#include <fcntl.h>
#include <mp/task.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

struct shared {
    _Atomic int begun, stop, kills;
    int task_us;
    _Atomic int pid[8];
    char name[8]; // of the pool's processes
};

// The page is a file, which workers map that have nothing else from here.
static struct shared *page;
static char path[500];

static int map_page(void *file)
{
    int fd = open(file, O_RDWR | O_CLOEXEC);
    void *at = fd < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0)
        close(fd);
    page = at == MAP_FAILED ? NULL : at;
    return !page;
}
MP_TASK(map_page);

static void make_page(void)
{
    snprintf(path, sizeof path, "%s/page", getenv("TMPDIR"));
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ck_assert(fd >= 0 && ftruncate(fd, 4096) == 0);
    close(fd);
    ck_assert_int_eq(map_page(path), 0);
}

static void drop_page(void)
{
    munmap(page, 4096);
    unlink(path);
}

// A test that runs once with each start method, and a page of zeroes.
#define EACH_METHOD(name, seconds)                                                                 \
    static void name##_by(mp_start method);                                                        \
    MP_TEST_TIMEOUT(name, seconds)                                                                 \
    {                                                                                              \
        for (mp_start m = MP_START_FORK; m <= MP_START_SPAWN; m++) {                               \
            make_page();                                                                           \
            name##_by(m);                                                                          \
            drop_page();                                                                           \
        }                                                                                          \
    }                                                                                              \
    static void name##_by(mp_start method)

static mp_pool *make(mp_pool_opts o)
{
    mp_pool *p;
    if (!o.init) {
        o.init = map_page;
        o.init_arg = path;
        o.init_arg_size = sizeof path;
    }
    mp_assert_ok(mp_pool_new(&p, &o));
    return p;
}

static mp_pool *new_pool(mp_start method, int workers)
{
    return make((mp_pool_opts){.start = method, .workers = workers});
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

enum deed { RETURN, KILL, KILL_ONCE, EXIT, EXIT_AGAIN, QUIT, HANG, FAIL, STOP };

static void exit_again(void)
{
    exit(4);
}

// Nothing but SIGKILL ends it.
static _Noreturn void hang(void)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    for (;;)
        pause();
}

// Does what its argument says, after it has counted itself.
static int act(mp_task *task, const void *arg, size_t size, void *ctx)
{
    (void)size, (void)ctx;
    int n = atomic_fetch_add(&page->begun, 1);
    switch (*(const int *)arg) {
    case KILL:
        raise(SIGKILL);
        break;
    case KILL_ONCE:
        if (n == 0)
            raise(SIGKILL);
        break;
    case EXIT:
        exit(3);
    case EXIT_AGAIN:
        atexit(exit_again);
        exit(3);
    case QUIT:
        exit(0);
    case HANG:
        hang();
    case FAIL:
        return 9;
    case STOP:
        raise(SIGSTOP);
        break;
    default:
        break;
    }
    return mp_task_result(task, &n, sizeof n);
}
MP_TASK(act);

static mp_future *post(mp_pool *p, enum deed deed, const mp_task_opts *o)
{
    mp_future *f;
    int arg = deed;
    mp_assert_ok(mp_pool_apply_async(&f, p, act, &arg, sizeof arg, o));
    return f;
}

EACH_METHOD(a_death_costs_its_own_task_and_is_told, MPTEST_TIMEOUT)
{
    mp_pool *p = new_pool(method, 2);
    const struct {
        enum deed deed;
        const char *end;
    } deeds[10] = {[3] = {KILL, "was killed by signal 9 (Killed)"},
                   [5] = {EXIT_AGAIN, "exited with code 4"},
                   [7] = {EXIT, "exited with code 3"}};
    mp_future *f[30];
    for (int i = 0; i < 30; i++)
        f[i] = post(p, deeds[i % 10].deed, NULL);
    for (int i = 0; i < 30; i++) {
        const char *end = deeds[i % 10].end;
        mp_assert_err(mp_future_error(f[i], 10000), end ? MP_EWORKERDIED : 0);
        const char *text = mp_future_error_text(f[i]);
        ck_assert_msg(!end || strstr(text, end), "%s", text);
        mp_future_free(f[i]);
    }
    mp_pool_free(p);
}

// A worker that ends with 0 has not done its task either.
EACH_METHOD(exit_with_0_is_a_death, MPTEST_TIMEOUT)
{
    mp_pool *p = new_pool(method, 1);
    mp_future *f = post(p, QUIT, NULL);
    mp_assert_err(mp_future_error(f, 10000), MP_EWORKERDIED);
    ck_assert_ptr_nonnull(strstr(mp_future_error_text(f), "exited with code 0"));
    mp_future_free(f);
    f = post(p, RETURN, NULL);
    mp_assert_ok(mp_future_error(f, 10000));
    mp_future_free(f);
    mp_pool_free(p);
}

static jmp_buf before_the_pool;

static int jump_out(mp_task *task, const void *arg, size_t size, void *ctx)
{
    (void)task, (void)arg, (void)size, (void)ctx;
    longjmp(before_the_pool, 1);
}

// Who jumps out of a task is in a copy of the caller, and no worker any more: that costs the task.
MP_TEST(a_task_that_jumps_out)
{
    if (setjmp(before_the_pool) != 0)
        _exit(33);
    mp_pool *p;
    mp_future *f;
    mp_assert_ok(mp_pool_new(&p, &(mp_pool_opts){.workers = 1}));
    for (int i = 0; i < 3; i++) {
        mp_assert_ok(mp_pool_apply_async(&f, p, jump_out, NULL, 0, NULL));
        mp_assert_err(mp_future_error(f, 10000), MP_EWORKERDIED);
        ck_assert_ptr_nonnull(strstr(mp_future_error_text(f), "exited with code 33"));
        mp_future_free(f);
    }
    mp_pool_free(p);
}

EACH_METHOD(a_task_that_dies_once_is_run_again, MPTEST_TIMEOUT)
{
    mp_pool *p = new_pool(method, 2);
    int deed = KILL_ONCE, n = 0;
    mp_task_opts o = {.retries = 2};
    ck_assert_int_eq(mp_pool_apply(p, act, &deed, sizeof deed, &n, sizeof n, &o), sizeof n);
    ck_assert_int_eq(n, 1);
    ck_assert_int_eq(atomic_load(&page->begun), 2);
    mp_pool_free(p);
}

EACH_METHOD(a_poisonous_task_is_given_up_after_its_retries, MPTEST_TIMEOUT)
{
    mp_pool *p = new_pool(method, 2);
    mp_future *f[20];
    mp_pool_stats s;
    for (int i = 0; i < 20; i++)
        f[i] = post(p, i == 7 ? KILL : RETURN, &(mp_task_opts){.retries = 3});
    for (int i = 0; i < 20; i++) {
        mp_assert_err(mp_future_error(f[i], 10000), i == 7 ? MP_EWORKERDIED : 0);
        mp_future_free(f[i]);
    }
    ck_assert_int_eq(atomic_load(&page->begun), 19 + 4);
    mp_assert_ok(mp_pool_get_stats(p, &s));
    ck_assert_uint_eq(s.ended_workers, 4);
    ck_assert_uint_eq(s.retried, 3);
    mp_pool_free(p);
}

EACH_METHOD(retries_wait_longer_each_time, MPTEST_TIMEOUT)
{
    mp_pool *p = new_pool(method, 1);
    mp_task_opts o = {.retries = 3, .backoff_ms = 20};
    int deed = FAIL, status = 0;
    o.status = &status;
    int64_t start = now_ms();
    mp_assert_err(mp_pool_apply(p, act, &deed, sizeof deed, NULL, 0, &o), MP_ETASK);
    ck_assert_int_ge(now_ms() - start, 20 + 40 + 80);
    ck_assert_int_eq(atomic_load(&page->begun), 4);
    ck_assert_int_eq(status, 9);
    mp_pool_free(p);
}

EACH_METHOD(a_task_out_of_time_ends_with_its_worker, MPTEST_TIMEOUT)
{
    mp_pool *p = new_pool(method, 1);
    mp_task_opts o = {.timeout_ms = 30};
    mp_future *late = post(p, HANG, &o), *good = post(p, RETURN, NULL);
    int64_t start = now_ms();
    mp_assert_err(mp_future_error(late, 30000), MP_ETIMEDOUT);
    ck_assert_int_lt(now_ms() - start, 30000); // so it was the task's limit
    mp_assert_ok(mp_future_error(good, 30000));
    mp_future_free(late);
    mp_future_free(good);
    // One that is over before is not touched, and its worker stays.
    for (int i = 0; i < 50; i++) {
        int deed = RETURN, n;
        o.timeout_ms = 15000;
        ck_assert_int_eq(mp_pool_apply(p, act, &deed, sizeof deed, &n, sizeof n, &o), sizeof n);
    }
    mp_pool_free(p);
}

EACH_METHOD(a_running_task_is_cancelled, MPTEST_TIMEOUT)
{
    mp_pool *p = new_pool(method, 1);
    mp_task_opts o = {.retries = 5};
    mp_future *f = post(p, HANG, &o);
    while (!atomic_load(&page->begun))
        usleep(1000);
    mp_assert_err(mp_future_cancel(f), MP_ESTATE);
    mp_assert_ok(mp_pool_cancel(p, f));
    mp_assert_ok(mp_pool_cancel(p, f));
    mp_assert_err(mp_future_error(f, 10000), MP_ECANCELED);
    mp_assert_ok(mp_pool_cancel(p, f));
    ck_assert_int_eq(atomic_load(&page->begun), 1);
    mp_future_free(f);
    f = post(p, RETURN, NULL);
    mp_assert_ok(mp_future_error(f, 10000));
    mp_assert_err(mp_pool_cancel(p, f), MP_ESTATE);
    mp_future_free(f);
    mp_pool_free(p);
}

EACH_METHOD(a_stopped_worker_is_killed_at_the_deadline, MPTEST_TIMEOUT)
{
    mp_pool *p = new_pool(method, 1);
    mp_task_opts o = {.timeout_ms = 100};
    int deed = STOP;
    mp_assert_err(mp_pool_apply(p, act, &deed, sizeof deed, NULL, 0, &o), MP_ETIMEDOUT);
    mp_pool_free(p);
}

// ---- tasks gone wild ----

struct wild {
    enum { RESULT, ARGUMENT, STATE, ALL } what;
    pid_t pid;
};

// Writes over its own place on the board, to which its argument and its handle lead.
static int scribble(mp_task *task, const void *arg, size_t size, void *ctx)
{
    struct mp__task_slot *slot = *(struct mp__task_slot **)(void *)task;
    struct wild w = *(const struct wild *)arg;
    (void)size;
    (void)ctx;
    w.pid = getpid();
    int r = mp_task_result(task, &w, sizeof w);
    switch (w.what) {
    case RESULT:
        slot->result.block = (void *)0x1230;
        slot->result.size = SIZE_MAX / 2;
        break;
    case ARGUMENT:
        slot->arg.block = (void *)0x1230;
        slot->arg.size = SIZE_MAX;
        break;
    case STATE:
        atomic_store(&slot->state, 0x55555555);
        break;
    default:
        memset((void *)slot, 0xa5, sizeof *slot);
    }
    return r;
}
MP_TASK(scribble);

static int tell_pid(mp_task *task, const void *arg, size_t size, void *ctx)
{
    pid_t pid = getpid();
    (void)arg;
    (void)size;
    (void)ctx;
    return mp_task_result(task, &pid, sizeof pid);
}
MP_TASK(tell_pid);

EACH_METHOD(garbage_ends_the_worker_that_gave_it, MPTEST_TIMEOUT)
{
    mp_pool *p = new_pool(method, 1);
    mp_pool_stats s;
    for (int i = 0; i < 20; i++) {
        struct wild w = {.what = (i + RESULT) % 4};
        pid_t before, after;
        mp_assert_ok(mp_pool_apply(p, tell_pid, NULL, 0, &before, sizeof before, NULL));
        int64_t r = mp_pool_apply(p, scribble, &w, sizeof w, &w, sizeof w, NULL);
        // What it wrote over its argument harms nobody but itself.
        mp_assert_err(r, w.what == ARGUMENT ? (int64_t)sizeof w : MP_EPROTO);
        mp_assert_ok(mp_pool_apply(p, tell_pid, NULL, 0, &after, sizeof after, NULL));
        if (w.what == STATE || w.what == ALL)
            ck_assert_int_ne(before, after);
    }
    // The others end when they have done what they are at, which may be one more task.
    ck_assert(mptest_eventually(mp_pool_get_stats(p, &s) == 0 && s.ended_workers == 15, 10000));
    mp_pool_free(p);
}

static int die(void *arg)
{
    (void)arg;
    abort();
}
MP_TASK(die);

static int refuse(void *arg)
{
    return *(int *)arg;
}
MP_TASK(refuse);

EACH_METHOD(workers_that_cannot_start_break_the_pool, MPTEST_TIMEOUT)
{
    int code = 5;
    const mp_pool_opts opts[] = {
        {.workers = 2, .init = die},
        {.workers = 2, .init = refuse, .init_arg = &code, .init_arg_size = sizeof code}};
    for (int i = 0; i < 2; i++) {
        mp_pool_opts o = opts[i];
        mp_future *f;
        int deed = RETURN;
        o.start = method;
        mp_pool *p = make(o);
        int r = mp_pool_apply_async(&f, p, act, &deed, sizeof deed, NULL);
        if (r == 0) {
            mp_assert_err(mp_future_error(f, 10000), MP_EBROKEN);
            mp_future_free(f);
        }
        mp_assert_err(mp_pool_apply(p, act, &deed, sizeof deed, NULL, 0, NULL), MP_EBROKEN);
        mp_pool_free(p);
    }
}

// The parent of a worker is the supervisor.
static int tell_parent(mp_task *task, const void *arg, size_t size, void *ctx)
{
    pid_t pid = getppid();
    (void)arg;
    (void)size;
    (void)ctx;
    return mp_task_result(task, &pid, sizeof pid);
}
MP_TASK(tell_parent);

EACH_METHOD(a_killed_supervisor_breaks_the_pool, MPTEST_TIMEOUT)
{
    mp_pool *p = new_pool(method, 2);
    pid_t supervisor;
    mp_assert_ok(mp_pool_apply(p, tell_parent, NULL, 0, &supervisor, sizeof supervisor, NULL));
    mp_future *f = post(p, HANG, NULL);
    while (!atomic_load(&page->begun))
        usleep(1000);
    kill(supervisor, SIGKILL);
    mp_assert_err(mp_future_error(f, 10000), MP_EBROKEN);
    mp_future_free(f);
    mp_pool_free(p);
}

// ---- kills at random ----

static int work_or_be_killed(mp_task *task, const void *arg, size_t size, void *ctx)
{
    int i = *(const int *)arg;
    unsigned char big[300];
    (void)size, (void)ctx;
    atomic_store(&page->pid[i % 8], getpid());
    usleep((unsigned)(page->task_us + i % 7 * 100));
    memset(big, i, sizeof big);
    return mp_task_result(task, big, i % 3 ? sizeof i : sizeof big);
}
MP_TASK(work_or_be_killed);

// A pid may be old, and another process have it now.
static bool is_ours(int pid, const char *name)
{
    char comm_file[40], comm[20] = "";
    snprintf(comm_file, sizeof comm_file, "/proc/%d/comm", pid);
    FILE *f = fopen(comm_file, "r");
    if (!f)
        return false;
    bool read = fgets(comm, sizeof comm, f) != NULL;
    fclose(f);
    return read && strncmp(comm, name, strlen(name)) == 0;
}

// Kills workers now and then until it is told to stop.
static void kill_at_random(void)
{
    for (unsigned n = 1; !atomic_load(&page->stop); n = n * 1103515245 + 12345) {
        usleep(5000 + n / 65536 % 10000);
        int pid = atomic_exchange(&page->pid[n / 65536 % 8], 0);
        if (pid > 0 && is_ours(pid, page->name) && kill(pid, SIGKILL) == 0)
            atomic_fetch_add(&page->kills, 1);
    }
    _exit(0);
}

static bool thorough(void)
{
    return getenv("MP_TEST_LONG") != NULL;
}

// Its result, or, without retries, the signal that its worker died of. 1 if it was lost.
static int check_end(mp_future *f, int i, int retries)
{
    size_t size;
    int r = mp_future_error(f, 0);
    const unsigned char *data = mp_future_data(f, &size);
    if (r == MP_EWORKERDIED && retries == 0) {
        const char *text = mp_future_error_text(f);
        ck_assert_msg(strstr(text, "was killed by signal 9 (Killed)") != NULL, "%s", text);
        return 1;
    }
    mp_assert_ok(r);
    ck_assert_uint_eq(size, i % 3 ? sizeof i : 300);
    ck_assert_int_eq(data[0], (unsigned char)i);
    return 0;
}

struct resizer {
    pthread_t thread;
    mp_pool *pool;
    atomic_bool stop;
};

static void *resize_at_random(void *arg)
{
    struct resizer *r = arg;
    for (unsigned n = 1; !atomic_load(&r->stop); n = n * 1103515245 + 12345) {
        if (mp_pool_resize(r->pool, (int)(n / 65536 % 5) + 1) < 0)
            return r;
        usleep(2000);
    }
    return NULL;
}

// 10,000 tasks, if there is time; a kill every 5 to 15 ms.
static void kill_at_work(mp_start method, int retries, bool resized)
{
    struct resizer r = {0};
    void *failed = NULL;
    int n = thorough() ? 10000 : 1500, lost = 0;
    mp_pool_stats stats;
    page->task_us = thorough() ? 4000 : 200;
    snprintf(page->name, sizeof page->name, "k%x", (unsigned)getpid() & 0xfffff);
    mp_pool *p = make((mp_pool_opts){
        .start = method, .workers = 4, .name = page->name, .idle_ms = resized ? 1 : 0});
    pid_t killer = fork();
    if (killer == 0)
        kill_at_random();
    r.pool = p;
    if (resized)
        ck_assert_int_eq(pthread_create(&r.thread, NULL, resize_at_random, &r), 0);
    mp_future **f = malloc((size_t)n * sizeof(mp_future *));
    mp_task_opts o = {.retries = retries};
    for (int i = 0; i < n; i++)
        mp_assert_ok(mp_pool_apply_async(&f[i], p, work_or_be_killed, &i, sizeof i, &o));
    ck_assert_int_eq(mp_futures_wait(f, (size_t)n, MP_ALL_DONE, 100000), n);
    atomic_store(&page->stop, 1);
    atomic_store(&r.stop, true);
    if (resized)
        pthread_join(r.thread, &failed);
    ck_assert_ptr_null(failed);
    waitpid(killer, NULL, 0);
    int kills = atomic_load(&page->kills);
    for (int i = 0; i < n; i++) {
        lost += check_end(f[i], i, retries);
        mp_future_free(f[i]);
    }
    mp_assert_ok(mp_pool_get_stats(p, &stats));
    if (thorough())
        fprintf(stderr, "%d tasks, %d kills, %lu runs repeated, %d tasks lost with their worker\n",
                n, kills, (unsigned long)stats.retried, lost);
    ck_assert_int_gt(kills, thorough() && retries && !resized ? 1000 : 5);
    // One kill costs one run at most.
    ck_assert_uint_le(stats.retried + (uint64_t)lost, kills);
    ck_assert_uint_eq(stats.done + stats.failed, n);
    free(f);
    mp_pool_free(p);
}

EACH_METHOD(random_kills_lose_nothing, 120)
{
    kill_at_work(method, 1000, false);
}

EACH_METHOD(random_kills_are_told_one_by_one, 120)
{
    kill_at_work(method, 0, false);
}

EACH_METHOD(random_kills_while_it_is_resized, 120)
{
    kill_at_work(method, 1000, true);
}

// From the task that kills the only worker to the result of the next.
EACH_METHOD(recovery_is_quick, MPTEST_TIMEOUT)
{
    mp_pool *p = new_pool(method, 1);
    int64_t best = 1000, worst = 0;
    for (int i = 0; i < 20 || (best > 50 && i < 500); i++) { // a starved machine needs luck
        int64_t start = now_ms();
        int deed = KILL, n;
        mp_assert_err(mp_pool_apply(p, act, &deed, sizeof deed, NULL, 0, NULL), MP_EWORKERDIED);
        deed = RETURN;
        mp_assert_ok(mp_pool_apply(p, act, &deed, sizeof deed, &n, sizeof n, NULL));
        int64_t took = now_ms() - start;
        best = took < best ? took : best;
        worst = took > worst ? took : worst;
    }
    if (thorough())
        fprintf(stderr, "recovery: %ld to %ld ms\n", (long)best, (long)worst);
    ck_assert_int_le(best, 50);
    mp_pool_free(p);
}
