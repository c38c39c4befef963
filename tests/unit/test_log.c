// SPDX-License-Identifier: MIT
#include "base/log.h"
#include "mptest.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

static int read_end;

// Lets the log write into a pipe.
static void catch_log(void)
{
    int p[2];
    ck_assert_int_eq(pipe2(p, O_CLOEXEC | O_NONBLOCK), 0);
    read_end = p[0];
    mp_log_fd(p[1]);
    ck_assert_int_eq(dup2(p[1], 100), 100);
    close(p[1]);
    mp_log_fd(100);
}

static void stop_log(void)
{
    close(read_end);
    close(100);
}

static ssize_t take(char *buf, size_t size)
{
    ssize_t n = read(read_end, buf, size - 1);
    buf[n > 0 ? n : 0] = '\0';
    return n;
}

static bool matches(const char *text, const char *pattern)
{
    regex_t r;
    ck_assert_int_eq(regcomp(&r, pattern, REG_EXTENDED | REG_NOSUB), 0);
    int e = regexec(&r, text, 0, NULL, 0);
    regfree(&r);
    return e == 0;
}

MP_TEST(log_is_off_by_default)
{
    unsetenv("MP_LOG");
    char buf[100];
    catch_log();
    ck_assert(!mp_log_on(MP_LOG_ERROR));
    mp_log(MP_LOG_ERROR, "nothing");
    ck_assert_int_eq(take(buf, sizeof buf), -1);
    stop_log();
}

MP_TEST(a_line_has_time_name_pid_thread_and_level)
{
    char buf[1100], want[200];
    catch_log();
    mp_log_level(MP_LOG_INFO);
    pthread_setname_np(pthread_self(), "loggy");
    mp_log(MP_LOG_INFO, "%d is %s", 7, "odd");
    take(buf, sizeof buf);
    snprintf(
        want, sizeof want,
        "^[0-2][0-9]:[0-5][0-9]:[0-6][0-9]\\.[0-9]{6} test_log\\[%d\\] loggy info: 7 is odd\n$",
        getpid());
    ck_assert_msg(matches(buf, want), "%s", buf);
    mp__log_process_name("Process-3");
    mp_log(MP_LOG_ERROR, "x");
    take(buf, sizeof buf);
    ck_assert_msg(matches(buf, " Process-3\\[[0-9]+\\] loggy error: x\n$"), "%s", buf);
    stop_log();
}

MP_TEST(levels_include_those_below)
{
    char buf[1100];
    catch_log();
    for (mp_level set = MP_LOG_OFF; set <= MP_LOG_DEBUG; set++) {
        mp_log_level(set);
        for (mp_level l = MP_LOG_ERROR; l <= MP_LOG_DEBUG; l++) {
            ck_assert_int_eq(mp_log_on(l), l <= set);
            mp_log(l, "x");
            ck_assert_int_eq(take(buf, sizeof buf) > 0, l <= set);
        }
        ck_assert(!mp_log_on(MP_LOG_OFF));
    }
    // What is no level does no harm.
    mp_log_level((mp_level)99);
    mp_log((mp_level)99, "x");
    ck_assert_int_eq(take(buf, sizeof buf), -1);
    stop_log();
}

static int level_from_environment(void *want)
{
    return mp_log_on(*(mp_level *)want) ? 1 : 0;
}

MP_TEST(environment_sets_the_level)
{
    static const char *const names[] = {"off", "error", "warn", "info", "debug", "nonsense", ""};
    for (int i = 0; i < 7; i++) {
        setenv("MP_LOG", names[i], 1);
        for (mp_level l = MP_LOG_ERROR; l <= MP_LOG_DEBUG; l++)
            ck_assert_int_eq(mptest_in_child(level_from_environment, &l),
                             i <= MP_LOG_DEBUG && (int)l <= i);
    }
}

MP_TEST(the_program_overrides_the_environment)
{
    setenv("MP_LOG", "debug", 1);
    mp_log_level(MP_LOG_WARN);
    ck_assert(!mp_log_on(MP_LOG_INFO));
}

MP_TEST(control_characters_are_shown)
{
    char buf[1100];
    catch_log();
    mp_log_level(MP_LOG_DEBUG);
    mp_log(MP_LOG_DEBUG, "a\nb\x1b[31m\x7f\xc3\xa4");
    take(buf, sizeof buf);
    ck_assert_ptr_nonnull(strstr(buf, "debug: a\\x0ab\\x1b[31m\\x7f\xc3\xa4\n"));
    stop_log();
}

MP_TEST(long_lines_are_cut)
{
    char buf[3000], text[2500];
    catch_log();
    mp_log_level(MP_LOG_DEBUG);
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    mp_log(MP_LOG_DEBUG, "%s", text);
    ck_assert_int_eq(take(buf, sizeof buf), 1000);
    ck_assert_int_eq(buf[999], '\n');
    // Escapes at the edge are whole or not there.
    memset(text, '\n', sizeof text - 1);
    mp_log(MP_LOG_DEBUG, "%s", text);
    ssize_t n = take(buf, sizeof buf);
    ck_assert_int_le(n, 1000);
    ck_assert_int_eq(memcmp(buf + n - 5, "\\x0a\n", 5), 0);
    stop_log();
}

MP_TEST(errno_is_kept)
{
    mp_log_level(MP_LOG_DEBUG);
    mp_log_fd(-1);
    errno = ENOTTY;
    mp_log(MP_LOG_DEBUG, "to nowhere");
    ck_assert_int_eq(errno, ENOTTY);
}

MP_TEST(lines_of_many_processes_do_not_mix)
{
    char line[1100];
    FILE *f = fopen("log", "w+e");
    ck_assert_ptr_nonnull(f);
    int fd = open("log", O_WRONLY | O_APPEND | O_CLOEXEC);
    mp_log_fd(fd);
    mp_log_level(MP_LOG_DEBUG);
    for (int i = 0; i < 8; i++)
        if (fork() == 0) {
            for (int j = 0; j < 200; j++)
                mp_log(MP_LOG_DEBUG, "%0500d", i);
            _exit(0);
        }
    for (int i = 0; i < 8; i++)
        wait(NULL);
    int n = 0;
    for (; fgets(line, sizeof line, f); n++)
        ck_assert_msg(matches(line, "debug: 0{499}[0-7]\n$"), "%s", line);
    ck_assert_int_eq(n, 1600);
    fclose(f);
    close(fd);
    unlink("log");
}
