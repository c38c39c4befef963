// SPDX-License-Identifier: MIT
//
// The limits for a shared dict: a table of fixed size in shared memory, with a hash that
// anybody can foresee.
//
//   c_raw_hash      nothing guards it: no call may set while others get
//   c_robust_mutex  one robust mutex around each call; who dies inside leaves half a value
#include "dict_test.h"

#include <pthread.h>

#define SLOTS ((uint64_t)1 << 19) // DICT_KEYS_MAX and more

struct slot {
    struct dict_key key; // number 0 is the key of slot 0's own
    bool used;
    struct dict_value value;
};

struct table {
    pthread_mutex_t mutex;
    APART struct slot slot[];
};

static void *make(void)
{
    struct table *t = shared(sizeof *t + SLOTS * sizeof *t->slot);
    pthread_mutexattr_t a;
    if (pthread_mutexattr_init(&a) || pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED) ||
        pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST) || pthread_mutex_init(&t->mutex, &a))
        die("no robust mutex");
    return t;
}

static struct slot *find(struct table *t, const struct dict_key *key)
{
    uint64_t hash = (key->number ^ key->other) * 0xff51afd7ed558ccdu;
    for (uint64_t i = hash >> 32;; i++) {
        struct slot *s = &t->slot[i % SLOTS];
        if (!s->used || (s->key.number == key->number && s->key.other == key->other))
            return s;
    }
}

static void raw_set(void *d, const struct dict_key *key, const struct dict_value *value)
{
    *find(d, key) = (struct slot){*key, true, *value};
}

static bool raw_get(void *d, const struct dict_key *key, struct dict_value *value)
{
    const struct slot *s = find(d, key);
    *value = s->value;
    return s->used;
}

static void mutex_set(void *d, const struct dict_key *key, const struct dict_value *value)
{
    struct table *t = d;
    pthread_mutex_lock(&t->mutex);
    raw_set(d, key, value);
    pthread_mutex_unlock(&t->mutex);
}

static bool mutex_get(void *d, const struct dict_key *key, struct dict_value *value)
{
    struct table *t = d;
    pthread_mutex_lock(&t->mutex);
    bool found = raw_get(d, key, value);
    pthread_mutex_unlock(&t->mutex);
    return found;
}

int main(int argc, char **argv)
{
    static const struct dict_engine engines[] = {
        {"c_raw_hash", false, make, raw_set, raw_get},
        {"c_robust_mutex", true, make, mutex_set, mutex_get},
        {0},
    };
    return dict_test_main(argc, argv, engines);
}
