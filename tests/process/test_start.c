// SPDX-License-Identifier: MIT
//
// Start methods: the same tests for each of them, and what is special to one. Spawned
// processes are this program again; its main() calls mp_runtime_init() before anything else.
#include "crew.h"

#include "base/clock.h"
#include "os/pidfd.h"
#include "work/forkserver.h"

#include <errno.h>
#include <fcntl.h>
#include <mp/lock.h>
#include <mp/pack.h>
#include <mp/pool.h>
#include <mp/process.h>
#include <mp/queue.h>
#include <mp/value.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define PATIENCE 15000

static const mp_start methods[] = {MP_START_FORK, MP_START_FORKSERVER, MP_START_SPAWN};

static int preloaded; // by the hook, in the forkserver

static void preload(void)
{
    preloaded = 42;
}
MP_FORKSERVER(preload);

static mp_process *start(mp_start method, mp_process_fn *fn, void *arg, size_t size,
                         const mp_handle *h, size_t n)
{
    mp_process *p;
    char *why;
    mp_process_opts o = {
        .start = method, .arg_size = size, .handles = h, .n_handles = n, .error = &why};
    int r = mp_process_start(&p, fn, arg, &o);
    ck_assert_msg(r == 0, "%s: %s (%s)", mp_start_name(method), mp_err_name(r), why ? why : "");
    return p;
}

static int code_of(mp_process *p)
{
    int code = -1000;
    mp_assert_ok(mp_process_join(p, PATIENCE));
    mp_assert_ok(mp_process_exitcode(p, &code));
    ck_assert(!mp_process_is_alive(p));
    mp_process_free(p);
    return code;
}

// ---- arguments, under each method ----

static int sum_argument(void *arg)
{
    size_t size;
    const int *v = mp_process_argument(&size);
    mptest_require(v == arg && size == 3 * sizeof *v && (uintptr_t)v % 16 % sizeof *v == 0);
    ((int *)arg)[0]++; // it is ours
    return v[0] + v[1] + v[2];
}
MP_TASK(sum_argument);

MP_TEST(bytes_arrive)
{
    for (size_t i = 0; i < 3; i++) {
        int v[] = {10, 20, 30};
        ck_assert_int_eq(code_of(start(methods[i], sum_argument, v, sizeof v, NULL, 0)), 61);
        ck_assert_int_eq(v[0], 10);
    }
}

static int count_bytes(void *arg)
{
    size_t size, ones = 0;
    mptest_require(mp_process_argument(&size) == arg);
    for (size_t i = 0; i < size; i++)
        ones += ((char *)arg)[i] == 1;
    return ones == size ? (int)(size >> 20) : 99;
}
MP_TASK(count_bytes);

MP_TEST(large_arguments_arrive)
{
    size_t size = (size_t)33 << 20;
    char *bytes = malloc(size);
    memset(bytes, 1, size);
    for (size_t i = 0; i < 3; i++)
        ck_assert_int_eq(code_of(start(methods[i], count_bytes, bytes, size, NULL, 0)), 33);
    free(bytes);
}

static int read_packed(void *arg)
{
    size_t size;
    int a, b;
    mptest_require(mp_process_argument(&size) == arg);
    mptest_require(mp_unpack(arg, size, "{s:i s:i}", "a", &a, "b", &b) >= 0);
    return a * b;
}
MP_TASK(read_packed);

MP_TEST(msgpack_arrives)
{
    mp_buf b = {0};
    mp_assert_ok(mp_pack(&b, "{s:i s:i}", "a", 6, "b", 7));
    for (size_t i = 0; i < 3; i++)
        ck_assert_int_eq(code_of(start(methods[i], read_packed, b.data, b.size, NULL, 0)), 42);
    mp_buf_free(&b);
}

static int has_no_argument(void *arg)
{
    size_t size = 1;
    return arg == NULL && mp_process_argument(&size) == NULL && size == 0 &&
           mp_process_handle(0) == NULL;
}
MP_TASK(has_no_argument);

