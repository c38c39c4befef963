// SPDX-License-Identifier: MIT
//
// mp_loop_new(), mp_loop_call_later(), mp_loop_add_pipe(): one thread that hears a process
// and ticks meanwhile.
#include <mp/loop.h>
#include <mp/process.h>
#include <stdio.h>
#include <unistd.h>

static mp_loop *loop;
static mp_pipe *here, *there;
static int64_t tick_call;
static int ticks;

static int talk(void *arg)
{
    int r = 0;
    (void)arg;
    for (int i = 1; i <= 3 && r == 0; i++) {
        usleep(20000);
        r = mp_pipe_send(there, &i, sizeof i, MP_FOREVER);
    }
    mp_pipe_free(there);
    return r < 0;
}

static void tick(void *arg)
{
    (void)arg;
    ticks++;
    tick_call = mp_loop_call_later(loop, 5, tick, NULL);
}

static void hear(mp_watch *w, int events, void *arg)
{
    int i;
    (void)events, (void)arg;
    int64_t n = mp_pipe_recv(here, &i, sizeof i, 0);
    if (n == sizeof i) {
        printf("heard %d\n", i);
    } else if (n != MP_ETIMEDOUT) { // the end
        mp_watch_close(w);
        mp_loop_cancel(loop, tick_call);
    }
}

static int run(void)
{
    mp_process *p;
    mp_watch *w;
    mp_process_opts opts = {.give = (mp_pipe *[]){there, NULL}};
    int r = mp_process_start(&p, talk, NULL, &opts);
    if (r < 0)
        return r;
    mp_pipe_free(there);
    r = mp_loop_add_pipe(loop, &w, here, hear, NULL);
    if (r == 0) {
        tick(NULL);
        r = mp_loop_run(loop); // until nothing is left to wait for
    }
    if (r == 0)
        r = mp_process_join(p, MP_FOREVER);
    mp_process_free(p);
    return r;
}

int main(void)
{
    int r = mp_pipe_new(&here, &there, NULL);
    if (r == 0)
        r = mp_loop_new(&loop);
    if (r == 0)
        r = run();
    mp_loop_free(loop);
    mp_pipe_free(here);
    printf("and the clock %s\n", ticks > 0 ? "ticked" : "stood still");
    if (r < 0)
        fprintf(stderr, "loop_calls: %s\n", mp_strerror(r));
    return r < 0;
}
