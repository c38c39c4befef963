// SPDX-License-Identifier: MIT
//
// How a run tells what it does and has done.
#include "options.h"
#include "say.h"

#include <fcntl.h>
#include <limits.h>

static int set_progress_fd(struct args *a, const char *s)
{
    long fd;
    int status = option_number("progress-fd", s, 1, &fd);
    if (status >= 0)
        return status;
    if (fd > INT_MAX || fcntl((int)fd, F_GETFD) < 0)
        return usage_error("--progress-fd %s: no such descriptor is open", s);
    a->progress_fd = (int)fd;
    return fcntl((int)fd, F_SETFD, FD_CLOEXEC) < 0 ? EXIT_IO : -1;
}

static const struct opt rows[] = {
    {.name = "bar",
     .help = "show how far it is, on a terminal",
     .more = "A line on standard error, or nothing if that is no terminal.",
     .kind = OPT_TRUE,
     .field = OPT_FIELD(bar)},
    {.name = "eta",
     .also = "progress",
     .help = "the same without the bar",
     .more = "The input is not read ahead for this: what a file or list still holds is estimated.",
     .kind = OPT_TRUE,
     .field = OPT_FIELD(eta)},
    {.name = "total-jobs",
     .also = "total",
     .arg = "N",
     .help = "there will be N jobs: for --bar and --eta of a pipe",
     .kind = OPT_NUMBER,
     .min = 1,
     .field = OPT_FIELD(total)},
    {.name = "progress-fd",
     .arg = "N",
     .help = "write the same as JSON lines to descriptor N",
     .more = "An object with `elapsed`, `done`, `failed`, `running`, `total` and `eta` (or null), "
             "every half second and at the end.",
     .call = set_progress_fd},
    {.name = "summary",
     .also = "stats",
     .help = "at the end: times, speed-up, memory, the slowest jobs",
     .kind = OPT_TRUE,
     .field = OPT_FIELD(summary)},
    {.name = "verbose",
     .letter = 't',
     .also = "v",
     .help = "print each command on standard error when it is started",
     .more = "Quoted for a shell, with control characters as $'\\x1b'.",
     .kind = OPT_TRUE,
     .field = OPT_FIELD(verbose)},
    {.name = "silent",
     .help = "do not: undoes an earlier -t",
     .kind = OPT_FALSE,
     .field = OPT_FIELD(verbose)},
};

const struct opt_group opts_watch = {
    .topic = "progress",
    .title = "Progress",
    .text = "SIGUSR1 prints the state on standard error: what runs, and for how long.",
    OPT_GROUP(rows),
};
