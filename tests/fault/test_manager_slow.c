// SPDX-License-Identifier: MIT
//
// A client that asks for much, and takes none of it: by a socket, and by rings. It is not read from
// and not waited for; when it goes on, it has lost nothing; when it does not, it is cut off.
#include "managertest.h"

enum { CALLS = 240, SIZE = 256 << 10, OTHERS = 500, ROOM_KB = 8 << 10 };

static char value[SIZE];
static mp_manager *m;
static mp_proxy *dict, *lock;

static void begin(const char *option)
{
    manager_begin((const char *const[]){option, NULL});
    m = manager_connect(NULL);
    mp_assert_ok(mp_manager_get(m, &dict, "d", "dict", ""));
    mp_assert_ok(mp_manager_get(m, &lock, "l", "Lock", ""));
    memset(value, 'x', SIZE);
    mp_assert_ok(mp_dict_set(dict, "much", "b#", (const void *)value, sizeof value));
}

static void end(void)
{
    mp_proxy_free(dict);
    mp_proxy_free(lock);
    mp_manager_free(m);
    manager_end();
}

// The most memory that the daemon has had so far, in kB.
static long peak(void)
{
    char path[64], line[200];
    long kb = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)manager_pid);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "VmHWM: %ld kB", &kb) == 1)
            break;
    if (f)
        fclose(f);
    return kb;
}

// ---- who takes nothing -----------------------------------------------------------------

static mp_manager *connect_by(bool rings, mp_proxy **d)
{
    mp_manager *slow;
    mp_manager_info info = {0};
    mptest_require(mp_connect_manager(&slow, NULL, &(mp_manager_opts){.no_rings = !rings}) == 0);
    mptest_require(mp_manager_open(slow, d, "d") == 0);
    for (int i = 0; rings && i < 100000 && !info.rings; i++) {
        mptest_require(mp_dict_len(*d) >= 0);
        mptest_require(mp_manager_get_info(slow, &info) == 0);
    }
    mptest_require(info.rings == rings);
    return slow;
}

// Stops itself behind its last question. Its exit code: 0, all has been answered; 1, it was
// cut off.
static int ask_and_stop(bool rings)
{
    int64_t calls[CALLS];
    mp_proxy *d, *l;
    const void *data;
    size_t n;
    int r = 0;
    mp_buf b = {0};
    mp_manager *slow = connect_by(rings, &d);
    mptest_require(mp_manager_open(slow, &l, "l") == 0);
    mptest_require(mp_remote_lock_acquire(l, LONG_MS, NULL) == 0);
    for (int i = 0; i < CALLS; i++)
        mptest_require((calls[i] = mp_call_begin(d, MP_FOREVER, "get", "s", "much")) > 0);
    raise(SIGSTOP);
    for (int i = 0; i < CALLS && r == 0; i++) {
        r = mp_call_end(slow, &b, calls[i], "b#", &data, &n);
        mptest_require(r < 0 || (n == SIZE && memcmp(data, value, SIZE) == 0));
    }
    mptest_require(r == 0 || r == MP_ELOST);
    mp_buf_free(&b);
    mp_proxy_free(d);
    mp_proxy_free(l);
    mp_manager_free(slow);
    return r < 0;
}

static pid_t slow_client(bool rings)
{
    int status;
    pid_t pid = fork();
    if (pid == 0)
        _exit(ask_and_stop(rings));
    ck_assert_int_eq(waitpid(pid, &status, WUNTRACED), pid);
    ck_assert_msg(WIFSTOPPED(status), "the client ended: %x", status);
    return pid;
}

static int go_on(pid_t pid)
{
    int status;
    kill(pid, SIGCONT);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

// ---- others ------------------------------------------------------------------------------

// Those who were there before, and who comes now.
static void others_are_served(void)
{
    mp_proxy *d;
    int64_t n;
    mp_manager *other = manager_connect(NULL);
    mp_assert_ok(mp_manager_open(other, &d, "d"));
    for (int i = 0; i < OTHERS; i++) {
        mp_assert_ok(mp_dict_set(dict, "x", "i", i));
        mp_assert_ok(mp_dict_get(d, NULL, "x", "I", &n));
        ck_assert_int_eq(n, i);
    }
    mp_proxy_free(d);
    mp_manager_free(other);
}

static void waits_and_goes_on(bool rings)
{
    begin("--slow-time=600");
    others_are_served();
    long before = peak();
    pid_t slow = slow_client(rings);
    others_are_served();
    if (!MPTEST_ASAN && !MPTEST_TSAN) // which have memory of their own
        ck_assert_int_le(peak() - before, ROOM_KB);
    mp_assert_err(mp_remote_lock_acquire(lock, 0, NULL), MP_EAGAIN); // it is there still
    ck_assert_int_eq(go_on(slow), 0);
    end();
}

static void is_cut_off(bool rings)
{
    begin("--slow-time=1");
    pid_t slow = slow_client(rings);
    others_are_served();
    mp_assert_err(mp_remote_lock_acquire(lock, LONG_MS, NULL), MP_EOWNERDEAD);
    mp_assert_ok(mp_remote_lock_release(lock));
    ck_assert_int_eq(go_on(slow), 1);
    end();
}

MP_TEST_TIMEOUT(who_takes_nothing_from_a_socket_is_waited_for_by_nobody, 60)
{
    waits_and_goes_on(false);
}

MP_TEST_TIMEOUT(who_takes_nothing_from_rings_is_waited_for_by_nobody, 60)
{
    waits_and_goes_on(true);
}

MP_TEST_TIMEOUT(who_takes_nothing_from_a_socket_is_cut_off, 60)
{
    is_cut_off(false);
}

MP_TEST_TIMEOUT(who_takes_nothing_from_rings_is_cut_off, 60)
{
    is_cut_off(true);
}
