// SPDX-License-Identifier: MIT
//
// mp_pipe_new(): messages to a child and back. The child's end is given to it when it
// starts; the end of data comes when the parent closes its own.
#include <mp/mp.h>
#include <stdio.h>
#include <string.h>

static int echo(void *arg)
{
    mp_pipe *end = arg;
    char text[64];
    int64_t n;
    while ((n = mp_pipe_recv(end, text, sizeof text, MP_FOREVER)) >= 0)
        if (mp_pipe_send(end, text, (size_t)n, MP_FOREVER) < 0)
            return 1;
    return n == MP_EOF ? 0 : 1;
}

static int talk(mp_pipe *end)
{
    static const char *const words[] = {"one", "two", "three"};
    for (size_t i = 0; i < 3; i++) {
        char text[64];
        int r = mp_pipe_send(end, words[i], strlen(words[i]) + 1, MP_FOREVER);
        if (r < 0)
            return r;
        int64_t n = mp_pipe_recv(end, text, sizeof text, MP_FOREVER);
        if (n < 0)
            return (int)n;
        printf("%s came back\n", text);
    }
    mp_pipe_close(end);
    return 0;
}

int main(void)
{
    mp_pipe *ours, *theirs;
    mp_process *child = NULL;
    int code = -1, r = mp_pipe_new(&ours, &theirs, NULL);
    if (r == 0)
        r = mp_process_start(&child, echo, theirs,
                             &(mp_process_opts){.give = (mp_pipe *[]){theirs, NULL}});
    if (r == 0)
        r = talk(ours);
    if (r == 0)
        r = mp_process_join(child, MP_FOREVER);
    if (r == 0)
        r = mp_process_exitcode(child, &code);
    if (r < 0)
        fprintf(stderr, "pipe_echo: %s\n", mp_strerror(r));
    mp_process_free(child);
    mp_pipe_free(ours);
    mp_pipe_free(theirs);
    return r < 0 || code != 0;
}
