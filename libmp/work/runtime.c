// SPDX-License-Identifier: MIT
//
// A program that says it uses libmp's processes: its beginning, in which it may turn out to be
// one of them, or fork the forkserver; and its end, for which its children are waited.
#include "os/fork.h"
#include "os/pidfd.h"
#include "work/forkserver.h"
#include "work/process.h"
#include "work/thread.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

static uint64_t exit_token; // the process that called mp_runtime_init(); under the family's lock

static struct mp_process *pin_a_running_child(void)
{
    pthread_mutex_lock(&mp__family.lock);
    struct mp_process *p = mp__family.children;
    while (p && (p->ended || p->pidfd < 0))
        p = p->next;
    if (p)
        p->pins++;
    pthread_mutex_unlock(&mp__family.lock);
    return p;
}

static void at_exit(void)
{
    struct mp_process *p;
    if (!mp__fork_is_mine(exit_token))
        return;
    mp__thread_await_all();
    pthread_mutex_lock(&mp__family.lock);
    for (p = mp__family.children; p; p = p->next)
        if (p->daemon && !p->ended && p->pidfd >= 0)
            mp__pidfd_kill(p->pidfd, SIGKILL);
    pthread_mutex_unlock(&mp__family.lock);

    while ((p = pin_a_running_child())) {
        mp__pidfd_wait(p->pidfd, MP__NEVER);
        pthread_mutex_lock(&mp__family.lock);
        mp__process_look(p);
        if (!p->ended) // a debugger holds its status back
            p->code = MP_ESTATUS;
        p->ended = true;
        p->pins--;
        mp__process_collect();
        pthread_mutex_unlock(&mp__family.lock);
    }
}

static bool initialised; // forked children inherit it

bool mp__process_can_spawn(void)
{
    return initialised;
}

int mp_runtime_init(void)
{
    static bool registered; // guarded by the lock; forked children inherit both
    uint64_t token = mp__fork_token();
    if (!token)
        return -ENOMEM;
    initialised = true;
    mp__process_born_if_told();
    pthread_mutex_lock(&mp__family.lock);
    if (!registered && atexit(at_exit) == 0)
        registered = true;
    exit_token = token;
    bool ok = registered;
    pthread_mutex_unlock(&mp__family.lock);
    return ok ? mp__forkserver_fork() : -ENOMEM;
}
