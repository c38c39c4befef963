// SPDX-License-Identifier: MIT
//
// mp_listen(), mp_connect(), mp_accept(): a pipe between two programs, on one machine or on
// two. Run without arguments it plays both parts; or
//
//     url_pipe listen tcp://*:5555 KEYFILE
//     url_pipe connect tcp://host:5555 KEYFILE
#include <errno.h>
#include <mp/mp.h>
#include <stdio.h>
#include <string.h>

static char error[300];

static int fail(int r)
{
    fprintf(stderr, "url_pipe: %s\n", *error ? error : mp_strerror(r));
    return 1;
}

static int answer(mp_listener *l)
{
    mp_pipe *p;
    char text[100];
    int64_t n = mp_accept(l, &p, MP_FOREVER);
    if (n < 0)
        return fail((int)n);
    while ((n = mp_pipe_recv(p, text, sizeof text, MP_FOREVER)) >= 0) {
        printf("\"%.*s\" came\n", (int)n, text);
        n = mp_pipe_send(p, "thanks", 6, MP_FOREVER);
        if (n < 0)
            break;
    }
    mp_pipe_free(p);
    return n == MP_EOF ? 0 : fail((int)n);
}

static int ask(mp_pipe *p)
{
    char text[100];
    int64_t n = mp_pipe_send(p, "hello", 5, MP_FOREVER);
    if (n == 0)
        n = mp_pipe_recv(p, text, sizeof text, MP_FOREVER);
    if (n >= 0)
        printf("\"%.*s\" came back\n", (int)n, text);
    mp_pipe_free(p);
    return n < 0 ? fail((int)n) : 0;
}

static int child(void *arg)
{
    mp_pipe *p;
    mp_url_opts o = {.error = error, .error_size = sizeof error};
    int r = mp_connect(&p, arg, &o);
    return r < 0 ? fail(r) : ask(p);
}

// Both parts: the child finds the port in the listener's real address.
static int both(mp_listener *l)
{
    char url[300];
    mp_process *p;
    snprintf(url, sizeof url, "%s", mp_listener_url(l));
    int code = 1, r = mp_process_start(&p, child, url, NULL);
    if (r < 0)
        return fail(r);
    int bad = answer(l);
    if ((r = mp_process_join(p, MP_FOREVER)) == 0)
        r = mp_process_exitcode(p, &code);
    mp_process_free(p);
    return bad || r < 0 || code;
}

int main(int argc, char **argv)
{
    mp_listener *l;
    mp_pipe *p;
    mp_url_opts o = {.error = error, .error_size = sizeof error};
    o.key_file = argc > 3 ? argv[3] : NULL;
    if (argc > 2 && strcmp(argv[1], "connect") == 0) {
        int r = mp_connect(&p, argv[2], &o);
        return r < 0 ? fail(r) : ask(p);
    }
    int r = mp_listen(&l, argc > 2 ? argv[2] : "tcp://127.0.0.1:0", &o);
    if (r == -ENOENT && argc < 2)
        return printf("%s: nothing to show\n", error), 0; // built without NNG
    if (r < 0)
        return fail(r);
    printf("listening at %s\n", mp_listener_url(l));
    r = argc > 2 ? answer(l) : both(l);
    mp_listener_free(l);
    return r;
}
