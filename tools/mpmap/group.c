// SPDX-License-Identifier: MIT
//
// A process is in the group of its parent when it is made. So we go into the job's group,
// start it, and come back: at no moment is any of it outside.
//
// A group that has limits for groups in it may hold no processes itself, so we go into one
// of our own, beside the jobs'.
#include "group.h"
#include "say.h"
#include "system.h"

#include <errno.h>
#include <fcntl.h>
#include <mp/error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PERIOD_US = 100000 }; // of cpu.max

static int write_file(const char *dir, const char *name, const char *text)
{
    char path[PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int err = write(fd, text, strlen(text)) < 0 ? -errno : 0;
    close(fd);
    return err;
}

static char *name_group(const struct group_maker *g, const char *name)
{
    char *path;
    if (asprintf(&path, "%s/mpmap.%d.%s", g->dir, (int)getpid(), name) < 0)
        xrealloc(NULL, SIZE_MAX); // says so, and ends
    return path;
}

static int make_own(struct group_maker *g)
{
    char *own = name_group(g, "own");
    char path[PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/cgroup.procs", own);
    int err = mkdir(own, 0777) < 0 ? -errno : 0;
    if (err == 0 && (g->own = open(path, O_WRONLY | O_CLOEXEC)) < 0)
        err = -errno;
    if (err == 0 && write(g->own, "0", 1) < 0)
        err = -errno;
    free(own);
    return err;
}

int group_init(struct group_maker *g, const struct args *a)
{
    *g = (struct group_maker){.args = a, .own = -1};
    if (!(a->job_cpus > 0) && !a->job_memory)
        return 0;
    const char *option = a->job_memory ? "--mem" : "--cpus";
    if (!*system_group())
        return usage_error("%s: there are no control groups of version 2 here", option);
    snprintf(g->dir, sizeof g->dir, "%s", system_group());
    int err = make_own(g);
    if (err == 0 && a->job_memory)
        err = write_file(g->dir, "cgroup.subtree_control", "+memory");
    if (err == 0 && a->job_cpus > 0)
        err = write_file(g->dir, "cgroup.subtree_control", "+cpu");
    if (err == 0)
        return 0;
    usage_error("%s: %s: %s: may not make groups with limits here (try: systemd-run --user "
                "--scope -p Delegate=yes mpmap ...)",
                option, g->dir, mp_strerror(err));
    group_close(g);
    return EXIT_USAGE;
}

static int set_limits(const struct group_maker *g, const char *group)
{
    char text[64];
    int err = 0;
    if (g->args->job_memory) {
        snprintf(text, sizeof text, "%ld", g->args->job_memory);
        err = write_file(group, "memory.max", text);
        write_file(group, "memory.swap.max", "0");  // where there is swap
        write_file(group, "memory.oom.group", "1"); // the job as a whole
    }
    if (err == 0 && g->args->job_cpus > 0) {
        snprintf(text, sizeof text, "%ld %d", (long)(g->args->job_cpus * PERIOD_US), PERIOD_US);
        err = write_file(group, "cpu.max", text);
    }
    return err;
}

int group_begin(struct group_maker *g, struct job *j)
{
    char name[32];
    if (!*g->dir)
        return 0;
    free(j->group);
    snprintf(name, sizeof name, "%ld", j->seq);
    j->group = name_group(g, name);
    int err = mkdir(j->group, 0777) < 0 && errno != EEXIST ? -errno : 0;
    if (err == 0)
        err = set_limits(g, j->group);
    return err ? err : write_file(j->group, "cgroup.procs", "0");
}

void group_started(struct group_maker *g)
{
    if (*g->dir && write(g->own, "0", 1) < 0)
        say("%s: cannot go back from a job's control group: %s", g->dir, mp_strerror(-errno));
}

void group_kill(const struct group_maker *g, const struct job *j)
{
    if (*g->dir && j->group)
        write_file(j->group, "cgroup.kill", "1");
}

void group_end(const struct group_maker *g, struct job *j)
{
    if (*g->dir && j->group)
        rmdir(j->group); // one with something in it stays as long as that
}

void group_close(struct group_maker *g)
{
    if (!*g->dir)
        return;
    char *own = name_group(g, "own");
    if (g->own >= 0) {
        close(g->own);
        write_file(g->dir, "cgroup.subtree_control", "-memory -cpu");
        write_file(g->dir, "cgroup.procs", "0");
    }
    rmdir(own);
    free(own);
    *g->dir = '\0';
}
