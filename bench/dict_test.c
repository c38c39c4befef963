// SPDX-License-Identifier: MIT
#include "dict_test.h"

struct test {
    const char *name, *metric;
    int processes;
    uint64_t keys;
    uint64_t sets_every; // call; 0: none sets
};

static const struct test tests[] = {
    {"get1", "dict_get1", 1, 10000, 0},
    {"get2", "dict_get2", 2, 10000, 0},
    {"mixed", "dict_mixed2", 2, 10000, 10},
    {"large", "dict_get_large", 1, DICT_KEYS_MAX, 0},
    {0},
};

// Of the processes of a test.
struct board {
    APART _Atomic int ready;
    APART _Atomic bool stop;
    APART _Atomic uint64_t calls;
};

static struct dict_key key_of(uint64_t number)
{
    return (struct dict_key){number, number * 0x9e3779b97f4a7c15u};
}

static struct dict_value value_of(uint64_t number, uint64_t version)
{
    struct dict_value v = {.number = number};
    for (int i = 0; i < 7; i++)
        v.version[i] = version;
    return v;
}

static void check(const struct dict_value *v, uint64_t number)
{
    struct dict_value want = value_of(number, v->version[0]);
    if (memcmp(v, &want, sizeof want) != 0)
        die("the value of key %llu is another's, or torn", (unsigned long long)number);
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void one_call(const struct dict_engine *e, void *d, uint64_t keys, uint64_t random,
                     bool sets)
{
    uint64_t number = (random >> 16) % keys;
    struct dict_key key = key_of(number);
    struct dict_value value;
    if (sets) {
        value = value_of(number, random);
        e->set(d, &key, &value);
    } else {
        if (!e->get(d, &key, &value))
            die("key %llu is not there", (unsigned long long)number);
        check(&value, number);
    }
}

static void work(const struct dict_engine *e, void *d, const struct test *t, struct board *b,
                 int me)
{
    uint64_t random = 88172645463325252u + (uint64_t)me * 7919, calls = 0;
    for (int i = 0; i < 20000; i++) // warm-up
        one_call(e, d, t->keys, next_random(&random), false);
    atomic_fetch_add(&b->ready, 1);
    while (atomic_load(&b->ready) < t->processes + 1)
        cpu_relax();
    while (!atomic_load_explicit(&b->stop, memory_order_relaxed)) {
        for (uint64_t i = 1; i <= 100; i++)
            one_call(e, d, t->keys, next_random(&random), t->sets_every && i % t->sets_every == 0);
        calls += 100;
    }
    atomic_fetch_add(&b->calls, calls);
}

static void run(const struct dict_engine *e, const struct test *t, double seconds)
{
    void *d = e->make();
    struct board *b = shared(sizeof *b);
    for (uint64_t i = 0; i < t->keys; i++) {
        struct dict_key key = key_of(i);
        struct dict_value value = value_of(i, i);
        e->set(d, &key, &value);
    }
    pid_t pids[2];
    for (int i = 0; i < t->processes; i++) {
        pids[i] = fork_child();
        if (pids[i] == 0) {
            work(e, d, t, b, i);
            _exit(0);
        }
    }
    while (atomic_load(&b->ready) < t->processes)
        usleep(1000);
    double start = now();
    atomic_fetch_add(&b->ready, 1);
    usleep((useconds_t)(seconds * 1e6));
    atomic_store(&b->stop, true);
    double elapsed = now() - start;
    for (int i = 0; i < t->processes; i++)
        join_child(pids[i]);
    report(t->metric, e->who, (double)b->calls / elapsed, "calls/s");
}

int dict_test_main(int argc, char **argv, const struct dict_engine *engines)
{
    if (argc < 3 || argc > 4)
        die("usage: %s WHO get1|get2|mixed|large [SECONDS]", argv[0]);
    const struct dict_engine *e = engines;
    const struct test *t = tests;
    while (e->who && strcmp(e->who, argv[1]) != 0)
        e++;
    while (t->name && strcmp(t->name, argv[2]) != 0)
        t++;
    if (!e->who || !t->name || (t->sets_every && !e->sets))
        die("nobody is called %s, or has no test %s", argv[1], argv[2]);
    run(e, t, seconds_from(argv[3]));
    return 0;
}