MP_TEST(no_argument_is_none)
{
    for (size_t i = 0; i < 3; i++)
        ck_assert_int_eq(code_of(start(methods[i], has_no_argument, NULL, 0, NULL, 0)), 1);
    size_t size = 1;
    ck_assert_ptr_null(mp_process_argument(&size));
    ck_assert_uint_eq(size, 0);
}

// ---- handles ----

struct given {
    mp_pipe *pipe;
    mp_queue *queue;
    mp_lock *lock;
    mp_value *value;
    int fd;
};

static void take(struct given *g)
{
    mptest_require(mp_handle_take_pipe(mp_process_handle(0), &g->pipe) == 0);
    mptest_require(mp_handle_take_queue(mp_process_handle(1), &g->queue) == 0);
    mptest_require(mp_handle_take_lock(mp_process_handle(2), &g->lock) == 0);
    mptest_require(mp_handle_take_value(mp_process_handle(3), &g->value) == 0);
    g->fd = mp_handle_take_fd(mp_process_handle(4));
    mptest_require(g->fd >= 0 && mp_process_handle(5) == NULL);
}

static int use_handles(void *arg)
{
    struct given g;
    char text[8];
    take(&g);
    mptest_require(mp_lock_acquire(g.lock, PATIENCE) == 0 && mp_lock_release(g.lock) == 0);
    mptest_require(mp_queue_get(g.queue, text, sizeof text, PATIENCE) == 4);
    mptest_require(mp_pipe_send(g.pipe, text, 4, PATIENCE) == 0);
    *mp_value_ptr(g.value, int) = 4711;
    mptest_require(write(g.fd, "fd", 2) == 2);
    mp_pipe_free(g.pipe);
    mp_queue_free(g.queue);
    mp_lock_free(g.lock);
    mp_value_free(g.value);
    close(g.fd);
    return arg ? 1 : 0;
}
MP_TASK(use_handles);

static void try_handles(mp_start method)
{
    mp_pipe *a, *b;
    mp_queue *q;
    mp_lock *l;
    mp_value *v;
    int line[2];
    char text[8] = "";
    mp_assert_ok(mp_pipe_new(&a, &b, NULL));
    mp_assert_ok(mp_queue_new(&q, NULL));
    mp_assert_ok(mp_lock_new(&l, NULL));
    mp_assert_ok(mp_value_new(&v, MP_INT32, NULL, NULL));
    ck_assert_int_eq(pipe2(line, O_CLOEXEC), 0);
    mp_assert_ok(mp_queue_put(q, "item", 4, 0));
    mp_handle h[] = {MP_HANDLE(b), MP_HANDLE(q), MP_HANDLE(l), MP_HANDLE(v), MP_HANDLE(line[1])};
    mp_process *p = start(method, use_handles, NULL, 0, h, 5);
    mp_assert_err(mp_pipe_send(b, "x", 1, 0), MP_EOWNER); // it has moved
    close(line[1]);
    ck_assert_int_eq(mp_pipe_recv(a, text, sizeof text, PATIENCE), 4);
    ck_assert_mem_eq(text, "item", 4);
    ck_assert_int_eq(read(line[0], text, sizeof text), 2);
    ck_assert_int_eq(read(line[0], text, sizeof text), 0); // nobody else has it
    mp_assert_err(mp_pipe_recv(a, text, sizeof text, PATIENCE), MP_EOF);
    ck_assert_int_eq(code_of(p), 0);
    ck_assert_int_eq(*mp_value_ptr(v, int), 4711);
    mp_assert_ok(mp_lock_acquire(l, 0));
    mp_assert_ok(mp_lock_release(l));
    close(line[0]);
    mp_pipe_free(a);
    mp_pipe_free(b);
    mp_queue_free(q);
    mp_lock_free(l);
    mp_value_free(v);
}

MP_TEST(handles_arrive_usable)
{
    for (size_t i = 0; i < 3; i++)
        try_handles(methods[i]);
}

static int leave_handles(void *arg)
{
    (void)arg;
    return 5;
}
MP_TASK(leave_handles);

