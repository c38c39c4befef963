// SPDX-License-Identifier: MIT
//
// A thread from a function.
#include "seed.h"

static int say(void *text)
{
    printf("%s\n", (const char *)text);
    return 0;
}

int main(void)
{
    static char hello[] = "Hello ";
    mp_thread *thread;
    printf("Greeting: \n");
    must(mp_thread_start(&thread, say, hello, NULL), "thread");
    printf(" World!\n");
    must(mp_thread_join(thread, MP_FOREVER), "join");
    mp_thread_free(thread);
    return 0;
}
