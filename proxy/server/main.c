// SPDX-License-Identifier: MIT
//
// mpproxy: speaks to the network for the processes that started it, or serves a queue of one
// (proxy/README.md). Nobody starts it by hand.
#include "auth.h"
#include "base/log.h"
#include "control.h"
#include "loop.h"
#include "queue/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <mp/base.h>
#include <mp/error.h>
#include <mp/log.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CONTROL = 0 }; // where the control socket is

static int explain(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        puts("mpproxy " MP_VERSION);
        return 0;
    }
    bool help = argc == 2 && strcmp(argv[1], "--help") == 0;
    fputs("mpproxy speaks to the network for programs that use libmp, which start it by\n"
          "themselves when they first use a URL. It is not to be run by hand.\n"
          "  --version  print the version\n",
          help ? stdout : stderr);
    return help ? 0 : 2;
}

// Files that whoever started us had open by accident would stay open as long as we live.
static void close_the_rest(void)
{
    if (syscall(SYS_close_range, 3, ~0U, 0) < 0)
        for (int fd = 3; fd < 1024; fd++)
            close(fd);
}

// As many descriptors as we may have: a connection takes five.
static void raise_limit(void)
{
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l) == 0) {
        l.rlim_cur = l.rlim_max;
        setrlimit(RLIMIT_NOFILE, &l);
    }
}

// On our own: not a child of who started us, not in his terminal's reach.
static int detach(void)
{
    sigset_t all;
    pid_t pid = fork();
    if (pid < 0)
        return -errno;
    if (pid > 0)
        _exit(0);
    setsid();
    if (chdir("/") < 0)
        return -errno;
    umask(077);
    // Handed on to NNG's threads: none of them shall take a signal.
    sigfillset(&all);
    sigdelset(&all, SIGTERM);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGABRT);
    sigprocmask(SIG_SETMASK, &all, NULL);
    return 0;
}

static int face_the_network(void)
{
    prctl(PR_SET_DUMPABLE, 0); // there are keys in here
    return auth_init() < 0 ? MP_EBUG : control_init(CONTROL);
}

static int serve_queue(void)
{
    return serve_init(CONTROL);
}

static int serve(int (*role)(void))
{
    close_the_rest();
    raise_limit();
    int r = detach();
    if (r == 0 && fcntl(CONTROL, F_SETFL, fcntl(CONTROL, F_GETFL) | O_NONBLOCK) < 0)
        r = -errno;
    if (r == 0)
        r = loop_init();
    if (r == 0)
        r = role();
    if (r < 0) {
        mp_log(MP_LOG_ERROR, "mpproxy cannot start: %s", mp_strerror(r));
        return 1;
    }
    loop_run();
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--serve") == 0)
        return serve(face_the_network);
    if (argc == 2 && strcmp(argv[1], "--queue") == 0)
        return serve(serve_queue);
    return explain(argc, argv);
}