static int linger(void *arg)
{
    (void)arg;
    usleep(200);
    return 5;
}
MP_TASK(linger);

MP_TEST(handles_nobody_takes_are_closed)
{
    for (size_t i = 0; i < 3; i++) {
        mp_pipe *a, *b;
        char text[4];
        mp_assert_ok(mp_pipe_new(&a, &b, NULL));
        mp_handle h = MP_HANDLE(b);
        mp_process *p = start(methods[i], leave_handles, NULL, 0, &h, 1);
        mp_assert_err(mp_pipe_recv(a, text, sizeof text, PATIENCE), MP_EOF);
        ck_assert_int_eq(code_of(p), 5);
        mp_pipe_free(a);
        mp_pipe_free(b);
    }
}

MP_TEST(a_failed_start_gives_nothing_away)
{
    mp_pipe *a, *b;
    mp_process *p;
    char text[4];
    mp_assert_ok(mp_pipe_new(&a, &b, NULL));
    mp_handle h[] = {MP_HANDLE(b), mp_handle_fd(-1)}, end = MP_HANDLE(b);
    for (size_t i = 0; i < 3; i++) {
        mp_process_opts o = {.start = methods[i], .handles = h, .n_handles = 2};
        mp_assert_err(mp_process_start(&p, leave_handles, NULL, &o), MP_EINVAL);
        ck_assert_ptr_null(p);
        o = (mp_process_opts){
            .start = methods[i], .handles = &end, .n_handles = MP_HANDLES_MAX + 1};
        mp_assert_err(mp_process_start(&p, leave_handles, NULL, &o), MP_EMSGSIZE);
        o.handles = NULL;
        mp_assert_err(mp_process_start(&p, leave_handles, NULL, &o), MP_EINVAL);
    }
    mp_assert_ok(mp_pipe_send(b, "x", 1, 0));
    ck_assert_int_eq(mp_pipe_recv(a, text, sizeof text, 0), 1);
    mp_pipe_free(a);
    mp_pipe_free(b);
}

// ---- who it is ----

static int tell_who(void *arg)
{
    char line[256];
    mp_pipe *out;
    (void)arg;
    mptest_require(mp_handle_take_pipe(mp_process_handle(0), &out) == 0);
    const mp_process *me = mp_process_current();
    mp_process *parent = mp_process_parent();
    mptest_require(parent != NULL && mp_process_is_alive(parent));
    int fd = mp_process_sentinel(parent);
    mptest_require(fd >= 0 && !mp__pidfd_ended(fd));
    mptest_require(mp_process_pid(me) == getpid());
    int n = snprintf(line, sizeof line, "%s %d %d of %s %d %d", mp_process_name(me), (int)getpid(),
                     mp_process_daemon(me), mp_process_name(parent), (int)mp_process_pid(parent),
                     mp_process_daemon(parent));
    mptest_require(mp_pipe_send(out, line, (size_t)n, PATIENCE) == 0);
    mp_pipe_free(out);
    return 0;
}
MP_TASK(tell_who);

static void ask_who(const mp_process_opts *opts, const char *name)
{
    mp_pipe *a, *b;
    mp_process *p;
    char got[256] = "", want[256];
    mp_assert_ok(mp_pipe_new(&a, &b, NULL));
    mp_handle h = MP_HANDLE(b);
    mp_process_opts o = *opts;
    o.handles = &h;
    o.n_handles = 1;
    mp_assert_ok(mp_process_start(&p, tell_who, NULL, &o));
    ck_assert_str_eq(mp_process_name(p), name);
    mp_assert_ok(mp_pipe_recv(a, got, sizeof got - 1, PATIENCE));
    snprintf(want, sizeof want, "%s %d %d of MainProcess %d 0", name, (int)mp_process_pid(p),
             o.daemon, (int)getpid());
    ck_assert_str_eq(got, want);
    ck_assert_int_eq(code_of(p), 0);
    mp_pipe_free(a);
    mp_pipe_free(b);
}

