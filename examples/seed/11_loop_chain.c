// SPDX-License-Identifier: MIT
//
// Three functions that call each other by way of the loop, until the time is over.
//
//   11_loop_chain [SECONDS [complete]]
//
// SECONDS lie between two calls (1), nine times that is the whole. With `complete` the loop
// runs until a promise is kept, otherwise for ever, that is until the last function stops it.
#include <mp/coro.h>
#include <mp/loop.h>
#include <stdio.h>
#include <stdlib.h>

static mp_loop *loop;
static mp_coro *finished; // the promise; NULL: stop the loop
static int delay_ms;
static int64_t start_ms, end_ms;

static void must(int64_t r, const char *what)
{
    if (r >= 0)
        return;
    fprintf(stderr, "%s: %s\n", what, mp_strerror(r));
    exit(1);
}

static void function_1(void *arg);

static void called(int number, mp_loop_call_fn *next)
{
    int64_t now = mp_loop_time(loop);
    printf("function_%d called at %.3f\n", number, (double)(now - start_ms) / 1000);
    fflush(stdout);
    if (now + delay_ms < end_ms)
        must(mp_loop_call_later(loop, delay_ms, next, NULL), "call_later");
    else if (finished)
        must(mp_coro_set(finished, 0, NULL), "set");
    else
        mp_loop_stop(loop);
}

static void function_3(void *arg)
{
    (void)arg;
    called(3, function_1);
}

static void function_2(void *arg)
{
    (void)arg;
    called(2, function_3);
}

static void function_1(void *arg)
{
    (void)arg;
    called(1, function_2);
}

int main(int argc, char **argv)
{
    delay_ms = (int)((argc > 1 ? atof(argv[1]) : 1.0) * 1000);
    must(mp_loop_new(&loop), "loop");
    start_ms = mp_loop_time(loop);
    end_ms = start_ms + 9 * delay_ms;
    must(mp_loop_call_soon(loop, function_1, NULL), "call_soon");
    if (argc > 2) {
        must(mp_coro_promise(&finished, loop), "promise");
        must(mp_loop_run_until_complete(loop, finished), "run_until_complete");
        mp_coro_free(finished);
    } else {
        must(mp_loop_run_forever(loop), "run_forever");
    }
    mp_loop_free(loop);
    return 0;
}
