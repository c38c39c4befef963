// SPDX-License-Identifier: MIT
//
// How many CPUs there are for us: the affinity mask says on which we may run, the
// control group for how much of the time.
//
// A group's quota is in a file of a directory, and the way there has two halves.
// /proc/self/cgroup names our group as a path in its hierarchy ("/docker/12ab");
// /proc/self/mountinfo says where the hierarchy is mounted, and which directory of it
// is mounted there: in a container that is often the group itself, so that the path
// must lose this prefix. From there every directory up to the mount point counts. Two
// hierarchies may have the "cpu" controller, v1 or v2, and hybrid systems mount both,
// so both are looked at.
#include "os/cpu.h"

#include <errno.h>
#include <limits.h>
#include <mp/cpu.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int mp__cpu_affinity(void)
{
    // The kernel refuses a mask shorter than its own, whose size it does not tell.
    for (size_t cpus = 1024; cpus <= 1 << 20; cpus *= 2) {
        cpu_set_t *set = CPU_ALLOC(cpus);
        if (!set)
            break;
        size_t size = CPU_ALLOC_SIZE(cpus);
        int n = sched_getaffinity(0, size, set) == 0 ? CPU_COUNT_S(size, set) : 0;
        int err = errno;
        CPU_FREE(set);
        if (n > 0)
            return n;
        if (err != EINVAL)
            break;
    }
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (int)n : 1;
}

// One of the two kinds of control groups: how its mounts are called, which line of
// /proc/self/cgroup is of a hierarchy with the CPUs, and in which file the quota is.
struct kind {
    const char *fstype;
    bool (*has_cpu)(const char *controllers);
    // The quota of the group whose directory this is, in CPUs; 0 = none.
    int (*quota)(const char *dir);
};

// Whether `word` is one of the words of a comma-separated list.
static bool has_word(const char *list, const char *word)
{
    size_t len = strlen(word);
    for (; *list; list += *list == ',') {
        size_t n = strcspn(list, ",");
        if (n == len && memcmp(list, word, n) == 0)
            return true;
        list += n;
    }
    return false;
}

static bool read_line(const char *dir, const char *file, char *buf, int size)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/%s", dir, file) >= (int)sizeof path)
        return false;
    FILE *f = fopen(path, "re");
    bool ok = f && fgets(buf, size, f);
    if (f)
        fclose(f);
    return ok;
}

static int round_up(long long quota, long long period)
{
    if (quota <= 0 || period <= 0)
        return 0;
    long long n = quota / period + (quota % period != 0);
    return n > INT_MAX ? INT_MAX : (int)n;
}

static bool v2_has_cpu(const char *controllers)
{
    return *controllers == '\0';
}

static int v2_quota(const char *dir)
{
    char line[128];
    long long quota, period;
    // "max 100000" or "150000 100000".
    if (!read_line(dir, "cpu.max", line, sizeof line) ||
        sscanf(line, "%lld %lld", &quota, &period) != 2)
        return 0;
    return round_up(quota, period);
}

static bool v1_has_cpu(const char *controllers)
{
    return has_word(controllers, "cpu");
}

static int v1_quota(const char *dir)
{
    char line[64];
    long long quota, period;
    // -1 is no quota.
    if (!read_line(dir, "cpu.cfs_quota_us", line, sizeof line) ||
        sscanf(line, "%lld", &quota) != 1 ||
        !read_line(dir, "cpu.cfs_period_us", line, sizeof line) ||
        sscanf(line, "%lld", &period) != 1)
        return 0;
    return round_up(quota, period);
}

enum { V1, V2, KINDS };
static const struct kind kinds[KINDS] = {
    [V1] = {"cgroup", v1_has_cpu, v1_quota},
    [V2] = {"cgroup2", v2_has_cpu, v2_quota},
};

// A file of /proc/self in one read or few; stdio's own buffer makes many of it.
static FILE *open_proc(const char *root, const char *name, char *buf, size_t size)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/proc/self/%s", root, name);
    FILE *f = fopen(path, "re");
    if (f)
        setvbuf(f, buf, _IOFBF, size);
    return f;
}

// Our group in the hierarchy of each kind that has the CPUs; NULL where there is none.
// To be freed. A line is "id:controllers:path".
static void find_groups(const char *root, char *groups[])
{
    char buf[4096], *line = NULL;
    size_t size = 0;
    FILE *f = open_proc(root, "cgroup", buf, sizeof buf);
    while (f && getline(&line, &size, f) > 0) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':');
        char *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group)
            continue;
        *group++ = '\0';
        for (int i = 0; i < KINDS; i++)
            if (!groups[i] && kinds[i].has_cpu(controllers + 1))
                groups[i] = strdup(group);
    }
    free(line);
    if (f)
        fclose(f);
}

