// SPDX-License-Identifier: MIT
//
// libmp: mp_shm_dict in an arena that the processes inherit.
#include "dict_test.h"

#include <mp/shm_dict.h>

static void *make(void)
{
    mp_shm_dict *d;
    int r = mp_shm_dict_new(&d, NULL);
    if (r < 0)
        die("mp_shm_dict_new: %s", mp_strerror(r));
    return d;
}

static void set(void *d, const struct dict_key *key, const struct dict_value *value)
{
    int r = mp_shm_dict_set(d, key, sizeof *key, value, sizeof *value);
    if (r < 0)
        die("mp_shm_dict_set: %s", mp_strerror(r));
}

static bool get(void *d, const struct dict_key *key, struct dict_value *value)
{
    return mp_shm_dict_get(d, key, sizeof *key, value, sizeof *value) == sizeof *value;
}

int main(int argc, char **argv)
{
    static const struct dict_engine engines[] = {{"libmp", true, make, set, get}, {0}};
    return dict_test_main(argc, argv, engines);
}
