// SPDX-License-Identifier: MIT
#include "mptest.h"

#include <errno.h>
#include <fcntl.h>
#include <mp/spawn.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

// The status of a child: its exit code or -signal.
static int status_of(pid_t pid)
{
    int st;
    ck_assert_int_eq(waitpid(pid, &st, 0), pid);
    return WIFEXITED(st) ? WEXITSTATUS(st) : -WTERMSIG(st);
}

static pid_t start(char *const argv[], const mp_spawn_opts *opts)
{
    pid_t pid = 0;
    mp_assert_ok(mp_spawn(&pid, NULL, argv, opts));
    ck_assert_int_gt(pid, 0);
    return pid;
}

static pid_t start_script(const char *script, const mp_spawn_opts *opts)
{
    return start((char *[]){(char *)"sh", (char *)"-c", (char *)script, NULL}, opts);
}

// Runs a script and returns what it writes to its stdout, without the last newline.
static const char *output_of(const char *script, mp_spawn_opts opts)
{
    static char text[4096];
    int p[2];
    ck_assert_int_eq(pipe2(p, O_CLOEXEC), 0);
    int fds[3] = {MP_SPAWN_NULL, p[1], MP_SPAWN_INHERIT};
    opts.fds = fds;
    pid_t pid = start_script(script, &opts);
    close(p[1]);
    size_t len = 0;
    for (ssize_t n; (n = read(p[0], text + len, sizeof text - 1 - len)) > 0;)
        len += (size_t)n;
    close(p[0]);
    ck_assert_int_eq(status_of(pid), 0);
    if (len && text[len - 1] == '\n')
        len--;
    text[len] = '\0';
    return text;
}

