// SPDX-License-Identifier: MIT
//
// The server is a child like any other, a daemonic one that nobody sees: so the kernel ends
// it with its process. Forked early by mp_runtime_init(), it has the program's code at the
// program's addresses; started later, it is a spawned process that runs serve(), so that it is
// small and has one thread whatever has become of the program.
//
// It has nothing to do with what it forks, but that it is the one who is told their end: it
// passes that on. If it dies, they go on.
//
// Requests are datagrams of one byte with descriptors, which may be sent by any thread at any
// time. The answer comes from the new process itself; where there is none, a closed socket says so.
#include "work/forkserver.h"
#include "os/alive.h"
#include "os/fork.h"
#include "os/pidfd.h"
#include "work/image.h"
#include "work/process.h"

#include <errno.h>
#include <fcntl.h>
#include <mp/start.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define DYING_MS 1000

static mp_preload *preloads;

// The server of this process. Guarded by the lock, which is held across forks: a child has
// none. The thread that makes one has the lock while it forks, or spawns, so that nobody else
// inherits the server's end of the socket.
static struct {
    int sock, pidfd;         // -1: there is none
    int its_end;             // of the socket, while it is made
    struct mp__image *image; // the code it was forked with; NULL if it was spawned
} server = {.sock = -1, .pidfd = -1, .its_end = -1};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local bool making;

void mp_forkserver_preload(mp_preload *p)
{
    if (!p)
        return;
    p->next = preloads;
    preloads = p;
}

static void forget_server(void)
{
    mp__process_close_fd(&server.sock);
    mp__process_close_fd(&server.pidfd);
    free(server.image);
    server.image = NULL;
}

// ---- the server ------------------------------------------------------------------

static struct {
    struct child {
        pid_t pid;
        int status;
    } * child;
    size_t n, room;
    int sock, ended; // requests; a signalfd
    sigset_t mask;
    struct sigaction interrupt, quit;
} me;

static bool add_child(pid_t pid, int status)
{
    if (me.n == me.room) {
        size_t room = me.room ? 2 * me.room : 16;
        struct child *more = realloc(me.child, room * sizeof *more);
        if (!more)
            return false;
        me.child = more;
        me.room = room;
    }
    me.child[me.n++] = (struct child){pid, status};
    return true;
}

static void reap(void)
{
    for (;;) {
        siginfo_t si = {0};
        if (waitid(P_ALL, 0, &si, WEXITED | WNOHANG) < 0 || si.si_pid == 0)
            return;
        int code = si.si_code == CLD_EXITED ? si.si_status : -si.si_status;
        for (size_t i = 0; i < me.n; i++) {
            if (me.child[i].pid != si.si_pid)
                continue;
            (void)!write(me.child[i].status, &code, sizeof code); // SIGPIPE is blocked
            close(me.child[i].status);
            me.child[i] = me.child[--me.n];
            break;
        }
    }
}

_Noreturn static void become_child(int sock)
{
    close(me.sock);
    close(me.ended);
    for (size_t i = 0; i < me.n; i++)
        close(me.child[i].status);
    free(me.child);
    sigaction(SIGINT, &me.interrupt, NULL);
    sigaction(SIGQUIT, &me.quit, NULL);
    sigprocmask(SIG_SETMASK, &me.mask, NULL);
    mp__process_born(sock);
}

// False: nobody can ask any more.
static bool take_request(void)
{
    int fds[2];
    size_t n = 2;
    char byte;
    int r = mp__fds_recv(me.sock, fds, &n, &byte, 1);
    if (r < 0)
        return r != MP_EOF;
    if (n == 2) {
        pid_t pid = mp__fork();
        if (pid == 0) {
            close(fds[1]);
            become_child(fds[0]);
        }
        if (pid < 0)
            mp__letter_answer(fds[0], pid, "the forkserver cannot fork");
        else if (add_child(pid, fds[1]))
            n = 1;
    }
    while (n > 0)
        close(fds[--n]);
    return true;
}

// Everything is blocked but what cannot be, and Ctrl-C is for others.
static int begin(int sock)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN}, normal = {.sa_handler = SIG_DFL};
    sigset_t all;
    for (mp_preload *p = preloads; p; p = p->next)
        p->fn();
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &me.mask);
    sigaction(SIGINT, &ignore, &me.interrupt);
    sigaction(SIGQUIT, &ignore, &me.quit);
    sigaction(SIGCHLD, &normal, NULL); // ignored, it would take the exit codes away
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    me.sock = sock;
    me.ended = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    return me.ended < 0 ? -errno : 0;
}

