// SPDX-License-Identifier: MIT
//
// One thread, which does nothing but fdatasync(), and shares nothing but this with the one that the
// manager is: it holds no lock while another forks. It sleeps in a read, and is there only
// where a log is synced every second.
#include "persist/syncer.h"

#include <errno.h>
#include <fcntl.h>
#include <mp/thread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { IDLE = 1 };

struct mp__syncer {
    mp_thread *thread;
    int bell;          // a number in it is a file to be synced, + 1; or that it is the end
    _Atomic int state; // IDLE, 0 while it is at one, -errno for ever
};

static int run(void *arg)
{
    struct mp__syncer *s = arg;
    uint64_t n;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    for (;;) {
        if (read(s->bell, &n, sizeof n) != sizeof n)
            continue;
        if (n > INT32_MAX)
            return 0;
        int fd = (int)n - 1;
        int r = fdatasync(fd) < 0 ? -errno : IDLE;
        close(fd);
        atomic_store(&s->state, r);
    }
}

static int ring(struct mp__syncer *s, uint64_t n)
{
    return write(s->bell, &n, sizeof n) == sizeof n ? 0 : -errno;
}

int mp__syncer_new(struct mp__syncer **out)
{
    struct mp__syncer *s = calloc(1, sizeof *s);
    *out = NULL;
    if (!s)
        return -ENOMEM;
    atomic_init(&s->state, IDLE);
    s->bell = eventfd(0, EFD_CLOEXEC);
    int r = s->bell < 0 ? -errno
                        : mp_thread_start(&s->thread, run, s,
                                          &(mp_thread_opts){.name = "sync", .stack_size = 65536});
    if (r < 0) {
        if (s->bell >= 0)
            close(s->bell);
        free(s);
        return r;
    }
    *out = s;
    return 0;
}

int mp__syncer_begin(struct mp__syncer *s, int fd)
{
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 0); // the log may go on in another file meanwhile
    if (own < 0)
        return -errno;
    atomic_store(&s->state, 0);
    int r = ring(s, (uint64_t)own + 1);
    if (r < 0)
        close(own);
    return r;
}

int mp__syncer_busy(struct mp__syncer *s)
{
    int state = atomic_load(&s->state);
    return state < 0 ? state : state != IDLE;
}

void mp__syncer_free(struct mp__syncer *s)
{
    if (!s)
        return;
    (void)!ring(s, UINT64_C(1) << 40);
    (void)!mp_thread_join(s->thread, MP_FOREVER);
    mp_thread_free(s->thread);
    close(s->bell);
    free(s);
}
