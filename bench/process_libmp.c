// SPDX-License-Identifier: MIT
//
// mp_process_start() and join, by each start method.
//
//   process_libmp fork|forkserver|spawn|large [SECONDS]
#include "process_test.h"

#include <mp/process.h>

static mp_start method = MP_START_FORKSERVER;

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}
MP_TASK(nothing);

static void preload(void)
{
}
MP_FORKSERVER(preload);

static void start_and_join(void)
{
    mp_process *p;
    int code;
    int r = mp_process_start(&p, nothing, NULL, &(mp_process_opts){.start = method});
    if (r < 0)
        die("mp_process_start: %s", mp_strerror(r));
    if (mp_process_join(p, MP_FOREVER) < 0 || mp_process_exitcode(p, &code) < 0 || code)
        die("mp_process_join");
    mp_process_free(p);
}

int main(int argc, char **argv)
{
    char metric[32];
    if (mp_runtime_init() < 0)
        die("mp_runtime_init");
    if (argc < 2 || argc > 3)
        die("usage: %s TEST [SECONDS]", argv[0]);
    for (int m = MP_START_FORK; m <= MP_START_SPAWN; m++)
        if (strcmp(argv[1], mp_start_name((mp_start)m)) == 0)
            method = (mp_start)m;
    snprintf(metric, sizeof metric, "process_%s", argv[1]);
    process_test("libmp", metric, strcmp(argv[1], "large") == 0, seconds_from(argv[2]));
    return 0;
}
