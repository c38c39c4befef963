// SPDX-License-Identifier: MIT
//
// Pool with its workers: tasks of this program, run in processes beside a manager of its own.
#include "managertest.h"

#include <mp/function.h>
#include <mp/manager_pool.h>
#include <mp/manager_start.h>
#include <mp/task.h>
#include <sys/prctl.h>
#include <unistd.h>

static int give(mp_task *task, int64_t n)
{
    uint8_t room[16];
    mp_buf b = {.data = room, .capacity = sizeof room, .borrowed = true, .fixed = true};
    int r = mp_pack(&b, "I", n);
    return r < 0 ? r : mp_task_result(task, b.data, b.size);
}

static int add(mp_task *task, const void *arg, size_t size, void *ctx)
{
    int64_t x, y;
    (void)ctx;
    int r = mp_unpack(arg, size, "I I", &x, &y);
    return r < 0 ? r : give(task, x + y);
}
MP_TASK(add);

static int square(mp_task *task, const void *arg, size_t size, void *ctx)
{
    int64_t x;
    (void)ctx;
    int r = mp_unpack(arg, size, "I", &x);
    if (x == 13)
        raise(SIGKILL);
    if (x == 14)
        return 3;
    return r < 0 ? r : give(task, x * x);
}
MP_TASK(square);

static int echo(mp_task *task, const void *arg, size_t size, void *ctx)
{
    (void)ctx;
    return mp_task_result(task, arg, size);
}
MP_TASK(echo);

static int parents_pid(mp_task *task, const void *arg, size_t size, void *ctx)
{
    (void)arg;
    (void)size;
    (void)ctx;
    return give(task, getppid());
}
MP_TASK(parents_pid);

static int sleep_long(mp_task *task, const void *arg, size_t size, void *ctx)
{
    (void)task;
    (void)arg;
    (void)size;
    (void)ctx;
    sleep(600);
    return 0;
}
MP_TASK(sleep_long);

static mp_manager_process *process;
static mp_manager *m;

static mp_proxy *begin(void)
{
    mp_proxy *p;
    manager_place();
    int r = mp_manager_start(
        &process, &(mp_manager_start_opts){
                      .workers = 2, .error = manager_error, .error_size = sizeof manager_error});
    ck_assert_msg(r == 0, "%s: %s", mp_err_name(r), manager_error);
    mp_assert_ok(mp_connect_manager(&m, mp_manager_process_path(process), NULL));
    ck_assert_int_eq(mp_manager_get(m, &p, "pool", "Pool", ""), 1);
    return p;
}

static void end(mp_proxy *p)
{
    mp_proxy_free(p);
    mp_manager_free(m);
    mp_manager_process_free(process);
    manager_clean();
}

MP_TEST(tasks_run_beside_the_manager)
{
    mp_proxy *p = begin();
    int64_t n, results[4];
    size_t size;
    const void *data;
    mp_buf b = {0};
    mp_assert_ok(mp_remote_pool_apply(p, NULL, LONG_MS, "add", "i i > I", 40, 2, &n));
    ck_assert_int_eq(n, 42);
    mp_assert_ok(mp_remote_pool_map(p, NULL, LONG_MS, "square", "[iiii] > [IIII]", 1, 2, 3, 4,
                                    &results[0], &results[1], &results[2], &results[3]));
    ck_assert(results[0] == 1 && results[1] == 4 && results[2] == 9 && results[3] == 16);
    mp_assert_ok(mp_remote_pool_starmap(p, NULL, LONG_MS, "add", "[[ii][ii]] > [II]", 1, 2, 3, 4,
                                        &results[0], &results[1]));
    ck_assert(results[0] == 3 && results[1] == 7);
    mp_assert_ok(mp_remote_pool_apply(p, &b, LONG_MS, "echo", "b# > b#", "\0bytes", (size_t)6,
                                      &data, &size));
    ck_assert(size == 6 && memcmp(data, "\0bytes", 6) == 0);
    mp_assert_err(mp_remote_pool_apply(p, &b, LONG_MS, "nothing", "i", 1), MP_ENOFUNC);
    mp_assert_err(mp_remote_pool_apply(p, &b, LONG_MS, "echo", "ii", 1, 2), MP_EFORMAT);
    mp_buf_free(&b);
    end(p);
}

