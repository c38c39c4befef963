// SPDX-License-Identifier: MIT
//
// The pool beside the daemon has died, and the one that is to replace it hangs as it loads its
// tasks (tests/lib/tasks_stuck.c): that stops nobody, and outlives nobody.
#include "managertest.h"

#include <fcntl.h>
#include <mp/manager_pool.h>

enum { PATIENCE_MS = 10000 }; // the daemon is given up after that

static mp_manager *m;
static mp_proxy *pool;

// Who loads tasks, or did so last.
static pid_t loading(void)
{
    int pid = 0;
    FILE *f = fopen("loading", "re");
    if (f && fscanf(f, "%d\n", &pid) != 1)
        pid = 0;
    if (f)
        fclose(f);
    return pid;
}

static pid_t loading_next(pid_t last)
{
    pid_t pid = 0;
    ck_assert(mptest_eventually((pid = loading()) > 0 && pid != last, LONG_MS));
    return pid;
}

// Returns the pool that hangs, in place of one that is dead.
static pid_t begin(void)
{
    char tasks[400];
    int64_t n;
    manager_place();
    snprintf(tasks, sizeof tasks, "--tasks=%s", getenv("MP_TEST_TASKS"));
    manager_begin((const char *const[]){tasks, "--workers=1", NULL});
    m = manager_connect(&(mp_manager_opts){.patience_ms = PATIENCE_MS});
    mp_assert_ok(mp_manager_get(m, &pool, "pool", "Pool", ""));
    mp_assert_ok(mp_remote_pool_apply(pool, NULL, LONG_MS, "twice", "i > I", 21, &n));
    ck_assert_int_eq(n, 42);
    pid_t first = loading();
    ck_assert_int_gt(first, 0);
    close(open("stuck", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    kill(first, SIGKILL);
    return loading_next(first);
}

static void end(void)
{
    unlink("stuck");
    unlink("loading");
    mp_proxy_free(pool);
    mp_manager_free(m);
}

static void everybody_is_served(void)
{
    mp_proxy *d;
    int64_t n;
    mp_manager *other = manager_connect(&(mp_manager_opts){.patience_ms = PATIENCE_MS});
    mp_assert_ok(mp_manager_get(other, &d, "d", "dict", ""));
    mp_assert_ok(mp_dict_set(d, "x", "i", 1));
    mp_assert_ok(mp_dict_get(d, NULL, "x", "I", &n));
    mp_assert_ok(mp_call(mp_manager_self(m), NULL, 0, "ping", ""));
    mp_proxy_free(d);
    mp_manager_free(other);
}

MP_TEST_TIMEOUT(a_pool_that_hangs_stops_nobody, 60)
{
    int64_t n;
    pid_t stuck = begin();
    everybody_is_served();
    int64_t job = mp_remote_pool_apply_async(pool, "twice", "i", 4);
    ck_assert_int_gt(job, 0);
    kill(stuck, SIGKILL);
    loading_next(stuck); // there is another try, which hangs as well
    everybody_is_served();
    ck_assert_int_eq(mp_remote_pool_ready(pool, job), 0);
    unlink("stuck");
    mp_assert_ok(mp_remote_pool_get(pool, NULL, job, LONG_MS, "I", &n));
    ck_assert_int_eq(n, 8);
    end();
    manager_end();
}

MP_TEST_TIMEOUT(a_daemon_that_is_to_end_ends_a_pool_that_hangs, 60)
{
    pid_t stuck = begin();
    int64_t asked = now_ms();
    manager_end();
    ck_assert_int_lt(now_ms() - asked, PATIENCE_MS);
    ck_assert_int_eq(kill(stuck, 0), -1);
    end();
}

MP_TEST_TIMEOUT(a_pool_that_hangs_dies_with_its_daemon, 60)
{
    pid_t stuck = begin();
    manager_kill();
    ck_assert(mptest_eventually(kill(stuck, 0) < 0, LONG_MS));
    end();
    manager_clean();
}
