// SPDX-License-Identifier: MIT
//
// One loop over three descriptors: the caller's end (a pidfd), a request (an eventfd)
// and SIGCHLD (a signalfd, so that a thousand workers do not need a thousand
// descriptors).
//
// Who dies with whom: the supervisor watches the caller's pidfd, since a parent death
// signal would come when the *thread* that made the pool ends. The workers ask for
// that signal, since the supervisor has but one thread.
//
// It is forked from a program that may have threads, so it takes no lock that another
// thread may have held: no malloc, no stdio of its own. The pids it may kill are in
// its own memory, not in the segment, where a task gone wild could write.
#include "work/supervisor.h"
#include "os/fork.h"
#include "os/oom.h"
#include "os/trace.h"
#include "work/image.h"
#include "work/worker.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define BUDGET          3   // times each worker may die before it ever waited for a job
#define RETRY_MS        100 // after a fork that failed
#define RETRIES         20  // without any worker, then the pool is broken
#define RECORDS_FULL_MS 5
#define MAX_TICK_MS     1000

static struct {
    const struct mp__supervisor *s;
    struct mp__control *ctl;
    pid_t pids[MP__MAX_WORKERS]; // 0 = no worker in this place
    unsigned alive, stillborn, refused;
    int children;      // signalfd
    int retry_ms;      // until the next look; -1 = when something happens
    int64_t oom_kills; // of the kernel, at the last look
} me;

static void reset_signals(void)
{
    for (int sig = 1; sig < NSIG; sig++) {
        struct sigaction sa;
        if (sigaction(sig, NULL, &sa) < 0 || sa.sa_handler == SIG_DFL || sa.sa_handler == SIG_IGN)
            continue;
        sa = (struct sigaction){.sa_handler = SIG_DFL};
        sigaction(sig, &sa, NULL);
    }
    struct sigaction ignore = {.sa_handler = SIG_IGN}, normal = {.sa_handler = SIG_DFL};
    sigaction(SIGINT, &ignore, NULL); // Ctrl-C is the caller's to handle
    sigaction(SIGQUIT, &ignore, NULL);
    sigaction(SIGCHLD, &normal, NULL); // ignored, it would take the exit codes away
}

static void name_process(uint32_t number)
{
    char name[16], digits[12];
    int n = number ? snprintf(digits, sizeof digits, "-%u", number) : 0;
    digits[n] = 0;
    snprintf(name, sizeof name, "%.*s%s", (int)sizeof name - 1 - n, me.s->name, digits);
    prctl(PR_SET_NAME, name);
}

_Noreturn static void become_worker(uint32_t place, pid_t supervisor)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != supervisor)
        _exit(0); // it died before that took effect
    close(me.s->caller);
    close(me.s->wake);
    close(me.children);
    name_process(place + 1);
    mp__inner_apply(&me.s->inner);
    sigprocmask(SIG_SETMASK, &me.s->mask, NULL);
    mp__worker_run(me.s, place);
}

static void kill_workers(void)
{
    for (uint32_t i = 0; i < me.ctl->workers; i++)
        if (me.pids[i])
            kill(me.pids[i], SIGKILL);
}

// Kills all, waits until they are gone (nobody writes into the caller's arrays then),
// and ends.
_Noreturn static void end(int code)
{
    kill_workers();
    while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
        ;
    mp__board_ring(&me.ctl->board);
    _exit(code);
}

static void hire(void)
{
    pid_t supervisor = getpid();
    me.retry_ms = -1;
    for (uint32_t i = 0; i < me.ctl->workers; i++) {
        if (me.pids[i] || i >= atomic_load(&me.ctl->wanted) || atomic_load(&me.ctl->slot[i].rests))
            continue;
        atomic_store(&me.ctl->slot[i].up, 0);
        atomic_store(&me.ctl->slot[i].retires, 0);
        pid_t pid = mp__fork();
        if (pid == 0)
            become_worker(i, supervisor);
        if (pid < 0) { // too many processes: go on with fewer, and try again
            me.retry_ms = RETRY_MS;
            me.refused++;
            break;
        }
        me.refused = 0;
        MP__TRACE2(worker_begin, i, pid);
        me.pids[i] = pid;
        me.alive++;
    }
}

static bool is_hopeless(void)
{
    return me.stillborn >= BUDGET * me.ctl->wanted || (me.alive == 0 && me.refused >= RETRIES);
}

// Whether the kernel has killed for want of memory since the last look. A worker that was
// killed may be the one.
static bool ran_out_of_memory(int code)
{
    if (code != -SIGKILL)
        return false;
    int64_t before = me.oom_kills;
    me.oom_kills = mp__oom_kills();
    return me.oom_kills > before && before >= 0;
}

// Enters what is known of its end.
static struct mp__grave dig(const struct mp__slot *slot, pid_t pid, int code, uint64_t peak)
{
    struct mp__mortem m = {.pid = pid, .code = code, .peak = peak};
    int signal = atomic_load(&slot->crash.signal);
    if (code == -SIGALRM && signal > 0) // it could not say more
        m.code = -signal;
    if (m.code == -signal)
        memcpy(&m.crash, &slot->crash, sizeof m.crash);
    for (size_t i = 0; i < MP__FRAMES; i++) // names are found by the caller
        m.crash.frame[i] = mp__image_move_there(m.crash.frame[i]);
    m.oom = ran_out_of_memory(code);
    return (struct mp__grave){pid, m.code, mp__mortem_enter(&me.ctl->mortems, &m)};
}

