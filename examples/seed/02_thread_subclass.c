// SPDX-License-Identifier: MIT
//
// Objects that are threads: a struct that begins with an mp_runnable.
#include "seed.h"

struct greeting {
    mp_runnable base; // the first member
    const char *text;
};

static int say(mp_runnable *self)
{
    const struct greeting *greeting = (struct greeting *)self;
    printf("%s\n", greeting->text);
    return 0;
}

int main(void)
{
    struct greeting greetings[] = {{{.run = say}, "Hello "}, {{.run = say}, "World!"}};
    printf("Greeting: \n");
    for (int i = 0; i < 2; i++)
        must(mp_thread_start_object(&greetings[i].base, NULL), "thread");
    for (int i = 0; i < 2; i++) {
        must(mp_thread_join(greetings[i].base.thread, MP_FOREVER), "join");
        mp_thread_free(greetings[i].base.thread);
    }
    return 0;
}
