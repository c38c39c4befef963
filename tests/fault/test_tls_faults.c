// SPDX-License-Identifier: MIT
//
// Versions of TLS that are not to be trusted any more, spoken by openssl as the other side, in
// both directions. What is wrong with certificates: tests/unit/test_url.c.
#include "urltest.h"

#include <errno.h>
#include <fcntl.h>
#include <mp/spawn.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#define SUITES "DEFAULT@SECLEVEL=0" // else openssl would not even try the old versions

static char *const old_versions[] = {(char[]){"-tls1"}, (char[]){"-tls1_1"}};
static char tls1_1[] = "-tls1_1", tls1_2[] = "-tls1_2";

static pid_t start(char **argv, int out)
{
    pid_t pid;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int r = mp_spawn(&pid, NULL, argv,
                     &(mp_spawn_opts){.fds = (int[]){null, out < 0 ? null : out, null}});
    close(null);
    if (r == -ENOENT)
        mp_skip("openssl is not installed");
    mp_assert_ok(r);
    return pid;
}

// Whether openssl, as a client with the right certificate, gets through the handshake.
static bool client_gets_in(const char *port, char *version)
{
    char address[32];
    int status;
    mp_url_opts o = url_opts(&tls, false);
    snprintf(address, sizeof address, "127.0.0.1:%s", port);
    char *argv[] = {(char[]){"openssl"},
                    (char[]){"s_client"},
                    (char[]){"-connect"},
                    address,
                    version,
                    (char[]){"-cipher"},
                    (char[]){SUITES},
                    (char[]){"-CAfile"},
                    pki_ca,
                    (char[]){"-cert"},
                    pki_cert[0],
                    (char[]){"-key"},
                    pki_key[0],
                    (char[]){"-verify_return_error"},
                    (char[]){"-brief"},
                    NULL};
    (void)o;
    pid_t pid = start(argv, -1);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return status == 0;
}

// Starts openssl as a server that takes only this version, and tells its port.
static pid_t server(char *version, char *port, size_t size)
{
    int out[2];
    char line[100];
    mp_url_opts o = url_opts(&tls, true);
    char *argv[] = {(char[]){"openssl"},
                    (char[]){"s_server"},
                    (char[]){"-accept"},
                    (char[]){"127.0.0.1:0"},
                    version,
                    (char[]){"-cipher"},
                    (char[]){SUITES},
                    (char[]){"-CAfile"},
                    pki_ca,
                    (char[]){"-cert"},
                    pki_cert[1],
                    (char[]){"-key"},
                    pki_key[1],
                    (char[]){"-Verify"},
                    (char[]){"1"},
                    (char[]){"-rev"},
                    NULL};
    (void)o;
    ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
    pid_t pid = start(argv, out[1]);
    close(out[1]);
    FILE *f = fdopen(out[0], "re");
    port[0] = '\0';
    while (!port[0] && fgets(line, sizeof line, f))
        if (strncmp(line, "ACCEPT ", 7) == 0)
            snprintf(port, size, "%.*s", (int)strcspn(strrchr(line, ':') + 1, "\n"),
                     strrchr(line, ':') + 1);
    fclose(f);
    if (!port[0]) {
        waitpid(pid, NULL, 0);
        mp_skip("openssl here cannot be a server of that version of TLS");
    }
    return pid;
}

static void end(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

// A refusal means something only from somebody who would be understood elsewhere.
static void needs_old_tls(void)
{
    char port[16];
    pid_t pid = server(tls1_1, port, sizeof port);
    bool spoken = client_gets_in(port, tls1_1);
    end(pid);
    if (!spoken)
        mp_skip("openssl here does not speak TLS 1.1 at all");
}

MP_TEST_TIMEOUT(a_listener_refuses_old_tls_and_goes_on, 60)
{
    mp_listener *l;
    mp_pipe *a, *b;
    char byte;
    needs_old_tls();
    mp_url_opts o = url_opts(&tls, true), c;
    url_assert_ok(mp_listen(&l, tls.url, &o));
    const char *port = strrchr(mp_listener_url(l), ':') + 1;
    ck_assert(client_gets_in(port, tls1_2)); // so it is the version that is refused
    for (size_t i = 0; i < sizeof old_versions / sizeof *old_versions; i++)
        ck_assert_msg(!client_gets_in(port, old_versions[i]), "%s got in", old_versions[i]);
    mp_assert_err(mp_accept(l, &b, 0), MP_ETIMEDOUT);
    c = url_opts(&tls, false);
    url_assert_ok(mp_connect(&a, mp_listener_url(l), &c));
    mp_assert_ok(mp_accept(l, &b, LONG_MS));
    mp_assert_ok(mp_pipe_send(a, "x", 1, LONG_MS));
    mp_assert_ok(mp_pipe_recv(b, &byte, 1, LONG_MS));
    mp_pipe_free(a);
    mp_pipe_free(b);
    mp_listener_free(l);
}

// What connecting to a server of that version says.
static int connect_to(char *version)
{
    char port[16], url[64];
    mp_pipe *p;
    pid_t pid = server(version, port, sizeof port);
    mp_url_opts o = url_opts(&tls, false);
    o.connect_ms = 1000; // how long to wait for the hello, which this server knows nothing of
    snprintf(url, sizeof url, "tls+tcp://127.0.0.1:%s", port);
    int r = mp_connect(&p, url, &o);
    end(pid);
    ck_assert_int_lt(r, 0);
    ck_assert_ptr_nonnull(strstr(url_error, url));
    return r;
}

MP_TEST_TIMEOUT(a_client_refuses_old_tls, 60)
{
    needs_old_tls();
    mp_assert_err(connect_to(tls1_2), MP_ETIMEDOUT); // it is TLS, and nothing else
    for (size_t i = 0; i < sizeof old_versions / sizeof *old_versions; i++) {
        mp_assert_err(connect_to(old_versions[i]), -EACCES);
        ck_assert_ptr_nonnull(strstr(url_error, "TLS could not agree"));
    }
}
