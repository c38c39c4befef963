// SPDX-License-Identifier: MIT
//
// A child closes all that it inherited, so that nobody waits for the end of something that only
// it has open still; but for the three that everybody has. What is there under an old number and
// was made in the child, by somebody's fork hook (libuv has a pipe), is not inherited, and stays.
#include "child.h"

#include "os/fork.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <mp/error.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

int child_hear(int fd, int ms, struct child_report *report)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int n;
    do
        n = poll(&p, 1, ms);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return MP_ETIMEDOUT;
    if (read(fd, report, sizeof *report) != sizeof *report)
        return MP_EBROKEN;
    report->text[sizeof report->text - 1] = '\0';
    return report->err;
}

struct open_files {
    int count;
    struct {
        dev_t dev;
        ino_t ino;
    } * file; // by descriptor; ino 0: none
};

static void note(struct open_files *o, int fd)
{
    struct stat st;
    if (!o->file || fd >= o->count) {
        int count = fd + 64;
        void *more = realloc(o->file, (size_t)count * sizeof *o->file);
        if (!more)
            return;
        o->file = more;
        memset(o->file + o->count, 0, (size_t)(count - o->count) * sizeof *o->file);
        o->count = count;
    }
    if (fstat(fd, &st) < 0)
        return;
    o->file[fd].dev = st.st_dev;
    o->file[fd].ino = st.st_ino;
}

// What is open now.
static struct open_files look(void)
{
    struct open_files o = {0};
    DIR *d = opendir("/proc/self/fd");
    for (struct dirent *e; d && (e = readdir(d));)
        if (e->d_name[0] != '.' && atoi(e->d_name) > 2 && atoi(e->d_name) != dirfd(d))
            note(&o, atoi(e->d_name));
    if (d)
        closedir(d);
    return o;
}

static void leave(const struct open_files *inherited, int keep)
{
    struct stat st;
    for (int fd = 3; fd < inherited->count; fd++) {
        bool was = inherited->file[fd].ino != 0;
        if (was && fd != keep && fstat(fd, &st) == 0 && st.st_dev == inherited->file[fd].dev &&
            st.st_ino == inherited->file[fd].ino)
            close(fd);
    }
}

pid_t child_begin(int *fd)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return -errno;
    struct open_files files = look();
    pid_t pid = mp__fork();
    if (pid == 0) {
        leave(&files, fds[1]);
        free(files.file);
        *fd = fds[1];
        return 0;
    }
    free(files.file);
    close(fds[1]);
    if (pid < 0)
        close(fds[0]);
    *fd = fds[0];
    return pid;
}

pid_t child_fork(int *fd, struct child_report *report)
{
    *report = (struct child_report){0};
    pid_t pid = child_begin(fd);
    if (pid <= 0)
        return pid;
    int r = child_hear(*fd, CHILD_READY_MS, report);
    close(*fd);
    if (r < 0) { // it ends by itself, or is stuck
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    return r < 0 ? r : pid;
}

bool child_tell(int fd, const struct child_report *report)
{
    bool told = write(fd, report, sizeof *report) == sizeof *report;
    close(fd);
    return told;
}
