// SPDX-License-Identifier: MIT
//
// Starting jobs: the next item, or one that is to be tried again, becomes a command, and
// that a process, as long as there is room and no reason to wait.
#include "state.h"
#include "terminal.h"

#include <errno.h>
#include <mp/spawn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    RETRY_MS = 100, // until a start is tried again that the system refused
    FDS_OWN = 32,   // descriptors that are not jobs'
};

static int slot_take(struct run *r)
{
    while (r->slot_taken[r->slot_free])
        r->slot_free++;
    r->slot_taken[r->slot_free] = true;
    return r->slot_free + 1;
}

void slot_give(struct run *r, int slot)
{
    r->slot_taken[slot - 1] = false;
    if (slot - 1 < r->slot_free)
        r->slot_free = slot - 1;
}

static void live_add(struct run *r, struct job *j)
{
    j->prev = NULL;
    j->next = r->live;
    if (j->next)
        j->next->prev = j;
    r->live = j;
    r->running++;
}

// ---- what cannot be started ---------------------------------------------------------------

// A job that failed before it began. Its place in the order tells of it.
static void fail_job(struct run *r, struct job *j, int code)
{
    slot_give(r, j->slot);
    j->code = code;
    finish_job(r, j, true);
}

static void say_too_big(struct run *r, struct job *j, char *const argv[])
{
    for (int i = 0; argv[i]; i++)
        if (strlen(argv[i]) > r->input.limit) {
            job_say(j, "job %ld (%s): an argument of %zu bytes: the system's limit is %zu", j->seq,
                    j->label, strlen(argv[i]), r->input.limit);
            return;
        }
    job_say(j, "job %ld (%s): arguments and environment together are longer than the system takes",
            j->seq, j->label);
}

// With --mem it is the job that has no memory, and that will not change.
static bool is_shortage(const struct run *r, int err)
{
    return err == -EAGAIN || (err == -ENOMEM && !r->args->job_memory) || err == -EMFILE ||
           err == -ENFILE;
}

static int status_of(int err)
{
    return err == -ENOENT || err == -ENOTDIR ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN;
}

static const char *reason(int err, const char *program)
{
    if (err == -ENOENT)
        return strchr(program, '/') ? "no such file" : "command not found in PATH";
    if (err == -ENOEXEC)
        return "not a program, or a script without a #! line: run it with -s, or name its shell";
    return mp_strerror(err);
}

// All jobs run the same program, so none could be started.
static void fail_all(struct run *r, const char *program, int err)
{
    if (err == -ENOENT && access(r->program, F_OK) == 0) {
        say("%s: its interpreter is missing: see its first line", program);
        stop_failed(r, EXIT_CANNOT_RUN);
        return;
    }
    say("%s: %s", program, reason(err, program));
    stop_failed(r, status_of(err));
}

// Nothing runs whose end would give back what is short.
static void fail_short(struct run *r, int err)
{
    if (err == -EMFILE)
        say("too few open files: the limit is %d, a job needs %d (see ulimit -n)", r->fds_max,
            r->fds_job + 3);
    else
        say("cannot start a job: %s", mp_strerror(err));
    stop_failed(r, EXIT_IO);
}

// What is to be done when a job could not be started.
static void on_refused(struct run *r, struct job *j, char *const argv[], int err)
{
    const char *fixed = template_program(&r->template);
    if (err == -E2BIG) {
        say_too_big(r, j, argv);
        fail_job(r, j, EXIT_CANNOT_RUN);
    } else if (err == -ENOMEM && r->args->job_memory) {
        j->out_of_memory = true;
        finish_say(j);
        fail_job(r, j, EXIT_CANNOT_RUN);
    } else if (is_shortage(r, err) || fixed) {
        if (is_shortage(r, err))
            fail_short(r, err);
        else
            fail_all(r, fixed, err);
        fail_job(r, j, status_of(err));
    } else {
        job_say(j, "job %ld (%s): %s: %s", j->seq, j->label, argv[0], reason(err, argv[0]));
        fail_job(r, j, status_of(err));
    }
}

static void on_shortage(mp_watch *w, void *arg)
{
    struct run *r = arg;
    mp_watch_close(w);
    r->shortage = NULL;
    run_step(r);
}

// Tries again when a job has ended, or after a while.
static void wait_for_room(struct run *r)
{
    if (!r->shortage && mp_loop_add_timer(r->loop, &r->shortage, RETRY_MS, on_shortage, r) < 0)
        r->shortage = NULL; // the end of a job will do
}

// The program is looked for once, when the first item is there: an empty list is no error.
static bool find_program(struct run *r)
{
    const char *program = template_program(&r->template);
    if (!program || r->launch.path)
        return true;
    if (r->args->workdir && *program != '/' && strchr(program, '/')) { // counts from there
        r->launch.path = program;
        return true;
    }
    int err = mp_spawn_find(program, r->program, sizeof r->program);
    if (err == 0) {
        r->launch.path = r->program;
        return true;
    }
    if (*program)
        say("%s: %s", program, reason(err, program));
    else
        say("the command is empty");
    stop_failed(r, status_of(err));
    return false;
}

