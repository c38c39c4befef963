// SPDX-License-Identifier: MIT
//
// What every benchmark program needs: the clock, a way out, the output line, shared
// memory, futexes and child processes.
//
// These programs stand outside the library on purpose: a limit must not owe its
// speed to what it is the limit of. They may print and exit; they check each
// result, and a wrong one ends the program with status 1 and no figure.
#ifndef BENCH_COMMON_H
#define BENCH_COMMON_H

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// Two of these on one cache line pair would make the CPUs fight over it.
#define APART _Alignas(128)

static inline double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static inline void cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield" ::: "memory");
#endif
}

__attribute__((noreturn, format(printf, 1, 2))) static inline void die(const char *format, ...)
{
    int err = errno;
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, " (errno %d: %s)\n", err, strerror(err));
    _exit(1);
}

// One figure, as tools/dev/bench reads it.
static inline void report(const char *metric, const char *who, double value, const char *unit)
{
    printf("%s\t%s\t%.6g\t%s\n", metric, who, value, unit);
    fflush(stdout);
}

// The timed part of a program lasts this long: its last argument, or half a second.
static inline double seconds_from(const char *arg)
{
    double t = arg ? atof(arg) : 0.5;
    if (!(t > 0 && t < 60))
        die("not a number of seconds: %s", arg);
    return t;
}

// ---- memory and futexes ----

static inline void *allocate(size_t size)
{
    void *p = calloc(1, size);
    if (!p)
        die("no memory for %zu bytes", size);
    memset(p, 0, size); // touched, so that the first use costs no page faults
    return p;
}

static inline void *map_memory(size_t size, int flags)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        die("mmap of %zu bytes", size);
    return p;
}

// Memory that children see too. Zero, and not yet touched.
static inline void *shared(size_t size)
{
    return map_memory(size, MAP_SHARED);
}

static inline void futex_wait(_Atomic uint32_t *word, uint32_t expected)
{
    syscall(SYS_futex, word, FUTEX_WAIT, expected, NULL, NULL, 0);
}

static inline void futex_wake(_Atomic uint32_t *word, int n)
{
    syscall(SYS_futex, word, FUTEX_WAKE, n, NULL, NULL, 0);
}

// ---- children ----

// fork(); the child dies with us.
static inline pid_t fork_child(void)
{
    fflush(stdout);
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid < 0)
        die("fork");
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
    }
    return pid;
}

static inline void join_child(pid_t pid)
{
    int status;
    if (waitpid(pid, &status, 0) != pid || status != 0)
        die("child %d failed, status 0x%x", (int)pid, (unsigned)status);
}

#endif
