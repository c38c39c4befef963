// SPDX-License-Identifier: MIT
//
// mp_queue_serve(), mp_queue_connect(): a queue of jobs for workers on other machines. Without
// arguments it plays all parts, and one worker dies with a job in its hands; or
//
//     queue_remote serve tcp://*:5555 KEYFILE
//     queue_remote work tcp://host:5555 KEYFILE       as often and wherever you like
#include <errno.h>
#include <mp/mp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define JOBS    10
#define WORKERS 3

static char error[300];
static mp_url_opts opts = {.error = error, .error_size = sizeof error};

static int fail(int64_t r)
{
    fprintf(stderr, "queue_remote: %s\n", *error ? error : mp_strerror(r));
    return 1;
}

// Takes jobs until there are no more. What was not reported as done when this dies goes to
// another worker.
static int work(const char *url, bool clumsy)
{
    mp_queue *jobs;
    int64_t n;
    int job, done = 0, r = mp_queue_connect(&jobs, url, &opts);
    if (r < 0)
        return fail(r);
    while ((n = mp_queue_get(jobs, &job, sizeof job, MP_FOREVER)) == sizeof job) {
        if (clumsy)
            raise(SIGKILL);
        done++;
        if ((n = mp_queue_task_done(jobs)) < 0)
            break;
    }
    mp_queue_free(jobs);
    printf("a worker did %d jobs\n", done);
    return n == MP_EOF ? 0 : fail(n);
}

static int careful(void *url)
{
    return work(url, false);
}

static int clumsy(void *url)
{
    return work(url, true);
}

static int put_jobs(mp_queue *jobs)
{
    int r = 0;
    for (int i = 0; i < JOBS && r == 0; i++)
        r = mp_queue_put(jobs, &i, sizeof i, MP_FOREVER);
    if (r == 0)
        r = mp_queue_join(jobs, MP_FOREVER); // until the last is reported
    if (r == 0)
        r = mp_queue_shutdown(jobs, MP_DRAIN);
    if (r == 0)
        printf("all %d jobs are done\n", JOBS);
    return r;
}

static int with_workers(mp_queue *jobs, const mp_listener *l)
{
    mp_process *worker[WORKERS] = {NULL};
    char url[300];
    int r = 0;
    snprintf(url, sizeof url, "%s", mp_listener_url(l));
    for (int i = 0; i < WORKERS && r == 0; i++)
        r = mp_process_start(&worker[i], i == 0 ? clumsy : careful, url, NULL);
    if (r == 0)
        r = put_jobs(jobs);
    for (int i = 0; i < WORKERS; i++) {
        if (r == 0)
            r = mp_process_join(worker[i], MP_FOREVER);
        mp_process_free(worker[i]);
    }
    return r;
}

static int serve(const char *url, bool alone)
{
    mp_queue *jobs;
    mp_listener *l = NULL;
    int r = mp_queue_new(&jobs, &(mp_queue_opts){.ack = true});
    if (r == 0)
        r = mp_queue_serve(&l, jobs, url, &opts);
    if (r == 0) {
        printf("serving jobs at %s\n", mp_listener_url(l));
        r = alone ? with_workers(jobs, l) : put_jobs(jobs);
    }
    mp_listener_free(l); // before the queue
    mp_queue_free(jobs);
    if (r == -ENOENT && alone)
        return printf("%s: nothing to show\n", error), 0; // built without NNG
    return r < 0 ? fail(r) : 0;
}

int main(int argc, char **argv)
{
    opts.key_file = argc > 3 ? argv[3] : NULL;
    if (argc > 2 && strcmp(argv[1], "work") == 0)
        return work(argv[2], false);
    return serve(argc > 2 ? argv[2] : "tcp://127.0.0.1:0", argc < 3);
}