// ---- one job ------------------------------------------------------------------------------

const char *start_refuses(const struct run *r)
{
    return r->item.bad ? r->item.bad : template_refuses(&r->template, &r->item);
}

// What cannot be given is lost to the job, which is told so by the end of its input.
static void give_block(struct run *r, struct job *j)
{
    int err = feed_give(j->feed, r->loop, &r->block);
    if (err) {
        say("job %ld: cannot watch its input: %s", j->seq, mp_strerror(err));
        stop_failed(r, EXIT_IO);
    }
    r->block = (struct block){.fd = -1};
    if (!r->args->round_robin)
        feed_end(j->feed);
}

// The command as a line of text. Its slot is 0, as it may be another when it is run again.
static char *command_text(struct run *r, const struct job *j, const struct item *item)
{
    if (r->args->resume == RETRY_FAILED)
        return xstrdup(r->resume.failed[j->seq - 1]);
    char *text;
    size_t len;
    FILE *f = text_open(&text, &len);
    template_print(&r->template, item, j->seq, 0, f);
    text_close(f, &text);
    return key_line(text);
}

static char *tag_text(struct run *r, const struct job *j, const struct item *item)
{
    if (!r->args->tagstring)
        return xstrdup(r->launch.blocks ? "" : item->text);
    return xstrdup(template_expand(&r->tag, item, j->seq, j->slot)[1]);
}

// It has its place among the jobs, and nothing is run.
static bool leave_out(struct run *r, struct job *j)
{
    slot_give(r, j->slot);
    j->ended = true;
    r->ended++;
    output_ended(&r->output, j);
    return true;
}

// Whether somebody has said that this item is not to be run, or a joblog does.
static bool is_left_out(struct run *r, struct job *j)
{
    if (ask_declines(&r->ask))
        return leave_out(r, j);
    enum resume_answer a = r->resume.mode == RETRY_FAILED || !r->resume.mode
                               ? MUST_RUN
                               : resume_ask(&r->resume, j->command);
    if (a == MUST_RUN)
        return false;
    if (a == MAY_HAVE_RUN) {
        job_say(j, "job %ld (%s): unknown: it was begun in an earlier run, its end is not logged",
                j->seq, j->label);
        r->failed++;
    }
    return leave_out(r, j);
}

// -p: whether it is known if the item is to be run.
static bool is_decided(struct run *r)
{
    if (!r->args->interactive)
        return true;
    char *text = command_text(r, &(struct job){.seq = r->started + 1}, &r->item);
    char *shown = key_shown(text);
    bool known = ask_knows(&r->ask, r->loop, shown);
    free(shown);
    free(text);
    return known;
}

// What a job needs beside its command, before its first try.
static void prepare(struct run *r, struct job *j)
{
    if (r->wants_command)
        j->command = command_text(r, j, &r->item);
    if (r->args->resume == RETRY_FAILED)
        j->log_seq = r->resume.failed_seq[j->seq - 1];
    if (r->args->tag)
        j->tag = tag_text(r, j, &r->item);
    j->whole = r->args->retry.tries || r->args->memfree;
}

static bool open_results(struct run *r, struct job *j, const struct item *item)
{
    char path[PATH_MAX];
    if (!r->args->results || r->output.table.file)
        return true;
    int err = results_open(&j->results, r->args->results, item, &r->input.splitter.names,
                           family_name(&r->family), j->seq, path, sizeof path);
    if (err == 0)
        return true;
    say("%s: %s", path, mp_strerror(err));
    stop_failed(r, EXIT_IO);
    fail_job(r, j, EXIT_CANNOT_RUN);
    return false;
}

// Before it begins, so that it is known whatever happens.
static bool log_start(struct run *r, struct job *j)
{
    int err = r->args->at_most_once ? joblog_started(&r->joblog, j) : 0;
    if (err == 0)
        return true;
    say("%s: %s: not started: job %ld (%s)", r->joblog.name, mp_strerror(err), j->seq, j->label);
    stop_failed(r, EXIT_IO);
    slot_give(r, j->slot);
    j->code = EXIT_CANNOT_RUN;
    finish_job(r, j, false);
    return false;
}

static int spawn(struct run *r, struct job *j, char *const argv[])
{
    snprintf(r->seq_env, sizeof r->seq_env, "MPMAP_SEQ=%ld", j->seq);
    snprintf(r->slot_env, sizeof r->slot_env, "MPMAP_SLOT=%d", j->slot);
    snprintf(r->gnu_seq_env, sizeof r->gnu_seq_env, "PARALLEL_SEQ=%ld", j->seq);
    snprintf(r->gnu_slot_env, sizeof r->gnu_slot_env, "PARALLEL_JOBSLOT=%d", j->slot);
    if (r->args->slot_var)
        snprintf(r->slot_var_env, sizeof r->slot_var_env, "%s=%d", r->args->slot_var, j->slot - 1);
    int err = group_begin(&r->groups, j);
    if (err == 0)
        err = job_start(j, &r->launch, argv);
    group_started(&r->groups);
    return err;
}

