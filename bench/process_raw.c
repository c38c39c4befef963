// SPDX-License-Identifier: MIT
//
// The limits for processes: a bare fork(), and a bare posix_spawn() of this program, which
// ends at once.
//
//   process_raw c_fork|c_posix_spawn METRIC [SECONDS]
#include "process_test.h"

#include <spawn.h>
#include <sys/wait.h>

extern char **environ;

static bool spawns;

static void start_and_join(void)
{
    pid_t pid;
    int status;
    if (spawns) {
        char program[] = "process_raw", end[] = "end", *argv[] = {program, end, NULL};
        if (posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ))
            die("posix_spawn");
    } else {
        pid = fork();
        if (pid == 0)
            _exit(0);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
        die("process");
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "end") == 0)
        return 0;
    if (argc < 3 || argc > 4)
        die("usage: %s WHO METRIC [SECONDS]", argv[0]);
    spawns = strcmp(argv[1], "c_posix_spawn") == 0;
    process_test(argv[1], argv[2], strcmp(argv[2], "process_large") == 0, seconds_from(argv[3]));
    return 0;
}
