// SPDX-License-Identifier: MIT
//
// When jobs are run, and how many at a time.
#include "options.h"
#include "say.h"

#include <errno.h>
#include <mp/cpu.h>
#include <stdlib.h>

enum { JOBS_MAX = 100000 };

static int set_jobs(struct args *a, const char *s)
{
    char *end = NULL;
    bool relative = *s == '+' || *s == '-';
    errno = 0;
    long n = strtol(s, &end, 10);
    bool percent = *end == '%';
    end += percent;
    const char *digits = s + relative;
    if (*digits < '0' || *digits > '9' || *end || errno || (relative && percent) ||
        labs(n) > JOBS_MAX || (percent && n == 0))
        return usage_error("-j %s: not a number of jobs: use N (from 0 to %d), N%%, +N or -N", s,
                           JOBS_MAX);
    if (relative || percent) {
        long cpus = mp_cpu_count();
        n = relative ? cpus + n : cpus * n / 100;
        if (n < 1)
            n = 1;
    }
    a->jobs = n > JOBS_MAX ? JOBS_MAX : (int)n;
    return -1;
}

static const struct opt rows[] = {
    {.name = "jobs",
     .letter = 'j',
     .also = "P max-procs",
     .arg = "N",
     .help = "N jobs at a time: N, N% of the CPUs, +N, -N; 0 = many",
     .more = "+N and -N are so many more or less than the usable CPUs; there is always at least "
             "one. 0 stands for as many as the limit of open files allows (each job takes five "
             "while it runs, one with -u); more than that are never run at a time. The default is "
             "one for each usable CPU: affinity and CPU quota count.",
     .call = set_jobs,
     .common = true},
};

const struct opt_group opts_run = {
    .topic = "running",
    .title = "Running",
    .text = NULL,
    OPT_GROUP(rows),
};