static void say_started(const struct run *r, const struct job *j)
{
    char *text = key_shown(j->command);
    bar_hide();
    if (r->args->gnu)
        fprintf(stderr, "%s\n", text);
    else
        say("job %ld: %s", j->seq, text);
    free(text);
}

// Starts a job, which has its place in the order of output. False: not now.
static bool start_job(struct run *r, struct job *j, const struct item *item)
{
    char **argv = template_expand(&r->template, item, j->seq, j->slot);
    int err = spawn(r, j, argv);
    if (is_shortage(r, err) && r->running > 0)
        return false;
    if (err) {
        on_refused(r, j, argv, err);
        return true;
    }
    if (r->args->verbose)
        say_started(r, j);
    j->tries++;
    live_add(r, j);
    listen_started(r, j);
    gate_started(&r->gate);
    if (j->feed)
        give_block(r, j);
    stop_watch_time(r);
    return true;
}

// Starts the item at hand. False: not now.
static bool start_item(struct run *r)
{
    struct job *j = job_new(r, r->started + 1, slot_take(r), &r->item);
    const char *why = start_refuses(r);
    r->started++;
    j->says_at_once = r->output.table.file || r->launch.latest;
    if (r->keeps_items)
        j->kept = kept_new(&r->item);
    output_add(&r->output, j);
    if (why) {
        job_say(j, "job %ld (%s): %s", j->seq, j->label, why);
        fail_job(r, j, EXIT_CANNOT_RUN);
        return true;
    }
    prepare(r, j);
    if (is_left_out(r, j) || !open_results(r, j, &r->item) || !log_start(r, j) ||
        start_job(r, j, &r->item))
        return true;
    slot_give(r, j->slot);
    r->started--;
    output_remove(&r->output, j);
    job_free(j);
    wait_for_room(r);
    return false;
}

static bool start_again(struct run *r, struct job *j)
{
    j->slot = slot_take(r);
    if (!open_results(r, j, &j->kept->item) || start_job(r, j, &j->kept->item))
        return true;
    slot_give(r, j->slot);
    j->due_ms = mp_loop_time(r->loop);
    waiting_add(&r->waiting, j);
    wait_for_room(r);
    return false;
}

// ---- the next -----------------------------------------------------------------------------

static int next_item(struct run *r)
{
    if (r->launch.blocks)
        return blocks_next(&r->blocks, &r->block);
    if (order_wanted(r->args))
        return order_next(&r->order, &r->input, r->args, &r->item);
    return input_next(&r->input, &r->item);
}

bool start_get_item(struct run *r)
{
    while (!r->has_item && !r->input_ended) {
        int got = next_item(r);
        if (got == INPUT_WAIT)
            return false;
        if (got < 0) {
            say("%s: %s: the rest of the items is not known",
                r->launch.blocks ? r->blocks.in.name : r->input.name, mp_strerror(got));
            r->status = EXIT_IO;
        }
        r->has_item = got == INPUT_ITEM;
        r->input_ended = got == INPUT_END;
    }
    return r->has_item;
}

static bool has_room(const struct run *r)
{
    return r->running < r->jobs && !r->shortage && output_has_room(&r->output, r->started + 1) &&
           (r->running == 0 ||
            (r->running + 1) * r->fds_job + held_files() + FDS_OWN <= r->fds_max);
}

// --round-robin: the job that has read all it got, and got the least.
static struct job *idle_job(const struct run *r)
{
    struct job *best = NULL;
    for (struct job *j = r->live; j; j = j->next)
        if (j->feed && feed_is_idle(j->feed) &&
            (!best || feed_blocks(j->feed) < feed_blocks(best->feed)))
            best = j;
    return best;
}

// --round-robin: blocks for the jobs that run, once there are as many as may be.
static void feed_jobs(struct run *r)
{
    if (!r->args->round_robin || r->stopping)
        return;
    struct job *j;
    while (!has_room(r) && start_get_item(r) && (j = idle_job(r))) {
        r->has_item = false;
        give_block(r, j);
    }
    if (!r->input_ended || r->has_item)
        return;
    for (j = r->live; j; j = j->next)
        if (j->feed)
            feed_end(j->feed);
}

static bool may_start(const struct run *r)
{
    return !r->stopping && !r->halting && r->running < r->jobs && !r->shortage;
}

static void start_waiting(struct run *r)
{
    while (r->waiting && may_start(r) && gate_is_open(&r->gate)) {
        struct job *j = waiting_take(&r->waiting, mp_loop_time(r->loop));
        if (!j || !start_again(r, j))
            return;
    }
}

void start_jobs(struct run *r)
{
    start_waiting(r);
    while (may_start(r) && has_room(r) && start_get_item(r) && find_program(r) &&
           gate_is_open(&r->gate) && is_decided(r)) {
        if (!start_item(r))
            break;
        r->has_item = false;
        ask_next(&r->ask);
    }
    feed_jobs(r);
}
