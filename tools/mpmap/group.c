// SPDX-License-Identifier: MIT
//
// A process joins its job's group between its clone and its exec, so that at no moment is any
// of the job outside, and we ourselves are never inside.
//
// In version 2 a group that has limits for groups in it may hold no processes itself, so we go
// into one of our own, beside the jobs'. That of version 1 has no such rule.
#include "group.h"
#include "say.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <mp/error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    PERIOD_US = 100000, // in which a job may use its share of the CPUs
    REMOVE_TRIES = 20,  // at the end, 2 ms after each other
    AGAIN = 4,
};

static int write_file(const char *dir, const char *name, const char *text)
{
    char path[2 * PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int err = write(fd, text, strlen(text)) < 0 ? -errno : 0;
    close(fd);
    return err;
}

static int make_dir(const char *path)
{
    return mkdir(path, 0777) < 0 && errno != EEXIST ? -errno : 0;
}

// The directory of the group with this number, of `which` limit; 0 is our own.
static char *name_group(const struct group_maker *g, int which, long number)
{
    static char path[PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/mpmap.%d.%ld", g->at[which]->dir, (int)g->pid, number);
    return path;
}

// ---- ours ---------------------------------------------------------------------------------

// Version 2: we go aside, and what is in this group may have limits.
static int allow(struct group_maker *g, int which)
{
    static const char *const words[] = {"+memory", "+cpu"};
    const char *dir = g->at[which]->dir, *own = name_group(g, which, 0);
    char list[512] = "";
    int err = make_dir(own);
    if (err == 0)
        err = write_file(own, "cgroup.procs", "0");
    system_read(dir, "cgroup.subtree_control", list, sizeof list);
    if (err || system_has_word(list, words[which] + 1))
        return err;
    err = write_file(dir, "cgroup.subtree_control", words[which]);
    g->allowed[which] = err == 0;
    return err;
}

static int prepare(struct group_maker *g, int which)
{
    static const char *const options[] = {"--mem", "--cpus"};
    g->at[which] = system_group((enum controller)which);
    if (!g->at[which])
        return usage_error("%s: there are no control groups here that limit this", options[which]);
    int err = g->at[which]->v1 ? 0 : allow(g, which);
    if (err == 0 && access(g->at[which]->dir, W_OK) < 0)
        err = -errno;
    if (err == 0)
        return 0;
    usage_error("%s: %s: %s: may not make groups with limits here (try: systemd-run --user "
                "--scope -p Delegate=yes mpmap ...)",
                options[which], g->at[which]->dir, mp_strerror(err));
    group_close(g);
    return EXIT_USAGE;
}

int group_init(struct group_maker *g, const struct args *a)
{
    *g = (struct group_maker){.args = a, .pid = getpid(), .joins = {-1}};
    int status = a->job_memory ? prepare(g, GROUP_MEMORY) : 0;
    return status == 0 && a->job_cpus > 0 ? prepare(g, GROUP_CPU) : status;
}

// Tries to remove those of jobs, and our own: how many are left.
static int remove_all(const struct group_maker *g, const char *dir)
{
    char begin[32], path[2 * PATH_MAX];
    int left = 0, n = snprintf(begin, sizeof begin, "mpmap.%d.", (int)g->pid);
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));)
        if (!strncmp(e->d_name, begin, (size_t)n)) {
            snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
            left += rmdir(path) < 0 && errno == EBUSY;
        }
    if (d)
        closedir(d);
    return left;
}

void group_close(struct group_maker *g)
{
    static const char *const words[] = {"-memory", "-cpu"};
    int left = 1;
    for (int i = 0; i < GROUP_ANY; i++)
        if (g->at[i] && g->allowed[i])
            write_file(g->at[i]->dir, "cgroup.subtree_control", words[i]);
    for (int i = 0; i < GROUP_ANY; i++)
        if (g->at[i] && !g->at[i]->v1)
            write_file(g->at[i]->dir, "cgroup.procs", "0");
    // What was killed is in its group for a moment more; what a job has left stays, and so does
    // its group.
    for (int try = 0; left && try < REMOVE_TRIES; try++) {
        if (try)
            nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
        left = 0;
        for (int i = 0; i < GROUP_ANY; i++)
            left += g->at[i] ? remove_all(g, g->at[i]->dir) : 0;
    }
    for (int i = 0; i < GROUP_ANY; i++)
        g->at[i] = NULL;
    free(g->left);
    g->left = NULL;
    g->left_len = 0;
}

