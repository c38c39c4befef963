// SPDX-License-Identifier: MIT
//
// The same of Redis and memcached, over a unix socket, by clients that do no more than they must:
// manager_stores redis|memcached one|eight|flight SECONDS.
#include "manager_test.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static int fd;
static bool is_redis;
static char value[VALUE + 1];
static char in[65536];
static size_t at, len;

static void connect_to(void *arg)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    snprintf(sa.sun_path, sizeof sa.sun_path, "%s", (const char *)arg);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&sa, sizeof sa) < 0)
        die("connect to %s", sa.sun_path);
}

static size_t request(char *out, int i)
{
    char key[16];
    key_of(key, i);
    if (is_redis && i % 2 == 0)
        return (size_t)sprintf(out, "*3\r\n$3\r\nSET\r\n$8\r\n%s\r\n$%d\r\n%s\r\n", key, VALUE,
                               value);
    if (is_redis)
        return (size_t)sprintf(out, "*2\r\n$3\r\nGET\r\n$8\r\n%s\r\n", key);
    if (i % 2 == 0)
        return (size_t)sprintf(out, "set %s 0 0 %d\r\n%s\r\n", key, VALUE, value);
    return (size_t)sprintf(out, "get %s\r\n", key);
}

// A line of the answer, without its end.
static const char *line(void)
{
    for (;;) {
        char *end = memchr(in + at, '\n', len - at), *begin = in + at;
        if (end) {
            at = (size_t)(end + 1 - in);
            return begin;
        }
        memmove(in, in + at, len - at);
        len -= at;
        at = 0;
        ssize_t n = recv(fd, in + len, sizeof in - len, 0);
        if (n <= 0)
            die("the server closed");
        len += (size_t)n;
    }
}

static void answer(int i)
{
    const char *first = line();
    if (i % 2 == 0) {
        if (strncmp(first, is_redis ? "+OK" : "STORED", is_redis ? 3 : 6) != 0)
            die("set: %.20s", first);
        return;
    }
    if (strncmp(first, is_redis ? "$64" : "VALUE ", is_redis ? 3 : 6) != 0)
        die("get: %.20s", first);
    if (memcmp(line(), value, VALUE) != 0)
        die("a wrong value");
    if (!is_redis && strncmp(line(), "END", 3) != 0)
        die("no END");
}

static void calls(int i, int n)
{
    static char out[FLIGHT * 160];
    size_t size = 0;
    for (int k = 0; k < n; k++)
        size += request(out + size, i + k);
    if (send(fd, out, size, MSG_NOSIGNAL) != (ssize_t)size)
        die("send");
    for (int k = 0; k < n; k++)
        answer(i + k);
}

static void call(int i)
{
    calls(i, 1);
}

static pid_t start(const char *socket)
{
    char *redis[] = {
        (char *)"redis-server", (char *)"--port", (char *)"0",    (char *)"--unixsocket",
        (char *)socket,         (char *)"--save", (char *)"",     (char *)"--loglevel",
        (char *)"warning",      (char *)"--dir",  (char *)"/tmp", NULL};
    char *memcached[] = {(char *)"memcached", (char *)"-s", (char *)socket, (char *)"-u",
                         (char *)"nobody",    (char *)"-t", (char *)"2",    NULL};
    pid_t pid = fork_child();
    if (pid == 0) {
        dup2(2, 1);
        execvp(is_redis ? redis[0] : memcached[0], is_redis ? redis : memcached);
        die("exec");
    }
    for (int i = 0; i < 2000 && access(socket, F_OK) != 0; i++)
        usleep(5000);
    usleep(100000); // to listen
    return pid;
}

int main(int argc, char **argv)
{
    char dir[] = "/tmp/mpbench-XXXXXX", socket[64];
    if (argc < 3)
        die("usage: manager_stores redis|memcached one|eight|flight SECONDS");
    double seconds = seconds_from(argc > 3 ? argv[3] : NULL);
    is_redis = !strcmp(argv[1], "redis");
    memset(value, 'v', VALUE);
    if (!mkdtemp(dir) || chmod(dir, 0777) < 0)
        die("mkdtemp");
    snprintf(socket, sizeof socket, "%s/s.sock", dir);
    pid_t pid = start(socket);
    const struct manager_engine e = {argv[1], connect_to, call, calls};
    if (!strcmp(argv[2], "one"))
        manager_test("manager_1", &e, socket, 1, 1, seconds);
    else if (!strcmp(argv[2], "eight"))
        manager_test("manager_8", &e, socket, 8, 1, seconds);
    else
        manager_test("manager_8x16", &e, socket, 8, FLIGHT, seconds);
    kill(pid, SIGTERM);
    waitpid(pid, NULL, 0);
    unlink(socket);
    return rmdir(dir) != 0;
}
