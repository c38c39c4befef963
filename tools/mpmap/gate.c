// SPDX-License-Identifier: MIT
//
// The system is looked at when a job could be started, at most once in LOOK_MS, and
// while the gate is closed, once in PAUSE_MS.
#include "gate.h"
#include "say.h"
#include "system.h"

#include <errno.h>
#include <mp/cpu.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LOOK_MS = 100, PAUSE_MS = 250 };

static void wait_for_process(struct gate *g);

static void on_after(mp_watch *w, int events, void *arg)
{
    (void)events;
    struct gate *g = arg;
    mp_watch_close(w);
    g->after = NULL;
    close(g->pidfds[--g->pidfds_len]);
    wait_for_process(g);
    g->on_open(g->arg);
}

static void wait_for_process(struct gate *g)
{
    if (g->pidfds_len && mp_loop_add_fd(g->loop, &g->after, g->pidfds[g->pidfds_len - 1],
                                        MP_LOOP_READ, on_after, g) < 0)
        g->after = NULL; // the timer will do
}

static int add_process(struct gate *g, long pid)
{
    int fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
    if (fd < 0 && errno == ESRCH)
        return 0; // has ended
    if (fd < 0)
        return usage_error("--after %ld: %s", pid, mp_strerror(-errno));
    g->pidfds = xrealloc(g->pidfds, ((size_t)g->pidfds_len + 1) * sizeof *g->pidfds);
    g->pidfds[g->pidfds_len++] = fd;
    return 0;
}

static int add_processes(struct gate *g, const char *list)
{
    for (const char *p = list; p;) {
        char *end;
        long pid = strtol(p, &end, 10);
        if (pid < 1 || pid > 1 << 30 || (*end && *end != ','))
            return usage_error("--after %s: not process ids with commas between", list);
        int status = add_process(g, pid);
        if (status)
            return status;
        p = *end ? end + 1 : NULL;
    }
    wait_for_process(g);
    return 0;
}

int gate_init(struct gate *g, const struct args *a, mp_loop *loop, void (*on_open)(void *),
              void *arg)
{
    *g = (struct gate){.args = a, .loop = loop, .on_open = on_open, .arg = arg};
    g->looked_ms = g->started_ms = INT64_MIN / 2;
    g->wanted = a->delay_ms || a->load || a->memfree || a->pressure_set || a->after;
    return a->after ? add_processes(g, a->after) : 0;
}

static void on_timer(mp_watch *w, void *arg)
{
    struct gate *g = arg;
    mp_watch_close(w);
    g->timer = NULL;
    g->on_open(g->arg);
}

static bool wait_for(struct gate *g, int64_t ms, const char *why)
{
    g->why = why;
    if (!g->timer && mp_loop_add_timer(g->loop, &g->timer, (int)ms, on_timer, g) < 0)
        g->timer = NULL; // the end of a job will do
    return false;
}

// Why not, or NULL.
static const char *look(const struct args *a)
{
    if (a->load && system_runnable() >= a->load)
        return "the load is too high";
    if (a->memfree && system_memory_free() < a->memfree)
        return "too little memory is free";
    for (int i = 0; i < PRESSURES && a->pressure_set; i++)
        if (a->pressure[i] && system_pressure(i) >= a->pressure[i])
            return i == PRESSURE_CPU      ? "the pressure on the CPUs is too high"
                   : i == PRESSURE_MEMORY ? "the pressure on memory is too high"
                                          : "the pressure on the disks is too high";
    return NULL;
}

bool gate_is_open(struct gate *g)
{
    if (!g->wanted)
        return true;
    if (g->pidfds_len)
        return g->after ? (g->why = "other processes have to end first", false)
                        : wait_for(g, PAUSE_MS, "other processes have to end first");
    int64_t now = mp_loop_time(g->loop), left = g->started_ms + g->args->delay_ms - now;
    if (g->args->delay_ms && left > 0)
        return wait_for(g, left < 86400000 ? left : 86400000, "the delay between jobs");
    if (now - g->looked_ms >= LOOK_MS) {
        g->looked_ms = now;
        g->seen = look(g->args);
    }
    return g->seen ? wait_for(g, PAUSE_MS, g->seen) : true;
}

void gate_started(struct gate *g)
{
    if (!g->wanted)
        return;
    g->started_ms = mp_loop_time(g->loop);
    g->why = NULL;
}

bool gate_is_short(const struct gate *g)
{
    return g->args->memfree && system_memory_free() < g->args->memfree / 2;
}

void gate_close(struct gate *g)
{
    mp_watch_close(g->timer);
    mp_watch_close(g->after);
    for (int i = 0; i < g->pidfds_len; i++)
        close(g->pidfds[i]);
    free(g->pidfds);
}
