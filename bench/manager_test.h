// SPDX-License-Identifier: MIT
//
// Clients of a server that holds keys, as they are of each kind: set and get in turns, of a
// thousand keys with values of 64 bytes; one or eight clients, one call after the other or 16
// under way at once.
#ifndef BENCH_MANAGER_TEST_H
#define BENCH_MANAGER_TEST_H

#include "common.h"

enum { KEYS = 1000, VALUE = 64, FLIGHT = 16 };

struct manager_engine {
    const char *who;
    void (*connect)(void *arg);  // in each client
    void (*call)(int i);         // call number i, and its answer: even sets, odd gets
    void (*calls)(int i, int n); // n of them at once, then their answers
};

static inline void key_of(char key[16], int i)
{
    snprintf(key, 16, "key%05d", i / 2 % KEYS);
}

static inline void client(const struct manager_engine *e, void *arg, int flight, double seconds,
                          _Atomic uint32_t *ready, _Atomic uint32_t *go, _Atomic uint64_t *total)
{
    uint64_t n = 0;
    e->connect(arg);
    for (int i = 0; i < 2 * KEYS; i += FLIGHT)
        e->calls(i, FLIGHT); // every key is there, and a burst is over
    atomic_fetch_add(ready, 1);
    while (!atomic_load(go))
        usleep(100);
    for (double end = now() + seconds; now() < end;) {
        for (int k = 0; k < 64; k += flight, n += (uint64_t)flight) {
            if (flight == 1)
                e->call((int)(n & 0xffff));
            else
                e->calls((int)(n & 0xffff), flight);
        }
    }
    atomic_fetch_add(total, n);
    _exit(0);
}

// Runs `clients` of them and reports calls a second.
static inline void manager_test(const char *metric, const struct manager_engine *e, void *arg,
                                int clients, int flight, double seconds)
{
    struct {
        _Atomic uint32_t ready, go;
        _Atomic uint64_t total;
    } *s = shared(sizeof *s);
    pid_t pids[64];
    for (int i = 0; i < clients; i++)
        if ((pids[i] = fork_child()) == 0)
            client(e, arg, flight, seconds, &s->ready, &s->go, &s->total);
    while (atomic_load(&s->ready) < (uint32_t)clients) {
        usleep(1000);
        if (waitpid(pids[0], NULL, WNOHANG) != 0)
            die("a client of %s failed", e->who);
    }
    atomic_store(&s->go, 1);
    for (int i = 0; i < clients; i++)
        join_child(pids[i]);
    report(metric, e->who, (double)s->total / seconds, "calls/s");
}

#endif
