// SPDX-License-Identifier: MIT
//
// c_swapcontext: two contexts that take turns, straight from one to the other, with the C
// library's own means and no loop between them.
#include "common.h"

#include <ucontext.h>

enum { STACK = 64 << 10, TURNS = 1000 };

static ucontext_t first, second;
static uint64_t turns;

static void other(void)
{
    for (;;) {
        turns++;
        swapcontext(&second, &first);
    }
}

int main(int argc, char **argv)
{
    double seconds = seconds_from(argc > 1 ? argv[1] : NULL), start = now();
    getcontext(&second);
    second.uc_stack.ss_sp = allocate(STACK);
    second.uc_stack.ss_size = STACK;
    makecontext(&second, other, 0);
    while (now() - start < seconds)
        for (int i = 0; i < TURNS; i++, turns++)
            swapcontext(&first, &second);
    report("task_switch", "c_swapcontext", (now() - start) / (double)turns * 1e9, "ns");
    return 0;
}
