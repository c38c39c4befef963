// SPDX-License-Identifier: MIT
//
// mp_semaphore_new(): not more than two at a time. Four processes use something of which
// there are two; one of them dies with its unit, and because the semaphore is robust the
// others do not miss it.
#include <mp/mp.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static mp_semaphore *licences; // inherited by the children

static int use(void *arg)
{
    const int *me = arg;
    int r = mp_semaphore_acquire(licences, MP_FOREVER);
    if (r < 0)
        return 1;
    printf("%d works\n", *me);
    fflush(stdout);
    if (*me == 0)
        kill(getpid(), SIGKILL); // and does not release
    usleep(1000);
    return mp_semaphore_release(licences) < 0;
}

int main(void)
{
    static int number[4] = {0, 1, 2, 3};
    mp_process *p[4] = {NULL};
    int r = mp_semaphore_new(&licences, 2, &(mp_semaphore_opts){.bound = 2, .robust = true});
    for (int i = 0; r == 0 && i < 4; i++)
        r = mp_process_start(&p[i], use, &number[i], NULL);
    for (int i = 0; i < 4; i++) {
        if (p[i] && r == 0)
            r = mp_process_join(p[i], MP_FOREVER);
        mp_process_free(p[i]);
    }
    int left = mp_semaphore_value(licences);
    mp_semaphore_free(licences);
    if (r < 0) {
        fprintf(stderr, "semaphore_limit: %s\n", mp_strerror(r));
        return 1;
    }
    printf("%d to be had\n", left);
    return left == 2 ? 0 : 1;
}
