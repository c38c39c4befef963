// SPDX-License-Identifier: MIT
//
// A manager whose clients die, and clients whose manager dies.
#include "managertest.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

static bool long_run(void)
{
    return getenv("MP_TEST_LONG") != NULL;
}

// ---- holders die ---------------------------------------------------------------------

// A process that has the lock when it writes a byte, and lives until it is killed.
static pid_t holder(mp_proxy *l, int fd)
{
    pid_t pid = fork();
    if (pid > 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int r = mp_remote_lock_acquire(l, LONG_MS, NULL);
    char c = r == 0 ? 'a' : r == MP_EOWNERDEAD ? 'd' : 'x';
    mptest_require(write(fd, &c, 1) == 1);
    for (;;)
        pause();
}

static int compare(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

// Each is killed while it holds the lock and the next waits: that one gets it, knows what has
// happened, and nobody gets it twice.
MP_TEST_TIMEOUT(locks_of_killed_holders_go_on, 120)
{
    int n = long_run() ? 1000 : 60, fds[2], late[1000], status;
    mp_proxy *l;
    char c;
    manager_begin(NULL);
    mp_manager *m = manager_connect(NULL);
    mp_assert_ok(mp_manager_get(m, &l, "l", "Lock", ""));
    ck_assert_int_eq(pipe(fds), 0);
    pid_t now = holder(l, fds[1]);
    ck_assert_int_eq(read(fds[0], &c, 1), 1);
    ck_assert_int_eq(c, 'a');
    for (int i = 0; i < n; i++) {
        pid_t next = holder(l, fds[1]);
        struct pollfd p = {.fd = fds[0], .events = POLLIN};
        ck_assert_int_eq(poll(&p, 1, i % 8), 0); // not while the other holds it
        int64_t t = now_ms();
        kill(now, SIGKILL);
        ck_assert_int_eq(read(fds[0], &c, 1), 1);
        late[i] = (int)(now_ms() - t);
        ck_assert_int_eq(c, 'd');
        ck_assert_int_eq(waitpid(now, &status, 0), now);
        now = next;
    }
    kill(now, SIGKILL);
    ck_assert_int_eq(waitpid(now, &status, 0), now);
    mp_assert_err(mp_remote_lock_acquire(l, LONG_MS, NULL), MP_EOWNERDEAD);
    mp_assert_ok(mp_remote_lock_release(l));
    qsort(late, (size_t)n, sizeof *late, compare);
    printf("%d holders killed: the next had the lock after %d ms (median), %d ms (worst)\n", n,
           late[n / 2], late[n - 1]);
    ck_assert_int_lt(late[n / 2], 1000);
    close(fds[0]);
    close(fds[1]);
    mp_proxy_free(l);
    mp_manager_free(m);
    manager_end();
}

// A child that was made behind the library's back has the socket still.
MP_TEST(a_session_ends_with_its_process_not_with_its_descriptors)
{
    int fds[2], status;
    char c;
    mp_proxy *l;
    manager_begin(NULL);
    mp_manager *m = manager_connect(NULL);
    mp_assert_ok(mp_manager_get(m, &l, "l", "Lock", ""));
    ck_assert_int_eq(pipe(fds), 0);
    pid_t parent = fork();
    if (parent == 0) {
        mptest_require(mp_remote_lock_acquire(l, LONG_MS, NULL) == 0);
        long child = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL); // no fork hooks
        if (child == 0)
            for (;;)
                pause();
        mptest_require(child > 0 && write(fds[1], &child, sizeof child) == sizeof child);
        for (;;)
            pause();
    }
    long grandchild;
    ck_assert_int_eq(read(fds[0], &grandchild, sizeof grandchild), sizeof grandchild);
    mp_assert_err(mp_remote_lock_acquire(l, 0, NULL), MP_EAGAIN);
    kill(parent, SIGKILL);
    ck_assert_int_eq(waitpid(parent, &status, 0), parent);
    mp_assert_err(mp_remote_lock_acquire(l, LONG_MS, NULL), MP_EOWNERDEAD);
    ck_assert_int_eq(kill((pid_t)grandchild, 0), 0); // it has the descriptor all the while
    kill((pid_t)grandchild, SIGKILL);
    (void)c;
    mp_assert_ok(mp_remote_lock_release(l));
    close(fds[0]);
    close(fds[1]);
    mp_proxy_free(l);
    mp_manager_free(m);
    manager_end();
}

// Waits of a millisecond, while others hold the lock as long: whatever crosses whatever, in
// the end the lock is free, and nobody thinks that he has it.
MP_TEST_TIMEOUT(timed_waits_leak_no_lock, 300)
{
    enum { WORKERS = 4 };
    int n = long_run() ? 100000 / WORKERS : 1500, status;
    pid_t pids[WORKERS];
    mp_proxy *l;
    manager_begin(NULL);
    mp_manager *m = manager_connect(NULL);
    mp_assert_ok(mp_manager_get(m, &l, "l", "Lock", ""));
    for (int w = 0; w < WORKERS; w++) {
        pids[w] = fork();
        if (pids[w] != 0)
            continue;
        int got = 0;
        for (int i = 0; i < n; i++) {
            int r = mp_remote_lock_acquire(l, 1, NULL);
            mptest_require(r == 0 || r == MP_ETIMEDOUT);
            got += r == 0;
            if (r == 0 && i % 4 == 0)
                usleep(1000);
            if (r == 0)
                mptest_require(mp_remote_lock_release(l) == 0);
        }
        mptest_require(got > 0);
        mp_proxy_free(l);
        mp_manager_free(m);
        _exit(0);
    }
    for (int w = 0; w < WORKERS; w++) {
        ck_assert_int_eq(waitpid(pids[w], &status, 0), pids[w]);
        ck_assert_int_eq(status, 0);
    }
    mp_assert_ok(mp_remote_lock_acquire(l, 0, NULL)); // nobody left it locked, nor died with it
    mp_assert_ok(mp_remote_lock_release(l));
    mp_proxy_free(l);
    mp_manager_free(m);
    manager_end();
}

// The cancel and the grant cross in all ways.
MP_TEST_TIMEOUT(cancelled_waits_leak_no_lock, 120)
{
    int n = long_run() ? 20000 : 1000, status;
    mp_proxy *l;
    uint64_t token;
    manager_begin(NULL);
    mp_manager *m = manager_connect(NULL);
    mp_assert_ok(mp_manager_get(m, &l, "l", "Lock", ""));
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) {
            int r = mp_remote_lock_acquire(l, LONG_MS, NULL);
            if (r == 0)
                r = mp_remote_lock_release(l);
            mptest_require(r == 0);
        }
    }
    for (int i = 0; i < n; i++) {
        int64_t t = mp_call_begin(l, MP_FOREVER, "acquire", "u", 7u);
        mp_assert_ok(t);
        mp_assert_ok(mp_call_cancel(m, t));
        int r = mp_call_end(m, NULL, t, "U", &token);
        ck_assert(r == 0 || r == MP_ECANCELED);
        if (r == 0)
            mp_assert_ok(mp_call(l, NULL, 0, "release", "u U", 7u, token));
    }
    kill(pid, SIGKILL);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    int r = mp_remote_lock_acquire(l, LONG_MS, NULL);
    ck_assert_msg(r == 0 || r == MP_EOWNERDEAD, "%s", mp_err_name(r));
    mp_assert_ok(mp_remote_lock_release(l));
    mp_proxy_free(l);
    mp_manager_free(m);
    manager_end();
}

