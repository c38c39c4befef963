// SPDX-License-Identifier: MIT
//
// Threads inside of workers: OpenMP and the BLAS libraries start one for each CPU unless told
// otherwise, and with a worker for each CPU that is far too many.
//
// They are told in two ways: by the environment, which they read when they are loaded, and by
// a call, if they are loaded already. Both are prepared in the caller, where memory may be had
// and symbols looked up; a worker stores a pointer and makes the calls.
#ifndef MP_WORK_INNER_H
#define MP_WORK_INNER_H

#define MP__INNER_CALLS 4

struct mp__inner {
    int threads;    // 0: leave it as it is
    char **environ; // with what is added; NULL if there is nothing
    char *added;
    void (*call[MP__INNER_CALLS])(int threads); // NULL: not loaded
};

// For so many workers; threads as in mp_pool_opts. 0 or -ENOMEM.
int mp__inner_prepare(struct mp__inner *in, int threads, int workers);
void mp__inner_free(struct mp__inner *in);

// In a worker.
void mp__inner_apply(const struct mp__inner *in);

#endif
