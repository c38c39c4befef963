// SPDX-License-Identifier: MIT
//
// How long a command takes from its start to its end, in ms: the median of as many
// runs as fit in SECONDS, 5 at least, after one to warm up.
//   batch_start WHO SECONDS INPUT COMMAND [ARG]...
// INPUT becomes its stdin, /dev/null its stdout. It must end with status 0.
#include "common.h"

#include <fcntl.h>
#include <spawn.h>

#define MAX_RUNS 1000

extern char **environ;

static double run_once(const char *input, char **command)
{
    posix_spawn_file_actions_t actions;
    int status;
    pid_t pid;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, input, O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    double start = now();
    int err = posix_spawnp(&pid, command[0], &actions, NULL, command, environ);
    if (err) {
        errno = err;
        die("%s", command[0]);
    }
    if (waitpid(pid, &status, 0) != pid || status != 0)
        die("%s ended with status 0x%x", command[0], (unsigned)status);
    double elapsed = now() - start;
    posix_spawn_file_actions_destroy(&actions);
    return elapsed;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    static double times[MAX_RUNS];
    size_t n = 0;
    if (argc < 5)
        die("usage: %s WHO SECONDS INPUT COMMAND [ARG]...", argv[0]);
    double seconds = seconds_from(argv[2]), start;
    run_once(argv[3], argv + 4);
    start = now();
    while (n < 5 || (n < MAX_RUNS && now() - start < seconds))
        times[n++] = run_once(argv[3], argv + 4);
    qsort(times, n, sizeof *times, compare);
    report("batch_start", argv[1], times[n / 2] * 1e3, "ms");
    return 0;
}
