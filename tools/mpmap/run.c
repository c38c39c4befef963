// SPDX-License-Identifier: MIT
//
// Everything happens in callbacks of the loop, and each ends in run_step(): start what
// may be started, write what can be written, see whether that was all. Starting
// comes first, since an idle CPU costs more than a late line.
#include "run.h"
#include "state.h"
#include "terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    FDS_OWN = 32,    // descriptors that are not jobs'
    FDS_CAPTURE = 5, // a job's: pidfd, two pipes, two files
    FDS_BLOCKS = 2,  // the pipe to it and a timer
    FDS_RESULTS = 3,
    FDS_PLAIN = 1,
    JOBS_MOST = 100000,
    TICK_MS = 1000,
};

// What is not written any more need not be made.
static void check_output(struct run *r)
{
    if (r->output.table.err && !r->status)
        stop_failed(r, EXIT_IO);
    int err = r->output.sink[OUT].err;
    if (!err || r->status == EXIT_IO || r->signal)
        return;
    if (err == -EPIPE && r->args->sigpipe) {
        r->signal = SIGPIPE;
        stop_run(r);
        return;
    }
    say("standard output: %s", mp_strerror(err));
    stop_failed(r, EXIT_IO);
}

static bool is_done(const struct run *r)
{
    if (r->running > 0)
        return false;
    if (r->stopping && !r->halted)
        return true;
    bool no_more = r->stopping || r->halting || (r->input_ended && !r->has_item);
    return no_more && !r->waiting && output_is_idle(&r->output);
}

void run_step(struct run *r)
{
    long before;
    do {
        before = r->started;
        start_jobs(r);
        if (r->stopping || r->halting)
            finish_waiting(r);
        output_pump(&r->output);
        check_output(r);
    } while (r->started != before); // what was written has made room
    if (is_done(r))
        mp_loop_stop(r->loop);
}

void run_step_again(void *arg)
{
    run_step(arg);
}

static void on_output(struct job *j)
{
    run_step(j->run);
}

// ---- how many at a time -------------------------------------------------------------------

static int most_jobs(const struct run *r)
{
    int most = (r->fds_max - FDS_OWN) / r->fds_job;
    return most > JOBS_MOST ? JOBS_MOST : most < 1 ? 1 : most;
}

void run_set_jobs(struct run *r, int jobs)
{
    int most = most_jobs(r);
    if (jobs > most)
        say("-j %d: only %d at a time: the limit of open files is %d (see ulimit -n)", jobs, most,
            r->fds_max);
    r->jobs = jobs == 0 || jobs > most ? most : jobs;
    if (r->jobs <= r->slots)
        return;
    r->slot_taken = xrealloc(r->slot_taken, (size_t)r->jobs);
    memset(r->slot_taken + r->slots, 0, (size_t)(r->jobs - r->slots));
    r->slots = r->jobs;
}

