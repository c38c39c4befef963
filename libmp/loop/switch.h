// SPDX-License-Identifier: MIT
//
// Changing stacks: what makes a function stop in the middle and go on later.
//
// swapcontext(3) does it too, with a system call for the signal mask each way, which costs
// twenty times the rest. Tasks do not have masks of their own, so here the registers that
// a call must preserve are put on the stack, the stack pointers are exchanged, and that is
// all: x86-64 and aarch64 by hand, anything else by ucontext.
//
// Sanitizers are told of each change, or they would take it for an overflow.
#ifndef MP_LOOP_SWITCH_H
#define MP_LOOP_SWITCH_H

#include <stddef.h>

#if !defined(__x86_64__) && !defined(__aarch64__)
#define MP__UCONTEXT 1 // may also be defined from outside, to test it
#endif
#ifdef MP__UCONTEXT
#include <ucontext.h>
#endif

struct context {
    void *sp;
    void *low; // of its stack; that of the loop is learnt at the first change
    size_t size;
    void *sanitizer; // what it keeps for this stack while it does not run
#ifdef MP__UCONTEXT
    ucontext_t uc;
#endif
};

// Prepares a stack to run entry(arg), which must not return: it ends with a change to
// another context, `last`.
void mp__context_make(struct context *c, void *low, size_t size, void (*entry)(void *), void *arg);

// Goes on in `to`; returns when somebody changes back to `from`. last: nobody will.
void mp__context_switch(struct context *from, struct context *to, int last);

// The first thing that entry does; `from` is who changed to it.
void mp__context_begin(struct context *from);

// Releases what a sanitizer keeps of a context that is not running.
void mp__context_end(struct context *c);

#endif