// ---- the daemon dies -----------------------------------------------------------------

MP_TEST_TIMEOUT(who_waits_hears_at_once_that_the_daemon_died, 60)
{
    enum { N = 50 };
    int fds[2], status;
    pid_t pids[N];
    mp_proxy *l;
    char c;
    manager_begin(NULL);
    mp_manager *m = manager_connect(NULL);
    mp_assert_ok(mp_manager_get(m, &l, "l", "Lock", ""));
    mp_assert_ok(mp_remote_lock_acquire(l, 0, NULL));
    ck_assert_int_eq(pipe(fds), 0);
    for (int i = 0; i < N; i++) {
        pids[i] = fork();
        if (pids[i] != 0)
            continue;
        int64_t t = mp_call_begin(l, MP_FOREVER, "acquire", "");
        mptest_require(t > 0 && write(fds[1], "w", 1) == 1);
        int r = mp_call_end(m, NULL, t, "");
        mptest_require(r == MP_ELOST);
        mptest_require(mp_call(l, NULL, 0, "locked", "") == MP_ELOST);
        mp_proxy_free(l);
        mp_manager_free(m);
        _exit(0);
    }
    for (int i = 0; i < N; i++)
        ck_assert_int_eq(read(fds[0], &c, 1), 1);
    manager_kill();
    int64_t t = now_ms();
    for (int i = 0; i < N; i++) {
        ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
        ck_assert_int_eq(status, 0);
    }
    int ms = (int)(now_ms() - t);
    printf("%d blocked clients of a killed daemon had ended after %d ms\n", N, ms);
    ck_assert_int_lt(ms, 30000);
    close(fds[0]);
    close(fds[1]);
    mp_proxy_free(l);
    mp_manager_free(m);
    manager_clean();
}

