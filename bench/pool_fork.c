// SPDX-License-Identifier: MIT
//
// The limit for a pool of processes: forked workers and one shared atomic counter of
// what is still to do. No worker may die, no task may fail.
//
// Each worker is bound to a CPU of its own. Left to the scheduler, both often start on one
// CPU, and where a task costs less than passing the counter's cache line across, one worker
// has then done all before the other runs: a serial loop, twice as fast at chunk size 1, and
// not what a pool is measured against.
#include "pool_test.h"

#include <sched.h>

#define WORKER_SPINS 1000

struct pool {
    APART _Atomic uint64_t next;       // the first item nobody has taken
    APART _Atomic uint32_t generation; // of maps: its change starts one
    APART _Atomic uint32_t running;    // workers still in this map
    APART size_t n, chunk;             // the map
    task_fn *fn;
    void *ctx;
    bool quit;
    pid_t workers[POOL_WORKERS];
};

static void take_chunks(struct pool *p)
{
    for (;;) {
        uint64_t begin = atomic_fetch_add(&p->next, p->chunk);
        if (begin >= p->n)
            return;
        p->fn(p->ctx, begin, begin + p->chunk < p->n ? begin + p->chunk : p->n);
    }
}

// Binds this process to the n-th CPU it may use, counted in a circle.
static void bind_to_cpu(int n)
{
    cpu_set_t all, one;
    if (sched_getaffinity(0, sizeof all, &all) < 0)
        die("sched_getaffinity");
    n %= CPU_COUNT(&all);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &all) && n-- == 0) {
            CPU_ZERO(&one);
            CPU_SET(cpu, &one);
            if (sched_setaffinity(0, sizeof one, &one) < 0)
                die("sched_setaffinity");
            return;
        }
    }
}

__attribute__((noreturn)) static void work(struct pool *p)
{
    for (uint32_t seen = 0;; seen++) {
        for (int i = 0; i < WORKER_SPINS && atomic_load(&p->generation) == seen; i++)
            cpu_relax();
        while (atomic_load(&p->generation) == seen)
            futex_wait(&p->generation, seen);
        if (p->quit)
            _exit(0);
        take_chunks(p);
        if (atomic_fetch_sub(&p->running, 1) == 1)
            futex_wake(&p->running, 1);
    }
}

static struct pool *start(void)
{
    struct pool *p = shared(sizeof *p);
    for (int i = 0; i < POOL_WORKERS; i++) {
        pid_t pid = fork_child();
        if (pid == 0) {
            bind_to_cpu(i);
            work(p);
        }
        p->workers[i] = pid;
    }
    return p;
}

static void wake_workers(struct pool *p)
{
    atomic_fetch_add(&p->generation, 1);
    futex_wake(&p->generation, POOL_WORKERS);
}

static void begin(struct pool *p, task_fn *fn, void *ctx, size_t n, size_t chunk)
{
    p->fn = fn;
    p->ctx = ctx;
    p->n = n;
    p->chunk = chunk;
    atomic_store(&p->next, 0);
    atomic_store(&p->running, POOL_WORKERS);
    wake_workers(p);
}

static void wait_for_map(struct pool *p)
{
    uint32_t running;
    while ((running = atomic_load(&p->running)) != 0)
        futex_wait(&p->running, running);
}

static void stop(struct pool *p)
{
    p->quit = true;
    wake_workers(p);
    for (int i = 0; i < POOL_WORKERS; i++)
        join_child(p->workers[i]);
    munmap(p, sizeof *p);
}

int main(int argc, char **argv)
{
    static const struct pool_engine engine = {
        .who = "c_fork_atomic", .start = start, .begin = begin, .wait = wait_for_map, .stop = stop};
    return pool_test_main(argc, argv, &engine);
}
