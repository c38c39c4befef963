// SPDX-License-Identifier: MIT
//
// What tests of the manager have in common: a daemon of the test's own, in the test's TMPDIR.
#ifndef MANAGERTEST_H
#define MANAGERTEST_H

#include "mptest.h"

#include <mp/manager.h>
#include <mp/proxy.h>
#include <mp/spawn.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#ifndef LONG_MS
#define LONG_MS 20000
#endif

static char manager_error[400];
static pid_t manager_pid;

// Sockets lie in TMPDIR, where nobody else looks for them.
__attribute__((unused)) static void manager_place(void)
{
    if (!getenv("MP_MANAGER"))
        mp_skip("mpmanager was not built");
}

__attribute__((unused)) static void manager_directory(char *dir, size_t size)
{
    snprintf(dir, size, "%s/mp-%u", getenv("TMPDIR"), (unsigned)geteuid());
}

__attribute__((unused)) static void manager_path(char *path, size_t size, const char *name)
{
    manager_directory(path, size);
    snprintf(path + strlen(path), size - strlen(path), "/%s.sock", name);
}

// Starts the daemon, with up to six options; it can be connected to when this returns.
__attribute__((unused)) static void manager_begin(const char *const *options)
{
    char *argv[12] = {(char *)"mpmanager", (char *)"--log-level=error"};
    int n = 2;
    manager_place();
    for (; options && *options; options++)
        argv[n++] = (char *)*options;
    mp_assert_ok(
        mp_spawn(&manager_pid, NULL, argv, &(mp_spawn_opts){.path = getenv("MP_MANAGER")}));
    mp_manager *m = NULL;
    int r = MP_EAGAIN;
    bool ok = mptest_eventually((r = mp_connect_manager(&m, NULL, NULL)) == 0, 20000);
    ck_assert_msg(ok, "the daemon cannot be connected to: %s", mp_err_name(r));
    mp_manager_free(m);
}

// Its exit code, or -signal.
__attribute__((unused)) static int manager_wait(void)
{
    int status = 0;
    ck_assert_int_eq(waitpid(manager_pid, &status, 0), manager_pid);
    manager_pid = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

__attribute__((unused)) static void manager_clean(void)
{
    char command[400];
    char dir[200];
    manager_directory(dir, sizeof dir);
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    ck_assert_int_eq(system(command), 0);
}

__attribute__((unused)) static void manager_end(void)
{
    kill(manager_pid, SIGTERM);
    ck_assert_int_eq(manager_wait(), 0);
    manager_clean();
}

// As `kill -9`, and as if the machine had forgotten it: only the socket file is left.
__attribute__((unused)) static void manager_kill(void)
{
    kill(manager_pid, SIGKILL);
    ck_assert_int_eq(manager_wait(), -SIGKILL);
}

__attribute__((unused)) static mp_manager *manager_connect(const mp_manager_opts *opts)
{
    mp_manager *m;
    mp_manager_opts o = opts ? *opts : (mp_manager_opts){0};
    o.error = manager_error;
    o.error_size = sizeof manager_error;
    int r = mp_connect_manager(&m, NULL, &o);
    ck_assert_msg(r == 0, "%s: %s", mp_err_name(r), manager_error);
    return m;
}

__attribute__((unused)) static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

// A raw socket to the daemon, for what no client of ours says.
__attribute__((unused)) static int manager_socket(void)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    manager_path(sa.sun_path, sizeof sa.sun_path, "default");
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    return fd;
}

// Whether the other side closes within ms; what it says before is dropped.
__attribute__((unused)) static bool manager_hangs_up(int fd, int ms)
{
    char buf[4096];
    int64_t end = now_ms() + ms;
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int left = (int)(end - now_ms());
        if (poll(&p, 1, left > 0 ? left : 0) <= 0)
            return false;
        ssize_t n = recv(fd, buf, sizeof buf, 0);
        if (n <= 0)
            return true;
    }
}

#endif
