// SPDX-License-Identifier: MIT
//
// The first steps of a process, in itself: it learns who it is, binds itself to its parent,
// gets hold of what it was given, and runs its function. A fork knows all of it; the others read
// it in a letter, and answer whether they have found everything.
//
// Nothing runs before the parent said "go": until then it can give up.
#include "base/log.h"
#include "channel/handle.h"
#include "os/fork.h"
#include "work/process.h"
#include "work/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

// Has the kernel watch the lifeline. A parent that died before that is seen by looking once.
static void hold_lifeline(int fd)
{
    fcntl(fd, F_SETOWN, mp__family.current->pid);
    fcntl(fd, F_SETSIG, SIGKILL);
    fcntl(fd, F_SETFL, O_ASYNC);
    mp__family.lifeline = fd;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (poll(&p, 1, 0) > 0)
        _exit(0);
}

// Until the parent has a hold of this process; if it gave up, or died, the lifeline ends it.
static void await_go(int fd)
{
    uint64_t go; // or a byte
    ssize_t n;
    do
        n = read(fd, &go, sizeof go);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        _exit(0);
    close(fd);
}

// Takes p as this process. No lock: there is no other thread yet.
static void become(struct mp_process *p, struct mp_process *parent)
{
    p->pid = getpid();
    p->owner = 0;
    p->next = mp__family.current; // so that the ancestors' records are not lost
    mp__family.parent = parent;
    mp__family.current = p;
    prctl(PR_SET_NAME, p->name);
    mp__log_process_name(p->name);
}

static _Noreturn void run(mp_process_fn *fn, void *arg)
{
    mp_log(MP_LOG_DEBUG, "started");
    int code = fn(arg);
    mp__thread_await_all();
    mp_log(MP_LOG_DEBUG, "ends with %d", code & 0xff);
    mp__fork_exit(code);
}

// A handle of an object becomes one of this process's own, as if it had been received. The
// parcel is only a way to describe it: what is in there belongs to the inherited object.
static int attach_inherited(mp_handle *h, struct mp__parcel *p)
{
    p->head = (struct mp__parcel_head){.magic = MP__PARCEL_MAGIC};
    int r = mp__handles_pack(p, h, 1);
    for (uint32_t i = 0; r == 0 && i < p->head.n_fds; i++) {
        p->fds[i] = fcntl(p->fds[i], F_DUPFD_CLOEXEC, 0);
        if (p->fds[i] < 0) {
            r = -errno;
            p->head.n_fds = i;
        }
    }
    if (r == 0)
        r = mp__handles_open(p, h);
    for (uint32_t i = 0; i < p->head.n_fds; i++)
        if (r < 0 || p->spent[i])
            close(p->fds[i]);
    if (r == 0)
        mp__handles_opened(h, 1);
    return r;
}

// Descriptors were inherited, and so were pipe ends, which were given. What cannot be had
// is an error when it is taken.
static void inherit_handles(struct mp_process *p, struct mp__parcel *parcel)
{
    for (size_t i = 0; i < p->n_handles; i++) {
        mp_handle *h = &p->handles[i];
        if (h->kind != MP_HANDLE_FD && h->kind != MP_HANDLE_PIPE)
            h->error = attach_inherited(h, parcel);
        if (h->error)
            h->object = NULL;
    }
    free(parcel);
}

_Noreturn void mp__process_forked(struct mp_process *p, mp_process_fn *fn, void *arg,
                                  struct mp__parcel *parcel)
{
    int line = p->line_read, go = p->go;
    p->line_read = p->go = -1;
    mp__starting = NULL;
    become(p, mp__family.current);
    hold_lifeline(line);
    await_go(go);
    inherit_handles(p, parcel);
    run(fn, arg);
}

// The records of this process and of its parent, from a letter. NULL: no memory.
static struct mp_process *record_of(const char *name, pid_t pid, bool daemon)
{
    struct mp_process *p = mp__process_record();
    if (!p)
        return NULL;
    p->pid = pid;
    p->daemon = daemon;
    p->name = strdup(name);
    return p;
}

_Noreturn void mp__process_born(int sock)
{
    struct mp__letter l;
    const char *why;
    struct mp_process *me = NULL, *parent = NULL;
    int r = mp__letter_read(&l, sock, &why);
    if (r == 0) {
        me = record_of(l.name, getpid(), l.daemon);
        parent = record_of(l.parent_name, l.parent, l.parent_daemon);
        if (!me || !parent || !me->name || !parent->name || !mp__fork_token()) {
            r = -ENOMEM;
            why = "the new process has no memory";
        }
    }
    if (r == 0) {
        become(me, parent);
        hold_lifeline(l.lifeline);
    }
    mp__letter_answer(sock, r, why);
    if (r != 0)
        _exit(1);
    await_go(sock);
    me->arg = l.arg;
    me->arg_size = l.arg_size;
    me->handles = l.handles;
    me->n_handles = l.n_handles;
    run((mp_process_fn *)l.fn, l.arg);
}

void mp__process_born_if_told(void)
{
    const char *text = secure_getenv(MP__START_VARIABLE);
    if (!text)
        return;
    int fd = atoi(text), type = 0;
    socklen_t size = sizeof type;
    unsetenv(MP__START_VARIABLE);
    if (fd < 3 || getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_SEQPACKET)
        return;
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    mp__process_born(fd);
}