static int run(int sock)
{
    if (begin(sock) < 0)
        return 1;
    for (;;) {
        struct pollfd p[] = {{.fd = me.sock, .events = POLLIN}, {.fd = me.ended, .events = POLLIN}};
        struct signalfd_siginfo si;
        if (poll(p, 2, -1) < 0)
            continue;
        while (p[1].revents && read(me.ended, &si, sizeof si) > 0)
            ;
        reap();
        if (p[0].revents && !take_request())
            return 0;
    }
}

static int serve_forked(void *arg)
{
    (void)arg;
    int sock = server.its_end;
    server.its_end = -1;
    forget_server();
    making = false;
    pthread_mutex_unlock(&lock);
    return run(sock);
}

static int mp__forkserver(void *arg)
{
    (void)arg;
    return run(mp_handle_take_fd(mp_process_handle(0)));
}
MP_TASK(mp__forkserver);

// ---- its process -----------------------------------------------------------------

static void lock_server(void)
{
    if (!making)
        pthread_mutex_lock(&lock);
}

static void unlock_server(void)
{
    if (!making)
        pthread_mutex_unlock(&lock);
}

static void forget_in_child(void)
{
    if (making) // this is the server, which sees to it itself
        return;
    forget_server();
    pthread_mutex_unlock(&lock);
}

MP__FORK_HOOKS(MP__HOOKS_FORKSERVER) static void set_hooks(void)
{
    pthread_atfork(lock_server, unlock_server, forget_in_child);
}

static int start_process(bool forked)
{
    mp_process *p;
    mp_handle end = mp_handle_fd(server.its_end);
    mp_process_opts o = {.name = "forkserver", .daemon = true, .start = MP_START_FORK};
    mp_process_fn *fn = serve_forked;
    if (!forked) {
        o.start = MP_START_SPAWN;
        o.handles = &end;
        o.n_handles = 1;
        fn = mp__forkserver;
    }
    int r = mp_process_start(&p, fn, NULL, &o);
    if (r < 0)
        return r;
    server.pidfd = fcntl(mp_process_sentinel(p), F_DUPFD_CLOEXEC, 0);
    mp_process_free(p);
    return server.pidfd < 0 ? -errno : 0;
}

static int make_server(bool forked)
{
    int ends[2], r = 0;
    if (forked && !(server.image = mp__image_new()))
        return -ENOMEM;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        r = -errno;
    if (r == 0) {
        server.sock = ends[0];
        server.its_end = ends[1];
        making = true;
        r = start_process(forked);
        making = false;
        close(ends[1]);
        server.its_end = -1;
    }
    if (r < 0)
        forget_server();
    return r;
}

int mp__forkserver_fork(void)
{
    if (!preloads || mp__process_threads() != 1)
        return 0;
    pthread_mutex_lock(&lock);
    int r = server.sock < 0 ? make_server(true) : 0;
    pthread_mutex_unlock(&lock);
    return r;
}

int mp__forkserver_ask(int sock, int status, bool by_address)
{
    int fds[] = {sock, status};
    pthread_mutex_lock(&lock);
    int r = server.sock < 0 ? make_server(false) : 0;
    if (r == 0 && by_address && !server.image)
        r = MP_EPIPE; // that one is gone
    if (r == 0)
        r = mp__fds_send(server.sock, fds, 2, "p", 1);
    pthread_mutex_unlock(&lock);
    return r;
}

// A process that dies closes one descriptor after the other, and may have dropped a request
// before anybody sees that it is dying.
bool mp__forkserver_alive(void)
{
    pthread_mutex_lock(&lock);
    struct pollfd p[] = {{.fd = server.sock}, {.fd = server.pidfd, .events = POLLIN}};
    mp__deadline d = mp__deadline_in(DYING_MS);
    int n = 0;
    if (server.sock >= 0)
        while ((n = poll(p, 2, mp__left_ms(d))) < 0 && errno == EINTR)
            ;
    if (n > 0)
        forget_server();
    bool alive = server.sock >= 0;
    pthread_mutex_unlock(&lock);
    return alive;
}

bool mp__forkserver_has(mp__any_fn *fn)
{
    pthread_mutex_lock(&lock);
    bool has = server.image && mp__image_has(server.image, fn);
    pthread_mutex_unlock(&lock);
    return has;
}

void mp__forkserver_leave(void)
{
    pthread_mutex_lock(&lock);
    if (server.sock >= 0) {
        close(server.sock);
        server.sock = -1;
        (void)mp__pidfd_wait(server.pidfd, MP__NEVER);
    }
    forget_server();
    pthread_mutex_unlock(&lock);
    (void)mp_process_active_children(NULL, 0); // which collects it
}
