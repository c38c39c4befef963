// SPDX-License-Identifier: MIT
//
// The hole in robust mutexes: an owner is killed between giving the mutex back (one
// exchange) and waking the sleeper (a system call). The kernel wakes a sleeper in its stead
// only if the mutex is still free when the dead are cleared away; if a third party took it
// meanwhile, that one knows of no sleeper and wakes nobody either.
#include "mptest.h"
#include "shm/mutex.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

struct board {
    struct mp__mutex mutex;
    _Atomic int sleeping, given_back, taken;
};

static struct board *new_board(void)
{
    struct board *b =
        mmap(NULL, sizeof *b, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(b, MAP_FAILED);
    mp_assert_ok(mp__mutex_init(&b->mutex));
    return b;
}

// From here on this process is killed when it would wake a sleeper.
static bool die_at_wake(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_futex, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, FUTEX_CMD_MASK),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FUTEX_WAKE, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static int last_state_is(pid_t pid, char want)
{
    char path[64], line[512] = "", state = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "r");
    if (f && fgets(line, sizeof line, f))
        sscanf(line, "%*d (%*[^)]) %c", &state);
    if (f)
        fclose(f);
    return state == want;
}

static int dying_owner(struct board *b)
{
    mptest_require(mp__mutex_lock(&b->mutex, MP__NEVER) == 0);
    if (!die_at_wake())
        _exit(77);
    atomic_store(&b->taken, 1);
    while (!atomic_load(&b->sleeping))
        usleep(100);
    mp__mutex_unlock(&b->mutex); // gives it back, and is killed at the wake
    _exit(98);
}

// Takes the mutex in the very moment that it is given back.
static int third_party(struct board *b)
{
    int r;
    while ((r = mp__mutex_lock(&b->mutex, 0)) == MP_ETIMEDOUT)
        continue;
    mptest_require(r == 0);
    while (!atomic_load(&b->given_back))
        usleep(100);
    mp__mutex_unlock(&b->mutex);
    return 0;
}

static int sleeper(struct board *b)
{
    int r = mp__mutex_lock(&b->mutex, MP__NEVER);
    mptest_require(r == 0 || r == MP_EOWNERDEAD);
    mp__mutex_consistent(&b->mutex);
    mp__mutex_unlock(&b->mutex);
    return 0;
}

static pid_t run(int (*fn)(struct board *), struct board *b)
{
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0)
        _exit(fn(b));
    return pid;
}

static int status_of(pid_t pid)
{
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

MP_TEST(owner_killed_before_it_wakes_the_sleeper)
{
    for (int round = 0; round < 20; round++) {
        struct board *b = new_board();
        pid_t owner = run(dying_owner, b);
        ck_assert(mptest_eventually(atomic_load(&b->taken) || last_state_is(owner, 'Z'), 15000));
        pid_t sleeps = run(sleeper, b);
        ck_assert(mptest_eventually(last_state_is(sleeps, 'S'), 15000));
        pid_t third = run(third_party, b);
        atomic_store(&b->sleeping, 1);
        int how = status_of(owner);
        if (how == 77)
            mp_skip("seccomp filters are not allowed here");
        ck_assert_int_eq(how, -SIGSYS);
        atomic_store(&b->given_back, 1);
        ck_assert_int_eq(status_of(third), 0);
        ck_assert(mptest_eventually(last_state_is(sleeps, 'Z'), 15000));
        ck_assert_int_eq(status_of(sleeps), 0);
        munmap(b, sizeof *b);
    }
}
