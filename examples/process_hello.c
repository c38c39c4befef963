// SPDX-License-Identifier: MIT
//
// mp_process_start(): a function in a process of its own.
#include <mp/mp.h>
#include <stdio.h>

static int hello(void *arg)
{
    printf("Hello %s from %s\n", (const char *)arg, mp_process_name(mp_process_current()));
    return 3; // the exit code
}

int main(void)
{
    char who[] = "world";
    mp_process *p;
    int code, r = mp_process_start(&p, hello, who, NULL);
    if (r == 0)
        r = mp_process_join(p, MP_FOREVER);
    if (r == 0)
        r = mp_process_exitcode(p, &code);
    if (r < 0) {
        fprintf(stderr, "process_hello: %s\n", mp_strerror(r));
        return 1;
    }
    printf("%s ended with %d\n", mp_process_name(p), code);
    mp_process_free(p);
    return 0;
}
