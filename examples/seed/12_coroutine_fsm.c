// SPDX-License-Identifier: MIT
//
// A state machine of coroutines: each state draws its input, awaits the state that follows,
// and says, on the way back, how it went on from there.
//
//   12_coroutine_fsm [SECONDS [SEED]]
//
// SECONDS is what a state takes (1); SEED makes the same way again.
#include <errno.h>
#include <mp/coro.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { START, STATE1, STATE2, STATE3, END };

static const struct {
    const char *name;
    int next[2]; // for the inputs 0 and 1
} states[] = {
    [START] = {"Start State", {STATE2, STATE1}}, [STATE1] = {"State 1", {STATE3, STATE2}},
    [STATE2] = {"State 2", {STATE1, STATE3}},    [STATE3] = {"State 3", {STATE1, END}},
    [END] = {"End State", {END, END}},
};

static int state_ms;

// A state on its way: which, the value that led there, and, when it is done, its account.
struct visit {
    int state, value;
    char *account;
};

// "State 1 with transition value = 0\n", and the rest of the way.
static int account(struct visit *v, const struct visit *then)
{
    const char *name = states[v->state].name;
    size_t size = 100 + (then ? strlen(then->account) : 0);
    v->account = malloc(size);
    if (!v->account)
        return -ENOMEM;
    int n = snprintf(v->account, size, "%s with transition value = %d\n", name, v->value);
    if (then)
        snprintf(v->account + n, size - (size_t)n, "%s calling %s", name, then->account);
    return 0;
}

static int enter(void *arg);

// Starts the state that follows and awaits it.
static int follow(const struct visit *v, struct visit *then)
{
    mp_coro *next;
    then->value = rand() % 2;
    then->state = states[v->state].next[then->value];
    int r =
        mp_coro_start(&next, NULL, enter, then, &(mp_coro_opts){.name = states[then->state].name});
    if (r == 0)
        r = mp_await(next);
    mp_coro_free(next);
    return r;
}

static int enter(void *arg)
{
    struct visit *v = arg, then = {0};
    if (v->state == END) {
        printf("...Stop Computation...\n");
        return account(v, NULL);
    }
    int r = mp_coro_sleep(state_ms);
    printf("...Evaluating...\n");
    if (r == 0)
        r = follow(v, &then);
    if (r == 0)
        r = account(v, &then);
    free(then.account);
    return r;
}

static int start(void *arg)
{
    struct visit *v = arg, then = {0};
    printf("Start State called\n");
    int r = mp_coro_sleep(state_ms);
    if (r == 0)
        r = follow(v, &then);
    if (r == 0)
        printf("Resume of the Transition : \nStart State calling %s", then.account);
    free(then.account);
    return r;
}

int main(int argc, char **argv)
{
    struct visit v = {.state = START};
    state_ms = (int)((argc > 1 ? atof(argv[1]) : 1.0) * 1000);
    srand(argc > 2 ? (unsigned)atoi(argv[2]) : (unsigned)time(NULL));
    printf("Finite State Machine simulation with Asyncio Coroutine\n");
    int r = mp_coro_run(start, &v, 0);
    if (r < 0)
        fprintf(stderr, "coroutine_fsm: %s\n", mp_strerror(r));
    return r < 0;
}
