// SPDX-License-Identifier: MIT
//
// What workers print, in whole lines. Each test has a file or a pipe as its stdout and stderr,
// and reads it afterwards.
#include "mptest.h"

#include "work/forkserver.h"

#include <fcntl.h>
#include <mp/task.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define LONG_LINE 9000 // longer than what a pipe takes in one piece

// Runs fn(arg) in a child whose stdout and stderr are a pipe; all it wrote, to be freed.
static char *output_of(int (*fn)(void *), void *arg)
{
    int fd[2];
    size_t size = 0, room = 1 << 16;
    char *all = malloc(room);
    ck_assert_int_eq(pipe2(fd, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fd[1], 1);
        dup2(fd[1], 2);
        close(fd[0]);
        close(fd[1]);
        _exit(fn(arg));
    }
    close(fd[1]);
    for (ssize_t n; (n = read(fd[0], all + size, room - size - 1)) > 0;) {
        size += (size_t)n;
        if (size > room / 2)
            all = realloc(all, room *= 2);
    }
    all[size] = 0;
    close(fd[0]);
    int status;
    waitpid(pid, &status, 0);
    ck_assert_msg(status == 0, "the child ended with %x: %s", (unsigned)status, all);
    return all;
}

// A line of one letter, written in pieces, by both streams in turn.
static int print_in_pieces(const void *in, void *out, void *ctx)
{
    int i = *(const int *)in, length = i % 10 ? 50 : LONG_LINE;
    FILE *to = i % 2 ? stderr : stdout;
    (void)out;
    (void)ctx;
    for (int k = 0; k < length; k++) {
        fputc('a' + i % 26, to);
        if (k % 1000 == 10)
            fflush(to);
    }
    fprintf(to, " %d\n", i);
    return 0;
}
MP_TASK(print_in_pieces);

static int print_much(void *arg)
{
    enum { N = 300 };
    int in[N];
    mp_pool *p;
    mp_pool_opts o = {.workers = 3, .lines = true, .start = *(mp_start *)arg};
    for (int i = 0; i < N; i++)
        in[i] = i;
    mptest_require(mp_pool_new(&p, &o) == 0);
    mptest_require(mp_pool_map(p, print_in_pieces, in, sizeof(int), NULL, 0, N, NULL, NULL) == 0);
    mp_pool_free(p);
    mp__forkserver_leave();
    return 0;
}

