// SPDX-License-Identifier: MIT
//
// A manager that other machines reach, by all that URLs offer.
#include "urltest.h"

#include "managertest.h"

#include <errno.h>
#include <sys/stat.h>

static char log_file[200], key_file[200], listen_url[200];

static void write_key(void)
{
    snprintf(key_file, sizeof key_file, "%s/key", getenv("TMPDIR"));
    FILE *f = fopen(key_file, "w");
    ck_assert_ptr_nonnull(f);
    fputs("a secret of more than 16 bytes\n", f);
    fclose(f);
    chmod(key_file, 0600);
}

// The daemon writes into its log where it really listens.
static bool find_url(void)
{
    char line[500];
    bool found = false;
    FILE *f = fopen(log_file, "r");
    while (f && !found && fgets(line, sizeof line, f))
        found =
            sscanf(strstr(line, "url=") ? strstr(line, "url=") : "", "url=%199s", listen_url) == 1;
    if (f)
        fclose(f);
    return found;
}

static void begin(const struct transport *t)
{
    char listen[120], log_option[220], key[220], ca[300], cert[300], tls_key[300];
    url_needs_proxy();
    manager_place();
    write_key();
    snprintf(log_file, sizeof log_file, "%s/log", getenv("TMPDIR"));
    snprintf(listen, sizeof listen, "--listen=%s", t->url);
    snprintf(log_option, sizeof log_option, "--log-file=%s", log_file);
    snprintf(key, sizeof key, "--key-file=%s", key_file);
    const char *options[9] = {"--log-level=info", log_option, listen, key};
    if (t == &tls) {
        mp_url_opts o = url_opts(t, true);
        snprintf(ca, sizeof ca, "--tls-ca=%s", o.tls_ca);
        snprintf(cert, sizeof cert, "--tls-cert=%s", o.tls_cert);
        snprintf(tls_key, sizeof tls_key, "--tls-key=%s", o.tls_key);
        options[4] = ca;
        options[5] = cert;
        options[6] = tls_key;
    }
    manager_begin(options);
    bool ok = mptest_eventually(find_url(), LONG_MS);
    ck_assert(ok);
}

static void end(void)
{
    manager_end();
    unlink(log_file);
    unlink(key_file);
}

static int try_connect(const struct transport *t, mp_manager **m, bool key)
{
    mp_url_opts url = url_opts(t, false);
    mp_manager_opts o = {.url = &url, .error = manager_error, .error_size = sizeof manager_error};
    url.key_file = key ? key_file : NULL;
    return mp_connect_manager(m, listen_url, &o);
}

static void check_remote(const struct transport *t)
{
    mp_manager *m, *local_m;
    mp_proxy *d, *l, *far;
    mp_manager_info info;
    double x = 0;
    mp_buf b = {0};
    const void *got;
    size_t size;
    static char data[1 << 20];
    begin(t);
    int r = try_connect(t, &m, true);
    ck_assert_msg(r == 0, "%s: %s", mp_err_name(r), manager_error);
    mp_assert_ok(mp_manager_get_info(m, &info));
    ck_assert(!info.rings);
    mp_assert_ok(mp_manager_get(m, &d, "d", "dict", ""));
    mp_assert_ok(mp_dict_set(d, "tea", "d", 3.5));
    mp_assert_ok(mp_dict_get(d, NULL, "tea", "d", &x));
    ck_assert_double_eq(x, 3.5);
    mp_assert_ok(mp_dict_set(d, "long", "b#", (const void *)data, sizeof data));
    mp_assert_ok(mp_dict_get(d, &b, "long", "b#", &got, &size));
    ck_assert_uint_eq(size, sizeof data);
    // Those of other machines may not end it.
    mp_assert_err(mp_call(mp_manager_self(m), NULL, 0, "shutdown", ""), MP_EDENIED);
    // A lock of a remote client that is killed goes on, too.
    local_m = manager_connect(NULL);
    mp_assert_ok(mp_manager_get(local_m, &l, "l", "Lock", ""));
    int fds[2], status;
    char c;
    ck_assert_int_eq(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        mptest_require(mp_manager_open(m, &far, "l") == 0);
        mptest_require(mp_remote_lock_acquire(far, LONG_MS, NULL) == 0);
        mptest_require(write(fds[1], "x", 1) == 1);
        for (;;)
            pause();
    }
    ck_assert_int_eq(read(fds[0], &c, 1), 1);
    mp_assert_err(mp_remote_lock_acquire(l, 0, NULL), MP_EAGAIN);
    kill(pid, SIGKILL);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    mp_assert_err(mp_remote_lock_acquire(l, LONG_MS, NULL), MP_EOWNERDEAD);
    close(fds[0]);
    close(fds[1]);
    mp_buf_free(&b);
    mp_proxy_free(l);
    mp_proxy_free(d);
    mp_manager_free(local_m);
    mp_manager_free(m);
    end();
}

MP_TEST_TIMEOUT(remote_tcp, 60)
{
    check_remote(&tcp);
}

MP_TEST_TIMEOUT(remote_tls, 60)
{
    check_remote(&tls);
}

MP_TEST_TIMEOUT(remote_ws, 60)
{
    check_remote(&ws);
}

MP_TEST_TIMEOUT(without_the_key_nobody_comes_in, 60)
{
    mp_manager *m;
    begin(&tcp);
    mp_assert_err(try_connect(&tcp, &m, false), -EACCES);
    int r = try_connect(&tcp, &m, true);
    ck_assert_msg(r == 0, "%s: %s", mp_err_name(r), manager_error);
    mp_manager_free(m);
    end();
}

MP_TEST(an_open_door_is_not_opened_by_accident)
{
    char *argv[] = {(char *)"mpmanager", (char *)"--log-level=off",
                    (char *)"--listen=tcp://0.0.0.0:0", NULL};
    int fds[3] = {MP_SPAWN_NULL, MP_SPAWN_NULL, MP_SPAWN_NULL}, status;
    pid_t pid;
    url_needs_proxy();
    manager_place();
    mp_assert_ok(
        mp_spawn(&pid, NULL, argv, &(mp_spawn_opts){.path = getenv("MP_MANAGER"), .fds = fds}));
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(WEXITSTATUS(status), 78);
    manager_clean();
}