MP_TEST(it_knows_who_it_is)
{
    for (size_t i = 0; i < 3; i++) {
        ask_who(&(mp_process_opts){.name = "worker", .start = methods[i]}, "worker");
        ask_who(&(mp_process_opts){.name = "servant", .start = methods[i], .daemon = true},
                "servant");
    }
}

MP_TEST(contexts_do_not_disturb_each_other)
{
    static const mp_context library = {MP_START_SPAWN, "library"}, other = {MP_START_FORK, NULL};
    ck_assert_int_eq(mp_start_get_default(), MP_START_FORK);
    ask_who(&(mp_process_opts){.context = &library}, "library-1");
    mp_assert_ok(mp_start_set_default(MP_START_SPAWN));
    mp_assert_err(mp_start_set_default((mp_start)7), MP_EINVAL);
    ck_assert_int_eq(mp_start_get_default(), MP_START_SPAWN);
    mp_process *p;
    // A pointer is what tells them apart.
    mp_assert_err(mp_process_start(&p, leave_handles, &p, NULL), MP_EINVAL);
    mp_assert_ok(mp_process_start(&p, leave_handles, &p, &(mp_process_opts){.context = &other}));
    ck_assert_int_eq(code_of(p), 5);
    mp_assert_ok(
        mp_process_start(&p, leave_handles, &p, &(mp_process_opts){.start = MP_START_FORK}));
    ck_assert_int_eq(code_of(p), 5);
    mp_assert_ok(mp_start_set_default(MP_START_DEFAULT));
    ck_assert_int_eq(mp_start_get_default(), MP_START_FORK);
}

MP_TEST(methods_have_names)
{
    ck_assert_str_eq(mp_start_name(MP_START_FORKSERVER), "forkserver");
    ck_assert_ptr_null(mp_start_name((mp_start)4));
    ck_assert_ptr_null(mp_start_name((mp_start)-1));
}

// ---- functions ----

static int not_registered(void *arg)
{
    return arg ? 1 : 7;
}

// Nothing that is not registered runs in a process that has it elsewhere.
MP_TEST(a_pointer_that_would_not_hold_is_refused)
{
    mp_process *p;
    char *why;
    mp_process_opts o = {.start = MP_START_SPAWN, .error = &why};
    mp_assert_err(mp_process_start(&p, not_registered, NULL, &o), MP_ENOFUNC);
    ck_assert_ptr_nonnull(strstr(why, "MP_TASK"));
    free(why);
    o.start = MP_START_FORKSERVER; // not forked early: it is a spawned one
    mp_assert_err(mp_process_start(&p, not_registered, NULL, &o), MP_ENOFUNC);
    free(why);
    mp_assert_err(mp_process_start(&p, has_no_argument, &o, &o), MP_EINVAL);
    ck_assert_ptr_nonnull(strstr(why, "arg_size"));
    free(why);
    mp_pipe *none[] = {NULL};
    o.give = none;
    mp_assert_err(mp_process_start(&p, has_no_argument, NULL, &o), MP_EINVAL);
    free(why);
    o = (mp_process_opts){.start = (mp_start)9, .error = &why};
    mp_assert_err(mp_process_start(&p, has_no_argument, NULL, &o), MP_EINVAL);
    ck_assert_ptr_null(why);
}

static int (*only_here)(void *);

// A task that the new process does not have: here it is registered, there it is not.
MP_TEST(a_task_that_is_not_known_there_is_refused)
{
    mp_function f = {"only_here", (void (*)(void))not_registered, NULL};
    mp_process *p;
    char *why;
    only_here = not_registered;
    mp_function_register(&f);
    mp_process_opts o = {.start = MP_START_SPAWN, .error = &why};
    mp_assert_err(mp_process_start(&p, only_here, NULL, &o), MP_ENOFUNC);
    ck_assert_ptr_nonnull(strstr(why, "no function of that name"));
    free(why);
    mp_function_unregister(&f);
    // The name of another function is not enough.
    f.name = "sum_argument";
    mp_function_register(&f);
    mp_assert_err(mp_process_start(&p, only_here, NULL, &o), MP_ENOFUNC);
    ck_assert_ptr_nonnull(strstr(why, "another"));
    free(why);
    // The answer comes whatever else was sent that nobody reads there.
    mp_handle h = mp_handle_fd(0);
    o.handles = &h;
    o.n_handles = 1;
    for (int i = 0; i < 40; i++) {
        o.start = i % 2 ? MP_START_SPAWN : MP_START_FORKSERVER;
        mp_assert_err(mp_process_start(&p, only_here, NULL, &o), MP_ENOFUNC);
        free(why);
    }
    mp_function_unregister(&f);
}

