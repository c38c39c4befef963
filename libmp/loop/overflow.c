// SPDX-License-Identifier: MIT
//
// Names the task whose stack overflowed. A fault in the guard of the stack that is in use can
// be nothing else; any other fault is passed on. Everything here runs in a signal handler:
// no locks, no memory, no stdio.
#include "loop/coro.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { ALTERNATE_SIZE = 64 << 10 };

static struct sigaction before;
static atomic_bool installed;
static pthread_key_t alternate_key; // frees a thread's alternate stack at its end
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void append(char *text, size_t size, const char *more)
{
    size_t n = strlen(text);
    while (*more && n + 1 < size)
        text[n++] = *more++;
    text[n] = 0;
}

static void append_number(char *text, size_t size, size_t number)
{
    char digits[24], *p = digits + sizeof digits - 1;
    *p = 0;
    do
        *--p = (char)('0' + number % 10);
    while (number /= 10);
    append(text, size, p);
}

static void explain(mp_coro *t)
{
    char text[200] = "libmp: task '";
    if (*t->name) {
        append(text, sizeof text, t->name);
    } else {
        append(text, sizeof text, "Task-");
        append_number(text, sizeof text, t->number);
    }
    append(text, sizeof text, "' overflowed its stack of ");
    append_number(text, sizeof text, t->stack->size);
    append(text, sizeof text, " bytes (mp_coro_opts.stack_size)\n");
    while (write(2, text, strlen(text)) < 0 && errno == EINTR)
        ;
}

// Whoever was there before sees the fault as if we were not: when the handler returns, the
// instruction is run again.
static void on_fault(int sig, siginfo_t *info, void *context)
{
    (void)context;
    mp_coro *t = mp__coro_here();
    if (t && t->stack && mp__stack_is_guard(t->stack, info->si_addr))
        explain(t);
    sigaction(sig, &before, NULL);
    if (info->si_code <= 0) // sent by somebody: it does not come again by itself
        raise(sig);
}

static void free_alternate(void *stack)
{
    stack_t off = {.ss_flags = SS_DISABLE};
    sigaltstack(&off, NULL);
    munmap(stack, ALTERNATE_SIZE);
}

void mp__coro_thread_enter(void)
{
    stack_t now;
    if (!atomic_load_explicit(&installed, memory_order_relaxed))
        return;
    if (sigaltstack(NULL, &now) < 0 || !(now.ss_flags & SS_DISABLE))
        return;
    void *p =
        mmap(NULL, ALTERNATE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return; // the fault will kill without a word
    stack_t mine = {.ss_sp = p, .ss_size = ALTERNATE_SIZE};
    if (sigaltstack(&mine, NULL) < 0 || pthread_setspecific(alternate_key, p) != 0)
        munmap(p, ALTERNATE_SIZE);
}

static void install(void)
{
    struct sigaction ours = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&ours.sa_mask);
    if (pthread_key_create(&alternate_key, free_alternate) == 0 &&
        sigaction(SIGSEGV, &ours, &before) == 0)
        atomic_store(&installed, true);
}

int mp_coro_explain_overflow(void)
{
    pthread_once(&once, install);
    if (!atomic_load(&installed))
        return -ENOMEM;
    if (mp_loop_current())
        mp__coro_thread_enter();
    return 0;
}
