// SPDX-License-Identifier: MIT
//
// Ending jobs: all, after a signal or an error, or one, because it takes too long. Each
// is asked by signals to its process group, then made to; and what it has started in other
// groups is found by family.c.
#include "state.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

enum { GRACE_MS = 5000 }; // from SIGTERM to SIGKILL, for all

static const int watched[SIGNALS] = {SIGINT, SIGTERM, SIGHUP, SIGTSTP, SIGUSR1};

static const struct term_seq usual = {{SIGTERM, SIGTERM, SIGTERM, SIGKILL}, {200, 100, 50, 25}, 4};

static void kill_all(struct run *r, int sig)
{
    for (struct job *j = r->live; j; j = j->next)
        job_kill(j, sig);
}

static void kill_now(struct run *r)
{
    r->killed = true;
    kill_all(r, SIGKILL);
    family_kill(&r->family, 0, SIGKILL);
}

static void on_grace(mp_watch *w, void *arg)
{
    (void)w;
    kill_now(arg);
}

// No more jobs; those that run are asked to end, then made to.
void stop_run(struct run *r)
{
    if (r->stopping)
        return;
    r->stopping = true;
    if (r->halting || r->args->term_seq.len) {
        for (struct job *j = r->live; j; j = j->next)
            stop_job(r, j);
        return;
    }
    kill_all(r, SIGTERM);
    kill_all(r, SIGCONT); // a stopped one would not hear
    if (mp_loop_add_timer(r->loop, &r->grace, GRACE_MS, on_grace, r) < 0)
        kill_now(r);
}

void stop_failed(struct run *r, int status)
{
    if (!r->status)
        r->status = status;
    stop_run(r);
}

void stop_halt(struct run *r)
{
    r->halting = true;
    if (r->halt.when == HALT_NOW)
        stop_run(r);
}

// ---- signals to us ----------------------------------------------------------------------

// Ctrl-Z stops us only, as the jobs are in groups of their own: they follow.
static void pause_all(struct run *r)
{
    kill_all(r, SIGTSTP);
    raise(SIGSTOP);
    kill_all(r, SIGCONT);
}

static void on_signal(mp_watch *w, int sig, void *arg)
{
    (void)w;
    struct run *r = arg;
    if (sig == SIGUSR1) {
        watch_state(&r->watch, r->live);
        return;
    }
    if (sig == SIGTSTP) {
        pause_all(r);
        return;
    }
    if (r->signal || r->stopping)
        kill_now(r);
    r->signal = sig;
    stop_run(r);
    run_step(r);
}

// Those that jobs are to have at their default again.
static void find_changed(sigset_t *set)
{
    struct sigaction now;
    sigemptyset(set);
    for (int sig = 1; sig <= SIGRTMAX; sig++)
        if (sigaction(sig, NULL, &now) < 0 || now.sa_handler != SIG_DFL)
            sigaddset(set, sig);
}

int stop_watch_signals(struct run *r)
{
    for (int i = 0; i < SIGNALS; i++) {
        struct sigaction now;
        sigaction(watched[i], NULL, &now);
        if (now.sa_handler == SIG_IGN) // as nohup wants it
            continue;
        int err = mp_loop_add_signal(r->loop, &r->signals[i], watched[i], on_signal, r);
        if (err)
            return err;
    }
    find_changed(&r->launch.signals);
    return 0;
}

// ---- one job ----------------------------------------------------------------------------

static const struct term_seq *sequence(const struct run *r)
{
    return r->args->term_seq.len ? &r->args->term_seq : &usual;
}

int stop_signal(const struct run *r)
{
    return sequence(r)->sig[0];
}

// The next signal of its sequence, and after the last all that is left of it.
static void end_step(struct run *r, struct job *j, int64_t now)
{
    const struct term_seq *t = sequence(r);
    int i = j->term_step++;
    if (i < t->len) {
        job_kill(j, t->sig[i]);
        job_kill(j, SIGCONT); // a stopped one would not hear
        j->due_ms = now + t->ms[i];
        return;
    }
    stop_left(r, j);
    j->due_ms = INT64_MAX;
}

void stop_left(struct run *r, struct job *j)
{
    job_kill(j, SIGKILL);
    group_kill(&r->groups, j);
    if (!r->stopping) // else there will be one look for all
        family_kill(&r->family, j->seq, SIGKILL);
}

// Whether it has been stopped since the last look, by the terminal.
static bool is_unheard(const struct job *j)
{
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)j->pid, &info, WSTOPPED | WNOHANG) == 0 && info.si_pid == j->pid &&
           (info.si_status == SIGTTIN || info.si_status == SIGTTOU);
}

// To the terminal all jobs are in the background: one that reads from it, or changes its
// modes, is stopped by the kernel, and nobody would ever wake it.
void stop_unheard(struct run *r)
{
    for (struct job *j = r->live; j; j = j->next) {
        if (j->term_step || !is_unheard(j))
            continue;
        j->wants_terminal = true;
        job_say(j, "job %ld (%s): wants the terminal, which no job has: ended", j->seq, j->label);
        stop_job(r, j);
    }
}

// ---- time limits ------------------------------------------------------------------------

enum { MEDIAN_OF = 3 }; // jobs, before it means anything

// 0: none, yet.
static int64_t limit_ms(const struct run *r)
{
    if (r->args->timeout_ms)
        return r->args->timeout_ms;
    if (!r->args->timeout_percent || r->times.len < MEDIAN_OF)
        return 0;
    double ms = times_median(&r->times) * 10 * (double)r->args->timeout_percent;
    return ms < 1 ? 1 : (int64_t)ms;
}

// When something is to be done about a job, if the limit is `limit`.
static int64_t due(const struct job *j, int64_t limit)
{
    return j->term_step ? j->due_ms : limit ? job_began_ms(j) + limit : INT64_MAX;
}

static void arm(struct run *r);

static void on_deadline(mp_watch *w, void *arg)
{
    struct run *r = arg;
    int64_t now = mp_loop_time(r->loop), limit = limit_ms(r);
    mp_watch_close(w);
    r->deadline = NULL;
    for (struct job *j = r->live; j; j = j->next) {
        if (due(j, limit) > now)
            continue;
        if (!j->term_step) {
            j->timed_out = true;
            job_say(j, "job %ld (%s): took longer than %.1f s: ended", j->seq, j->label,
                    (double)limit / 1000);
        }
        end_step(r, j, now);
    }
    arm(r);
}

static void arm(struct run *r)
{
    int64_t first = INT64_MAX, limit = limit_ms(r), now = mp_loop_time(r->loop);
    for (struct job *j = r->live; j; j = j->next)
        if (due(j, limit) < first)
            first = due(j, limit);
    mp_watch_close(r->deadline);
    r->deadline = NULL;
    if (first == INT64_MAX)
        return;
    int64_t ms = first <= now ? 0 : first - now;
    if (mp_loop_add_timer(r->loop, &r->deadline, ms < INT_MAX ? (int)ms : INT_MAX, on_deadline, r) <
        0)
        out_of_memory(); // nobody would end them
}

// With a fixed limit the first to come is the one the timer is set for.
void stop_watch_time(struct run *r)
{
    if (r->args->timeout_percent || (r->args->timeout_ms && !r->deadline))
        arm(r);
}

void stop_job(struct run *r, struct job *j)
{
    if (j->term_step)
        return;
    end_step(r, j, mp_loop_time(r->loop));
    arm(r);
}