// A program that did not begin with mp_runtime_init(): this one, before its main().
static int start_all(void)
{
    mp_process *p;
    mp_pool *pool;
    char *why;
    for (size_t i = 1; i < 3; i++) {
        mp_process_opts o = {.start = methods[i], .error = &why};
        mptest_require(mp_process_start(&p, has_no_argument, NULL, &o) == MP_ESTATE && !p);
        mptest_require(why && strstr(why, "mp_runtime_init()"));
        free(why);
        mp_pool_opts of_pool = {.start = methods[i], .error = &why};
        mptest_require(mp_pool_new(&pool, &of_pool) == MP_ESTATE && !pool);
        mptest_require(why && strstr(why, "mp_runtime_init()"));
        free(why);
    }
    mptest_require(mp_process_start(&p, has_no_argument, NULL, NULL) == 0);
    mptest_require(mp_process_join(p, PATIENCE) == 0);
    mp_process_free(p);
    return 0;
}

__attribute__((constructor)) static void before_main(void)
{
    if (getenv("TEST_BEFORE_MAIN"))
        _exit(start_all());
}

static int run_again(void *arg)
{
    (void)arg;
    setenv("TEST_BEFORE_MAIN", "1", 1);
    execl("/proc/self/exe", "test_start", NULL);
    return 98;
}

MP_TEST(without_the_runtime_only_fork)
{
    ck_assert_int_eq(mptest_in_child(run_again, NULL), 0);
}

static int tell_preloaded(void *arg)
{
    (void)arg;
    return preloaded;
}
MP_TASK(tell_preloaded);

static int changed = 1;

static int tell_changed(void *arg)
{
    (void)arg;
    return changed;
}
MP_TASK(tell_changed);

MP_TEST(the_preload_hook_runs_in_the_forkserver)
{
    ck_assert_int_eq(code_of(start(MP_START_FORKSERVER, tell_preloaded, NULL, 0, NULL, 0)), 42);
    ck_assert_int_eq(code_of(start(MP_START_FORK, tell_preloaded, NULL, 0, NULL, 0)), 0);
    ck_assert_int_eq(code_of(start(MP_START_SPAWN, tell_preloaded, NULL, 0, NULL, 0)), 0);
}

// Forked by mp_runtime_init(), it has the program's code, and the program as it was.
MP_TEST(the_early_forkserver_knows_pointers)
{
    changed = 2;
    mp_assert_ok(mp_runtime_init());
    changed = 3;
    ck_assert_int_eq(code_of(start(MP_START_FORKSERVER, not_registered, NULL, 0, NULL, 0)), 7);
    ck_assert_int_eq(code_of(start(MP_START_FORKSERVER, tell_preloaded, NULL, 0, NULL, 0)), 42);
    ck_assert_int_eq(code_of(start(MP_START_FORKSERVER, tell_changed, NULL, 0, NULL, 0)), 2);
    ck_assert_int_eq(code_of(start(MP_START_FORK, tell_changed, NULL, 0, NULL, 0)), 3);
    ck_assert_int_eq(code_of(start(MP_START_SPAWN, tell_changed, NULL, 0, NULL, 0)), 1);
    ck_assert_int_eq(preloaded, 0);
    mp_assert_ok(mp_runtime_init()); // there is one
}

// ---- ends ----

static int crash(void *arg)
{
    signal(SIGSEGV, SIG_DFL);
    raise(arg ? *(int *)arg : SIGSEGV);
    return 0;
}
MP_TASK(crash);

