// SPDX-License-Identifier: MIT
//
// mp_event_new(): a start signal. Three runners get ready and go when the flag is raised.
#include <mp/mp.h>
#include <stdio.h>

static mp_event *go; // inherited by the children

static int run(void *arg)
{
    (void)arg;
    int r = mp_event_wait(go, 10000);
    printf("%s %s\n", mp_process_name(mp_process_current()), r == 0 ? "runs" : mp_strerror(r));
    return r < 0;
}

int main(void)
{
    mp_process *p[3] = {NULL};
    int code, failed = 0, r = mp_event_new(&go, NULL);
    for (int i = 0; r == 0 && i < 3; i++)
        r = mp_process_start(&p[i], run, NULL, NULL);
    printf("ready, set, go\n");
    mp_event_set(go);
    for (int i = 0; i < 3; i++) {
        if (mp_process_join(p[i], MP_FOREVER) < 0 || mp_process_exitcode(p[i], &code) < 0 || code)
            failed++;
        mp_process_free(p[i]);
    }
    mp_event_free(go);
    if (r < 0)
        fprintf(stderr, "event_start: %s\n", mp_strerror(r));
    return r < 0 || failed ? 1 : 0;
}
