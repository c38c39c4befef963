// SPDX-License-Identifier: MIT
//
// Everything happens in callbacks of the loop, and each ends in step(): start what
// may be started, write what can be written, see whether that was all. Starting
// comes first, since an idle CPU costs more than a late line.
#include "run.h"
#include "blocks.h"
#include "feed.h"
#include "input.h"
#include "job.h"
#include "output.h"
#include "say.h"
#include "template.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <mp/spawn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    GRACE_MS = 5000, // from SIGTERM to SIGKILL
    RETRY_MS = 100,  // until a start is tried again that the system refused
    FDS_OWN = 32,    // descriptors that are not jobs'
    FDS_CAPTURE = 5, // a job's: pidfd, two pipes, two files
    FDS_PLAIN = 1,
};

static const int watched[] = {SIGINT, SIGTERM, SIGHUP, SIGTSTP};
enum { WATCHED = sizeof watched / sizeof *watched };

struct run {
    const struct args *args;
    mp_loop *loop;
    struct input input;
    struct template template;
    struct output output;
    struct launch launch;
    char program[PATH_MAX]; // found, as long as it is the same for all jobs
    char seq_env[40], slot_env[40];
    char gnu_seq_env[40], gnu_slot_env[40]; // the same under GNU parallel's names

    int jobs, running, fds_max, fds_job;
    bool *slot_taken;
    int slot_free;    // no slot below it is free
    struct job *live; // those that run
    long started;
    struct item item;     // taken from the input and not yet started
    struct blocks blocks; // of --pipe, instead of the input
    struct block block;
    bool has_item, input_ended;

    long failed;
    int status; // to end with, if it is none of failed jobs
    bool stopping, killed;
    int signal; // that stopped it
    mp_watch *signals[WATCHED], *timer, *retry;
};

static void step(struct run *r);

// ---- slots and live jobs ---------------------------------------------------------------

static int slot_take(struct run *r)
{
    while (r->slot_taken[r->slot_free])
        r->slot_free++;
    r->slot_taken[r->slot_free] = true;
    return r->slot_free + 1;
}

static void slot_give(struct run *r, int slot)
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

static void kill_all(struct run *r, int sig)
{
    for (struct job *j = r->live; j; j = j->next)
        job_kill(j, sig);
}

// ---- stopping ---------------------------------------------------------------------------

static void kill_now(struct run *r)
{
    r->killed = true;
    kill_all(r, SIGKILL);
}

static void on_grace(mp_watch *w, void *arg)
{
    (void)w;
    kill_now(arg);
}

// No more jobs; those that run are asked to end, then made to.
static void stop(struct run *r)
{
    if (r->stopping)
        return;
    r->stopping = true;
    kill_all(r, SIGTERM);
    kill_all(r, SIGCONT); // a stopped one would not hear
    if (mp_loop_add_timer(r->loop, &r->timer, GRACE_MS, on_grace, r) < 0)
        kill_now(r);
}

static void fail(struct run *r, int status)
{
    if (!r->status)
        r->status = status;
    stop(r);
}

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
    if (sig == SIGTSTP) {
        pause_all(r);
        return;
    }
    if (r->signal)
        kill_now(r);
    r->signal = sig;
    stop(r);
    step(r);
}

// ---- starting ---------------------------------------------------------------------------

