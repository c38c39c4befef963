// SPDX-License-Identifier: MIT
//
// The question and the answer pass by /dev/tty, as standard input may be the items. Nothing
// blocks: jobs that run are heard meanwhile.
#include "ask.h"
#include "say.h"
#include "terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <mp/error.h>
#include <stdio.h>
#include <unistd.h>

int ask_init(struct ask *a, bool wanted, void (*on_answer)(void *), void *arg)
{
    *a = (struct ask){.tty = -1, .on_answer = on_answer, .arg = arg};
    if (!wanted)
        return 0;
    a->tty = open("/dev/tty", O_RDWR | O_CLOEXEC);
    return a->tty < 0 ? usage_error("-p: no terminal to ask at: %s", mp_strerror(-errno)) : 0;
}

// A line. At the end of the terminal, or without it, the answer is no.
static void on_line(mp_watch *w, int events, void *arg)
{
    struct ask *a = arg;
    char line[256];
    (void)events;
    mp_watch_close(w);
    a->watch = NULL;
    ssize_t n = read(a->tty, line, sizeof line);
    a->answered = true;
    a->yes = n > 0 && (*line == 'y' || *line == 'Y');
    a->on_answer(a->arg);
}

bool ask_knows(struct ask *a, mp_loop *loop, const char *text)
{
    if (a->tty < 0 || a->answered)
        return true;
    if (a->asked)
        return false;
    bar_hide();
    dprintf(a->tty, "%s ?...", text);
    a->asked = true;
    a->yes = false;
    a->answered = mp_loop_add_fd(loop, &a->watch, a->tty, MP_LOOP_READ, on_line, a) < 0;
    return a->answered;
}

bool ask_declines(const struct ask *a)
{
    return a->tty >= 0 && !a->yes;
}

void ask_next(struct ask *a)
{
    a->asked = a->answered = false;
}

void ask_close(struct ask *a)
{
    mp_watch_close(a->watch);
    if (a->tty >= 0)
        close(a->tty);
}
