// SPDX-License-Identifier: MIT
//
// How a process begins, by each method, seen from its parent (from inside: work/born.c). The same
// for all: a record in the family's list, a lifeline, and "go" when its parent can watch it. (What
// both are: process.c.)
//
// A fork has everything in its memory, and only the handles among its arguments need care. The
// others are told by letter (work/letter.h): a spawned program finds the number of its socket
// in its environment, a child of the forkserver is handed it. Both read the letter, open
// what came with it, find their function, and answer; the parent returns after the answer, so
// whatever cannot be is an error of mp_process_start(), and no process that died for it.
//
// All descriptors are made under the family's lock and are in the record at once: no fork of
// another thread passes one on unseen.
#include "base/log.h"
#include "channel/give.h"
#include "channel/handle.h"
#include "os/fork.h"
#include "os/pidfd.h"
#include "os/spawn.h"
#include "work/forkserver.h"
#include "work/process.h"

#include <errno.h>
#include <fcntl.h>
#include <mp/start.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_S 60 // for a new process to say that it is there

// A start that is under way.
struct begin {
    struct mp_process *p;
    mp_process_fn *fn;
    void *arg;
    const mp_process_opts *opts;
    mp_start method;
    struct mp__parcel *parcel; // of the handles
    char why[MP__WHY_SIZE];
};

// ---- which method ----------------------------------------------------------------

static _Atomic(mp_start) program_default = MP_START_FORK;

int mp_start_set_default(mp_start start)
{
    if (!mp_start_name(start))
        return MP_EINVAL;
    program_default = start == MP_START_DEFAULT ? MP_START_FORK : start;
    return 0;
}

mp_start mp_start_get_default(void)
{
    return program_default;
}

const char *mp_start_name(mp_start start)
{
    static const char *const names[] = {"default", "fork", "forkserver", "spawn"};
    return (size_t)start < sizeof names / sizeof *names ? names[start] : NULL;
}

mp_start mp__start_method(mp_start start, const mp_context *context)
{
    if (start != MP_START_DEFAULT)
        return start;
    if (!context)
        return program_default;
    return context->start == MP_START_DEFAULT ? MP_START_FORK : context->start;
}

// ---- the record ------------------------------------------------------------------

static int make_pipe(int ends[2])
{
    return pipe2(ends, O_CLOEXEC) < 0 ? -errno : 0;
}

static int open_descriptors(struct begin *b)
{
    struct mp_process *p = b->p;
    int line[2], r;
    // Before the pipe: what remains of each child, its write end and pidfd, then has no gaps.
    if (b->method == MP_START_FORK && (p->go = eventfd(0, EFD_CLOEXEC)) < 0)
        return -errno;
    if ((r = make_pipe(line)) < 0)
        return r;
    p->line_read = line[0];
    p->line_write = line[1];
    if (b->method == MP_START_FORK)
        return 0;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, p->talk) < 0)
        return -errno;
    return b->method == MP_START_FORKSERVER ? make_pipe(p->status) : 0;
}

static int name_locked(struct begin *b)
{
    const mp_process_opts *o = b->opts;
    const char *kind = o->context && o->context->name ? o->context->name : "Process";
    if (o->name)
        b->p->name = strdup(o->name);
    else if (asprintf(&b->p->name, "%s-%u", kind, mp__family.named + 1) < 0)
        b->p->name = NULL;
    return b->p->name ? 0 : -ENOMEM;
}

static int add_child(struct begin *b)
{
    struct mp_process *p = mp__process_record();
    if (!p)
        return -ENOMEM;
    b->p = p;
    p->owner = mp__fork_token();
    p->daemon = b->opts->daemon;
    pthread_mutex_lock(&mp__family.lock);
    mp__process_collect();
    int r = p->owner ? name_locked(b) : -ENOMEM;
    if (r == 0)
        r = open_descriptors(b);
    if (r == 0) {
        p->next = mp__family.children;
        mp__family.children = p;
        mp__family.named++;
        if (!mp__family.current->pid)
            mp__family.current->pid = getpid();
    }
    pthread_mutex_unlock(&mp__family.lock);
    if (r < 0)
        mp__process_drop(p);
    return r;
}

static void remove_child(struct mp_process *p)
{
    pthread_mutex_lock(&mp__family.lock);
    mp__process_unlink(p);
    pthread_mutex_unlock(&mp__family.lock);
    mp__process_drop(p);
}

