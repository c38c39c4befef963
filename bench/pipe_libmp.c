// SPDX-License-Identifier: MIT
//
// libmp: mp_pipe between this process and one started with an end of it.
// pipe_libmp TEST [SECONDS]
#include "pipe_test.h"

#include <mp/pipe.h>
#include <mp/process.h>

struct libmp_end {
    struct pipe_end end;
    mp_pipe *pipe;
    unsigned char *buffer;
};

struct server {
    struct pipe_test test;
    mp_pipe *pipe;
};

static void must(int64_t result, const char *what)
{
    if (result < 0)
        die("%s: %s", what, mp_strerror(result));
}

static void libmp_send(struct pipe_end *e, const void *data, size_t size)
{
    must(mp_pipe_send(((struct libmp_end *)e)->pipe, data, size, MP_FOREVER), "mp_pipe_send");
}

static const void *libmp_recv(struct pipe_end *e, size_t expect, size_t *size)
{
    struct libmp_end *l = (struct libmp_end *)e;
    (void)expect;
    int64_t n = mp_pipe_recv(l->pipe, l->buffer, PIPE_TEST_MAX, MP_FOREVER);
    must(n, "mp_pipe_recv");
    *size = (size_t)n;
    return l->buffer;
}

static struct libmp_end open_end(mp_pipe *pipe)
{
    struct pipe_end calls = {.send = libmp_send, .recv = libmp_recv};
    return (struct libmp_end){.end = calls, .pipe = pipe, .buffer = allocate(PIPE_TEST_MAX)};
}

static int serve(void *arg)
{
    struct server *s = arg;
    struct libmp_end e = open_end(s->pipe);
    pipe_test_serve(&s->test, &e.end);
    mp_pipe_free(s->pipe);
    free(e.buffer);
    return 0;
}

int main(int argc, char **argv)
{
    mp_pipe *ours, *theirs;
    mp_process *process;
    int code;
    if (argc < 2 || argc > 3)
        die("usage: %s rtt|tp64|tp4k|tp1m [SECONDS]", argv[0]);
    struct pipe_test t = pipe_test_named(argv[1], argv[2]);
    must(mp_pipe_new(&ours, &theirs, NULL), "mp_pipe_new");
    struct server s = {.test = t, .pipe = theirs};
    mp_process_opts opts = {.give = (mp_pipe *[]){theirs, NULL}};
    must(mp_process_start(&process, serve, &s, &opts), "mp_process_start");
    mp_pipe_free(theirs);

    struct libmp_end e = open_end(ours);
    pipe_test_drive(&t, &e.end, "libmp");
    mp_pipe_free(ours);
    free(e.buffer);

    must(mp_process_join(process, 10000), "mp_process_join");
    must(mp_process_exitcode(process, &code), "mp_process_exitcode");
    if (code != 0)
        die("the serving process ended with %d", code);
    mp_process_free(process);
    return 0;
}
