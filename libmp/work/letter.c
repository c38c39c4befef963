// SPDX-License-Identifier: MIT
//
// In the memfd: a head, then the strings, the bytes of the parcel, and the argument, aligned
// as memory from malloc() is. It comes from a process that is this one's parent, or is
// about to be; it is checked all the same, since an environment variable told the socket.
#include "work/letter.h"
#include "channel/handle.h"
#include "os/memfd.h"
#include "os/pidfd.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC 0x6d706c74u

enum part { NAME, PARENT_NAME, FUNCTION, PARCEL, PARTS };

struct head {
    uint32_t magic, version;
    int32_t parent;
    uint8_t daemon, parent_daemon;
    uintptr_t address; // of the function, or 0: see ref
    struct mp__function_ref ref;
    uint32_t n_handles, n_fds;
    uint32_t size[PARTS]; // of the parts, one after the other behind the head
    uint64_t arg_at, arg_size;
};

struct answer {
    int32_t result, pid;
    char why[MP__WHY_SIZE];
};

#define VERSION (MP_VERSION_MAJOR << 16 | MP_VERSION_MINOR << 8 | MP_VERSION_PATCH)

// ---- the parent's side ----

static int describe_function(struct head *h, const struct mp__letter *l, const char **name,
                             const char **why)
{
    *name = "";
    if (l->by_address) {
        h->address = (uintptr_t)l->fn;
        return 0;
    }
    int r = mp__function_refer(l->fn, &h->ref, name);
    if (r < 0)
        *why = "the function is not registered: put MP_TASK() after its definition";
    return r;
}

// Where each part lies, and how long all of it is. MP_EOVERFLOW.
static int measure(struct head *h, const struct mp__letter *l, const struct mp__parcel *parcel,
                   const void *const part[PARTS])
{
    size_t size = sizeof *h;
    for (int i = NAME; i <= FUNCTION; i++)
        h->size[i] = (uint32_t)strlen(part[i]) + 1;
    if (parcel) {
        h->size[PARCEL] = parcel->head.size;
        h->n_handles = parcel->head.n_handles;
        h->n_fds = parcel->head.n_fds;
    }
    for (int i = 0; i < PARTS; i++)
        size += h->size[i];
    h->arg_at = (size + 15) & ~(size_t)15;
    h->arg_size = l->arg_size;
    return h->arg_size > PTRDIFF_MAX - h->arg_at ? MP_EOVERFLOW : 0;
}

// A memfd with all of it, or an error.
static int fill_memory(const struct head *h, const void *const part[PARTS], const void *arg)
{
    size_t size = h->arg_at + h->arg_size;
    void *base;
    int r, fd = mp__memfd_new("mp-letter", size);
    if (fd < 0)
        return fd;
    if ((r = mp__memfd_commit(fd, 0, size)) < 0 || (r = mp__memfd_map(fd, size, &base)) < 0) {
        close(fd);
        return r;
    }
    char *at = mempcpy(base, h, sizeof *h);
    for (int i = 0; i < PARTS; i++)
        if (h->size[i])
            at = mempcpy(at, part[i], h->size[i]);
    if (h->arg_size)
        memcpy((char *)base + h->arg_at, arg, h->arg_size);
    munmap(base, size);
    return fd;
}

int mp__letter_write(struct mp__envelope *e, const struct mp__letter *l, struct mp__parcel *parcel,
                     const char **why)
{
    struct head h = {.magic = MAGIC,
                     .version = VERSION,
                     .parent = l->parent,
                     .daemon = l->daemon,
                     .parent_daemon = l->parent_daemon};
    const char *function;
    *e = (struct mp__envelope){
        .memfd = -1, .lifeline = l->lifeline, .parcel = parcel, .by_address = l->by_address};
    int r = describe_function(&h, l, &function, why);
    if (r < 0)
        return r;
    const void *part[PARTS] = {l->name, l->parent_name, function, parcel ? parcel->bytes : NULL};
    r = measure(&h, l, parcel, part);
    if (r == 0)
        r = fill_memory(&h, part, l->arg);
    if (r < 0)
        return r;
    e->memfd = r;
    return 0;
}

int mp__letter_send(const struct mp__envelope *e, int sock)
{
    int fds[] = {e->memfd, e->lifeline};
    int r = mp__fds_send(sock, fds, 2, "l", 1);
    if (r == 0 && e->parcel && e->parcel->head.n_fds)
        r = mp__fds_send(sock, e->parcel->fds, e->parcel->head.n_fds, "h", 1);
    return r;
}

int mp__letter_await(int sock, mp__deadline d)
{
    return mp__pidfd_wait(sock, d); // readable, as they become
}

int mp__letter_answered(int sock, pid_t *pid, int *pidfd, char why[MP__WHY_SIZE])
{
    struct answer a;
    size_t n = 1;
    *pidfd = -1;
    *why = 0;
    int r = mp__fds_recv(sock, pidfd, &n, &a, sizeof a);
    if (r < 0)
        return r == MP_EPIPE ? MP_EOF : r;
    if (r == sizeof a && a.result == 0 && n == 1) {
        *pid = a.pid;
        return 0;
    }
    if (n)
        close(*pidfd);
    *pidfd = -1;
    if (r != sizeof a || a.result >= 0)
        return MP_EPROTO;
    memcpy(why, a.why, MP__WHY_SIZE);
    why[MP__WHY_SIZE - 1] = 0;
    return a.result;
}

