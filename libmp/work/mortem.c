// SPDX-License-Identifier: MIT
#include "work/mortem.h"
#include "os/loader.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define STACK_SIZE 32768
#define TOLD       6 // calls of a crash
#define GUARD_S    2 // that looking for them may take

// ---- in the worker that crashes ----

static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};

static struct mp__crash *here;
static pid_t watched; // what it forks inherits the handler, and is not meant
static _Alignas(16) char handler_stack[STACK_SIZE];

// The stack that is searched may be damaged, and the C library may have crashed with its locks
// held: then the alarm ends what the signal should have.
static void guard(void)
{
    sigset_t one;
    signal(SIGALRM, SIG_DFL);
    sigemptyset(&one);
    sigaddset(&one, SIGALRM);
    pthread_sigmask(SIG_UNBLOCK, &one, NULL);
    alarm(GUARD_S);
}

// SA_RESETHAND has put the default back: the signal comes once more when this returns, from
// the same instruction or by raise().
static void on_crash(int sig, siginfo_t *si, void *context)
{
    (void)context;
    if (getpid() == watched) {
        void *frame[MP__FRAMES];
        here->address = si->si_code > 0 ? (uint64_t)(uintptr_t)si->si_addr : MP__NO_ADDRESS;
        atomic_store(&here->signal, sig);
        guard();
        int n = backtrace(frame, MP__FRAMES);
        alarm(0);
        for (int i = 0; i < n; i++)
            here->frame[i] = (uintptr_t)frame[i];
        atomic_store(&here->frames, n > 0 ? (uint32_t)n : 0);
    }
    if (si->si_code <= 0 || sig == SIGABRT) // sent, not met: it would not come again
        raise(sig);
}

void mp__crash_watch(struct mp__crash *c)
{
    atomic_store(&c->signal, 0);
    atomic_store(&c->frames, 0);
    here = c;
    watched = getpid();
    stack_t stack = {.ss_sp = handler_stack, .ss_size = sizeof handler_stack};
    if (sigaltstack(&stack, NULL) < 0)
        return;
    struct sigaction sa = {.sa_sigaction = on_crash,
                           .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESETHAND};
    sigemptyset(&sa.sa_mask);
    for (size_t i = 0; i < sizeof crashes / sizeof crashes[0]; i++) {
        struct sigaction old;
        if (sigaction(crashes[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL)
            sigaction(crashes[i], &sa, NULL);
    }
}

void mp__mortem_prepare(void)
{
    static bool prepared; // guarded by the lock; forked children inherit it
    void *frame;
    mp__loader_lock();
    if (!prepared)
        backtrace(&frame, 1);
    prepared = true;
    mp__loader_unlock();
}

// ---- in the supervisor ----

uint32_t mp__mortem_enter(struct mp__mortems *all, const struct mp__mortem *m)
{
    uint32_t n = atomic_load(&all->count) + 1;
    n += n == 0;
    atomic_store(&all->entry[n % MP__MORTEMS].number, 0);
    memcpy(&all->entry[n % MP__MORTEMS].of, m, sizeof *m);
    atomic_store(&all->entry[n % MP__MORTEMS].number, n);
    atomic_store(&all->count, n);
    return n;
}

// ---- in the caller ----

struct mp__mortem mp__mortem_find(const struct mp__mortems *all, uint32_t n, int pid, int code)
{
    struct mp__mortem m;
    uint32_t i = n % MP__MORTEMS;
    memcpy(&m, &all->entry[i].of, sizeof m);
    atomic_thread_fence(memory_order_acquire);
    if (n == 0 || atomic_load(&all->entry[i].number) != n)
        memset(&m, 0, sizeof m);
    m.pid = pid;
    m.code = code;
    return m;
}

struct text {
    char *at;
    size_t size, len;
};

#define put(t, ...)                                                                                \
    do {                                                                                           \
        if ((t)->len < (t)->size)                                                                  \
            (t)->len += (size_t)snprintf((t)->at + (t)->len, (t)->size - (t)->len, __VA_ARGS__);   \
    } while (0)

static void put_signal(struct text *t, int sig)
{
    const char *name = sigdescr_np(sig);
    put(t, "was killed by signal %d (%s)", sig, name ? name : "real-time");
}

// "function+0x12", or "library+0x1234" where no name is known: for addr2line.
static bool put_frame(struct text *t, const char *before, uintptr_t frame)
{
    Dl_info info, mine;
    if (!dladdr((void *)frame, &info) || !info.dli_fname)
        return false;
    // Our own calls are of no interest, where they are told from the program's.
    if (dladdr((void *)put_frame, &mine) && mine.dli_fbase == info.dli_fbase &&
        strstr(mine.dli_fname, "libmp.so"))
        return false;
    const char *file = strrchr(info.dli_fname, '/');
    file = file ? file + 1 : info.dli_fname;
    if (info.dli_sname)
        put(t, "%s%s+0x%zx", before, info.dli_sname, (size_t)(frame - (uintptr_t)info.dli_saddr));
    else
        put(t, "%s%s+0x%zx", before, file, (size_t)(frame - (uintptr_t)info.dli_fbase));
    return true;
}

// The first two are the handler, and what called it.
static void put_frames(struct text *t, const struct mp__crash *c, uint32_t n)
{
    const char *before = " in ";
    for (uint32_t i = 2; i < n && i < 2 + TOLD; i++) {
        if (!put_frame(t, before, c->frame[i]))
            return;
        before = " < ";
    }
}

static void put_crash(struct text *t, const struct mp__crash *c)
{
    uint32_t n = atomic_load(&c->frames);
    if (c->address != MP__NO_ADDRESS)
        put(t, " at address 0x%llx", (unsigned long long)c->address);
    if (n > MP__FRAMES)
        return; // a task gone wild
    mp__loader_lock();
    put_frames(t, c, n);
    mp__loader_unlock();
}

static void put_bytes(struct text *t, uint64_t bytes)
{
    static const char *const unit[] = {"KiB", "MiB", "GiB", "TiB"};
    double x = (double)bytes / 1024;
    size_t u = 0;
    for (; x >= 1024 && u < 3; u++)
        x /= 1024;
    put(t, ", had %.3g %s at most", x, unit[u]);
}

int mp__mortem_text(const struct mp__mortem *m, char *buf, size_t size)
{
    struct text t = {buf, size, 0};
    put(&t, "worker %d ", m->pid);
    if (m->code >= 0)
        put(&t, "exited with code %d", m->code);
    else
        put_signal(&t, -m->code);
    if (m->code < 0 && atomic_load(&m->crash.signal) == -m->code)
        put_crash(&t, &m->crash);
    if (m->oom)
        put(&t, " when the kernel ran out of memory");
    if (m->peak)
        put_bytes(&t, m->peak);
    return (int)(t.len < size ? t.len : size - 1);
}