static int sleep_forever(void *arg)
{
    while (pause() < 0) // always
        ;
    return arg != NULL;
}
MP_TASK(sleep_forever);

static int exit_3(void *arg)
{
    (void)arg;
    exit(3);
}
MP_TASK(exit_3);

static void exit_4(void)
{
    exit(4);
}

static int exit_twice(void *arg)
{
    (void)arg;
    atexit(exit_4);
    exit(3);
}
MP_TASK(exit_twice);

MP_TEST(exit_codes_and_signals_are_told)
{
    for (size_t i = 0; i < 3; i++) {
        int term = SIGTERM;
        ck_assert_int_eq(code_of(start(methods[i], crash, NULL, 0, NULL, 0)), -SIGSEGV);
        ck_assert_int_eq(code_of(start(methods[i], crash, &term, sizeof term, NULL, 0)), -SIGTERM);
        ck_assert_int_eq(code_of(start(methods[i], exit_3, NULL, 0, NULL, 0)), 3);
        ck_assert_int_eq(code_of(start(methods[i], exit_twice, NULL, 0, NULL, 0)), 4);
    }
}

MP_TEST(it_can_be_ended)
{
    int (*const how[])(mp_process *) = {mp_process_terminate, mp_process_kill,
                                        mp_process_interrupt};
    const int signals[] = {SIGTERM, SIGKILL, SIGINT};
    for (size_t i = 0; i < 3; i++) {
        for (size_t k = 0; k < 3; k++) {
            mp_process *p = start(methods[i], sleep_forever, NULL, 0, NULL, 0);
            int code;
            ck_assert(mp_process_is_alive(p));
            mp_assert_err(mp_process_exitcode(p, &code), MP_EAGAIN);
            mp_assert_err(mp_process_join(p, 10), MP_ETIMEDOUT);
            ck_assert_uint_eq(mp_process_active_children(NULL, 0), 1);
            mp_assert_ok(how[k](p));
            struct pollfd f = {.fd = mp_process_sentinel(p), .events = POLLIN};
            ck_assert_int_eq(poll(&f, 1, PATIENCE), 1);
            mp_assert_ok(mp_process_exitcode(p, &code));
            ck_assert_int_eq(code, -signals[k]);
            ck_assert_int_eq(code_of(p), -signals[k]);
            ck_assert_uint_eq(mp_process_active_children(NULL, 0), 0);
        }
    }
    mp_assert_err(mp_process_interrupt(NULL), MP_EINVAL);
}

// Descriptors besides 0, 1, 2 that an exec closes; 100 for each that it does not.
static int count_fds(void *arg)
{
    int more = 0;
    for (int fd = 3; fd < 256; fd++) {
        int flags = fcntl(fd, F_GETFD);
        if (flags >= 0)
            more += flags & FD_CLOEXEC ? 1 : 100;
    }
    return more - (arg ? *(int *)arg : 0);
}
MP_TASK(count_fds);

// Fault row 55: a spawned process has but its lifeline, and what the user lets through exec.
MP_TEST(a_spawned_process_inherits_no_descriptors)
{
    mp_pipe *a, *b;
    mp_assert_ok(mp_pipe_new(&a, &b, NULL));
    int before = count_fds(NULL) / 100 * 100; // the runner's
    mp_process *busy = start(MP_START_FORKSERVER, sleep_forever, NULL, 0, NULL, 0);
    ck_assert_int_eq(code_of(start(MP_START_SPAWN, count_fds, &before, sizeof before, NULL, 0)), 1);
    // The server was spawned, and its children have nothing of each other.
    ck_assert_int_eq(
        code_of(start(MP_START_FORKSERVER, count_fds, &before, sizeof before, NULL, 0)), 1);
    mp_assert_ok(mp_process_kill(busy));
    ck_assert_int_eq(code_of(busy), -SIGKILL);
    mp_pipe_free(a);
    mp_pipe_free(b);
}

