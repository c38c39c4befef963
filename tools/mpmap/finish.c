// SPDX-License-Identifier: MIT
//
// What is done when a job has ended: whether it is tried again, what is counted and
// logged of it, and whether that was a reason to halt.
#include "json.h"
#include "state.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static void live_remove(struct run *r, struct job *j)
{
    if (j->prev)
        j->prev->next = j->next;
    else
        r->live = j->next;
    if (j->next)
        j->next->prev = j->prev;
    r->running--;
}

static void on_retry_timer(mp_watch *w, void *arg)
{
    struct run *r = arg;
    mp_watch_close(w);
    r->retry_timer = NULL;
    run_step(r);
}

static void wait_for_retry(struct run *r)
{
    int ms = waiting_due(r->waiting, mp_loop_time(r->loop));
    mp_watch_close(r->retry_timer);
    r->retry_timer = NULL;
    if (ms >= 0 && mp_loop_add_timer(r->loop, &r->retry_timer, ms, on_retry_timer, r) < 0)
        out_of_memory();
}

// Whether it is to be run once more.
static bool try_again(struct run *r, struct job *j)
{
    if (r->stopping || r->halting || !j->kept)
        return false;
    if (!j->put_back &&
        (j->code == 0 || !retry_wants(&r->args->retry, j->tries, j->code, j->timed_out)))
        return false;
    bool at_once = j->put_back;
    j->tries -= at_once; // that was none
    job_again(j);
    j->due_ms = mp_loop_time(r->loop) + (at_once ? 0 : retry_delay_ms(&r->args->retry, j->tries));
    waiting_add(&r->waiting, j);
    wait_for_retry(r);
    return true;
}

void finish_say(struct job *j)
{
    if (j->out_of_memory)
        job_say(
            j, "job %ld (%s): out of memory: more than the %.3g MiB of --mem: killed by the kernel",
            j->seq, j->label, (double)j->run->args->job_memory / (1024 * 1024));
    else if (j->code < 0 && !j->timed_out && !j->wants_terminal)
        job_say(j, "job %ld (%s): killed by signal %d (%s)", j->seq, j->label, -j->code,
                sigdescr_np(-j->code));
    if (j->left_behind && !j->term_step)
        job_say(j,
                "job %ld (%s): left processes in the background: what they write from now on is "
                "lost",
                j->seq, j->label);
}

static int end_results(struct job *j)
{
    char *text;
    size_t len;
    FILE *f = text_open(&text, &len);
    fprintf(f, "\"seq\":%ld,\"start\":%.3f,", j->seq, j->began);
    job_json(f, j);
    fputs(",\"command\":", f);
    json_string(f, j->command, strlen(j->command));
    fputs("}\n", f);
    text_close(f, &text);
    int err = results_end(j->results, text, len);
    free(text);
    return err;
}

// Whether what it wrote is kept, where it is to be.
static bool keep_results(struct run *r, struct job *j)
{
    int err = j->results ? end_results(j) : 0;
    results_free(j->results);
    j->results = NULL;
    if (err) {
        say("%s: %s: incomplete: job %ld (%s)", r->args->results, mp_strerror(err), j->seq,
            j->label);
        stop_failed(r, EXIT_IO);
    }
    return err == 0;
}

// A job whose results are lost is not logged: a resumed run shall have it again.
static void log_job(struct run *r, struct job *j)
{
    if (!keep_results(r, j) || r->joblog.fd < 0 || !j->command)
        return;
    int err = joblog_ended(&r->joblog, j);
    if (err) {
        say("%s: %s: not logged: job %ld (%s)", r->joblog.name, mp_strerror(err), j->seq, j->label);
        stop_failed(r, EXIT_IO);
    }
}

// < 0: the number of jobs that failed. GNU parallel has a percentage for a percentage.
static int halt_status(const struct run *r, const struct job *j)
{
    const struct halt *h = &r->halt;
    long all = (long)r->order.len;
    if (h->what == ON_SUCCESS)
        return 0;
    if (h->percent)
        return r->args->gnu ? (int)((100 * r->failed + all - 1) / all) : -1;
    if (h->number > 1)
        return -1;
    return j->code < 0 ? 128 - j->code : j->code;
}

static void count(struct run *r, struct job *j)
{
    bool failed = j->code != 0 || j->lost;
    r->ended++;
    r->failed += failed;
    if (j->lost)
        r->status = EXIT_IO;
    if (!failed && r->args->timeout_percent) {
        times_add(&r->times, j->runtime);
        stop_watch_time(r);
    }
    watch_count(&r->watch, j);
    if (r->halting || !halt_count(&r->halt, failed, (long)r->order.len))
        return;
    r->halted = true;
    r->halt_status = halt_status(r, j);
    stop_halt(r);
}

void finish_job(struct run *r, struct job *j, bool log)
{
    j->ended = true;
    if (log)
        log_job(r, j);
    count(r, j);
    output_ended(&r->output, j);
}

void finish_waiting(struct run *r)
{
    struct job *j;
    while ((j = waiting_take(&r->waiting, INT64_MAX)))
        finish_job(r, j, true);
}

// What was ended because of what it did has failed, however it took that.
static void judge(struct run *r, struct job *j)
{
    j->out_of_memory = group_out_of_memory(&r->groups, j);
    if (j->code == 0 && j->out_of_memory)
        j->code = -SIGKILL; // of a part of it, and it may not have noticed
    else if (j->code == 0 && (j->timed_out || j->wants_terminal))
        j->code = -stop_signal(r);
}

// One that we ended, because of all, did not come to its own end: it is not logged, so
// that a resumed run has it again; but it may not, at most once.
void finish_child(struct job *j)
{
    struct run *r = j->run;
    bool ours = r->stopping && !j->timed_out;
    live_remove(r, j);
    listen_ended(r, j);
    slot_give(r, j->slot);
    if (r->stopping || j->term_step)
        stop_left(r, j);
    judge(r, j);
    if (r->args->ungroup && j->code)
        output_look(&r->output);
    group_end(&r->groups, j);
    if (!try_again(r, j)) {
        if (!r->stopping && !r->output.sink[OUT].err)
            finish_say(j);
        finish_job(r, j, !ours || r->args->at_most_once);
    }
    run_step(r);
}
