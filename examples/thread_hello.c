// SPDX-License-Identifier: MIT
//
// mp_thread_start(): two functions that run beside main(), their results, and a failure with its
// text.
#include <errno.h>
#include <mp/thread.h>
#include <stdio.h>

static int greet(void *arg)
{
    printf("hello %s from %s\n", (const char *)arg, mp_thread_name(mp_thread_current()));
    return 0;
}

static int fail(void *arg)
{
    return mp_thread_fail(-ENOENT, "no file %s", (const char *)arg);
}

static int run(mp_thread_fn *fn, char *arg, const mp_thread_opts *opts, int want)
{
    mp_thread *t;
    int result = 0, r = mp_thread_start(&t, fn, arg, opts);
    if (r == 0)
        r = mp_thread_join(t, MP_FOREVER);
    if (r == 0)
        r = mp_thread_result(t, &result);
    if (r < 0) {
        fprintf(stderr, "thread_hello: %s\n", mp_strerror(r));
        return 1;
    }
    if (result)
        printf("%s failed: %s\n", mp_thread_name(t), mp_thread_error(t));
    mp_thread_free(t);
    return result != want;
}

int main(void)
{
    char world[] = "world", name[] = "greetings.txt";
    int wrong = run(greet, world, NULL, 0); // Thread-1
    wrong += run(fail, name, &(mp_thread_opts){.name = "reader"}, -ENOENT);
    return wrong;
}
