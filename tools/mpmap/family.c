// SPDX-License-Identifier: MIT
#include "family.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    ENVIRON_MAX = 2 * 1024 * 1024, // bytes of an environment that are looked at
    ROUNDS = 200,                  // of looking, while somebody forks faster than we kill
};

// Whether the environment that begins in text has this word.
static bool has_word(const char *text, size_t len, const char *word)
{
    size_t n = strlen(word) + 1;
    while (len >= n) {
        if (!memcmp(text, word, n))
            return true;
        const char *end = memchr(text, '\0', len);
        if (!end)
            return false;
        len -= (size_t)(end + 1 - text);
        text = end + 1;
    }
    return false;
}

static bool belongs(const char *pid, const char *run, const char *seq)
{
    static char text[ENVIRON_MAX];
    char path[64];
    snprintf(path, sizeof path, "/proc/%.20s/environ", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    size_t len = 0;
    for (ssize_t n; len < sizeof text && (n = read(fd, text + len, sizeof text - len)) > 0;)
        len += (size_t)n;
    close(fd);
    return has_word(text, len, run) && (!seq || has_word(text, len, seq));
}

static int kill_once(const char *run, const char *seq, int sig)
{
    int found = 0;
    DIR *dir = opendir("/proc");
    if (!dir)
        return 0;
    for (struct dirent *e; (e = readdir(dir));) {
        pid_t pid = *e->d_name >= '1' && *e->d_name <= '9' ? atoi(e->d_name) : 0;
        if (pid > 0 && pid != getpid() && belongs(e->d_name, run, seq) && kill(pid, sig) == 0)
            found++;
    }
    closedir(dir);
    return found;
}

// ---- the guardian -----------------------------------------------------------------------

// Waits for our end, which the kernel tells by a signal. It holds no descriptor, so
// nobody waits for the end of a file because of it, and no terminal reaches it.
_Noreturn static void guard(const char *run, pid_t parent, void (*at_end)(void *), void *arg)
{
    sigset_t set;
    int sig;
    sigfillset(&set);
    sigprocmask(SIG_SETMASK, &set, NULL);
    prctl(PR_SET_NAME, "mpmap-guardian");
    setsid();
    close_range(0, ~0U, 0);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    if (prctl(PR_SET_PDEATHSIG, SIGUSR1) == 0 && getppid() == parent)
        sigwait(&set, &sig);
    for (int i = 0; i < ROUNDS && kill_once(run, NULL, SIGKILL) > 0; i++)
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL); // they take a moment to go
    at_end(arg);
    _exit(0);
}

int family_begin(struct family *f, void (*at_end)(void *), void *arg)
{
    struct timespec now;
    pid_t self = getpid();
    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(f->env, sizeof f->env, "MPMAP_RUN=%d.%lld.%ld", (int)self, (long long)now.tv_sec,
             now.tv_nsec);
    f->guardian = fork();
    if (f->guardian == 0)
        guard(f->env, self, at_end, arg);
    return f->guardian < 0 ? -errno : 0;
}

const char *family_name(const struct family *f)
{
    return strchr(f->env, '=') + 1;
}

int family_kill(const struct family *f, long seq, int sig)
{
    char word[40];
    snprintf(word, sizeof word, "MPMAP_SEQ=%ld", seq);
    return kill_once(f->env, seq ? word : NULL, sig);
}

void family_end(struct family *f)
{
    // It may not have come to close its descriptors yet: nobody shall find them open after us.
    if (f->guardian > 0 && kill(f->guardian, SIGKILL) == 0)
        while (waitpid(f->guardian, NULL, 0) < 0 && errno == EINTR)
            continue;
    f->guardian = 0;
}