static void write_file(const char *name, const char *text, mode_t mode)
{
    int fd = open(name, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, mode);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

MP_TEST(spawn_gives_pid_and_pidfd)
{
    pid_t pid;
    int pidfd;
    siginfo_t si = {0};
    mp_assert_ok(mp_spawn(&pid, &pidfd,
                          (char *[]){(char *)"sh", (char *)"-c", (char *)"exit 7", NULL}, NULL));
    ck_assert_int_eq(fcntl(pidfd, F_GETFD), FD_CLOEXEC);
    ck_assert_int_eq(waitid(P_PIDFD, (id_t)pidfd, &si, WEXITED), 0);
    ck_assert_int_eq(si.si_pid, pid);
    ck_assert_int_eq(si.si_status, 7);
    close(pidfd);
}

MP_TEST(errors_are_told_exactly)
{
    pid_t pid = -5;
    int pidfd = -5;
    setenv("PATH", "/usr/bin:/bin", 1); // one that this user may not search would be EACCES
    write_file("plain", "echo", 0644);
    write_file("noline", "echo", 0755);
    write_file("nointerp", "#!/no/such\n", 0755);
    mp_assert_err(mp_spawn(NULL, NULL, NULL, NULL), MP_EINVAL);
    mp_assert_err(mp_spawn(NULL, NULL, (char *[]){NULL}, NULL), MP_EINVAL);
    mp_assert_err(mp_spawn(&pid, &pidfd, (char *[]){(char *)"", NULL}, NULL), -ENOENT);
    mp_assert_err(mp_spawn(&pid, &pidfd, (char *[]){(char *)"no-such-program", NULL}, NULL),
                  -ENOENT);
    mp_assert_err(mp_spawn(&pid, &pidfd, (char *[]){(char *)"./none", NULL}, NULL), -ENOENT);
    mp_assert_err(mp_spawn(&pid, &pidfd, (char *[]){(char *)"./plain", NULL}, NULL), -EACCES);
    mp_assert_err(mp_spawn(&pid, &pidfd, (char *[]){(char *)".", NULL}, NULL), -EACCES);
    mp_assert_err(mp_spawn(&pid, &pidfd, (char *[]){(char *)"./noline", NULL}, NULL), -ENOEXEC);
    mp_assert_err(mp_spawn(&pid, &pidfd, (char *[]){(char *)"./nointerp", NULL}, NULL), -ENOENT);
    mp_assert_err(mp_spawn(&pid, &pidfd, (char *[]){(char *)"true", NULL},
                           &(mp_spawn_opts){.cwd = "/no/such"}),
                  -ENOENT);
    mp_assert_err(mp_spawn(&pid, &pidfd, (char *[]){(char *)"true", NULL},
                           &(mp_spawn_opts){.fds = (int[]){0, 999, 2}}),
                  -EBADF);
    mp_assert_err(mp_spawn(&pid, &pidfd, (char *[]){(char *)"true", NULL},
                           &(mp_spawn_opts){.fds = (int[]){0, -3, 2}}),
                  -EBADF);
    size_t size = 4096 * 1024;
    char *big = malloc(size);
    memset(big, 'x', size);
    big[size - 1] = '\0';
    mp_assert_err(mp_spawn(&pid, &pidfd, (char *[]){(char *)"true", big, NULL}, NULL), -E2BIG);
    free(big);
    ck_assert_int_eq(pid, -5); // untouched, and nothing to be waited for
    ck_assert_int_eq(pidfd, -5);
    ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
    ck_assert_int_eq(errno, ECHILD);
    unlink("plain");
    unlink("noline");
    unlink("nointerp");
}

MP_TEST(find_searches_path)
{
    char buf[256], small[4];
    mkdir("a", 0755);
    mkdir("b", 0755);
    write_file("a/prog", "", 0644);
    write_file("b/prog", "", 0755);
    write_file("a/locked", "", 0644);
    setenv("PATH", "a:b:/bin", 1);
    mp_assert_ok(mp_spawn_find("prog", buf, sizeof buf));
    ck_assert_str_eq(buf, "b/prog");
    mp_assert_err(mp_spawn_find("locked", buf, sizeof buf), -EACCES);
    mp_assert_err(mp_spawn_find("none", buf, sizeof buf), -ENOENT);
    mp_assert_ok(mp_spawn_find("sh", buf, sizeof buf));
    ck_assert_str_eq(buf, "/bin/sh");
    mp_assert_ok(mp_spawn_find("b/prog", buf, sizeof buf));
    ck_assert_str_eq(buf, "b/prog");
    mp_assert_err(mp_spawn_find("sh", small, sizeof small), -ENAMETOOLONG);
    mp_assert_err(mp_spawn_find(NULL, buf, sizeof buf), MP_EINVAL);
    setenv("PATH", ":", 1); // an empty entry is the working directory
    write_file("here", "", 0755);
    mp_assert_ok(mp_spawn_find("here", buf, sizeof buf));
    ck_assert_str_eq(buf, "here");
    unsetenv("PATH");
    mp_assert_ok(mp_spawn_find("sh", buf, sizeof buf));
    ck_assert_str_eq(buf, "/bin/sh");
    ck_assert_int_eq(system("/bin/rm -r a b here"), 0);
}

MP_TEST(descriptors_may_be_crossed)
{
    int p[2];
    char text[8] = "";
    ck_assert_int_eq(pipe2(p, O_CLOEXEC), 0);
    int saved = dup(1);
    // Our 1 and 2 become its 2 and 1.
    ck_assert_int_eq(dup2(p[1], 2), 2);
    pid_t pid =
        start_script("printf crossed", &(mp_spawn_opts){.fds = (int[]){MP_SPAWN_NULL, 2, 1}});
    ck_assert_int_eq(dup2(saved, 2), 2);
    close(saved);
    close(p[1]);
    ck_assert_int_eq(read(p[0], text, sizeof text), 7);
    ck_assert_int_eq(memcmp(text, "crossed", 7), 0);
    close(p[0]);
    ck_assert_int_eq(status_of(pid), 0);
}

MP_TEST(close_on_exec_is_lifted_for_the_given)
{
    fcntl(1, F_SETFD, FD_CLOEXEC);
    pid_t pid = start_script("test -e /proc/$$/fd/1", &(mp_spawn_opts){.fds = (int[]){-1, 1, -1}});
    ck_assert_int_eq(status_of(pid), 0);
    ck_assert_int_eq(fcntl(1, F_GETFD), FD_CLOEXEC); // ours is as it was
    fcntl(1, F_SETFD, 0);
}

MP_TEST(signals_are_default_and_unblocked)
{
    sigset_t set;
    sigfillset(&set);
    signal(SIGINT, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    sigprocmask(SIG_BLOCK, &set, NULL);
    const char *text = output_of(
        "exec grep -hE '^Sig(Blk|Ign)' /proc/self/status | cut -f2 | sort -u", (mp_spawn_opts){0});
    ck_assert_str_eq(text, "0000000000000000");
    sigset_t now;
    sigprocmask(SIG_BLOCK, NULL, &now);
    ck_assert_int_eq(sigismember(&now, SIGUSR1), 1); // ours is as it was
    sigemptyset(&set);
    sigprocmask(SIG_SETMASK, &set, NULL);
}

MP_TEST(only_the_given_signals_are_set)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    signal(SIGUSR1, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    const char *text = output_of("exec grep -h ^SigIgn /proc/self/status | cut -f2",
                                 (mp_spawn_opts){.signals = &set});
    ck_assert_str_eq(text, "0000000000000001");
}

MP_TEST(cwd_env_group)
{
    ck_assert_str_eq(output_of("pwd", (mp_spawn_opts){.cwd = "/"}), "/");
    char *env[] = {(char *)"A=b", NULL};
    ck_assert_str_eq(output_of("echo $A$HOME", (mp_spawn_opts){.env = env}), "b");
    pid_t pid = start_script("exec sleep 1000", &(mp_spawn_opts){.own_group = true});
    ck_assert_int_eq(getpgid(pid), pid);
    ck_assert_int_eq(kill(-pid, SIGTERM), 0);
    ck_assert_int_eq(status_of(pid), -SIGTERM);
    pid = start_script("exec sleep 1000", NULL);
    ck_assert_int_eq(getpgid(pid), getpgrp());
    kill(pid, SIGKILL);
    ck_assert_int_eq(status_of(pid), -SIGKILL);
}

// What a file of a control group would be told: any descriptor shows it.
MP_TEST(joins_groups_before_it_begins)
{
    int p[2];
    char told[8];
    ck_assert_int_eq(pipe2(p, O_CLOEXEC), 0);
    mp_spawn_opts opts = {.groups = (int[]){p[1], p[1], -1}};
    ck_assert_str_eq(output_of("echo joined", opts), "joined");
    ck_assert_int_eq(read(p[0], told, sizeof told), 2);
    ck_assert_mem_eq(told, "00", 2);
    ck_assert_int_eq(mp_spawn(NULL, NULL, (char *[]){(char *)"true", NULL},
                              &(mp_spawn_opts){.groups = (int[]){999, -1}}),
                     -EBADF);
    close(p[0]);
    close(p[1]);
}

static int spawn_and_die(void *arg)
{
    pid_t pid;
    if (mp_spawn(&pid, NULL, (char *[]){(char *)"sleep", (char *)"1000", NULL},
                 &(mp_spawn_opts){.die_with_caller = true}))
        return 1;
    *(pid_t *)arg = pid;
    kill(getpid(), SIGKILL);
    return 1;
}

MP_TEST(dies_with_its_caller)
{
    int p[2];
    ck_assert_int_eq(pipe2(p, O_CLOEXEC), 0);
    // The sleeping program holds the write end as its stdout: end of file when it is gone.
    int saved = dup(1);
    dup2(p[1], 1);
    pid_t pid = 0;
    ck_assert_int_eq(mptest_in_child(spawn_and_die, &pid), -SIGKILL);
    dup2(saved, 1);
    close(saved);
    close(p[1]);
    char c;
    ck_assert_int_eq(read(p[0], &c, 1), 0);
    close(p[0]);
}

MP_TEST(many_leave_nothing)
{
    int before = mptest_fd_count();
    for (int i = 0; i < 50; i++) {
        pid_t pid;
        int pidfd;
        mp_assert_ok(mp_spawn(&pid, &pidfd, (char *[]){(char *)"true", NULL}, NULL));
        ck_assert_int_eq(status_of(pid), 0);
        close(pidfd);
        mp_assert_err(mp_spawn(&pid, &pidfd, (char *[]){(char *)"true", NULL},
                               &(mp_spawn_opts){.cwd = "/none"}),
                      -ENOENT);
    }
    ck_assert_int_eq(mptest_fd_count(), before);
}