// ---- a job's ------------------------------------------------------------------------------

static int limit(const struct group_maker *g, int which, const char *dir)
{
    char text[64];
    long bytes = g->args->job_memory, us = (long)(g->args->job_cpus * PERIOD_US);
    bool v1 = g->at[which]->v1;
    if (which == GROUP_MEMORY) {
        snprintf(text, sizeof text, "%ld", bytes);
        int err = write_file(dir, v1 ? "memory.limit_in_bytes" : "memory.max", text);
        // Where there is swap; and the job as a whole.
        write_file(dir, v1 ? "memory.memsw.limit_in_bytes" : "memory.swap.max", v1 ? text : "0");
        write_file(dir, "memory.oom.group", "1");
        return err;
    }
    snprintf(text, sizeof text, v1 ? "%ld" : "%ld %d", us, PERIOD_US);
    int err = write_file(dir, v1 ? "cpu.cfs_quota_us" : "cpu.max", text);
    return v1 && err == -EINVAL ? 0 : err; // more than we have ourselves: that limit holds
}

static int make(struct group_maker *g, int which, long number, int *join)
{
    char *dir = name_group(g, which, number);
    int err = make_dir(dir);
    if (err == 0)
        err = limit(g, which, dir);
    if (err == 0 && (*join = open(strcat(dir, "/cgroup.procs"), O_WRONLY | O_CLOEXEC)) < 0)
        err = -errno;
    return err;
}

int group_begin(struct group_maker *g, struct job *j)
{
    int n = 0, err = 0;
    if (!g->at[GROUP_MEMORY] && !g->at[GROUP_CPU])
        return 0;
    j->group = ++g->made;
    for (int i = 0; i < GROUP_ANY && err == 0; i++)
        if (g->at[i] && (err = make(g, i, j->group, &g->joins[n])) == 0)
            g->joins[++n] = -1;
    if (err)
        say("job %ld (%s): cannot make its control group: %s", j->seq, j->label, mp_strerror(err));
    return err;
}

void group_started(struct group_maker *g)
{
    for (int i = 0; g->joins[i] >= 0; i++)
        close(g->joins[i]);
    g->joins[0] = -1;
}

void group_kill(const struct group_maker *g, const struct job *j)
{
    for (int i = 0; i < GROUP_ANY && j->group; i++)
        if (g->at[i])
            write_file(name_group(g, i, j->group), "cgroup.kill", "1"); // version 2 only
}

bool group_out_of_memory(const struct group_maker *g, const struct job *j)
{
    char text[512];
    const struct system_group *at = g->at[GROUP_MEMORY];
    return j->group && at &&
           system_read(name_group(g, GROUP_MEMORY, j->group),
                       at->v1 ? "memory.oom_control" : "memory.events", text, sizeof text) &&
           system_number(text, "oom_kill", 0) > 0;
}

// False: somebody is in it.
static bool remove_group(const struct group_maker *g, long number)
{
    bool gone = true;
    for (int i = 0; i < GROUP_ANY; i++)
        if (g->at[i] && rmdir(name_group(g, i, number)) < 0 && errno == EBUSY)
            gone = false;
    return gone;
}

// What was killed is in its group for a moment more: it is looked at again at the next ends,
// some of those that are left each time.
void group_end(struct group_maker *g, const struct job *j)
{
    if (!j->group)
        return;
    for (int i = 0; i < AGAIN && g->left_len; i++) {
        long *next = &g->left[g->again++ % g->left_len];
        if (remove_group(g, *next))
            *next = g->left[--g->left_len];
    }
    if (remove_group(g, j->group))
        return;
    if ((g->left_len & (g->left_len + 1)) == 0)
        g->left = xrealloc(g->left, (2 * (size_t)g->left_len + 1) * sizeof *g->left);
    g->left[g->left_len++] = j->group;
}