MP_TEST(after_a_restart_old_proxies_are_stale)
{
    mp_proxy *d, *fresh;
    mp_manager_info before, after;
    manager_begin(NULL);
    mp_manager *m = manager_connect(NULL);
    mp_assert_ok(mp_manager_get(m, &d, "d", "dict", ""));
    mp_assert_ok(mp_dict_set(d, "x", "i", 1));
    mp_assert_ok(mp_manager_get_info(m, &before));
    manager_kill();
    mp_assert_err(mp_dict_set(d, "x", "i", 2), MP_ELOST);
    mp_assert_err(mp_dict_set(d, "x", "i", 2), MP_ELOST);
    ck_assert_int_lt(mp_manager_reconnect(m), 0);
    manager_begin(NULL);                                  // takes the place, where a dead socket is
    mp_assert_err(mp_dict_set(d, "x", "i", 2), MP_ELOST); // nobody reconnects on his own
    mp_assert_ok(mp_manager_reconnect(m));
    mp_assert_ok(mp_manager_get_info(m, &after));
    ck_assert(before.instance != after.instance);
    mp_assert_err(mp_dict_set(d, "x", "i", 2), MP_ESTALE);
    mp_assert_ok(mp_manager_get(m, &fresh, "d", "dict", ""));
    mp_assert_ok(mp_dict_set(fresh, "x", "i", 3));
    mp_assert_err(mp_dict_set(d, "x", "i", 2), MP_ESTALE);
    mp_proxy_free(fresh);
    mp_proxy_free(d);
    mp_manager_free(m);
    manager_end();
}

MP_TEST(a_daemon_that_is_asked_to_end_takes_its_files_along)
{
    char path[200];
    manager_begin(NULL);
    manager_path(path, sizeof path, "default");
    ck_assert_int_eq(access(path, F_OK), 0);
    mp_manager *m = manager_connect(NULL);
    mp_assert_ok(mp_call(mp_manager_self(m), NULL, 0, "shutdown", ""));
    ck_assert_int_eq(manager_wait(), 0);
    ck_assert_int_ne(access(path, F_OK), 0);
    mp_assert_err(mp_call(mp_manager_self(m), NULL, 0, "ping", ""), MP_ELOST);
    mp_manager_free(m);
    manager_clean();
}

MP_TEST(what_is_no_socket_of_ours_is_left_alone)
{
    char *argv[] = {(char *)"mpmanager", (char *)"--socket", NULL, NULL};
    int fds[3] = {MP_SPAWN_NULL, MP_SPAWN_NULL, MP_SPAWN_NULL}, status;
    char path[200], text[8] = "";
    pid_t pid;
    manager_place();
    snprintf(path, sizeof path, "%s/data.db", getenv("TMPDIR"));
    FILE *f = fopen(path, "w");
    fputs("mine", f);
    fclose(f);
    argv[2] = path;
    mp_assert_ok(
        mp_spawn(&pid, NULL, argv, &(mp_spawn_opts){.path = getenv("MP_MANAGER"), .fds = fds}));
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(WEXITSTATUS(status), 73);
    f = fopen(path, "r");
    ck_assert_ptr_nonnull(f);
    ck_assert_ptr_nonnull(fgets(text, sizeof text, f));
    ck_assert_str_eq(text, "mine");
    fclose(f);
    unlink(path);
    strcat(path, ".lock");
    unlink(path);
}

// ---- the many and the slow -----------------------------------------------------------

// In kB. ASan has memory of its own.
static long resident(pid_t pid)
{
    char path[64], line[200];
    long kb = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "VmRSS: %ld kB", &kb) == 1)
            break;
    if (f)
        fclose(f);
    return kb;
}

static long cpu_ticks(pid_t pid)
{
    char path[64];
    long user = 0, sys = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "r");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(
        fscanf(f, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld", &user, &sys),
        2);
    fclose(f);
    return user + sys;
}

MP_TEST_TIMEOUT(a_thousand_clients_cost_little, 120)
{
    enum { N = 1000 };
    static mp_manager *all[N];
    int n = 0;
    mptest_need_fds(2 * N + 100);
    manager_begin((const char *const[]){"--max-clients=2000", NULL});
    for (; n < N; n++)
        all[n] = manager_connect(NULL);
    long kb = resident(manager_pid), before = cpu_ticks(manager_pid);
    printf("%d clients: the daemon has %ld kB\n", N, kb);
    if (!MPTEST_ASAN && !MPTEST_TSAN)
        ck_assert_int_le(kb, 64 << 10);
    usleep(300000); // to be idle in
    long ticks = cpu_ticks(manager_pid) - before;
    ck_assert_int_le(ticks, 2);
    for (int i = 0; i < N; i++)
        mp_manager_free(all[i]);
    mp_manager *m = manager_connect(NULL);
    mp_assert_ok(mp_call(mp_manager_self(m), NULL, 0, "ping", ""));
    mp_manager_free(m);
    manager_end();
}