// ---- the child's side ----

static bool is_sane(const struct head *h, size_t size)
{
    size_t sum = sizeof *h;
    for (int i = 0; i < PARTS; i++)
        sum += h->size[i];
    return h->magic == MAGIC && h->version == VERSION && h->size[NAME] && h->size[PARENT_NAME] &&
           h->size[FUNCTION] && h->size[PARCEL] <= MP__PARCEL_MAX && h->n_fds <= MP__FDPASS_MAX &&
           h->n_handles <= MP__FDPASS_MAX && sum <= h->arg_at && h->arg_at <= size &&
           h->arg_size <= size - h->arg_at;
}

// Private, so that the argument may be written to. NULL: *err says why.
static struct head *map_letter(int memfd, int *err)
{
    struct stat st;
    *err = fstat(memfd, &st) < 0 ? -errno : 0;
    size_t size = *err ? 0 : (size_t)st.st_size;
    if (*err == 0 && size < sizeof(struct head))
        *err = MP_EPROTO;
    if (*err)
        return NULL;
    struct head *h = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, memfd, 0);
    if (h == MAP_FAILED)
        *err = -errno;
    else if (!is_sane(h, size))
        *err = MP_EPROTO;
    return *err ? NULL : h;
}

static int open_handles(struct mp__letter *l, const struct head *h, const char *bytes, int sock)
{
    struct mp__parcel *p = mp__parcel_new();
    l->handles = calloc(h->n_handles, sizeof *l->handles);
    if (!p || !l->handles) {
        free(p);
        return -ENOMEM;
    }
    char byte;
    size_t n = h->n_fds;
    int r = n ? mp__fds_recv(sock, p->fds, &n, &byte, 1) : 0;
    if (r >= 0 && n != h->n_fds)
        r = MP_EPROTO;
    p->head.n_fds = r < 0 ? 0 : h->n_fds;
    p->head.n_handles = h->n_handles;
    p->head.size = h->size[PARCEL];
    memcpy(p->bytes, bytes, h->size[PARCEL]);
    if (r >= 0)
        r = mp__handles_open(p, l->handles);
    if (r < 0) {
        mp__parcel_drop(p);
        return r;
    }
    mp__parcel_end(p);
    mp__handles_opened(l->handles, h->n_handles);
    l->n_handles = h->n_handles;
    return 0;
}

static int find_function(struct mp__letter *l, const struct head *h, const char *name,
                         const char **why)
{
    if (h->address)
        l->fn = (mp__any_fn *)h->address;
    else
        l->fn = mp__function_find(&h->ref, name, why);
    return l->fn ? 0 : MP_ENOFUNC;
}

int mp__letter_read(struct mp__letter *l, int sock, const char **why)
{
    int fds[2];
    size_t n = 2;
    char byte;
    *l = (struct mp__letter){.lifeline = -1};
    *why = "the letter to the new process cannot be read";
    int r = mp__fds_recv(sock, fds, &n, &byte, 1);
    if (r < 0)
        return r;
    if (n != 2)
        return MP_EPROTO;
    l->lifeline = fds[1];
    struct head *h = map_letter(fds[0], &r);
    close(fds[0]);
    if (!h)
        return r;
    char *part[PARTS], *at = (char *)(h + 1);
    for (int i = 0; i < PARTS; at += h->size[i], i++)
        part[i] = at;
    for (int i = NAME; i <= FUNCTION; i++)
        part[i][h->size[i] - 1] = 0;
    l->name = part[NAME];
    l->parent_name = part[PARENT_NAME];
    l->parent = h->parent;
    l->daemon = h->daemon;
    l->parent_daemon = h->parent_daemon;
    l->arg = h->arg_size ? (char *)h + h->arg_at : NULL;
    l->arg_size = h->arg_size;
    r = find_function(l, h, part[FUNCTION], why);
    if (r == 0 && h->n_handles) {
        *why = "a handle cannot be opened in the new process";
        r = open_handles(l, h, part[PARCEL], sock);
    }
    return r;
}

void mp__letter_answer(int sock, int result, const char *why)
{
    struct answer a = {.result = result, .pid = getpid()};
    int pidfd = -1;
    // What nobody has read when the socket is closed is a reset to the other side, which comes
    // before the answer.
    while (result < 0 && recv(sock, &(char){0}, 1, MSG_DONTWAIT) > 0)
        ;
    if (result == 0 && (pidfd = mp__pidfd_open(getpid())) < 0) {
        a.result = pidfd;
        why = "the new process gets no descriptor of itself";
    }
    if (a.result < 0)
        strncpy(a.why, why, sizeof a.why - 1);
    (void)mp__fds_send(sock, &pidfd, a.result == 0, &a, sizeof a);
    if (pidfd >= 0)
        close(pidfd);
}
