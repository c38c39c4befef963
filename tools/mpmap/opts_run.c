// SPDX-License-Identifier: MIT
//
// When jobs are run, and how many at a time.
#include "options.h"
#include "say.h"

#include <errno.h>
#include <limits.h>
#include <mp/cpu.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { JOBS_MAX = 100000 };

bool jobs_parse(const char *s, int *jobs)
{
    char *end = NULL;
    bool relative = *s == '+' || *s == '-';
    errno = 0;
    long n = strtol(s, &end, 10);
    bool percent = *end == '%';
    end += percent;
    const char *digits = s + relative;
    if (*digits < '0' || *digits > '9' || (*end && *end != '\n') || errno ||
        (relative && percent) || labs(n) > JOBS_MAX || (percent && n == 0))
        return false;
    if (relative || percent) {
        long cpus = mp_cpu_count();
        n = relative ? cpus + n : cpus * n / 100;
        if (n < 1)
            n = 1;
    }
    *jobs = n > JOBS_MAX ? JOBS_MAX : (int)n;
    return true;
}

static int set_jobs(struct args *a, const char *s)
{
    a->jobs_file = NULL;
    if (jobs_parse(s, &a->jobs) && !strchr(s, '\n'))
        return -1;
    if (access(s, R_OK) == 0) {
        a->jobs_file = s;
        return -1;
    }
    return usage_error("-j %s: not a number of jobs: use N (from 0 to %d), N%%, +N or -N, or the "
                       "name of a file with one of these",
                       s, JOBS_MAX);
}

static int set_duration(const char *option, const char *s, int64_t *ms)
{
    *ms = parse_duration(s);
    return *ms < 0 ? usage_error("--%s %s: not a time: use seconds, or 10s, 5m, 2h, 1d", option, s)
                   : -1;
}

static int set_timeout(struct args *a, const char *s)
{
    char *end;
    long percent = strtol(s, &end, 10);
    a->timeout_ms = a->timeout_percent = 0;
    if (!strcmp(end, "%") && percent > 0 && percent <= 1000000 && *s >= '0' && *s <= '9') {
        a->timeout_percent = percent;
        return -1;
    }
    int status = set_duration("timeout", s, &a->timeout_ms);
    if (status < 0 && a->timeout_ms == 0)
        return usage_error("--timeout %s: no job could end in time", s);
    return status;
}

static int set_term_seq(struct args *a, const char *s)
{
    return term_seq_parse(&a->term_seq, s)
               ? -1
               : usage_error("--term-seq %s: not signals and milliseconds, as TERM,200,KILL", s);
}

static int set_retries(struct args *a, const char *s)
{
    int status = option_number("retries", s, 0, &a->retry.tries);
    if (a->retry.tries == 0)
        a->retry.tries = LONG_MAX;
    return status;
}

static int set_retry_delay(struct args *a, const char *s)
{
    return set_duration("retry-delay", s, &a->retry.delay_ms);
}

static int set_retry_on(struct args *a, const char *s)
{
    return retry_parse(&a->retry, s) ? -1
                                     : usage_error("--retry-on %s: not exit statuses from 1 to "
                                                   "255, as 1,75,100-110,signal,timeout",
                                                   s);
}

static int set_halt(struct args *a, const char *s)
{
    return halt_parse(&a->halt, s)
               ? -1
               : usage_error("--halt %s: not never, or now or soon with fail, success or done, as "
                             "now,fail=1 or soon,done=10%%",
                             s);
}

static int set_delay(struct args *a, const char *s)
{
    return set_duration("delay", s, &a->delay_ms);
}

static int set_load(struct args *a, const char *s)
{
    char *end;
    long n = strtol(s, &end, 10);
    bool percent = *end == '%';
    end += percent;
    if (*s < '0' || *s > '9' || *end || n < 1 || n > 1000000)
        return usage_error("--load %s: not a number of processes, or N%% of the CPUs", s);
    a->load = percent ? (n * mp_cpu_count() + 99) / 100 : n;
    return -1;
}

static int set_pressure(struct args *a, const char *s)
{
    static const char *const names[] = {"cpu=", "memory=", "io="};
    a->pressure_set = true;
    for (const char *p = s; p;) {
        int first = 0, last = PRESSURES - 1;
        for (int i = 0; i < PRESSURES; i++)
            if (!strncmp(p, names[i], strlen(names[i]))) {
                first = last = i;
                p += strlen(names[i]);
                break;
            }
        char *end;
        double n = strtod(p, &end);
        if (*p < '0' || *p > '9' || !(n > 0 && n <= 100) || (*end && *end != ','))
            return usage_error("--pressure %s: not percents from above 0 to 100, as 20, or "
                               "cpu=60,memory=5,io=20",
                               s);
        for (int i = first; i <= last; i++)
            a->pressure[i] = n;
        p = *end ? end + 1 : NULL;
    }
    return -1;
}

static int set_after(struct args *a, const char *s)
{
    a->after = s;
    return -1;
}

static int set_nice(struct args *a, const char *s)
{
    char *end;
    long n = strtol(s, &end, 10);
    if (end == s || *end || n < -20 || n > 19)
        return usage_error("--nice %s: not a number from -20 to 19", s);
    a->nice = n;
    return -1;
}

static int set_priority(struct args *a, const char *s)
{
    char *end;
    a->priority = strtol(s, &end, 10);
    if (end == s || *end || a->priority == 0 || labs(a->priority) > 1000000)
        return usage_error("--priority %s: not the number of an argument, from 1", s);
    return -1;
}

static int set_job_cpus(struct args *a, const char *s)
{
    char *end;
    a->job_cpus = strtod(s, &end);
    if (end == s || *end || !(a->job_cpus >= 0.01 && a->job_cpus <= 10000))
        return usage_error("--cpus %s: not a number of CPUs, as 2 or 0.5", s);
    return -1;
}