MP_TEST(jobs_whose_results_come_later)
{
    mp_proxy *p = begin();
    int64_t n, x, y, sum = 0;
    int64_t job = mp_remote_pool_apply_async(p, "add", "i i", 1, 2);
    ck_assert_int_gt(job, 0);
    mp_assert_ok(mp_remote_pool_wait(p, job, LONG_MS));
    ck_assert_int_eq(mp_remote_pool_ready(p, job), 1);
    ck_assert_int_eq(mp_remote_pool_successful(p, job), 1);
    mp_assert_ok(mp_remote_pool_get(p, NULL, job, LONG_MS, "I", &n));
    ck_assert_int_eq(n, 3);
    mp_assert_err(mp_remote_pool_get(p, NULL, job, LONG_MS, "I", &n), MP_ENOTFOUND);
    job = mp_remote_pool_map_async(p, "square", "[ii]", 5, 6);
    mp_assert_ok(mp_remote_pool_get(p, NULL, job, LONG_MS, "[II]", &x, &y));
    ck_assert(x == 25 && y == 36);
    job = mp_remote_pool_imap(p, "square", "[iii]", 1, 2, 3);
    for (int i = 1; i <= 3; i++) {
        mp_assert_ok(mp_remote_pool_next(p, NULL, job, LONG_MS, "I", &n));
        ck_assert_int_eq(n, i * i);
    }
    mp_assert_err(mp_remote_pool_next(p, NULL, job, LONG_MS, "I", &n), MP_EOF);
    job = mp_remote_pool_imap_unordered(p, "square", "[iii]", 1, 2, 3);
    while (mp_remote_pool_next(p, NULL, job, LONG_MS, "I", &n) == 0)
        sum += n;
    ck_assert_int_eq(sum, 14);
    job = mp_remote_pool_starmap_async(p, "add", "[[ii]]", 3, 4);
    mp_assert_ok(mp_remote_pool_get(p, NULL, job, LONG_MS, "[I]", &n));
    ck_assert_int_eq(n, 7);
    mp_assert_err((int)mp_remote_pool_apply_async(p, "add", "i i > I", 1, 2, &n), MP_EINVAL);
    mp_assert_ok(mp_remote_pool_close(p));
    mp_assert_ok(mp_remote_pool_join(p, LONG_MS));
    mp_assert_err((int)mp_remote_pool_apply_async(p, "add", "i i", 1, 2), MP_ECLOSED);
    end(p);
}

// A worker that is killed, and a task that fails, each cost their own item.
MP_TEST(a_death_costs_its_task)
{
    mp_proxy *p = begin();
    int status[4];
    char killed[200], failed[200];
    int64_t a, b;
    mp_buf buf = {0};
    int64_t job = mp_remote_pool_map_async(p, "square", "[iiii]", 2, 13, 14, 3);
    mp_assert_ok(mp_remote_pool_wait(p, job, LONG_MS));
    ck_assert_int_eq(mp_remote_pool_successful(p, job), 0);
    mp_assert_ok(mp_remote_pool_get_each(p, &buf, job, LONG_MS, "[[iI][is][is][iI]]", &status[0],
                                         &a, &status[1], killed, sizeof killed, &status[2], failed,
                                         sizeof failed, &status[3], &b));
    ck_assert(status[0] == 0 && a == 4 && status[3] == 0 && b == 9);
    ck_assert_int_eq(status[1], MP_EWORKERDIED);
    ck_assert_msg(strstr(killed, "signal 9") != NULL, "%s", killed);
    ck_assert_int_eq(status[2], MP_ETASK);
    ck_assert_str_eq(failed, "the task returned 3");
    mp_assert_err(mp_remote_pool_map(p, &buf, LONG_MS, "square", "[ii]", 2, 13), MP_EWORKERDIED);
    mp_buf_free(&buf);
    end(p);
}

MP_TEST(time_limits_and_cancel_kill)
{
    mp_proxy *p = begin(), *limited;
    mp_assert_ok(mp_manager_create(m, &limited, "Pool", "i i", 0, 50));
    mp_assert_err(mp_remote_pool_apply(limited, NULL, LONG_MS, "sleep_long", ""), MP_ETIMEDOUT);
    int64_t job = mp_remote_pool_map_async(p, "sleep_long", "[iiii]", 1, 2, 3, 4), n;
    mp_assert_err(mp_remote_pool_get(p, NULL, job, 20, ""), MP_ETIMEDOUT);
    ck_assert_int_eq(mp_remote_pool_cancel(p, job), 4);
    mp_assert_err(mp_remote_pool_get(p, NULL, job, LONG_MS, ""), MP_ECANCELED);
    mp_assert_ok(mp_remote_pool_apply(p, NULL, LONG_MS, "add", "ii > I", 1, 2, &n)); // all are free
    job = mp_remote_pool_apply_async(p, "sleep_long", "");
    ck_assert_int_gt(job, 0);
    mp_assert_ok(mp_remote_pool_terminate(p));
    mp_assert_ok(mp_remote_pool_join(p, LONG_MS));
    mp_proxy_free(limited);
    end(p);
}

static pid_t parent_of(pid_t pid)
{
    char path[64], line[400] = "";
    int parent = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "re");
    ck_assert(f && fgets(line, sizeof line, f));
    fclose(f);
    ck_assert_int_eq(sscanf(strrchr(line, ')'), ") %*c %d", &parent), 1);
    return parent;
}

