// SPDX-License-Identifier: MIT
//
// The pool beside the daemon: a process with a pool of workers (mp/pool.h), a client of the daemon
// like others, that runs what objects of type Pool have to be run.
#ifndef MP_MANAGER_SERVER_POOL_H
#define MP_MANAGER_SERVER_POOL_H

#include <mp/loop.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct server;

struct pool {
    pid_t pid; // 0: there is none
    int pidfd;
    int report; // where its report comes from
    mp_watch *watch;
    int64_t restart; // the call that makes another; 0
};

// Starts it, if the options want one: when it has made its workers this returns. The server listens
// already. On failure text says why.
int pool_begin(struct server *s, char *text, size_t size);

// Ends it, and waits until it is gone.
void pool_end(struct server *s);

// Whether a client is the pool.
bool pool_is(const struct server *s, pid_t pid);

// ---- in that process (pool_host.c) ----

struct pool_plan {
    const char *socket;   // of the manager
    char *const *plugins; // files that have the tasks, count of them; none: this program has
    size_t count;
    int workers; // 0: as many as CPUs
};

struct child_report;

// All of its life, up to its exit code: makes the pool, tells the report, and serves until the
// manager is gone.
int pool_host(const struct pool_plan *plan, int fd, struct child_report *report);

#endif