static int start_and_return(void *arg)
{
    int (*volatile fn)(void *) = has_no_argument;
    mp_process *p;
    int code = -1;
    mp_start method = *(mp_start *)arg;
    mptest_require(mp_process_start(&p, fn, NULL, &(mp_process_opts){.start = method}) == 0);
    mptest_require(mp_process_join(p, 10000) == 0 && mp_process_exitcode(p, &code) == 0);
    mp_process_free(p);
    return code;
}
MP_TASK(start_and_return);

MP_TEST(any_method_within_any_other)
{
    for (size_t i = 0; i < 3; i++)
        for (size_t k = 0; k < 3; k++) {
            mp_start inner = methods[k];
            ck_assert_int_eq(
                code_of(start(methods[i], start_and_return, &inner, sizeof inner, NULL, 0)), 1);
        }
}

// ---- the forkserver's death ----

static pid_t server_of_test(void)
{
    // Of two children of ours by the server, it is the parent.
    mp_process *p = start(MP_START_FORKSERVER, sleep_forever, NULL, 0, NULL, 0);
    char path[64], line[512];
    int ppid = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)mp_process_pid(p));
    FILE *f = fopen(path, "re");
    ck_assert_ptr_nonnull(f);
    ck_assert_ptr_nonnull(fgets(line, sizeof line, f));
    fclose(f);
    ck_assert_int_eq(sscanf(strrchr(line, ')') + 1, " %*c %d", &ppid), 1);
    mp_assert_ok(mp_process_kill(p));
    code_of(p);
    ck_assert_int_ne(ppid, getpid());
    return ppid;
}

MP_TEST(a_killed_forkserver_is_started_again)
{
    pid_t server = server_of_test();
    mp_process *p = start(MP_START_FORKSERVER, sleep_forever, NULL, 0, NULL, 0);
    int fd = mp__pidfd_open(server), code;
    ck_assert_int_ge(fd, 0);
    kill(server, SIGKILL);
    ck_assert_int_eq(mp__pidfd_wait(fd, mp__deadline_in(PATIENCE)), 0);
    close(fd);
    // What it started goes on; its exit code is lost, and that is said.
    ck_assert(mp_process_is_alive(p));
    ck_assert_int_eq(code_of(start(MP_START_FORKSERVER, leave_handles, NULL, 0, NULL, 0)), 5);
    ck_assert_int_ne(server_of_test(), server);
    mp_assert_ok(mp_process_kill(p));
    mp_assert_ok(mp_process_join(p, PATIENCE));
    mp_assert_err(mp_process_exitcode(p, &code), MP_ESTATUS);
    ck_assert(!mp_process_is_alive(p));
    mp_process_free(p);
}

MP_TEST(an_early_forkserver_that_was_killed_is_started_again)
{
    mp_assert_ok(mp_runtime_init());
    pid_t server = server_of_test();
    kill(server, SIGKILL);
    // Registered functions go on; pointers were good in the one that is gone only.
    ck_assert_int_eq(code_of(start(MP_START_FORKSERVER, leave_handles, NULL, 0, NULL, 0)), 5);
    mp_process *p;
    mp_assert_err(mp_process_start(&p, not_registered, NULL,
                                   &(mp_process_opts){.start = MP_START_FORKSERVER}),
                  MP_ENOFUNC);
}

MP_TEST(starts_and_kills_of_the_forkserver_at_once)
{
    for (int i = 0; i < 10; i++) {
        pid_t server = server_of_test(), killer = fork();
        if (killer == 0) {
            usleep((useconds_t)(i * 300));
            kill(server, SIGKILL);
            _exit(0);
        }
        for (int k = 0; k < 8; k++) {
            mp_process *p;
            int code, r = mp_process_start(&p, leave_handles, NULL,
                                           &(mp_process_opts){.start = MP_START_FORKSERVER});
            ck_assert_msg(r == 0, "%s", mp_err_name(r));
            mp_assert_ok(mp_process_join(p, PATIENCE));
            r = mp_process_exitcode(p, &code);
            ck_assert(r == MP_ESTATUS || (r == 0 && code == 5));
            mp_process_free(p);
        }
        waitpid(killer, NULL, 0);
    }
}

