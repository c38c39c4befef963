// SPDX-License-Identifier: MIT
//
// mp_supervisor and mp_monitor: a server that crashes now and then is kept running, until it
// does so too often.
#include <mp/mp.h>
#include <signal.h>
#include <stdio.h>

static int serve(void *arg)
{
    (void)arg;
    raise(SIGSEGV); // a bad day
    return 0;
}

static int finish(void *arg)
{
    return *(int *)arg;
}

static void tell(size_t child, int code, void *arg)
{
    (void)arg;
    printf("child %zu ended: %d\n", child, code);
}

static int keep_running(void)
{
    mp_supervisor *s;
    mp_supervised server = {.fn = serve, .restart = MP_RESTART_ON_FAILURE};
    mp_supervisor_opts o = {.restarts = 2, .within_ms = 60000, .on_exit = tell};
    int r = mp_supervisor_new(&s, &server, 1, &o);
    if (r < 0)
        return r;
    r = mp_supervisor_run(s, MP_FOREVER);
    printf("%s: %s\n", mp_err_name(r), mp_supervisor_error(s));
    mp_supervisor_free(s);
    return r == MP_EBROKEN ? 0 : r;
}

// The end of each process is told once, in the order in which they end.
static int watch(void)
{
    mp_monitor *m;
    mp_exit e;
    int codes[] = {0, 1, 2}, sum = 0, r = mp_monitor_new(&m);
    for (int i = 0; i < 3 && r == 0; i++) {
        mp_process *p;
        r = mp_process_start(&p, finish, &codes[i], NULL);
        if (r == 0)
            r = mp_monitor_add(m, p, NULL);
    }
    while (r == 0 && (r = mp_monitor_wait(m, &e, MP_FOREVER)) == 0) {
        sum += e.code;
        mp_process_free(e.process);
    }
    mp_monitor_free(m);
    printf("three ended, their codes make %d\n", sum);
    return r == MP_EOF && sum == 3 ? 0 : r;
}

int main(void)
{
    int r = keep_running();
    if (r == 0)
        r = watch();
    if (r < 0)
        fprintf(stderr, "supervise: %s\n", mp_strerror(r));
    return r < 0;
}
