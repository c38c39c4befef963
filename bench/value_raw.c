// SPDX-License-Identifier: MIT
//
// The limits for a shared value: a number beside a mutex in shared memory, an atomic number,
// and fork().
//
//   value_raw c_pthread_mutex|c_robust locked [SECONDS]
//   value_raw c_atomic_add atomic [SECONDS]
//   value_raw c_fork|c_fork_robust 100procs [SECONDS]
#include "value_test.h"

#include "pthread_shared.h"

static struct value {
    pthread_mutex_t mutex;
    uint64_t number;
    _Atomic uint64_t atomic;
} * value;

static inline void add_locked(void)
{
    if (pthread_mutex_lock(&value->mutex))
        die("pthread_mutex_lock");
    value->number++;
    pthread_mutex_unlock(&value->mutex);
}

static inline void add_atomic(void)
{
    atomic_fetch_add(&value->atomic, 1);
}

static uint64_t sum(void)
{
    return value->number + atomic_load(&value->atomic);
}

static void start(struct child *c)
{
    c->pid = fork_child();
    if (c->pid == 0) {
        add_locked();
        _exit(0);
    }
}

static void join(struct child *c)
{
    join_child(c->pid);
}

int main(int argc, char **argv)
{
    if (argc < 3 || argc > 4)
        die("usage: %s WHO TEST [SECONDS]", argv[0]);
    value = shared(sizeof *value);
    init_shared_mutex(&value->mutex, strstr(argv[1], "robust"));
    value_test(argv[1], argv[2], seconds_from(argv[3]));
    return 0;
}