// A worker is dead: tells the caller what it was at, then clears its place. In this
// order, so that who finds the place empty finds the record.
static void bury(uint32_t place, pid_t pid, int code, uint64_t peak)
{
    struct mp__control *ctl = me.ctl;
    struct mp__slot *slot = &ctl->slot[place];
    uint32_t joined = atomic_load(&slot->joined);
    me.pids[place] = 0;
    me.alive--;
    atomic_store(&slot->pid, 0);
    atomic_fetch_add(&ctl->died, 1);
    me.stillborn = atomic_load(&slot->up) ? 0 : me.stillborn + 1;
    mp__enter_finished(ctl, slot);
    struct mp__grave grave = dig(slot, pid, code, peak);
    MP__TRACE3(worker_end, place, pid, grave.code);
    if (joined) {
        uint32_t n = atomic_load(&ctl->deaths);
        ctl->death[n % MP__MAX_DEATHS] = (struct mp__death){
            .epoch = joined,
            .pid = pid,
            .code = grave.code,
            .mortem = grave.mortem,
            .claim = atomic_load(&slot->claim),
            .at = atomic_load(&slot->at),
        };
        atomic_store(&ctl->deaths, n + 1);
    }
    mp__board_bury(&ctl->board, place, &slot->errand, atomic_load(&slot->task), &grave);
    atomic_store(&slot->task, 0);
    atomic_store(&slot->claim, 0);
    atomic_store(&slot->awaits, 0);
    atomic_store(&slot->joined, 0);
    mp__ring_caller(ctl);
}

// Kills who holds a task that is out of time, or cancelled; bury() sees why.
static void kill_doomed(void)
{
    int64_t now = mp__now();
    for (uint32_t i = 0; i < me.ctl->workers; i++) {
        uint32_t held = atomic_load(&me.ctl->slot[i].task);
        if (me.pids[i] && mp__board_dooms(&me.ctl->board, i, held, now))
            kill(me.pids[i], SIGKILL);
    }
}

// How long to sleep: less while a task may run out of time.
static int nap(int timeout_ms)
{
    uint32_t tick = atomic_load(&me.ctl->board.tick_ms);
    if (tick == 0 || tick > MAX_TICK_MS)
        return timeout_ms;
    return timeout_ms < 0 || (int)tick < timeout_ms ? (int)tick : timeout_ms;
}

static bool records_full(void)
{
    return atomic_load(&me.ctl->deaths) - atomic_load(&me.ctl->deaths_taken) >= MP__MAX_DEATHS;
}

// Buries all that died. False if the caller has to read records first.
static bool reap(void)
{
    for (;;) {
        if (records_full())
            return false;
        siginfo_t si = {0};
        struct rusage usage = {0};
        // The raw call: waitid(3) has no room for the rusage.
        if (syscall(SYS_waitid, P_ALL, 0, &si, WEXITED | WNOHANG, &usage) < 0 || si.si_pid == 0)
            return true;
        int code = si.si_code == CLD_EXITED ? si.si_status : -si.si_status;
        for (uint32_t i = 0; i < me.ctl->workers; i++)
            if (me.pids[i] == si.si_pid)
                bury(i, si.si_pid, code, (uint64_t)usage.ru_maxrss * 1024);
    }
}

static void drain(int fd)
{
    struct signalfd_siginfo buf[8];
    while (read(fd, buf, sizeof buf) > 0)
        ;
}

static void watch(int timeout_ms)
{
    struct pollfd p[] = {
        {.fd = me.s->caller, .events = POLLIN},
        {.fd = me.s->wake, .events = POLLIN},
        {.fd = me.children, .events = POLLIN},
    };
    if (poll(p, 3, timeout_ms) < 0)
        return;
    if (p[0].revents)
        end(0);
    if (p[1].revents)
        drain(me.s->wake);
    if (p[2].revents)
        drain(me.children);
}

_Noreturn void mp__supervisor_run(const struct mp__supervisor *s)
{
    me.s = s;
    me.ctl = s->ctl;
    me.alive = me.stillborn = me.refused = 0;
    for (uint32_t i = 0; i < MP__MAX_WORKERS; i++)
        me.pids[i] = 0; // a pool inside a worker finds those of its ancestors here
    close(s->memory);
    name_process(0);
    reset_signals();
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    me.children = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    if (me.children < 0)
        _exit(1);
    sigprocmask(SIG_SETMASK, &child, NULL);
    hire();
    me.oom_kills = mp__oom_kills(); // while the workers start
    bool all_buried = true;
    for (;;) {
        uint32_t request = atomic_load(&s->ctl->request);
        if (request == MP__TERMINATE)
            end(0);
        if (request == MP__RUN && all_buried)
            hire();
        if (is_hopeless())
            end(1);
        if (request == MP__CLOSE && me.alive == 0)
            end(0);
        watch(nap(all_buried ? me.retry_ms : RECORDS_FULL_MS));
        kill_doomed();
        all_buried = reap();
    }
}