MP_TEST(too_many_clients_are_told_so)
{
    mp_manager *a, *b, *c;
    manager_begin((const char *const[]){"--max-clients=2", NULL});
    a = manager_connect(NULL);
    b = manager_connect(NULL);
    mp_assert_err(mp_connect_manager(&c, NULL, NULL), MP_EQUOTA);
    mp_manager_free(a);
    bool ok = mptest_eventually(mp_connect_manager(&c, NULL, NULL) == 0, LONG_MS);
    ck_assert(ok);
    mp_manager_free(b);
    mp_manager_free(c);
    manager_end();
}

// ---- the stopped, and no descriptors -------------------------------------------------

// A holder that is stopped keeps its lock, unless it asked for a lease.
MP_TEST(a_lease_ends_while_its_holder_is_stopped)
{
    int fds[2], status;
    mp_proxy *l;
    uint64_t token = 0, mine;
    manager_begin(NULL);
    mp_manager *m = manager_connect(NULL);
    mp_assert_ok(mp_manager_get(m, &l, "l", "Lock", ""));
    ck_assert_int_eq(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        mptest_require(mp_remote_lock_acquire_lease(l, 0, 200, &token) == 0);
        mptest_require(write(fds[1], &token, sizeof token) == sizeof token);
        raise(SIGSTOP);
        mptest_require(mp_remote_lock_validate(l, token) == 0);
        mptest_require(mp_remote_lock_renew(l, token, 1000) == MP_EFENCED);
        mptest_require(mp_remote_lock_release(l) < 0);
        mp_proxy_free(l);
        mp_manager_free(m);
        _exit(0);
    }
    ck_assert_int_eq(read(fds[0], &token, sizeof token), sizeof token);
    mp_assert_err(mp_remote_lock_acquire(l, LONG_MS, &mine), MP_EOWNERDEAD);
    ck_assert_uint_gt(mine, token);
    ck_assert_int_eq(mp_remote_lock_validate(l, mine), 1);
    ck_assert_int_eq(waitpid(pid, &status, WUNTRACED), pid);
    ck_assert(WIFSTOPPED(status));
    kill(pid, SIGCONT);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    mp_assert_ok(mp_remote_lock_release(l));
    close(fds[0]);
    close(fds[1]);
    mp_proxy_free(l);
    mp_manager_free(m);
    manager_end();
}

MP_TEST_TIMEOUT(without_descriptors_those_who_are_in_are_served, 60)
{
    enum { N = 60 };
    int fds[N];
    mp_manager *late;
    struct rlimit few = {40, 40}, many;
    manager_begin(NULL);
    mp_manager *m = manager_connect(NULL);
    ck_assert_int_eq(prlimit(manager_pid, RLIMIT_NOFILE, NULL, &many), 0);
    few.rlim_max = many.rlim_max;
    ck_assert_int_eq(prlimit(manager_pid, RLIMIT_NOFILE, &few, NULL), 0);
    for (int i = 0; i < N; i++)
        fds[i] = manager_socket();
    for (int i = 0; i < 300; i++)
        mp_assert_ok(mp_call(mp_manager_self(m), NULL, 0, "ping", ""));
    for (int i = 0; i < N; i++)
        close(fds[i]);
    bool in = mptest_eventually(mp_connect_manager(&late, NULL, NULL) == 0, LONG_MS);
    ck_assert(in);
    mp_manager_free(late);
    mp_manager_free(m);
    manager_end();
}

MP_TEST(a_daemon_that_is_stopped_does_not_stop_its_clients)
{
    mp_proxy *d;
    manager_begin(NULL);
    mp_manager *m = manager_connect(&(mp_manager_opts){.patience_ms = 2000});
    mp_assert_ok(mp_manager_get(m, &d, "d", "dict", ""));
    kill(manager_pid, SIGSTOP);
    mp_assert_err(mp_dict_set(d, "x", "i", 1), MP_ELOST);
    kill(manager_pid, SIGCONT);
    // The object is there still, as soon as the daemon is.
    ck_assert(mptest_eventually(mp_manager_reconnect(m) == 0 && mp_dict_set(d, "x", "i", 1) == 0,
                                LONG_MS));
    mp_proxy_free(d);
    mp_manager_free(m);
    manager_end();
}