static int check_run(const struct args *a)
{
    bool pipe = a->pipe || a->pipe_part;
    if (pipe && a->retry.tries)
        return usage_error("--retries and --pipe exclude each other: a block is not kept");
    if (pipe && a->halt.percent)
        return usage_error(
            "--halt: of the blocks of --pipe it is not known how many there will be: "
            "use a number, not a percentage");
    if (pipe && (a->shuf || a->priority))
        return usage_error("--shuf and --priority are for items, not for the blocks of --pipe");
    if (a->shuf && a->priority)
        return usage_error("--shuf and --priority exclude each other");
    if ((a->retry.delay_ms || a->retry.some) && !a->retry.tries)
        return usage_error("--retry-delay and --retry-on say how --retries is to be done: "
                           "say how often, too");
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
             "one for each usable CPU: affinity and CPU quota count. N may also be the name of a "
             "file that holds one of these; it is read again as jobs end, so the number can be "
             "changed while they run.",
     .call = set_jobs,
     .common = true},
    {.name = "timeout",
     .arg = "SECS",
     .help = "end a job that takes longer: 10, 1.5, 5m, or 300%",
     .more = "As a percentage it is of the median of the jobs that succeeded, known after three. "
             "The job and all it has started are ended as `--term-seq` says; it counts as failed, "
             "and is named on standard error.",
     .call = set_timeout,
     .common = true},
    {.name = "term-seq",
     .also = "termseq",
     .arg = "SEQ",
     .help = "how jobs are ended: signals, and ms to wait after each",
     .more = "The default is TERM,200,TERM,100,TERM,50,KILL,25, for jobs that are ended by "
             "`--timeout`, `--halt` now or `--memfree`. Given, it is used after SIGINT, SIGTERM "
             "and SIGHUP as well. The signals go to the process group of the job; after the last, "
             "all that it has started and that is left anywhere gets SIGKILL.",
     .call = set_term_seq},
    {.name = "retries",
     .arg = "N",
     .help = "try a job that fails up to N times in all; 0: for ever",
     .more = "Only the last try is counted, logged and, unless with -u or `--line-buffer`, "
             "printed.",
     .call = set_retries},
    {.name = "retry-delay",
     .arg = "SECS",
     .help = "wait before the second try; twice as long before each next",
     .more = "Up to 1024 times, and not beyond an hour unless SECS itself is longer.",
     .call = set_retry_delay},
    {.name = "retry-on",
     .arg = "CODES",
     .help = "only after these: 1,75,100-110,signal,timeout",
     .call = set_retry_on},
    {.name = "halt",
     .also = "halt-on-error",
     .arg = "WHEN",
     .help = "stop early: now|soon,fail|success|done=N or N%",
     .more = "`soon` starts no more jobs, `now` also ends those that run. A percentage is of all "
             "jobs: the items are all read first. The exit status is 0 after successes, else "
             "that of the job that was the reason if N is 1, or the number of jobs that failed.",
     .call = set_halt},
    {.name = "delay", .arg = "SECS", .help = "wait between two starts", .call = set_delay},
    {.name = "load",
     .also = "max-load",
     .arg = "N",
     .help = "start no job while N processes run; or N% of the CPUs",
     .more = "What runs, or waits for a CPU, is counted, not its average over a minute.",
     .call = set_load},
    {.name = "memfree",
     .also = "mem-free",
     .arg = "SIZE",
     .help = "start no job while less memory is free: 500M, 2G",
     .more = "Of the system or, if it has less left, of the control group. If not even half of "
             "SIZE is free, the youngest job is ended, and tried again later.",
     .kind = OPT_NUMBER,
     .field = OPT_FIELD(memfree),
     .min = 1},
    {.name = "pressure",
     .arg = "N",
     .help = "start no job while N% of the time was lost by waiting",
     .more = "In the last ten seconds, as the kernel's pressure stall information has it: for a "
             "CPU, for memory or for a disk; of the control group, or of the system. "
             "cpu=N,memory=N,io=N tells them apart.",
     .call = set_pressure},
    {.name = "after",
     .arg = "PIDS",
     .help = "start no job before these processes have ended",
     .more = "Numbers with commas between. So a second batch follows a first: `--after $!`.",
     .call = set_after},
    {.name = "shuf",
     .help = "run the items in random order; all are read first",
     .kind = OPT_TRUE,
     .field = OPT_FIELD(shuf)},
    {.name = "priority",
     .arg = "N",
     .help = "argument N is a number: items with a high one go first",
     .more = "With -N those with a low one. All items are read first; equal ones keep their order, "
             "those without a number come last.",
     .call = set_priority},
    {.name = "nice",
     .arg = "N",
     .help = "run the jobs with this niceness, from -20 to 19",
     .call = set_nice},
    {.name = "cpus",
     .arg = "N",
     .help = "give each job N CPUs and no more, by a control group",
     .more = "This, and `--mem`, need control groups, of version 1 or 2, and that mpmap may make "
             "some: as root, or in a session of systemd by systemd-run --user --scope -p "
             "Delegate=yes. Elsewhere it is refused.",
     .call = set_job_cpus},
    {.name = "mem",
     .arg = "SIZE",
     .help = "give each job so much memory and no more",
     .more =
         "One that takes more, with all that it has started, is killed by the kernel, counts as "
         "failed, and is named on standard error as out of memory.",
     .kind = OPT_NUMBER,
     .field = OPT_FIELD(job_memory),
     .min = 1},
};

const struct opt_group opts_run = {
    .topic = "running",
    .title = "Running",
    .text = NULL,
    OPT_GROUP(rows),
    .check = check_run,
};
