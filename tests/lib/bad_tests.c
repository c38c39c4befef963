// SPDX-License-Identifier: MIT
//
// Tests that each leave something behind or fail in another way: bad_tests.sh looks
// whether the test library sees it.
#include "mptest.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>

static pid_t sleeper(void)
{
    pid_t pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    return pid;
}

static void *sleep_on(void *arg)
{
    pause();
    return arg;
}

MP_TEST(good)
{
    kill(sleeper(), SIGKILL);
    wait(NULL);
}

MP_TEST(assertion)
{
    ck_assert_int_eq(1, 2);
}

MP_TEST(crash)
{
    raise(SIGSEGV);
}

MP_TEST(early_exit)
{
    exit(3);
}

MP_TEST_TIMEOUT(hang, 1)
{
    pause();
}

MP_TEST(fd)
{
    ck_assert_int_ge(open("/dev/null", O_RDONLY), 0);
}

MP_TEST(closed_fd)
{
    close(0);
}

MP_TEST(zombie)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    siginfo_t si;
    waitid(P_PID, (id_t)pid, &si, WEXITED | WNOWAIT);
}

MP_TEST(living_child)
{
    ck_assert_int_gt(sleeper(), 0);
}

MP_TEST(living_orphan)
{
    if (fork() == 0) {
        sleeper();
        _exit(0);
    }
    wait(NULL);
}

MP_TEST(dying_orphan_is_good)
{
    if (fork() == 0) {
        pid_t pid = sleeper();
        kill(pid, SIGKILL);
        _exit(0);
    }
    wait(NULL);
}

MP_TEST(thread)
{
    pthread_t t;
    pthread_create(&t, NULL, sleep_on, NULL);
    pthread_detach(t);
}

MP_TEST(shm)
{
    close(shm_open(mptest_name("/mptest-left"), O_CREAT | O_RDWR, 0600));
}

MP_TEST(file)
{
    close(open("left", O_CREAT | O_WRONLY, 0600));
}

// Seen under ASan only.
static void *volatile held;

MP_TEST(memory)
{
    held = malloc(100);
    held = NULL;
}

MP_TEST(skipped)
{
    close(open("left", O_CREAT | O_WRONLY, 0600));
    (void)!dup(0);
    mp_skip("because");
}

MP_TEST(child_requires)
{
    pid_t pid = fork();
    if (pid == 0) {
        mptest_require(1 == 2);
        _exit(0);
    }
    int status;
    waitpid(pid, &status, 0);
    ck_assert_int_eq(WEXITSTATUS(status), 0);
}