// The pool beside the manager is killed with all its workers: what it was at has failed, and
// another takes its place.
MP_TEST(the_pool_is_killed)
{
    mp_proxy *p = begin();
    int64_t supervisor, n = 0;
    mp_assert_ok(mp_remote_pool_apply(p, NULL, LONG_MS, "parents_pid", "> I", &supervisor));
    int64_t job = mp_remote_pool_apply_async(p, "sleep_long", "");
    ck_assert_int_gt(job, 0);
    kill(parent_of((pid_t)supervisor), SIGKILL);
    mp_assert_err(mp_remote_pool_get(p, NULL, job, LONG_MS, ""), MP_EWORKERDIED);
    mp_assert_ok(mp_remote_pool_apply(p, NULL, LONG_MS, "add", "ii > I", 1, 2, &n));
    ck_assert_int_eq(n, 3);
    ck_assert(mptest_eventually(kill((pid_t)supervisor, 0) < 0, LONG_MS));
    end(p);
}

// A client dies in the middle of its job; and the manager, with all that is below it.
MP_TEST(clients_and_the_manager_die)
{
    mp_proxy *p = begin(), *mine;
    int64_t supervisor, n, waiting = -1;
    int fds[2], status;
    char byte;
    ck_assert_int_eq(pipe(fds), 0);
    mp_assert_ok(mp_remote_pool_apply(p, NULL, LONG_MS, "parents_pid", "> I", &supervisor));
    pid_t pid = fork();
    if (pid == 0) {
        mptest_require(mp_manager_open(m, &mine, "pool") == 0);
        mptest_require(mp_remote_pool_map_async(mine, "square", "[iiii]", 1, 2, 3, 4) > 0);
        mptest_require(mp_remote_pool_map_async(mine, "sleep_long", "[i]", 1) > 0);
        mptest_require(mp_remote_pool_map_async(mine, "echo", "[iiii]", 1, 2, 3, 4) > 0);
        mptest_require(write(fds[1], "", 1) == 1);
        for (;;)
            pause();
    }
    ck_assert_int_eq(read(fds[0], &byte, 1), 1);
    kill(pid, SIGKILL);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(mptest_eventually(
        mp_call(p, NULL, 0, "stats", "> {s:I *}", "jobs", &waiting) == 0 && waiting == 0, LONG_MS));
    mp_assert_ok(mp_remote_pool_apply(p, NULL, LONG_MS, "add", "ii > I", 1, 2, &n));
    mp_proxy_free(p);
    mp_manager_free(m);
    mp_manager_process_free(process); // although a task sleeps
    ck_assert(mptest_eventually(kill((pid_t)supervisor, 0) < 0, LONG_MS));
    close(fds[0]);
    close(fds[1]);
    manager_clean();
}

// Pools that go while tasks of theirs run: those are ended, and others run meanwhile.
MP_TEST(pools_go_while_their_tasks_run)
{
    mp_proxy *p = begin(), *other;
    mp_manager *guest;
    int64_t n;
    for (int i = 0; i < 10; i++) {
        mp_assert_ok(mp_connect_manager(&guest, mp_manager_process_path(process), NULL));
        mp_assert_ok(mp_manager_create(guest, &other, "Pool", ""));
        ck_assert_int_gt(
            mp_remote_pool_map_async(other, "sleep_long", "[iiiiii]", 1, 2, 3, 4, 5, 6), 0);
        mp_proxy_free(other);
        mp_manager_free(guest);
        mp_assert_ok(mp_remote_pool_apply(p, NULL, LONG_MS, "add", "ii > I", i, 2, &n));
        ck_assert_int_eq(n, i + 2);
    }
    end(p);
}

MP_TEST(nothing_is_left_of_a_killed_manager)
{
    mp_proxy *p = begin();
    int64_t supervisor;
    mp_assert_ok(mp_remote_pool_apply(p, NULL, LONG_MS, "parents_pid", "> I", &supervisor));
    ck_assert_int_gt(mp_remote_pool_map_async(p, "sleep_long", "[ii]", 1, 2), 0);
    pid_t host = parent_of((pid_t)supervisor);
    kill(parent_of(host), SIGKILL);
    mp_assert_err(mp_remote_pool_apply(p, NULL, LONG_MS, "add", "ii", 1, 2), MP_ELOST);
    ck_assert(mptest_eventually(kill(host, 0) < 0 && kill((pid_t)supervisor, 0) < 0, LONG_MS));
    end(p);
}

MP_TEST(a_manager_without_tasks_says_so)
{
    mp_proxy *p;
    manager_begin(NULL);
    m = manager_connect(NULL);
    mp_assert_err(mp_manager_get(m, &p, "pool", "Pool", ""), MP_ENOTSUP);
    mp_manager_free(m);
    manager_end();
}
