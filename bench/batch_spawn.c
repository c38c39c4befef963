// SPDX-License-Identifier: MIT
//
// The limit for a batch runner: for each line of stdin run PROGRAM LINE, JOBS at a
// time, and nothing else.  batch_spawn MODE JOBS PROGRAM
//
//   posix_spawn, vfork, fork   how the job is started; its output is its own
//   capture                    posix_spawn, output collected through a pipe and
//                              written whole, in the order of the input
#include "common.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>

#define WINDOW 64 // finished jobs that wait for their turn, and running ones

extern char **environ;

static char *line;
static size_t line_cap;

// The next line without its newline, or NULL.
static char *next_line(void)
{
    ssize_t n = getline(&line, &line_cap, stdin);
    if (n <= 0)
        return NULL;
    if (line[n - 1] == '\n')
        line[n - 1] = '\0';
    return line;
}

static pid_t spawn(char *program, char *arg, posix_spawn_file_actions_t *actions)
{
    char *argv[] = {program, arg, NULL};
    pid_t pid;
    int err = posix_spawn(&pid, program, actions, NULL, argv, environ);
    if (err) {
        errno = err;
        die("posix_spawn %s", program);
    }
    return pid;
}

// ---- uncaptured ----

enum how { HOW_POSIX_SPAWN, HOW_VFORK, HOW_FORK };

static pid_t launch(enum how how, char *program, char *arg)
{
    char *argv[] = {program, arg, NULL};
    if (how == HOW_POSIX_SPAWN)
        return spawn(program, arg, NULL);
    pid_t pid = how == HOW_VFORK ? vfork() : fork();
    if (pid < 0)
        die("fork");
    if (pid == 0) {
        execv(program, argv);
        _exit(127);
    }
    return pid;
}

static bool collect_one(void)
{
    int status;
    if (wait(&status) < 0)
        die("wait");
    return status == 0;
}

static bool run_plain(enum how how, int jobs, char *program)
{
    int running = 0;
    bool ok = true;
    for (char *arg; (arg = next_line()) != NULL;) {
        launch(how, program, arg);
        if (++running == jobs) {
            ok &= collect_one();
            running--;
        }
    }
    for (; running; running--)
        ok &= collect_one();
    return ok;
}

// ---- captured and ordered ----

// Job i is in slot i % WINDOW, from its start until its output was written.
struct job {
    pid_t pid;
    int fd; // -1 when it has ended
    char *output;
    size_t size, cap;
};

static struct job window[WINDOW];
static long started, written;
static int running;
static bool all_ok = true;

static void start_job(char *program, char *arg)
{
    struct job *j = &window[started++ % WINDOW];
    posix_spawn_file_actions_t actions;
    int fds[2];
    if (pipe2(fds, O_CLOEXEC))
        die("pipe2");
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);
    j->pid = spawn(program, arg, &actions);
    posix_spawn_file_actions_destroy(&actions);
    close(fds[1]);
    j->fd = fds[0];
    j->size = 0;
    running++;
}

static void read_job(struct job *j)
{
    int status;
    if (j->cap - j->size < 4096) {
        j->cap = j->cap * 2 + 8192;
        j->output = realloc(j->output, j->cap);
        if (!j->output)
            die("no memory");
    }
    ssize_t n = read(j->fd, j->output + j->size, j->cap - j->size);
    if (n > 0) {
        j->size += (size_t)n;
        return;
    }
    close(j->fd);
    j->fd = -1;
    if (waitpid(j->pid, &status, 0) != j->pid)
        die("waitpid");
    all_ok &= status == 0;
    running--;
}

static void read_running(void)
{
    struct pollfd fds[WINDOW];
    struct job *owners[WINDOW];
    nfds_t n = 0;
    for (long i = written; i < started; i++) {
        struct job *j = &window[i % WINDOW];
        if (j->fd >= 0) {
            owners[n] = j;
            fds[n++] = (struct pollfd){.fd = j->fd, .events = POLLIN};
        }
    }
    if (poll(fds, n, -1) < 0)
        die("poll");
    for (nfds_t i = 0; i < n; i++)
        if (fds[i].revents)
            read_job(owners[i]);
}

static bool run_captured(int jobs, char *program)
{
    bool more = true;
    while (more || written < started) {
        while (more && running < jobs && started - written < WINDOW) {
            char *arg = next_line();
            more = arg != NULL;
            if (more)
                start_job(program, arg);
        }
        if (running)
            read_running();
        for (; written < started && window[written % WINDOW].fd < 0; written++)
            fwrite(window[written % WINDOW].output, 1, window[written % WINDOW].size, stdout);
    }
    return all_ok && fflush(stdout) == 0;
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"posix_spawn", "vfork", "fork"};
    if (argc != 4 || atoi(argv[2]) < 1)
        die("usage: %s posix_spawn|vfork|fork|capture JOBS PROGRAM", argv[0]);
    int jobs = atoi(argv[2]);
    if (strcmp(argv[1], "capture") == 0)
        return run_captured(jobs, argv[3]) ? 0 : 1;
    for (int how = HOW_POSIX_SPAWN; how <= HOW_FORK; how++)
        if (strcmp(argv[1], names[how]) == 0)
            return run_plain((enum how)how, jobs, argv[3]) ? 0 : 1;
    die("no mode named %s", argv[1]);
}
