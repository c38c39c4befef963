// SPDX-License-Identifier: MIT
//
// Fault row 17: the pid of a process that has died passes on to a stranger, who shall not be
// taken for it: not signalled, not waited for, not said to be alive. In a pid namespace of its own,
// where the next pid can be chosen.
#include "crew.h"

#include <errno.h>
#include <fcntl.h>
#include <mp/pool.h>
#include <mp/process.h>
#include <mp/task.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>

#define PATIENCE 10000

static const mp_start methods[] = {MP_START_FORK, MP_START_FORKSERVER, MP_START_SPAWN};

// ---- the namespace ---------------------------------------------------------------

static bool write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        close(fd);
    return ok;
}

static bool leave_namespaces(void)
{
    char map[32];
    uid_t uid = geteuid();
    if (uid == 0)
        return unshare(CLONE_NEWPID | CLONE_NEWNS) == 0;
    snprintf(map, sizeof map, "0 %d 1", (int)uid);
    return unshare(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS) == 0 &&
           write_file("/proc/self/uid_map", map);
}

// Runs fn as process 1 of a namespace.
static int as_first(void *fn)
{
    if (!leave_namespaces())
        return 77;
    pid_t pid = fork();
    if (pid == 0) {
        if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            mount("proc", "/proc", "proc", 0, NULL) < 0 ||
            !write_file("/proc/sys/kernel/ns_last_pid", "100"))
            _exit(77);
        (*(void (*const *)(void))fn)();
        _exit(0);
    }
    return pid < 0 ? 77 : crew_end_of(pid);
}

static void in_namespace(void (*fn)(void))
{
    int code = mptest_in_child(as_first, &fn);
    if (code == 77)
        mp_skip("no pid namespace of our own, or no say in its next pid");
    ck_assert_int_eq(code, 0);
}

// ---- strangers -------------------------------------------------------------------

struct stranger {
    pid_t pid;
    int talk[2]; // to him and his end of it
};

static void be_stranger(int talk)
{
    char c;
    while (read(talk, &c, 1) == 1 && write(talk, &c, 1) == 1)
        ;
    _exit(0);
}

static bool is_free(pid_t pid)
{
    return kill(pid, 0) < 0 && errno == ESRCH;
}

// Somebody else at that pid, as soon as it is free.
static struct stranger move_in(pid_t pid)
{
    struct stranger s;
    char before[16];
    mptest_require(mptest_eventually(is_free(pid), PATIENCE));
    mptest_require(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s.talk) == 0);
    snprintf(before, sizeof before, "%d", (int)pid - 1);
    mptest_require(write_file("/proc/sys/kernel/ns_last_pid", before));
    if ((s.pid = fork()) == 0)
        be_stranger(s.talk[1]);
    close(s.talk[1]);
    mptest_require(s.pid == pid);
    return s;
}

// A signal that was sent before would have come before the answer.
static bool is_well(const struct stranger *s)
{
    char c = 0;
    return send(s->talk[0], "x", 1, MSG_NOSIGNAL) == 1 && read(s->talk[0], &c, 1) == 1 &&
           waitpid(s->pid, NULL, WNOHANG) == 0;
}

static void move_out(struct stranger *s)
{
    mptest_require(is_well(s));
    close(s->talk[0]);
    kill(s->pid, SIGKILL);
    mptest_require(waitpid(s->pid, NULL, 0) == s->pid);
}

// ---- processes -------------------------------------------------------------------

static int sleep_forever(void *arg)
{
    while (pause() < 0) // always
        ;
    return arg != NULL;
}
MP_TASK(sleep_forever);

// Dead, and buried by others; its parent has not looked yet.
static void end_unseen(pid_t pid, mp_start method)
{
    kill(pid, SIGKILL);
    if (method != MP_START_FORKSERVER) // which buries it itself
        mptest_require(waitpid(pid, NULL, 0) == pid);
}

