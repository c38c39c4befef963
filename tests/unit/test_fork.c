// SPDX-License-Identifier: MIT
#include "mptest.h"
#include "os/fork.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

static int wait_code(pid_t pid)
{
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

MP_TEST(a_token_is_one_process)
{
    uint64_t mine = mp__fork_token();
    ck_assert_uint_ne(mine, 0);
    ck_assert_uint_eq(mp__fork_token(), mine);
    ck_assert(mp__fork_is_mine(mine));
    ck_assert(!mp__fork_is_mine(0));
    ck_assert(!mp__fork_is_mine(mine + 1));
}

MP_TEST(children_however_forked_have_tokens_of_their_own)
{
    uint64_t mine = mp__fork_token();
    pid_t plain = fork();
    if (plain == 0) {
        mptest_require(!mp__fork_is_mine(mine)); // before it has asked for one
        uint64_t childs = mp__fork_token();
        mptest_require(childs != mine && mp__fork_is_mine(childs));
        pid_t grandchild = fork();
        if (grandchild == 0) {
            mptest_require(!mp__fork_is_mine(mine) && !mp__fork_is_mine(childs));
            mptest_require(mp__fork_token() != mine && mp__fork_token() != childs);
            _exit(0);
        }
        int status;
        waitpid(grandchild, &status, 0);
        mptest_require(status == 0 && mp__fork_is_mine(childs));
        _exit(0);
    }
    ck_assert_int_eq(wait_code(plain), 0);
    pid_t ours = mp__fork();
    if (ours == 0) {
        mptest_require(!mp__fork_is_mine(mine) && *mp__fork_page != 0);
        mp__fork_exit(0);
    }
    ck_assert_int_eq(wait_code(ours), 0);
    ck_assert(mp__fork_is_mine(mine));
}

static void *get_token(void *out)
{
    *(uint64_t *)out = mp__fork_token();
    return NULL;
}

MP_TEST(threads_agree_on_the_first_token)
{
    uint64_t t[8] = {0};
    pthread_t id[8];
    for (int i = 0; i < 8; i++)
        pthread_create(&id[i], NULL, get_token, &t[i]);
    for (int i = 0; i < 8; i++)
        pthread_join(id[i], NULL);
    for (int i = 0; i < 8; i++)
        ck_assert_uint_eq(t[i], mp__fork_token());
}

MP_TEST(output_is_written_once)
{
    fflush(stdout);
    int old = dup(1), file = open("out", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    dup2(file, 1);
    printf("before ");
    pid_t pid = mp__fork();
    if (pid == 0) {
        printf("child ");
        mp__fork_exit(256 + 5);
    }
    ck_assert_int_eq(wait_code(pid), 5);
    printf("after");
    fflush(stdout);
    dup2(old, 1);
    char text[100] = "";
    ck_assert_int_ge(pread(file, text, sizeof text - 1, 0), 0);
    close(file);
    close(old);
    unlink("out");
    ck_assert_str_eq(text, "before child after");
}

static int refused_fork(void *arg)
{
    (void)arg;
    if (getuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
        return 77;
    struct rlimit l = {0, 0};
    mptest_require(setrlimit(RLIMIT_NPROC, &l) == 0);
    pid_t pid = mp__fork();
    return pid == -EAGAIN ? 0 : 1;
}

MP_TEST(a_refused_fork_is_an_error)
{
    int code = mptest_in_child(refused_fork, NULL);
    if (code == 77)
        mp_skip("cannot become a user whose processes are limited");
    ck_assert_int_eq(code, 0);
}