// As the file of -j says now; if it says nothing that can be understood, as before.
static int jobs_of_file(const struct run *r, int before)
{
    char text[64];
    int jobs, fd = open(r->args->jobs_file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    return jobs_parse(text, &jobs) ? jobs : before;
}

static void limit_jobs(struct run *r)
{
    struct rlimit lim;
    r->fds_job = (r->args->ungroup ? FDS_PLAIN : FDS_CAPTURE) +
                 (r->launch.blocks ? FDS_BLOCKS : 0) + (r->args->results ? FDS_RESULTS : 0);
    r->fds_max = getrlimit(RLIMIT_NOFILE, &lim) < 0 || lim.rlim_cur > INT_MAX / 2
                     ? INT_MAX / 2
                     : (int)lim.rlim_cur;
    run_set_jobs(r, r->args->jobs_file ? jobs_of_file(r, r->args->jobs) : r->args->jobs);
}

// ---- once a second, if anybody needs it -----------------------------------------------------

static int begin_ticks(struct run *r);

// The youngest job goes, as it has lost the least; not the last one, or nothing would get done.
static void give_memory(struct run *r)
{
    struct job *j = r->live;
    if (r->running < 2 || j->term_step || !gate_is_short(&r->gate))
        return;
    j->put_back = true;
    stop_job(r, j);
}

static void on_tick(mp_watch *w, void *arg)
{
    struct run *r = arg;
    mp_watch_close(w);
    r->tick = NULL;
    if (r->args->jobs_file) {
        int jobs = jobs_of_file(r, r->jobs);
        if (jobs != r->jobs)
            run_set_jobs(r, jobs);
    }
    if (r->args->memfree)
        give_memory(r);
    if (r->has_terminal)
        stop_unheard(r);
    if (begin_ticks(r) < 0)
        r->tick = NULL; // no more of them
    run_step(r);
}

static int begin_ticks(struct run *r)
{
    if (!r->args->jobs_file && !r->args->memfree && !r->has_terminal)
        return 0;
    return mp_loop_add_timer(r->loop, &r->tick, TICK_MS, on_tick, r);
}

// Where the run is, for those who look.
static void look(void *arg, struct progress *p)
{
    const struct run *r = arg;
    bool exact = false;
    double more = r->launch.blocks ? blocks_left(&r->blocks) : input_left(&r->input, &exact);
    p->done = r->ended;
    p->failed = r->failed;
    p->running = r->running;
    p->live = r->live;
    p->waits = r->running < r->jobs && !r->stopping && r->gate.wanted ? r->gate.why : NULL;
    p->sure = r->input_ended || r->order.sorted || exact || r->args->total;
    if (r->args->total && !r->input_ended)
        p->total = r->args->total > r->ended ? r->args->total : r->ended;
    else if (r->input_ended)
        p->total = r->started + r->has_item;
    else if (r->order.sorted)
        p->total = (long)r->order.len;
    else if (more >= 0)
        p->total = r->started + r->has_item + (long)(more + 0.5);
}

// ---- setting up and ending ------------------------------------------------------------------

static bool is_ours(const struct run *r, const char *word)
{
    size_t n = r->args->slot_var ? strlen(r->args->slot_var) : 0;
    return (n && !strncmp(word, r->args->slot_var, n) && word[n] == '=') ||
           !strncmp(word, "MPMAP_SEQ=", 10) || !strncmp(word, "MPMAP_SLOT=", 11) ||
           !strncmp(word, "MPMAP_RUN=", 10) ||
           (r->args->gnu &&
            (!strncmp(word, "PARALLEL_SEQ=", 13) || !strncmp(word, "PARALLEL_JOBSLOT=", 17)));
}

// The caller's environment, with the variables of a job.
static char **make_env(struct run *r)
{
    int n = 0, kept = 0;
    while (environ[n])
        n++;
    char **env = xrealloc(NULL, ((size_t)n + 7) * sizeof *env);
    env[kept++] = r->family.env;
    env[kept++] = r->seq_env;
    env[kept++] = r->slot_env;
    if (r->args->gnu) {
        env[kept++] = r->gnu_seq_env;
        env[kept++] = r->gnu_slot_env;
    }
    if (r->args->slot_var)
        env[kept++] = r->slot_var_env;
    for (int i = 0; i < n; i++)
        if (!is_ours(r, environ[i]))
            env[kept++] = environ[i];
    env[kept] = NULL;
    return env;
}

// Its second word is the tag: a first one without a replacement string is not taken for
// the place where the item goes.
static int compile_tag(struct run *r)
{
    static char first[] = "tag", *words[2] = {first};
    static struct args a;
    size_t len;
    free(words[1]);
    words[1] = unescape(r->args->tagstring, &len);
    a = (struct args){.words = words, .words_len = 2, .replace = r->args->replace};
    memcpy(a.renamed, r->args->renamed, sizeof a.renamed);
    return template_compile(&r->tag, &a, &r->input.splitter.names);
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
    if (status == 0 && r->args->tagstring)
        status = compile_tag(r);
    return status;
}

// What the commands in a joblog begin with, up to where the items come in.
static char *joblog_begin(struct run *r)
{
    char *text;
    size_t len;
    FILE *f = text_open(&text, &len);
    template_print_begin(&r->template, f);
    text_close(f, &text);
    return key_line(text);
}

static int open_joblog(struct run *r)
{
    const struct args *a = r->args;
    if (!a->joblog)
        return 0;
    int status = joblog_open(&r->joblog, a->joblog, a->resume || a->joblog_append);
    if (status || !a->resume)
        return status;
    char *begin = a->resume == RETRY_FAILED ? xstrdup("") : joblog_begin(r);
    status = resume_load(&r->resume, &r->joblog, a->resume, begin);
    free(begin);
    return status;
}

// The items are the commands that failed.
static int open_retry_failed(struct run *r)
{
    static struct args a;
    static struct source source;
    int status = open_joblog(r);
    if (status)
        return status;
    char **words = xrealloc(NULL, ((size_t)r->resume.failed_len + 1) * sizeof *words);
    for (int i = 0; i < r->resume.failed_len; i++) {
        words[i] = xstrdup(r->resume.failed[i]);
        key_plain(words[i]);
    }
    source = (struct source){.words = words, .words_len = r->resume.failed_len};
    a = *r->args;
    a.sources = &source;
    a.sources_len = 1;
    a.words_len = 0;
    r->args = &a;
    return open_input(r);
}

static int open_all(struct run *r)
{
    int status = r->args->resume == RETRY_FAILED ? open_retry_failed(r) : open_input(r);
    if (status == 0 && r->args->resume != RETRY_FAILED)
        status = open_joblog(r);
    r->halt = r->args->halt;
    r->keeps_items = r->args->retry.tries || r->args->memfree || r->args->results;
    r->wants_command = r->args->joblog || r->args->results || r->args->verbose;
    return status;
}

static int open_results(struct run *r)
{
    const char *name = r->args->results;
    int err = name && table_is(name) ? table_open(&r->output.table, name, r->args->resume) : 0;
    return err ? usage_error("--results %s: %s", name, mp_strerror(err)) : 0;
}

static int open_loop(struct run *r)
{
    int err = mp_loop_new(&r->loop);
    if (err == 0)
        err = stop_watch_signals(r);
    if (err == 0)
        err = r->launch.blocks ? blocks_watch(&r->blocks, r->loop, run_step_again, r)
                               : input_watch(&r->input, r->loop, run_step_again, r);
    if (err == 0)
        err = watch_init(&r->watch, r->args, r->loop, look, r);
    r->has_terminal = has_terminal();
    if (err == 0)
        err = begin_ticks(r);
    r->launch.null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (err == 0 && r->launch.null < 0)
        err = -errno;
    return err;
}

static int cannot_start(struct run *r, int err)
{
    if (err == -EMFILE)
        say("cannot start: the limit of open files is %d (see ulimit -n)", r->fds_max);
    else
        say("cannot start: %s", mp_strerror(err));
    return EXIT_IO;
}

static int prepare(struct run *r)
{
    limit_jobs(r);
    if (r->args->nice && setpriority(PRIO_PROCESS, 0, (int)r->args->nice) < 0)
        return usage_error("--nice %ld: %s", r->args->nice, mp_strerror(-errno));
    int err = open_loop(r);
    if (err)
        return cannot_start(r, err);
    r->launch.loop = r->loop;
    r->launch.env = make_env(r);
    r->launch.workdir = r->args->workdir;
    r->launch.groups = r->groups.joins;
    r->launch.silent = r->args->gnu && r->args->results && !table_is(r->args->results);
    r->launch.capture = !r->args->ungroup;
    r->launch.lines = r->args->line_buffer && !r->args->keep_order;
    r->launch.latest = r->args->latest_line;
    r->launch.on_output = on_output;
    r->launch.on_end = finish_child;
    r->launch.on_idle = run_step_again;
    output_init(&r->output, r->loop, r->args, &r->live, run_step_again, r);
    int status = open_results(r);
    if (status == 0)
        status = ask_init(&r->ask, r->args->interactive, run_step_again, r);
    return status ? status : gate_init(&r->gate, r->args, r->loop, run_step_again, r);
}

static void close_groups(void *run)
{
    group_close(&((struct run *)run)->groups);
}

static int begin_family(struct run *r)
{
    int err = family_begin(&r->family, close_groups, r);
    return err ? cannot_start(r, err) : 0;
}

static void release(struct run *r)
{
    struct job *j;
    while ((j = waiting_take(&r->waiting, INT64_MAX)) && !r->args->keep_order)
        job_free(j); // else the output has it
    family_end(&r->family);
    gate_close(&r->gate);
    ask_close(&r->ask);
    group_close(&r->groups);
    joblog_close(&r->joblog);
    resume_free(&r->resume);
    output_close(&r->output);
    order_free(&r->order);
    input_close(&r->input);
    if (r->launch.blocks)
        blocks_close(&r->blocks);
    free(r->block.data);
    template_free(&r->template);
    if (r->args->tagstring)
        template_free(&r->tag);
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
    if (r->output.lost || r->output.table.err || r->output.sink[ERR].err)
        return EXIT_IO;
    if (r->halted && r->halt_status >= 0)
        return r->halt_status;
    return r->failed > 100 ? EXIT_MANY : (int)r->failed;
}

int run_jobs(const struct args *a, int *sig)
{
    static struct run r;
    r = (struct run){.args = a, .launch.null = -1, .joblog.fd = -1};
    int status = group_init(&r.groups, a); // before there is a guardian, which goes with us
    if (status == 0)
        status = begin_family(&r); // before files are open that it would share
    if (status == 0)
        status = open_all(&r);
    if (status == 0)
        status = prepare(&r);
    if (status) {
        family_end(&r.family);
        group_close(&r.groups);
        return status;
    }
    run_step(&r);
    int err = mp_loop_run(r.loop);
    if (err)
        say("the event loop failed: %s", mp_strerror(err));
    if (r.stopping)
        family_kill(&r.family, 0, SIGKILL); // what left its group
    output_pump(&r.output);                 // what is there, as far as it goes out
    watch_end(&r.watch);
    *sig = r.signal;
    status = err ? EXIT_IO : result(&r);
    release(&r);
    return status;
}

int run_dry(const struct args *a)
{
    static struct run r;
    r = (struct run){.args = a, .launch.null = -1};
    int status = open_input(&r);
    if (status)
        return status;
    for (long seq = 1; start_get_item(&r) && !ferror(stdout); seq++, r.has_item = false) {
        const char *why = start_refuses(&r);
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
    return r.status ? r.status : (r.failed > 100 ? EXIT_MANY : (int)r.failed);
}
