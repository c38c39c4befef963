// SPDX-License-Identifier: MIT
//
// mp_pipe_send_handles(): a server opens files, a worker that has no other way to them
// reads them: name and open file go to it in one message.
#include <fcntl.h>
#include <mp/mp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

// Counts the lines of each file that comes.
static int worker(void *arg)
{
    mp_pipe *end = arg;
    mp_handle h;
    char name[256], block[4096];
    int64_t size;
    size_t n = 1;
    while ((size = mp_pipe_recv_handles(end, name, sizeof name, &h, &n, MP_FOREVER)) >= 0) {
        int fd = n == 1 ? mp_handle_take_fd(&h) : MP_ETYPE;
        long lines = 0;
        ssize_t got = -1;
        while (fd >= 0 && (got = read(fd, block, sizeof block)) > 0)
            for (ssize_t i = 0; i < got; i++)
                lines += block[i] == '\n';
        if (fd < 0 || got < 0)
            return 1;
        close(fd);
        printf("%.*s: %ld lines\n", (int)size, name, lines);
        n = 1;
    }
    return size == MP_EOF ? 0 : 1;
}

static int hand_over(mp_pipe *end, const char *name)
{
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        perror(name);
        return 0;
    }
    mp_handle h = MP_HANDLE(fd);
    int r = mp_pipe_send_handles(end, name, strlen(name), &h, 1, MP_FOREVER);
    close(fd); // the worker has the file open as well
    return r;
}

int main(int argc, char **argv)
{
    mp_pipe *ours, *theirs;
    mp_process *child = NULL;
    int code = -1, r = mp_pipe_new(&ours, &theirs, NULL);
    if (r == 0)
        r = mp_process_start(&child, worker, theirs,
                             &(mp_process_opts){.give = (mp_pipe *[]){theirs, NULL}});
    if (r == 0 && argc < 2)
        r = hand_over(ours, "/proc/cpuinfo");
    for (int i = 1; i < argc && r == 0; i++)
        r = hand_over(ours, argv[i]);
    mp_pipe_close(ours);
    if (r == 0)
        r = mp_process_join(child, MP_FOREVER);
    if (r == 0)
        r = mp_process_exitcode(child, &code);
    if (r < 0)
        fprintf(stderr, "pass_fd: %s\n", mp_strerror(r));
    mp_process_free(child);
    mp_pipe_free(ours);
    mp_pipe_free(theirs);
    return r < 0 || code != 0;
}
