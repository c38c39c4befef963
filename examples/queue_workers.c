// SPDX-License-Identifier: MIT
//
// mp_queue_new(): jobs to whoever is free, results back. With ack, a job whose worker dies
// goes to another: one here dies on purpose, and nothing is missing.
#include <mp/mp.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define JOBS    10
#define WORKERS 3

static mp_queue *jobs, *results;

static int work(void *arg)
{
    int job, clumsy = *(int *)arg;
    mp_queue_item item;
    while (mp_queue_get_item(jobs, &job, sizeof job, &item, MP_FOREVER) == sizeof job) {
        if (clumsy && item.attempts == 0)
            raise(SIGKILL);
        int square = job * job;
        if (mp_queue_put(results, &square, sizeof square, MP_FOREVER) < 0 ||
            mp_queue_ack(jobs, item.tag) < 0)
            return 1;
    }
    return 0;
}

static int run(void)
{
    mp_process *worker[WORKERS];
    int clumsy[WORKERS] = {1, 0, 0}, r = 0, sum = 0, square;
    for (int i = 0; i < WORKERS; i++)
        if ((r = mp_process_start(&worker[i], work, &clumsy[i], NULL)) < 0)
            return r;
    for (int i = 0; i < JOBS && r == 0; i++)
        r = mp_queue_put(jobs, &i, sizeof i, MP_FOREVER);
    if (r == 0)
        r = mp_queue_join(jobs, MP_FOREVER); // until all are acknowledged
    mp_queue_shutdown(jobs, MP_DRAIN);
    while (mp_queue_get(results, &square, sizeof square, 0) == sizeof square)
        sum += square;
    for (int i = 0; i < WORKERS; i++) {
        if (r == 0)
            r = mp_process_join(worker[i], MP_FOREVER);
        mp_process_free(worker[i]);
    }
    printf("sum of the squares of 0 to %d: %d\n", JOBS - 1, sum);
    return r;
}

int main(void)
{
    int r = mp_queue_new(&jobs, &(mp_queue_opts){.ack = true});
    if (r == 0)
        r = mp_queue_new(&results, NULL);
    if (r == 0)
        r = run();
    if (r < 0)
        fprintf(stderr, "queue_workers: %s\n", mp_strerror(r));
    mp_queue_free(jobs);
    mp_queue_free(results);
    return r < 0;
}