static void signal_the_dead(mp_start method)
{
    mp_process *p;
    int code;
    mptest_require(mp_process_start(&p, sleep_forever, NULL, &(mp_process_opts){.start = method}) ==
                   0);
    end_unseen(mp_process_pid(p), method);
    struct stranger s = move_in(mp_process_pid(p));
    mptest_require(mp_process_terminate(p) == 0);
    mptest_require(mp_process_interrupt(p) == 0);
    mptest_require(mp_process_kill(p) == 0);
    mptest_require(is_well(&s));
    mptest_require(!mp_process_is_alive(p));
    mptest_require(mp_process_join(p, 0) == 0);
    if (method == MP_START_FORKSERVER)
        mptest_require(mp_process_exitcode(p, &code) == 0 && code == -SIGKILL);
    else
        mptest_require(mp_process_exitcode(p, &code) == MP_ESTATUS);
    mptest_require(mp_process_kill(p) == 0);
    mp_process_free(p);
    move_out(&s);
}

static void signal_all_dead(void)
{
    for (size_t m = 0; m < 3; m++)
        signal_the_dead(methods[m]);
}

MP_TEST(a_process_is_not_taken_for_who_has_its_pid)
{
    in_namespace(signal_all_dead);
}

// ---- pools -----------------------------------------------------------------------

struct pids {
    pid_t worker, supervisor;
};

static int tell_pids(mp_task *task, const void *arg, size_t size, void *ctx)
{
    struct pids p = {getpid(), getppid()};
    (void)arg, (void)size, (void)ctx;
    return mp_task_result(task, &p, sizeof p);
}
MP_TASK(tell_pids);

static int die(mp_task *task, const void *arg, size_t size, void *ctx)
{
    (void)task, (void)arg, (void)size, (void)ctx;
    return raise(SIGKILL);
}
MP_TASK(die);

static mp_pool *make(mp_start method, struct pids *pids)
{
    mp_pool *p;
    mptest_require(mp_pool_new(&p, &(mp_pool_opts){.workers = 1, .start = method}) == 0);
    mptest_require(mp_pool_apply(p, tell_pids, NULL, 0, pids, sizeof *pids, NULL) == sizeof *pids);
    return p;
}

// All that ends workers, when this one has ended already.
static void end_a_dead_worker(mp_start method)
{
    struct pids pids, next;
    mp_future *f;
    mp_pool *p = make(method, &pids);
    mptest_require(mp_pool_apply_async(&f, p, die, NULL, 0, NULL) == 0);
    mptest_require(mp_future_error(f, PATIENCE) == MP_EWORKERDIED);
    // Nothing is forked any more that might come before the stranger.
    mptest_require(mp_pool_apply(p, tell_pids, NULL, 0, &next, sizeof next, NULL) == sizeof next);
    mptest_require(next.worker != pids.worker && next.supervisor == pids.supervisor);
    struct stranger s = move_in(pids.worker);
    mptest_require(mp_pool_cancel(p, f) == MP_ESTATE);
    mptest_require(mp_pool_apply(p, tell_pids, NULL, 0, &next, sizeof next, NULL) == sizeof next);
    mp_future_free(f);
    mptest_require(mp_pool_terminate(p) == 0 && mp_pool_join(p, PATIENCE) == 0);
    mp_pool_free(p);
    move_out(&s);
}

static void end_a_dead_supervisor(mp_start method)
{
    struct pids pids;
    int64_t x = 0;
    mp_pool *p = make(method, &pids);
    end_unseen(pids.supervisor, method);
    // An orphan is the first one's.
    mptest_require(mptest_eventually(waitpid(pids.worker, NULL, WNOHANG) > 0, PATIENCE));
    struct stranger s = move_in(pids.supervisor), t = move_in(pids.worker);
    mptest_require(mp_pool_apply(p, tell_pids, NULL, 0, &x, sizeof x, NULL) == MP_EBROKEN);
    mptest_require(mp_pool_terminate(p) == 0);
    mp_pool_free(p);
    mptest_require(is_well(&s));
    move_out(&t);
    move_out(&s);
}

static void end_dead_pools(void)
{
    for (size_t m = 0; m < 3; m++) {
        end_a_dead_worker(methods[m]);
        end_a_dead_supervisor(methods[m]);
    }
}

MP_TEST(workers_and_supervisors_are_not_taken_for_who_has_their_pid)
{
    in_namespace(end_dead_pools);
}
