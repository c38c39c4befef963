// SPDX-License-Identifier: MIT
//
// libmp's manager: manager_libmp one|eight|flight|tcp SECONDS. The daemon is started here, in a
// directory of its own.
#include "manager_test.h"

#include <mp/manager.h>
#include <mp/proxy.h>
#include <mp/spawn.h>

static mp_manager *m;
static mp_proxy *d;
static char value[VALUE];

static void check(int64_t r, const char *what)
{
    if (r < 0)
        die("%s: %s", what, mp_strerror(r));
}

static void open_dict(void *arg)
{
    check(mp_connect_manager(&m, arg, NULL), "connect");
    check(mp_manager_get(m, &d, "bench", "dict", ""), "dict");
}

static void call(int i)
{
    char key[16];
    const void *data;
    size_t size = 0;
    static mp_buf b;
    key_of(key, i);
    if (i % 2 == 0) {
        check(mp_dict_set(d, key, "b#", (const void *)value, sizeof value), "set");
        return;
    }
    check(mp_dict_get(d, &b, key, "b#", &data, &size), "get");
    if (size != VALUE)
        die("a wrong value");
}

static void calls(int i, int n)
{
    char key[16];
    int64_t tickets[FLIGHT];
    const void *data;
    size_t size = 0;
    static mp_buf b;
    for (int k = 0; k < n; k++) {
        key_of(key, i + k);
        tickets[k] = (i + k) % 2 == 0 ? mp_call_begin(d, MP_FOREVER, "set", "s b#", key,
                                                      (const void *)value, sizeof value)
                                      : mp_call_begin(d, MP_FOREVER, "get", "s", key);
        check(tickets[k], "begin");
    }
    for (int k = 0; k < n; k++) {
        if ((i + k) % 2 == 0) {
            check(mp_call_end(m, NULL, tickets[k], ""), "set");
            continue;
        }
        check(mp_call_end(m, &b, tickets[k], "b#", &data, &size), "get");
        if (size != VALUE)
            die("a wrong value");
    }
}

static pid_t start(const char *socket, const char *listen)
{
    char socket_option[200], program[4096];
    char *argv[] = {(char *)"mpmanager", (char *)"--log-level=error", socket_option, (char *)listen,
                    NULL};
    pid_t pid;
    snprintf(socket_option, sizeof socket_option, "--socket=%s", socket);
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 32);
    program[n > 0 ? n : 0] = '\0';
    strcpy(strrchr(program, '/'), "/../bin/mpmanager");
    check(mp_spawn(&pid, NULL, argv, &(mp_spawn_opts){.path = program, .die_with_caller = true}),
          program);
    for (int i = 0; i < 2000; i++, usleep(5000)) {
        if (mp_connect_manager(&m, socket, NULL) == 0) {
            mp_manager_free(m);
            return pid;
        }
    }
    die("mpmanager cannot be connected to");
}

int main(int argc, char **argv)
{
    static const struct manager_engine libmp = {"libmp", open_dict, call, calls};
    char dir[] = "/tmp/mpbench-XXXXXX", socket[64], lock[80];
    const char *test = argc > 1 ? argv[1] : "";
    double seconds = seconds_from(argc > 2 ? argv[2] : NULL);
    const char *url = "tcp://127.0.0.1:17431";
    if (!mkdtemp(dir))
        die("mkdtemp");
    snprintf(socket, sizeof socket, "%s/m.sock", dir);
    pid_t pid = start(socket, !strcmp(test, "tcp") ? "--listen=tcp://127.0.0.1:17431" : NULL);
    if (!strcmp(test, "one"))
        manager_test("manager_1", &libmp, socket, 1, 1, seconds);
    else if (!strcmp(test, "eight"))
        manager_test("manager_8", &libmp, socket, 8, 1, seconds);
    else if (!strcmp(test, "flight"))
        manager_test("manager_8x16", &libmp, socket, 8, FLIGHT, seconds);
    else if (!strcmp(test, "tcp"))
        manager_test("manager_tcp16", &libmp, (void *)url, 1, FLIGHT, seconds);
    else
        die("usage: manager_libmp one|eight|flight|tcp SECONDS");
    kill(pid, SIGTERM);
    join_child(pid);
    snprintf(lock, sizeof lock, "%s.lock", socket);
    unlink(lock);
    return rmdir(dir) != 0;
}
