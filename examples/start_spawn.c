// SPDX-License-Identifier: MIT
//
// mp_process_opts.start, MP_TASK() and handles: a process that is no fork of this one. It is
// the same program once more, small and without our memory, however large we are: what it is to
// have is given to it, an argument as bytes and a queue as a handle.
#include <mp/mp.h>
#include <stdio.h>

struct range {
    int begin, end;
};

// Puts the primes of a range into the queue that it was given.
static int find_primes(void *arg)
{
    const struct range *r = arg;
    mp_queue *out;
    int err = mp_handle_take_queue(mp_process_handle(0), &out);
    for (int n = r->begin; err == 0 && n < r->end; n++) {
        int d = 2;
        while (d * d <= n && n % d)
            d++;
        if (d * d > n)
            err = mp_queue_put(out, &n, sizeof n, MP_FOREVER);
    }
    return err != 0;
}
MP_TASK(find_primes); // so that the new process finds it, wherever it lies there

static int run(mp_queue *primes)
{
    mp_process *p[4];
    for (int i = 0; i < 4; i++) {
        struct range r = {2 + 100 * i, 102 + 100 * i};
        mp_handle queue = MP_HANDLE(primes);
        mp_process_opts o = {
            .start = i % 2 ? MP_START_SPAWN : MP_START_FORKSERVER,
            .arg_size = sizeof r,
            .handles = &queue,
            .n_handles = 1,
        };
        int err = mp_process_start(&p[i], find_primes, &r, &o);
        if (err < 0)
            return err;
    }
    for (int i = 0; i < 4; i++) {
        int err = mp_process_join(p[i], MP_FOREVER);
        if (err < 0)
            return err;
        mp_process_free(p[i]);
    }
    return 0;
}

int main(void)
{
    mp_queue *primes;
    int n, count = 0, r = mp_runtime_init(); // first thing: a new process begins here
    if (r == 0)
        r = mp_queue_new(&primes, NULL);
    if (r == 0)
        r = run(primes);
    if (r < 0) {
        fprintf(stderr, "start_spawn: %s\n", mp_strerror(r));
        return 1;
    }
    while (mp_queue_get(primes, &n, sizeof n, 0) > 0)
        count++;
    printf("%d primes below 402\n", count);
    mp_queue_free(primes);
    return count == 79 ? 0 : 1;
}