// Spaces and the like are written as \040 in mountinfo.
static void decode(char *s)
{
    char *out = s;
    while (*s) {
        if (s[0] == '\\' && strspn(s + 1, "01234567") >= 3) {
            *out++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
            s += 4;
        } else {
            *out++ = *s++;
        }
    }
    *out = '\0';
}

struct mount {
    const struct kind *kind;
    char *top;   // the directory of the hierarchy that is mounted
    char *point; // and where
};

static const struct kind *kind_of(const char *fstype, const char *options)
{
    if (strcmp(fstype, kinds[V2].fstype) == 0)
        return &kinds[V2];
    bool v1 = strcmp(fstype, kinds[V1].fstype) == 0 && has_word(options, "cpu");
    return v1 ? &kinds[V1] : NULL;
}

// "36 35 98:0 /top /point rw,noatime master:1 - cgroup cgroup rw,cpu": whether it is a
// mount of control groups with the CPUs. Points into line, which it cuts up.
static bool parse_mount(char *line, struct mount *m)
{
    line[strcspn(line, "\n")] = '\0';
    char *tail = strstr(line, " - cgroup"), *save;
    if (!tail)
        return false;
    *tail = '\0';
    char *fstype = strtok_r(tail + 3, " ", &save);
    (void)strtok_r(NULL, " ", &save);
    char *options = strtok_r(NULL, " ", &save);
    m->kind = options ? kind_of(fstype, options) : NULL;
    char *field = strtok_r(line, " ", &save);
    for (int i = 0; i < 3 && field; i++)
        field = strtok_r(NULL, " ", &save);
    m->top = field;
    m->point = field ? strtok_r(NULL, " ", &save) : NULL;
    if (!m->kind || !m->point)
        return false;
    decode(m->top);
    decode(m->point);
    return true;
}

static int lower(int a, int b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

// Whether `path` is `dir` or lies in it.
static bool is_below(const char *path, const char *dir)
{
    size_t len = strlen(dir);
    return strncmp(path, dir, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

// The lowest quota on the way from `group` up to what is mounted.
static int quota_upwards(const char *root, const struct mount *m, const char *group)
{
    char dir[PATH_MAX];
    const char *top = strcmp(m->top, "/") == 0 ? "" : m->top;
    // A group outside of what is mounted cannot be seen; what is mounted holds for us.
    const char *rest = is_below(group, top) && !strstr(group, "/..") ? group + strlen(top) : "";
    int floor = snprintf(dir, sizeof dir, "%s%s", root, m->point);
    int len = snprintf(dir, sizeof dir, "%s%s%s", root, m->point, rest);
    if (len >= (int)sizeof dir)
        return 0;
    int lowest = 0;
    for (;;) {
        lowest = lower(lowest, m->kind->quota(dir));
        char *slash = strrchr(dir, '/');
        if (!slash || slash - dir < floor)
            return lowest;
        *slash = '\0';
    }
}

int mp__cpu_quota(const char *root)
{
    char buf[16384], *line = NULL, *groups[KINDS] = {NULL};
    size_t size = 0;
    int lowest = 0;
    find_groups(root, groups);
    FILE *f = open_proc(root, "mountinfo", buf, sizeof buf);
    struct mount m;
    while (f && getline(&line, &size, f) > 0) {
        if (!parse_mount(line, &m))
            continue;
        const char *group = groups[m.kind - kinds];
        if (group)
            lowest = lower(lowest, quota_upwards(root, &m, group));
    }
    free(line);
    if (f)
        fclose(f);
    for (int i = 0; i < KINDS; i++)
        free(groups[i]);
    return lowest;
}

// MP_CPUS, or 0 when it is not set to a sensible number.
static int wanted(void)
{
    const char *s = getenv("MP_CPUS");
    char *end;
    if (!s || *s < '0' || *s > '9')
        return 0;
    errno = 0;
    long n = strtol(s, &end, 10);
    return errno == 0 && *end == '\0' && n <= INT_MAX ? (int)n : 0;
}

int mp_cpu_count(void)
{
    int n = wanted();
    return n > 0 ? n : lower(mp__cpu_affinity(), mp__cpu_quota(""));
}
