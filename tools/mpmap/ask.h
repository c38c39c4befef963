// SPDX-License-Identifier: MIT
//
// -p: asks at the terminal, before each job, whether to run it.
#ifndef MPMAP_ASK_H
#define MPMAP_ASK_H

#include <mp/loop.h>
#include <stdbool.h>

struct ask {
    int tty; // -1: nobody is asked
    mp_watch *watch;
    bool asked, answered; // about the next job
    bool yes;
    void (*on_answer)(void *);
    void *arg;
};

// Has on_answer(arg) called when somebody has answered. 0, or an exit status after a message.
int ask_init(struct ask *a, bool wanted, void (*on_answer)(void *), void *arg);

// Whether there is an answer about the next job, whose command is text; else asks, once.
bool ask_knows(struct ask *a, mp_loop *loop, const char *text);

// Whether it was: no.
bool ask_declines(const struct ask *a);

// The next question is about another job.
void ask_next(struct ask *a);

void ask_close(struct ask *a);

#endif