// A job that failed before it began. Its place in the order tells of it.
static void fail_job(struct run *r, struct job *j)
{
    r->started++;
    r->failed++;
    j->ended = true;
    slot_give(r, j->slot);
    output_add(&r->output, j);
    output_ended(&r->output, j);
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

static bool is_shortage(int err)
{
    return err == -EAGAIN || err == -ENOMEM || err == -EMFILE || err == -ENFILE;
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

// What is to be done when a job could not be started.
static void on_refused(struct run *r, struct job *j, char *const argv[], int err)
{
    const char *fixed = template_program(&r->template);
    if (err == -E2BIG) {
        say_too_big(r, j, argv);
        fail_job(r, j);
    } else if (fixed && !is_shortage(err)) {
        if (err == -ENOENT && access(r->program, F_OK) == 0) {
            say("%s: its interpreter is missing: see its first line", fixed);
            fail(r, EXIT_CANNOT_RUN);
        } else {
            say("%s: %s", fixed, reason(err, fixed));
            fail(r, status_of(err));
        }
        slot_give(r, j->slot);
        job_free(j);
    } else {
        job_say(j, "job %ld (%s): %s: %s", j->seq, j->label, argv[0], reason(err, argv[0]));
        fail_job(r, j);
    }
}

static void on_retry(mp_watch *w, void *arg)
{
    struct run *r = arg;
    mp_watch_close(w);
    r->retry = NULL;
    step(r);
}

// The program is looked for once, when the first item is there: an empty list is no error.
static bool find_program(struct run *r)
{
    const char *program = template_program(&r->template);
    if (!program || r->launch.path)
        return true;
    int err = mp_spawn_find(program, r->program, sizeof r->program);
    if (err == 0) {
        r->launch.path = r->program;
        return true;
    }
    if (*program)
        say("%s: %s", program, reason(err, program));
    else
        say("the command is empty");
    fail(r, status_of(err));
    return false;
}

// Why the item cannot be an argument, or NULL.
static const char *bad_item(const struct run *r)
{
    return r->item.bad ? r->item.bad : template_refuses(&r->template, &r->item);
}

// What cannot be given is lost to the job, which is told so by the end of its input.
static void give_block(struct run *r, struct job *j)
{
    int err = feed_give(j->feed, r->loop, &r->block);
    if (err) {
        say("job %ld: cannot watch its input: %s", j->seq, mp_strerror(err));
        fail(r, EXIT_IO);
    }
    r->block = (struct block){.fd = -1};
    if (!r->args->round_robin)
        feed_end(j->feed);
}

// Starts the item at hand. False: not now.
static bool start_job(struct run *r)
{
    struct job *j = job_new(r, r->started + 1, slot_take(r), &r->item);
    const char *why = bad_item(r);
    if (why) {
        job_say(j, "job %ld (%s): %s", j->seq, j->label, why);
        fail_job(r, j);
        return true;
    }
    char **argv = template_expand(&r->template, &r->item, j->seq, j->slot);
    snprintf(r->seq_env, sizeof r->seq_env, "MPMAP_SEQ=%ld", j->seq);
    snprintf(r->slot_env, sizeof r->slot_env, "MPMAP_SLOT=%d", j->slot);
    snprintf(r->gnu_seq_env, sizeof r->gnu_seq_env, "PARALLEL_SEQ=%ld", j->seq);
    snprintf(r->gnu_slot_env, sizeof r->gnu_slot_env, "PARALLEL_JOBSLOT=%d", j->slot);
    int err = job_start(j, &r->launch, argv);
    if (is_shortage(err) && r->running > 0) {
        slot_give(r, j->slot);
        job_free(j);
        if (!r->retry && mp_loop_add_timer(r->loop, &r->retry, RETRY_MS, on_retry, r) < 0)
            r->retry = NULL; // the end of a job will do
        return false;
    }
    if (err) {
        on_refused(r, j, argv, err);
        return true;
    }
    r->started++;
    live_add(r, j);
    output_add(&r->output, j);
    if (j->feed)
        give_block(r, j);
    return true;
}

// Whether there is an item to start.
static bool get_item(struct run *r)
{
    while (!r->has_item && !r->input_ended) {
        int got =
            r->launch.blocks ? blocks_next(&r->blocks, &r->block) : input_next(&r->input, &r->item);
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
    return r->running < r->jobs && !r->retry && output_has_room(&r->output, r->started + 1) &&
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
    while (!has_room(r) && get_item(r) && (j = idle_job(r))) {
        r->has_item = false;
        give_block(r, j);
    }
    if (!r->input_ended || r->has_item)
        return;
    for (j = r->live; j; j = j->next)
        if (j->feed)
            feed_end(j->feed);
}

static void start_jobs(struct run *r)
{
    while (!r->stopping && has_room(r) && get_item(r) && find_program(r)) {
        if (!start_job(r))
            break;
        r->has_item = false;
    }
    feed_jobs(r);
}

// ---- events -----------------------------------------------------------------------------

static void check_stdout(struct run *r)
{
    int err = r->output.sink[OUT].err;
    if (!err || r->status == EXIT_IO || r->signal)
        return;
    if (err == -EPIPE && r->args->sigpipe) {
        r->signal = SIGPIPE;
        stop(r);
        return;
    }
    say("standard output: %s", mp_strerror(err));
    fail(r, EXIT_IO);
}

static void step(struct run *r)
{
    start_jobs(r);
    output_pump(&r->output);
    check_stdout(r);
    start_jobs(r); // what was written has made room
    bool done = r->stopping || (r->input_ended && !r->has_item && output_is_idle(&r->output));
    if (done && r->running == 0)
        mp_loop_stop(r->loop);
}

static void step_again(void *arg)
{
    step(arg);
}

static void on_output(struct job *j)
{
    step(j->run);
}

static void on_end(struct job *j)
{
    struct run *r = j->run;
    live_remove(r, j);
    slot_give(r, j->slot);
    if (r->stopping)
        job_kill(j, SIGKILL); // what it left of its group
    else if (j->code < 0)
        job_say(j, "job %ld (%s): killed by signal %d (%s)", j->seq, j->label, -j->code,
                sigdescr_np(-j->code));
    if (j->lost)
        r->status = EXIT_IO;
    if (j->code != 0 || j->lost)
        r->failed++;
    output_ended(&r->output, j);
    step(r);
}

// ---- setting up and ending --------------------------------------------------------------

// The caller's environment, with the two variables of a job.
static char **make_env(struct run *r)
{
    int n = 0, kept = 0;
    while (environ[n])
        n++;
    char **env = xrealloc(NULL, ((size_t)n + 5) * sizeof *env);
    for (int i = 0; i < n; i++)
        if (strncmp(environ[i], "MPMAP_SEQ=", 10) != 0 &&
            strncmp(environ[i], "MPMAP_SLOT=", 11) != 0 &&
            !(r->args->gnu && !strncmp(environ[i], "PARALLEL_SEQ=", 13)) &&
            !(r->args->gnu && !strncmp(environ[i], "PARALLEL_JOBSLOT=", 17)))
            env[kept++] = environ[i];
    env[kept++] = r->seq_env;
    env[kept++] = r->slot_env;
    if (r->args->gnu) {
        env[kept++] = r->gnu_seq_env;
        env[kept++] = r->gnu_slot_env;
    }
    env[kept] = NULL;
    return env;
}

// Jobs at a time, as far as there are descriptors for them.
static void limit_jobs(struct run *r)
{
    struct rlimit lim;
    r->fds_job = (r->args->ungroup ? FDS_PLAIN : FDS_CAPTURE) + (r->launch.blocks ? 1 : 0);
    r->fds_max = getrlimit(RLIMIT_NOFILE, &lim) < 0 || lim.rlim_cur > INT_MAX / 2
                     ? INT_MAX / 2
                     : (int)lim.rlim_cur;
    int most = (r->fds_max - FDS_OWN) / r->fds_job;
    if (most > 100000)
        most = 100000;
    if (most < 1)
        most = 1;
    r->jobs = r->args->jobs ? r->args->jobs : most;
    if (r->jobs > most) {
        say("-j %d: only %d at a time: the limit of open files is %d (see ulimit -n)", r->jobs,
            most, r->fds_max);
        r->jobs = most;
    }
    r->slot_taken = xrealloc(NULL, (size_t)r->jobs);
    memset(r->slot_taken, 0, (size_t)r->jobs);
}

static int watch_signals(struct run *r)
{
    for (int i = 0; i < WATCHED; i++) {
        struct sigaction now;
        sigaction(watched[i], NULL, &now);
        if (now.sa_handler == SIG_IGN) // as nohup wants it
            continue;
        int err = mp_loop_add_signal(r->loop, &r->signals[i], watched[i], on_signal, r);
        if (err)
            return err;
    }
    return 0;
}

// What items are, and what is made of them: names of fields are known to both.
static int open_input(struct run *r)
{
    bool blocks = r->args->pipe || r->args->pipe_part;
    int status = blocks ? blocks_open(&r->blocks, r->args) : input_open(&r->input, r->args);
    if (blocks) {
        r->launch.blocks = &r->blocks;
        r->input.limit = 32 * (size_t)sysconf(_SC_PAGESIZE) - 1;
        r->item = (struct item){.text = "a block", .len = 7};
    }
    if (status == 0)
        status = template_compile(&r->template, r->args, &r->input.splitter.names);
    if (status == 0 && r->args->pack)
        input_pack(&r->input, template_room(&r->template), template_cost, &r->template);
    return status;
}

static int prepare(struct run *r)
{
    limit_jobs(r);
    int err = mp_loop_new(&r->loop);
    if (err == 0)
        err = watch_signals(r);
    if (err == 0)
        err = r->launch.blocks ? blocks_watch(&r->blocks, r->loop, step_again, r)
                               : input_watch(&r->input, r->loop, step_again, r);
    r->launch.null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (err == 0 && r->launch.null < 0)
        err = -errno;
    if (err) {
        say("cannot start: %s", mp_strerror(err));
        return EXIT_IO;
    }
    r->launch.loop = r->loop;
    r->launch.env = make_env(r);
    r->launch.capture = !r->args->ungroup;
    r->launch.on_output = on_output;
    r->launch.on_end = on_end;
    r->launch.on_idle = step_again;
    output_init(&r->output, r->loop, r->args->keep_order, step_again, r);
    return 0;
}

static void release(struct run *r)
{
    output_close(&r->output);
    input_close(&r->input);
    if (r->launch.blocks)
        blocks_close(&r->blocks);
    free(r->block.data);
    template_free(&r->template);
    mp_loop_free(r->loop);
    free(r->launch.env);
    free(r->slot_taken);
    if (r->launch.null >= 0)
        close(r->launch.null);
}

static int result(const struct run *r)
{
    if (r->status)
        return r->status;
    if (r->output.lost || r->output.sink[ERR].err)
        return EXIT_IO;
    return r->failed > 100 ? EXIT_MANY : (int)r->failed;
}

int run_jobs(const struct args *a, int *sig)
{
    static struct run r;
    r = (struct run){.args = a, .launch.null = -1};
    int status = open_input(&r);
    if (status == 0)
        status = prepare(&r);
    if (status)
        return status;
    step(&r);
    int err = mp_loop_run(r.loop);
    if (err)
        say("the event loop failed: %s", mp_strerror(err));
    output_pump(&r.output); // what is there, as far as it goes out
    *sig = r.signal;
    status = err ? EXIT_IO : result(&r);
    release(&r);
    return status;
}

int run_dry(const struct args *a)
{
    struct run r = {.args = a};
    int status = open_input(&r);
    if (status)
        return status;
    for (long seq = 1; get_item(&r) && !ferror(stdout); seq++, r.has_item = false) {
        const char *why = bad_item(&r);
        if (why) {
            char label[SHOWN];
            say("job %ld (%s): %s", seq, show(label, sizeof label, r.item.text, r.item.len), why);
            r.failed++;
            continue;
        }
        int slot = a->jobs ? (int)((seq - 1) % a->jobs) + 1 : 1;
        template_print(&r.template, &r.item, seq, slot, stdout);
        putchar('\n');
        free(r.block.data);
    }
    if (fflush(stdout) || ferror(stdout)) {
        say("standard output: %s", mp_strerror(-errno));
        r.status = EXIT_IO;
    }
    input_close(&r.input);
    if (r.launch.blocks)
        blocks_close(&r.blocks);
    template_free(&r.template);
    return r.status ? r.status : result(&r);
}