// ---- many, and threads ----

static void *start_some(void *arg)
{
    mp_start method = *(mp_start *)arg;
    mp_process *p[8];
    for (int i = 0; i < 8; i++)
        p[i] = start(method, leave_handles, NULL, 0, NULL, 0);
    for (int i = 0; i < 8; i++)
        ck_assert_int_eq(code_of(p[i]), 5);
    return NULL;
}

MP_TEST(several_threads_start_processes)
{
    pthread_t t[6];
    for (size_t i = 0; i < 6; i++)
        ck_assert_int_eq(
            pthread_create(&t[i], NULL, start_some, (void *)(uintptr_t)&methods[i % 3]), 0);
    for (size_t i = 0; i < 6; i++)
        pthread_join(t[i], NULL);
}

static void pin(int cpu)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    sched_setaffinity(0, sizeof one, &one);
}

static pid_t keep_busy(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        sched_setscheduler(0, SCHED_IDLE, &(struct sched_param){0});
        alarm(60);
        for (;;)
            ;
    }
    return pid;
}

// Where the CPU is awake and anybody may take it from who has it, a process is ahead of the
// parent that has just let it go; whatever that still does is not to end it. (It was to 1 of
// 2,000 when "go" came through the lifeline.)
MP_TEST_TIMEOUT(none_is_ended_by_what_began_it, 120)
{
    cpu_set_t all;
    ck_assert_int_eq(sched_getaffinity(0, sizeof all, &all), 0);
    pin(1);
    code_of(start(MP_START_FORKSERVER, leave_handles, NULL, 0, NULL, 0)); // the server is there
    pid_t busy = keep_busy();
    pin(0);
    for (int i = 0; i < crew_times(3000, 30000); i++)
        ck_assert_int_eq(code_of(start(MP_START_FORKSERVER, linger, NULL, 0, NULL, 0)), 5);
    kill(busy, SIGKILL);
    ck_assert_int_eq(waitpid(busy, NULL, 0), busy);
    sched_setaffinity(0, sizeof all, &all);
}

// Fault row 16: nobody else's SIGCHLD disposition takes the codes of the forkserver's.
MP_TEST(sigchld_ignored)
{
    signal(SIGCHLD, SIG_IGN);
    ck_assert_int_eq(code_of(start(MP_START_FORKSERVER, leave_handles, NULL, 0, NULL, 0)), 5);
    mp_process *p = start(MP_START_SPAWN, leave_handles, NULL, 0, NULL, 0);
    int code;
    mp_assert_ok(mp_process_join(p, PATIENCE));
    mp_assert_err(mp_process_exitcode(p, &code), MP_ESTATUS);
    mp_process_free(p);
    mp__forkserver_leave();
    signal(SIGCHLD, SIG_DFL);
}

// Fault row 33: whichever descriptor cannot be had, the start fails as a whole.
MP_TEST(no_descriptors_left)
{
    struct rlimit old, less;
    mp_queue *q;
    mp_assert_ok(mp_queue_new(&q, NULL));
    code_of(start(MP_START_FORKSERVER, leave_handles, NULL, 0, NULL, 0)); // the server is there
    int before = mptest_fd_count(), failed = 0;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
    less = old;
    for (size_t m = 0; m < 3; m++) {
        for (int i = 0; i < 16; i++) {
            mp_process *p;
            mp_handle h = MP_HANDLE(q);
            mp_process_opts o = {.start = methods[m], .handles = &h, .n_handles = 1};
            less.rlim_cur = (rlim_t)(before + i);
            ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &less), 0);
            int r = mp_process_start(&p, leave_handles, NULL, &o);
            ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
            failed += r < 0;
            if (r == 0)
                ck_assert_int_eq(code_of(p), 5);
            else
                ck_assert_msg(r == -EMFILE || r == MP_EBROKEN, "%s", mp_err_name(r));
            ck_assert_int_eq(mptest_fd_count(), before);
        }
    }
    ck_assert_int_gt(failed, 0);
    mp_queue_free(q);
}
