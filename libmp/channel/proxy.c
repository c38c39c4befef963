// SPDX-License-Identifier: MIT
//
// One mpproxy serves the process that first needed it and all that are forked from it: they
// share its control socket, on which requests go one way. It is no child of ours, but on its
// own, so that nobody's wait() finds it; it ends when nobody holds the socket any more, or
// when nobody used it for a while, and then the next request finds the socket broken and
// starts another.
//
// A process that became somebody else since (another user, another root directory, another
// network) must not use the old one, which would act in the name of what it was: it would
// bind ports and open sockets where this process cannot. So who we are is remembered beside
// the socket and compared before each request, and mpproxy itself takes requests only from
// its own user.
#include "channel/proxy.h"
#include "os/fork.h"

#include "base/clock.h"
#include "base/log.h"
#include "os/fdpass.h"
#include "os/pidfd.h"
#include "os/program.h"

#include <errno.h>
#include <limits.h>
#include <mp/log.h>
#include <mp/spawn.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define START_NS INT64_C(20000000000) // until a new mpproxy must have said hello

// Who a process is, as far as it matters for what mpproxy does for it.
struct self {
    uid_t uid;
    dev_t root_dev;
    ino_t root, net, mnt;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; // held across forks, too
static int control = -1;                                 // guarded by the lock, as is:
static struct self started_as;

static void before_fork(void)
{
    pthread_mutex_lock(&lock);
}

static void after_fork(void)
{
    pthread_mutex_unlock(&lock);
}

MP__FORK_HOOKS(MP__HOOKS_PROXY) static void set_hooks(void)
{
    pthread_atfork(before_fork, after_fork, after_fork);
}

static struct self who_am_i(void)
{
    struct self s;
    struct stat st;
    memset(&s, 0, sizeof s);
    s.uid = geteuid();
    if (stat("/", &st) == 0) {
        s.root_dev = st.st_dev;
        s.root = st.st_ino;
    }
    if (stat("/proc/self/ns/net", &st) == 0)
        s.net = st.st_ino;
    if (stat("/proc/self/ns/mnt", &st) == 0)
        s.mnt = st.st_ino;
    return s;
}

static bool same(const struct self *a, const struct self *b)
{
    return a->uid == b->uid && a->root_dev == b->root_dev && a->root == b->root &&
           a->net == b->net && a->mnt == b->mnt;
}

MP_PRINTF(2, 3) static void say(char text[MP__TEXT_MAX], const char *format, ...)
{
    va_list a;
    va_start(a, format);
    vsnprintf(text, MP__TEXT_MAX, format, a);
    va_end(a);
}

// ---- finding the program -------------------------------------------------------------

static int find(char *path, size_t size, char text[MP__TEXT_MAX])
{
    const char *wish = secure_getenv("MP_PROXY");
    char tried[MP__TEXT_MAX / 2] = "";
    if (wish && *wish) {
        snprintf(path, size, "%s", wish);
        if (access(path, X_OK) == 0)
            return 0;
        say(text, "the program mpproxy is not at %.200s, where MP_PROXY says: %s", wish,
            strerror(errno));
        return -ENOENT;
    }
    static const char *const places[] = {MP__PROXY_FROM_LIB, MP__PROXY_FROM_BIN, "../bin/mpproxy",
                                         MP__PROXY_INSTALLED, NULL};
    int r = mp__program_find(path, size, places, tried, sizeof tried);
    if (r < 0)
        say(text, "the program mpproxy was not found; looked for %s: install it, or set MP_PROXY",
            tried);
    return r;
}

// ---- starting it ---------------------------------------------------------------------

// Waits for hello; the program that was started ends when its child, the real one, has begun,
// or when something is wrong.
static int await_hello(int sock, const char *path, char text[MP__TEXT_MAX])
{
    struct mp__proxy_hello hello;
    mp__deadline d = mp__now() + START_NS;
    struct pollfd p = {.fd = sock, .events = POLLIN};
    size_t none = 0;
    int n;
    do
        n = poll(&p, 1, mp__left_ms(d));
    while (n < 0 && errno == EINTR);
    if (n == 0) {
        say(text, "%.200s was started, but said nothing for 20 seconds", path);
        return MP_ETIMEDOUT;
    }
    int r = mp__fds_recv(sock, NULL, &none, &hello, sizeof hello);
    if (r < 0) {
        say(text, "%.200s ended when it was started (run it with MP_LOG=error to see why)", path);
        return MP_EBROKEN;
    }
    if (r != sizeof hello || hello.magic != MP__REQUEST_MAGIC ||
        memcmp(hello.version, MP_VERSION, sizeof MP_VERSION) != 0) {
        bool known = r == sizeof hello && memchr(hello.version, '\0', sizeof hello.version);
        say(text, "%.200s is of version %s, this libmp of %s: set MP_PROXY to the right one", path,
            known ? hello.version : "unknown", MP_VERSION);
        return MP_EVERSION;
    }
    return 0;
}

static int spawn(const char *path, const char *role, int sock, char text[MP__TEXT_MAX])
{
    char *argv[] = {(char[]){"mpproxy"}, (char *)(uintptr_t)role, NULL};
    // Its error output is ours only while somebody wants to read it: the end of a pipeline
    // must not wait for it.
    int err = mp_log_on(MP_LOG_ERROR) ? MP_SPAWN_INHERIT : MP_SPAWN_NULL;
    int fds[3] = {sock, MP_SPAWN_NULL, err}, pidfd, code;
    int r =
        mp_spawn(NULL, &pidfd, argv, &(mp_spawn_opts){.path = path, .fds = fds, .own_group = true});
    if (r < 0) {
        say(text, "%.200s cannot be started: %s", path, mp_strerror(r));
        return r;
    }
    mp__pidfd_wait(pidfd, mp__now() + START_NS);
    r = mp__pidfd_reap(pidfd, &code, NULL); // what else it is, await_hello() will see
    if (r == MP_EAGAIN)
        mp__pidfd_kill(pidfd, SIGKILL);
    close(pidfd);
    return 0;
}

int mp__proxy_start(const char *role, int *sock, char text[MP__TEXT_MAX])
{
    char path[PATH_MAX];
    int sv[2], on = 1;
    int r = find(path, sizeof path, text);
    if (r < 0)
        return r;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0) {
        r = -errno;
        say(text, "no socket for mpproxy: %s", strerror(-r));
        return r;
    }
    // Before the first message, which would come without its sender otherwise.
    if (setsockopt(sv[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) < 0)
        r = -errno;
    if (r == 0)
        r = spawn(path, role, sv[1], text);
    close(sv[1]);
    if (r == 0)
        r = await_hello(sv[0], path, text);
    if (r < 0) {
        close(sv[0]);
        return r;
    }
    *sock = sv[0];
    mp_log(MP_LOG_DEBUG, "started %s %s", path, role);
    return 0;
}

static int start(char text[MP__TEXT_MAX])
{
    int r = mp__proxy_start("--serve", &control, text);
    if (r == 0)
        started_as = who_am_i();
    return r;
}

static void leave_locked(void)
{
    if (control >= 0)
        close(control);
    control = -1;
}

// ---- asking it -----------------------------------------------------------------------

static int ask_locked(const struct mp__request *request, const int *fds, size_t n, bool *started,
                      char text[MP__TEXT_MAX])
{
    struct self me = who_am_i();
    if (control >= 0 && !same(&me, &started_as))
        leave_locked();
    for (;;) {
        bool fresh = control < 0;
        int r = fresh ? start(text) : 0;
        if (r < 0)
            return r;
        *started = *started || fresh;
        r = mp__fds_send(control, fds, n, request, sizeof *request);
        if (r != MP_EPIPE) {
            if (r < 0)
                say(text, "mpproxy cannot be asked: %s", mp_strerror(r));
            return r;
        }
        leave_locked(); // it ended, being idle or killed
        if (fresh) {
            say(text, "mpproxy ended as soon as it was started");
            return MP_EBROKEN;
        }
    }
}

int mp__proxy_ask(const struct mp__request *request, const int *fds, size_t n, bool *started,
                  char text[MP__TEXT_MAX])
{
    *started = false;
    text[0] = '\0';
    pthread_mutex_lock(&lock);
    int r = ask_locked(request, fds, n, started, text);
    pthread_mutex_unlock(&lock);
    return r;
}

void mp__proxy_leave(void)
{
    pthread_mutex_lock(&lock);
    leave_locked();
    pthread_mutex_unlock(&lock);
}
