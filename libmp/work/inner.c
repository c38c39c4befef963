// SPDX-License-Identifier: MIT
#include "work/inner.h"
#include "os/loader.h"

#include <dlfcn.h>
#include <errno.h>
#include <mp/cpu.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// A variable, and the call for the same where the library has one. What the user has set in
// the environment holds, for both.
static const struct {
    const char *variable, *call;
} libraries[] = {
    {"OMP_NUM_THREADS", "omp_set_num_threads"},
    {"OPENBLAS_NUM_THREADS", "openblas_set_num_threads"},
    {"MKL_NUM_THREADS", "MKL_Set_Num_Threads"},
    {"BLIS_NUM_THREADS", "bli_thread_set_num_threads"},
};
#define N (sizeof libraries / sizeof libraries[0])
_Static_assert(N == MP__INNER_CALLS, "one for each");

static int share(int workers)
{
    int cpus = mp_cpu_count();
    return cpus > workers ? cpus / workers : 1;
}

// The environment with "NAME=threads" for each that is not set.
static int add_variables(struct mp__inner *in, const bool *wanted)
{
    size_t n = 0, line = 40;
    while (environ && environ[n])
        n++;
    in->environ = malloc((n + N + 1) * sizeof *in->environ);
    in->added = malloc(N * line);
    if (!in->environ || !in->added)
        return -ENOMEM;
    if (n)
        memcpy(in->environ, environ, n * sizeof *environ);
    for (size_t i = 0; i < N; i++) {
        if (!wanted[i])
            continue;
        char *text = in->added + i * line;
        snprintf(text, line, "%s=%d", libraries[i].variable, in->threads);
        in->environ[n++] = text;
    }
    in->environ[n] = NULL;
    return 0;
}

int mp__inner_prepare(struct mp__inner *in, int threads, int workers)
{
    bool wanted[N], any = false;
    *in = (struct mp__inner){.threads = threads ? threads : share(workers)};
    if (threads < 0) {
        in->threads = 0;
        return 0;
    }
    mp__loader_lock();
    for (size_t i = 0; i < N; i++) {
        wanted[i] = !getenv(libraries[i].variable);
        any |= wanted[i];
        void *call = wanted[i] ? dlsym(RTLD_DEFAULT, libraries[i].call) : NULL;
        memcpy(&in->call[i], &call, sizeof call);
    }
    mp__loader_unlock();
    return any ? add_variables(in, wanted) : 0;
}

void mp__inner_free(struct mp__inner *in)
{
    free(in->environ);
    free(in->added);
}

void mp__inner_apply(const struct mp__inner *in)
{
    if (in->environ)
        environ = in->environ;
    for (size_t i = 0; i < N; i++)
        if (in->call[i])
            in->call[i](in->threads);
}
