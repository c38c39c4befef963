// SPDX-License-Identifier: MIT
//
// mpmap: Pool.map for commands and for C functions. In reading order: parse.c,
// input.c and template.c (with shell.c) say what is to be run; run.c runs it,
// job.c being one job and output.c, on held.c, what jobs have written; plugin.c
// is --so.
#include "parse.h"
#include "plugin.h"
#include "run.h"
#include "say.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

// A closed descriptor of 0 to 2 would be taken by the next file we open. What we
// put there cannot be used: read from or written to, it gives the same EBADF.
static void fill_stdio(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) < 0)
            _exit(EXIT_IO);
}

// As by the signal, so that a shell's loop sees its user's Ctrl-C.
static void end_by(int sig)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, sig);
    signal(sig, SIG_DFL);
    raise(sig);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    _exit(128 + sig);
}

int main(int argc, char **argv)
{
    static struct args args; // and what it points to, for as long as the program runs
    int sig = 0;
    fill_stdio();
    signal(SIGXFSZ, SIG_IGN); // the limit of a file's size is an error like others
    int status = parse_args(&args, argc, argv);
    if (status >= 0)
        return status;
    if (args.so)
        return run_plugin(&args);
    if (args.dry_run)
        return run_dry(&args);
    args.sigpipe = signal(SIGPIPE, SIG_IGN) != SIG_IGN;
    status = run_jobs(&args, &sig);
    if (sig)
        end_by(sig);
    return status;
}
