// SPDX-License-Identifier: MIT
#include "mptest.h"
#include "os/cpu.h"

#include <ftw.h>
#include <mp/cpu.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

// A made-up machine in the test's directory: files below "root".

static void write_file(const char *path, const char *text)
{
    char full[500];
    snprintf(full, sizeof full, "root%s", path);
    for (char *p = full; (p = strchr(p + 1, '/'));) {
        *p = '\0';
        mkdir(full, 0700);
        *p = '/';
    }
    FILE *f = fopen(full, "we");
    ck_assert_msg(f != NULL, "%s", full);
    fputs(text, f);
    fclose(f);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static int quota_and_remove(void)
{
    int n = mp__cpu_quota("root");
    nftw("root", remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return n;
}

static void write_v1(const char *dir, const char *quota, const char *period)
{
    char path[300];
    snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", dir);
    write_file(path, quota);
    snprintf(path, sizeof path, "%s/cpu.cfs_period_us", dir);
    write_file(path, period);
}

#define V2_MOUNT "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
#define V1_MOUNT                                                                                   \
    "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 master:2 - cgroup cgroup "         \
    "rw,cpu,cpuacct\n"

MP_TEST(no_files_no_quota)
{
    ck_assert_int_eq(mp__cpu_quota("root"), 0);
    ck_assert_int_eq(mp__cpu_quota("/nowhere/at/all"), 0);
}

MP_TEST(v2_quota_of_the_own_group)
{
    write_file("/proc/self/cgroup", "0::/user.slice/job\n");
    write_file("/proc/self/mountinfo", V2_MOUNT);
    write_file("/sys/fs/cgroup/user.slice/job/cpu.max", "300000 100000\n");
    ck_assert_int_eq(quota_and_remove(), 3);
}

MP_TEST(v2_lowest_of_all_above_rounded_up)
{
    write_file("/proc/self/cgroup", "0::/a/b/c\n");
    write_file("/proc/self/mountinfo", V2_MOUNT);
    write_file("/sys/fs/cgroup/a/b/c/cpu.max", "max 100000\n");
    write_file("/sys/fs/cgroup/a/b/cpu.max", "800000 100000\n");
    write_file("/sys/fs/cgroup/a/cpu.max", "150001 100000\n");
    ck_assert_int_eq(quota_and_remove(), 2);
}

MP_TEST(v2_less_than_one_cpu_is_one)
{
    write_file("/proc/self/cgroup", "0::/\n");
    write_file("/proc/self/mountinfo", V2_MOUNT);
    write_file("/sys/fs/cgroup/cpu.max", "1000 100000\n");
    ck_assert_int_eq(quota_and_remove(), 1);
}

MP_TEST(v2_max_is_no_quota)
{
    write_file("/proc/self/cgroup", "0::/job\n");
    write_file("/proc/self/mountinfo", V2_MOUNT);
    write_file("/sys/fs/cgroup/job/cpu.max", "max 100000\n");
    ck_assert_int_eq(quota_and_remove(), 0);
}

MP_TEST(v1_quota_and_those_above)
{
    write_file("/proc/self/cgroup", "4:memory:/other\n3:cpu,cpuacct:/slurm/job7\n1:name=cpu:/no\n");
    write_file("/proc/self/mountinfo", V1_MOUNT);
    write_v1("/sys/fs/cgroup/cpu,cpuacct/slurm/job7", "-1\n", "100000\n");
    write_v1("/sys/fs/cgroup/cpu,cpuacct/slurm", "450000\n", "100000\n");
    write_v1("/sys/fs/cgroup/cpu,cpuacct", "-1\n", "100000\n");
    ck_assert_int_eq(quota_and_remove(), 5);
}

MP_TEST(v1_hierarchies_without_cpu_do_not_count)
{
    // "cpuset" and "cpuacct" begin like it.
    write_file("/proc/self/cgroup", "3:cpuset:/x\n2:cpuacct:/x\n");
    write_file(
        "/proc/self/mountinfo",
        "1 2 0:3 / /c rw - cgroup cgroup rw,cpuset\n1 2 0:3 / /d rw - cgroup cgroup rw,cpuacct\n");
    write_v1("/c/x", "100000", "100000");
    write_v1("/d/x", "100000", "100000");
    ck_assert_int_eq(quota_and_remove(), 0);
}

MP_TEST(container_that_mounts_its_own_group)
{
    // Docker without a cgroup namespace: the path has the prefix that the mount hides.
    write_file("/proc/self/cgroup", "3:cpu:/docker/12ab/inner\n");
    write_file("/proc/self/mountinfo",
               "33 31 0:30 /docker/12ab /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n");
    write_v1("/sys/fs/cgroup/cpu/inner", "700000", "100000");
    write_v1("/sys/fs/cgroup/cpu", "250000", "100000");
    ck_assert_int_eq(quota_and_remove(), 3);
}

MP_TEST(group_outside_of_what_is_mounted)
{
    // A cgroup namespace shows groups above its own as "/../x"; and the mount may be of
    // another group of which the name is only a prefix of ours.
    write_file("/proc/self/cgroup", "0::/../other\n");
    write_file("/proc/self/mountinfo", V2_MOUNT);
    write_file("/sys/fs/cgroup/cpu.max", "200000 100000\n");
    write_file("/sys/fs/other/cpu.max", "100000 100000\n");
    ck_assert_int_eq(quota_and_remove(), 2);

    write_file("/proc/self/cgroup", "0::/job12\n");
    write_file("/proc/self/mountinfo", "1 2 0:3 /job1 /cg rw - cgroup2 cgroup2 rw\n");
    write_file("/cg/cpu.max", "600000 100000\n");
    write_file("/cg/2/cpu.max", "100000 100000\n");
    ck_assert_int_eq(quota_and_remove(), 6);
}

MP_TEST(hybrid_has_both)
{
    write_file("/proc/self/cgroup", "1:cpu:/j\n0::/j\n");
    write_file("/proc/self/mountinfo", "1 2 0:3 / /cg/cpu rw - cgroup cgroup rw,cpu\n"
                                       "1 2 0:4 / /cg/unified rw - cgroup2 cgroup2 rw\n");
    write_v1("/cg/cpu/j", "400000", "100000");
    ck_assert_int_eq(mp__cpu_quota("root"), 4);
    write_file("/cg/unified/j/cpu.max", "200000 100000\n");
    ck_assert_int_eq(quota_and_remove(), 2);
}

MP_TEST(mount_point_with_a_space)
{
    write_file("/proc/self/cgroup", "0::/j\n");
    write_file("/proc/self/mountinfo", "1 2 0:3 / /c\\040g rw - cgroup2 cgroup2 rw\n");
    write_file("/c g/j/cpu.max", "200000 100000\n");
    ck_assert_int_eq(quota_and_remove(), 2);
}

MP_TEST(garbage_is_no_quota)
{
    static const char *const bad[] = {"",         "\n",          "x y\n",
                                      "100000\n", "-5 100000\n", "100000 0\n",
                                      "0 0\n",    "max\n",       "99999999999999999999999 -1\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_file("/proc/self/cgroup", "\n:\n::\nx\n0::/j\n");
        write_file("/proc/self/mountinfo", "\n - \n1 - cgroup2\n1 2 3 4 - cgroup2 c rw\n - - -\n"
                                           "1 2 0:3 / /cg rw - cgroup2 cgroup2 rw\n");
        write_file("/cg/j/cpu.max", bad[i]);
        ck_assert_int_eq(quota_and_remove(), 0);
    }
}

MP_TEST(huge_quota_is_no_overflow)
{
    write_file("/proc/self/cgroup", "0::/j\n");
    write_file("/proc/self/mountinfo", V2_MOUNT);
    write_file("/sys/fs/cgroup/j/cpu.max", "9223372036854775807 1\n");
    ck_assert_int_gt(quota_and_remove(), 1000000);
}

MP_TEST(affinity_is_honoured)
{
    cpu_set_t all, one;
    ck_assert_int_eq(sched_getaffinity(0, sizeof all, &all), 0);
    ck_assert_int_eq(mp__cpu_affinity(), CPU_COUNT(&all));
    int cpu = 0;
    while (!CPU_ISSET(cpu, &all))
        cpu++;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    ck_assert_int_eq(sched_setaffinity(0, sizeof one, &one), 0);
    ck_assert_int_eq(mp__cpu_affinity(), 1);
    unsetenv("MP_CPUS");
    ck_assert_int_eq(mp_cpu_count(), 1);
}

MP_TEST(the_environment_overrides)
{
    unsetenv("MP_CPUS");
    int n = mp_cpu_count();
    ck_assert_int_ge(n, 1);
    ck_assert_int_le(n, mp__cpu_affinity());
    setenv("MP_CPUS", "37", 1);
    ck_assert_int_eq(mp_cpu_count(), 37);
    static const char *const bad[] = {
        "", "0", "-3", "4x", " 4", "99999999999", "99999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        setenv("MP_CPUS", bad[i], 1);
        ck_assert_int_eq(mp_cpu_count(), n);
    }
}