static void await_end(pid_t pid)
{
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

// ---- fork ------------------------------------------------------------------------

static int copy_handles(struct begin *b)
{
    struct mp_process *p = b->p;
    size_t n = b->opts->n_handles;
    p->arg = b->opts->arg_size ? b->arg : NULL;
    p->arg_size = b->opts->arg_size;
    if (n == 0)
        return 0;
    if (!(p->handles = malloc(n * sizeof *p->handles)))
        return -ENOMEM;
    memcpy(p->handles, b->opts->handles, n * sizeof *p->handles);
    p->n_handles = n;
    return 0;
}

// They are the child's; the parent's record has none.
static void forget_arguments(struct mp_process *p)
{
    free(p->handles);
    p->handles = NULL;
    p->arg = NULL;
    p->arg_size = p->n_handles = 0;
}

// Forks, and says "go" when the child can be watched; otherwise it ends unused.
static int begin_fork(struct begin *b)
{
    struct mp_process *p = b->p;
    int r = copy_handles(b);
    if (r < 0)
        return r;
    mp__starting = p;
    pid_t pid = mp__fork();
    if (pid == 0)
        mp__process_forked(p, b->fn, b->arg, b->parcel);
    mp__starting = NULL;
    forget_arguments(p);
    if (pid < 0)
        return (int)pid;

    pthread_mutex_lock(&mp__family.lock);
    p->pid = pid;
    int fd = mp__pidfd_open(pid);
    if (fd >= 0) {
        p->pidfd = fd;
        eventfd_write(p->go, 1);
    } else {
        mp__process_close_fd(&p->line_write);
    }
    mp__process_close_fd(&p->go);
    mp__process_close_fd(&p->line_read);
    pthread_mutex_unlock(&mp__family.lock);
    if (fd < 0)
        await_end(pid);
    return fd < 0 ? fd : 0;
}

// ---- by letter -------------------------------------------------------------------

static void say(struct begin *b, const char *why)
{
    snprintf(b->why, sizeof b->why, "%s", why);
}

static int write_letter(struct begin *b, struct mp__envelope *e)
{
    const mp_process *me = mp_process_current();
    const char *why = "the letter to the new process cannot be written";
    mp__any_fn *fn = (mp__any_fn *)b->fn;
    struct mp__letter l = {
        .name = b->p->name,
        .parent_name = me->name,
        .parent = me->pid,
        .daemon = b->p->daemon,
        .parent_daemon = me->daemon,
        .fn = fn,
        .by_address = b->method == MP_START_FORKSERVER && mp__forkserver_has(fn),
        .arg = b->arg,
        .arg_size = b->opts->arg_size,
        .lifeline = b->p->line_read,
    };
    int r = mp__letter_write(e, &l, b->parcel, &why);
    if (r < 0)
        say(b, why);
    return r;
}

// Starts this program, which finds its socket by the variable.
static int exec_program(struct begin *b, pid_t *pid)
{
    size_t n = 0;
    while (environ && environ[n])
        n++;
    const char **env = malloc((n + 2) * sizeof *env);
    char variable[32], *argv[] = {program_invocation_name, b->p->name, NULL};
    if (!env)
        return -ENOMEM;
    snprintf(variable, sizeof variable, MP__START_VARIABLE "=%d", b->p->talk[1]);
    if (n)
        memcpy(env, environ, n * sizeof *env);
    env[n] = variable;
    env[n + 1] = NULL;
    mp_spawn_opts o = {.path = "/proc/self/exe", .env = (char *const *)env};
    int r = mp__spawn_keeping(pid, NULL, argv, &o, b->p->talk[1]);
    free(env);
    if (r < 0)
        say(b, "the program cannot be executed again");
    return r;
}

// Under way: who asked has no more use for what is the child's.
static void close_childs_ends(struct mp_process *p)
{
    pthread_mutex_lock(&mp__family.lock);
    mp__process_close_fd(&p->talk[1]);
    mp__process_close_fd(&p->status[1]);
    pthread_mutex_unlock(&mp__family.lock);
}

// Takes the answer, and says "go".
static int take_answer(struct begin *b)
{
    struct mp_process *p = b->p;
    int r = mp__letter_await(p->talk[0], mp__deadline_in(PATIENCE_S * 1000));
    if (r < 0) {
        say(b, "the new process does not answer: is mp_runtime_init() the first thing in main()?");
        return r;
    }
    pthread_mutex_lock(&mp__family.lock);
    r = mp__letter_answered(p->talk[0], &p->pid, &p->pidfd, b->why);
    if (r == 0)
        send(p->talk[0], "", 1, MSG_NOSIGNAL);
    mp__process_close_fd(&p->line_read);
    mp__process_close_fd(&p->talk[0]);
    pthread_mutex_unlock(&mp__family.lock);
    if (r != MP_EOF)
        return r;
    say(b, "the new process ended before it was ready: is mp_runtime_init() the first thing in "
           "main()?");
    return MP_EBROKEN;
}

static int send_letter(struct begin *b, const struct mp__envelope *e, pid_t *pid)
{
    int r = mp__letter_send(e, b->p->talk[0]);
    if (r < 0)
        return r;
    if (b->method == MP_START_SPAWN)
        return exec_program(b, pid);
    r = mp__forkserver_ask(b->p->talk[1], b->p->status[1], e->by_address);
    if (r < 0 && r != MP_EPIPE)
        say(b, "there is no forkserver, and none can be started");
    return r;
}

static int begin_by_letter(struct begin *b)
{
    struct mp__envelope e;
    pid_t spawned = 0;
    int r = write_letter(b, &e);
    if (r < 0)
        return r;
    r = send_letter(b, &e, &spawned);
    close(e.memfd);
    close_childs_ends(b->p);
    if (r == 0)
        r = take_answer(b);
    if (r < 0 && spawned > 0 && waitpid(spawned, NULL, WNOHANG) == 0) {
        kill(spawned, SIGKILL); // a child of ours has that pid, so it is that one
        await_end(spawned);
    }
    return r;
}

// ---- all -------------------------------------------------------------------------

static void end_giving(mp_pipe *const *give, size_t n, bool given)
{
    for (size_t i = 0; i < n; i++)
        mp__pipe_give_end(give[i], given);
}

// Returns how many there are, or an error and nothing is begun.
static int begin_giving(mp_pipe *const *give)
{
    int n = 0;
    for (; give && give[n]; n++) {
        int r = mp__pipe_give_begin(give[n]);
        if (r < 0) {
            end_giving(give, (size_t)n, false);
            return r;
        }
    }
    return n;
}

static int pack_handles(struct begin *b)
{
    const mp_process_opts *o = b->opts;
    if (o->n_handles == 0)
        return 0;
    if (!o->handles)
        return MP_EINVAL;
    if (o->n_handles > MP_HANDLES_MAX)
        return MP_EMSGSIZE;
    if (!(b->parcel = mp__parcel_new()))
        return -ENOMEM;
    int r = mp__handles_pack(b->parcel, o->handles, o->n_handles);
    if (r < 0) {
        free(b->parcel);
        b->parcel = NULL;
    }
    return r;
}

static int begin(struct begin *b)
{
    int r = add_child(b);
    if (r < 0)
        return r;
    r = b->method == MP_START_FORK ? begin_fork(b) : begin_by_letter(b);
    if (r < 0)
        remove_child(b->p);
    return r;
}

// Once more if the forkserver died over it: nothing has run, and the next one is started.
static int begin_surely(struct begin *b)
{
    int r = begin(b);
    if ((r == MP_EPIPE || r == MP_EBROKEN) && b->method == MP_START_FORKSERVER &&
        !mp__forkserver_alive())
        r = begin(b);
    return r == MP_EPIPE ? MP_EBROKEN : r;
}

static int check(struct begin *b)
{
    const mp_process_opts *o = b->opts;
    if (!b->fn || !mp_start_name(b->method) || (!b->arg && o->arg_size))
        return MP_EINVAL;
    if (b->method == MP_START_FORK)
        return 0;
    if (!mp__process_can_spawn()) {
        say(b, "this program did not call mp_runtime_init()");
        return MP_ESTATE;
    }
    if (b->arg && !o->arg_size)
        say(b, "a pointer means nothing in the new process: tell arg_size");
    else if (o->give)
        say(b, "give is for fork: put the ends among the handles");
    return *b->why ? MP_EINVAL : 0;
}

static int start_with_handles(struct begin *b)
{
    const mp_process_opts *o = b->opts;
    int n = begin_giving(o->give);
    if (n < 0)
        return n;
    int r = pack_handles(b);
    if (r == 0) {
        r = begin_surely(b);
        if (b->parcel)
            mp__handles_packed(o->handles, o->n_handles, r == 0);
        free(b->parcel);
    }
    end_giving(o->give, (size_t)n, r == 0);
    return r;
}

int mp_process_start(mp_process **out, mp_process_fn *fn, void *arg, const mp_process_opts *opts)
{
    static const mp_process_opts defaults;
    if (!out)
        return MP_EINVAL;
    *out = NULL;
    struct begin b = {.fn = fn, .arg = arg, .opts = opts ? opts : &defaults};
    b.method = mp__start_method(b.opts->start, b.opts->context);
    if (b.opts->error)
        *b.opts->error = NULL;
    int r = check(&b);
    if (r == 0)
        r = start_with_handles(&b);
    if (r < 0 && b.opts->error && *b.why)
        *b.opts->error = strdup(b.why);
    if (r != 0)
        return r;
    *out = b.p;
    mp_log(MP_LOG_DEBUG, "started %s, pid %d", b.p->name, (int)b.p->pid);
    return 0;
}