static void check_lines(mp_start method)
{
    bool seen[300] = {false};
    int lines = 0;
    char *save, *all = output_of(print_much, &method);
    for (char *line = strtok_r(all, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char *space = strchr(line, ' ');
        ck_assert_ptr_nonnull(space);
        int i = atoi(space);
        ck_assert_int_eq(space - line, i % 10 ? 50 : LONG_LINE);
        for (char *c = line; c < space; c++)
            ck_assert_int_eq(*c, 'a' + i % 26);
        ck_assert(!seen[i]);
        seen[i] = true;
        lines++;
    }
    ck_assert_int_eq(lines, 300);
    free(all);
}

MP_TEST(lines_are_whole)
{
    for (mp_start m = MP_START_FORK; m <= MP_START_SPAWN; m++)
        check_lines(m);
}

static int print_and_end(mp_task *task, const void *arg, size_t size, void *ctx)
{
    (void)task;
    (void)size;
    (void)ctx;
    switch (*(const char *)arg) {
    case 'k':
        printf("killed\nhalf a line");
        fflush(stdout);
        raise(SIGKILL);
        break;
    case 'e':
        printf("exits");
        exit(3);
    default:
        printf("unfinished");
    }
    return 0;
}

static int print_and_die(void *arg)
{
    mp_pool *p;
    (void)arg;
    mptest_require(mp_pool_new(&p, &(mp_pool_opts){.workers = 1, .lines = true}) == 0);
    mptest_require(mp_pool_apply(p, print_and_end, "k", 1, NULL, 0, NULL) == MP_EWORKERDIED);
    mptest_require(mp_pool_apply(p, print_and_end, "e", 1, NULL, 0, NULL) == MP_EWORKERDIED);
    mptest_require(mp_pool_apply(p, print_and_end, "u", 1, NULL, 0, NULL) == 0);
    mptest_require(mp_pool_close(p) == 0);
    mptest_require(mp_pool_join(p, 10000) == 0);
    mp_pool_free(p);
    return 0;
}

MP_TEST(whole_lines_survive_and_the_rest_becomes_one)
{
    char *all = output_of(print_and_die, NULL);
    ck_assert_str_eq(all, "killed\nexits\nunfinished\n");
    free(all);
}

static int print_forever(const void *in, void *out, void *ctx)
{
    (void)out;
    (void)ctx;
    for (int i = 0; i < 200; i++) {
        for (int k = 0; k < LONG_LINE; k++)
            fputc('a' + *(const int *)in, stdout);
        fputc('\n', stdout);
        if (i == 100 && *(const int *)in == 1)
            raise(SIGKILL);
    }
    return 0;
}

// One dies with another at its heels.
static int print_and_be_killed(void *arg)
{
    int in[3] = {0, 1, 2}, status[3];
    mp_pool *p;
    (void)arg;
    mptest_require(mp_pool_new(&p, &(mp_pool_opts){.workers = 3, .lines = true}) == 0);
    mptest_require(mp_pool_map(p, print_forever, in, sizeof(int), NULL, 0, 3, NULL,
                               &(mp_map_opts){.chunk = 1, .status = status}) == MP_EWORKERDIED);
    mptest_require(status[0] == 0 && status[1] == MP_EWORKERDIED && status[2] == 0);
    mp_pool_free(p);
    return 0;
}

MP_TEST(a_death_tears_no_lines)
{
    int lines = 0;
    char *save, *all = output_of(print_and_be_killed, NULL);
    for (char *line = strtok_r(all, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        ck_assert_uint_eq(strlen(line), LONG_LINE);
        ck_assert_uint_eq(strspn(line, (char[]){line[0], 0}), LONG_LINE);
        lines++;
    }
    ck_assert_int_eq(lines, 501);
    free(all);
}

// A worker that is killed with the lock in its hands has the pipe full: the reader waits.
struct stuck {
    int fd; // where the output goes
    _Atomic int pid;
};

static int fill_the_pipe(mp_task *task, const void *arg, size_t size, void *ctx)
{
    struct stuck *s = ctx;
    (void)task;
    (void)arg;
    (void)size;
    atomic_store(&s->pid, getpid());
    for (int i = 0; i < 1 << 17; i++)
        fputc('x', stdout);
    fputc('\n', stdout);
    return 0;
}

static int say_hello(mp_task *task, const void *arg, size_t size, void *ctx)
{
    (void)task;
    (void)arg;
    (void)size;
    (void)ctx;
    puts("hello");
    return 0;
}

static bool is_asleep(int pid)
{
    char name[40], line[200] = "";
    snprintf(name, sizeof name, "/proc/%d/stat", pid);
    FILE *f = fopen(name, "r");
    bool ok = f && fgets(line, sizeof line, f) && strstr(line, ") S ");
    if (f)
        fclose(f);
    return ok;
}

static int kill_the_writer(void *arg)
{
    struct stuck *s = arg;
    mp_pool *p;
    mp_future *f;
    mp_task_opts o = {.ctx = s};
    mptest_require(mp_pool_new(&p, &(mp_pool_opts){.workers = 1, .lines = true}) == 0);
    mptest_require(mp_pool_apply_async(&f, p, fill_the_pipe, NULL, 0, &o) == 0);
    mptest_require(mptest_eventually(atomic_load(&s->pid) && is_asleep(s->pid), 10000));
    kill(s->pid, SIGKILL);
    mptest_require(mp_future_error(f, 10000) == MP_EWORKERDIED);
    mp_future_free(f);
    char tail[1 << 16];
    ssize_t n = read(s->fd, tail, sizeof tail); // room again
    mptest_require(n > 0);
    mptest_require(mp_pool_apply(p, say_hello, NULL, 0, NULL, 0, NULL) == 0);
    mp_pool_free(p);
    return 0;
}

MP_TEST(who_dies_writing_leaves_the_lock)
{
    int fd[2];
    char all[1 << 17];
    size_t size = 0;
    struct stuck *s = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert(s != MAP_FAILED && pipe2(fd, O_CLOEXEC) == 0);
    s->fd = fd[0];
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fd[1], 1);
        close(fd[1]);
        _exit(kill_the_writer(s));
    }
    int status;
    waitpid(pid, &status, 0);
    ck_assert_int_eq(status, 0);
    close(fd[1]);
    for (ssize_t n; (n = read(fd[0], all + size, sizeof all - size - 1)) > 0;)
        size += (size_t)n;
    all[size] = 0;
    ck_assert_str_eq(size > 7 ? all + size - 7 : all, "\nhello\n");
    close(fd[0]);
    munmap(s, 4096);
}
