// SPDX-License-Identifier: MIT
#include "work/segment.h"
#include "os/memfd.h"

#include <sys/mman.h>
#include <sys/resource.h>

#define MOST        ((size_t)1 << 38)
#define LEAST       ((size_t)64 << 20)
#define FIRST_DONE  ((size_t)4096)
#define APART_TRIES 8

static size_t round_up(size_t size, size_t to)
{
    return (size + to - 1) / to * to;
}

// How much address space to ask for: all we may ever want costs nothing, unless the
// process has a limit, of which the program needs the most itself. (Many pools that are not
// forked from here have to share the part of it that is free in all processes: then less is taken.)
static size_t best_size(void)
{
    size_t size = MOST;
    struct rlimit lim;
    if (getrlimit(RLIMIT_AS, &lim) == 0)
        while (size > LEAST && size > lim.rlim_cur / 8)
            size /= 2;
    if (getrlimit(RLIMIT_FSIZE, &lim) == 0)
        while (size > LEAST && size > lim.rlim_cur)
            size /= 2;
    return size;
}

static int map(struct mp__segment *s, size_t size, bool apart, void **base)
{
    int r = -EEXIST;
    for (int i = 0; apart && r == -EEXIST && i < APART_TRIES; i++)
        r = mp__memfd_map_at(s->fd, size, mp__memfd_apart(size), base);
    return apart ? r : mp__memfd_map(s->fd, size, base);
}

// Bytes of the control block with so many places.
static size_t control_size(uint32_t workers)
{
    return round_up(sizeof(struct mp__control) + workers * sizeof(struct mp__slot), 4096);
}

static int try_size(struct mp__segment *s, size_t size, uint32_t workers, bool apart)
{
    s->fd = mp__memfd_new("mp-pool", size);
    if (s->fd < 0)
        return s->fd;
    void *base = NULL;
    int r = mp__memfd_commit(s->fd, 0, control_size(workers));
    if (r == 0)
        r = mp__memfd_commit(s->fd, control_size(MP__MAX_WORKERS), FIRST_DONE);
    if (r == 0)
        r = map(s, size, apart, &base);
    if (r < 0)
        close(s->fd);
    s->ctl = base;
    s->size = size;
    return r;
}

static struct mp__part part_after(const struct mp__part *before, size_t size)
{
    return (struct mp__part){before->base + before->size, size, 0};
}

int mp__segment_new(struct mp__segment *s, uint32_t workers, bool apart)
{
    size_t size = best_size();
    int r;
    while (((r = try_size(s, size, workers, apart)) == -ENOMEM || r == -EEXIST) && size > LEAST)
        size /= 2;
    if (!s->ctl)
        return r == -EEXIST ? -ENOMEM : r;
    madvise(s->ctl, size, MADV_DONTDUMP); // a core dump would make all its pages
    char *base = (char *)s->ctl;
    s->control = (struct mp__part){base, control_size(MP__MAX_WORKERS), control_size(workers)};
    s->done = part_after(&s->control, MP__MAX_CHUNKS);
    s->done.held = FIRST_DONE;
    s->slots = part_after(&s->done, MP__BOARD_SLOTS * sizeof(struct mp__task_slot));
    s->heap = part_after(&s->slots, MP__BOARD_SLOTS * sizeof(struct mp__board_entry));
    s->status = part_after(&s->heap, size / 4);
    s->data.base = s->status.base + s->status.size;
    s->data.size = size - (size_t)(s->data.base - base);
    s->data.held = 0;
    atomic_store(&s->ctl->wanted, workers);
    atomic_store(&s->ctl->workers, workers);
    s->ctl->done = (_Atomic uint8_t *)s->done.base;
    return 0;
}

int mp__segment_hold_places(struct mp__segment *s, uint32_t workers)
{
    return mp__segment_hold(s, &s->control, control_size(workers));
}

int mp__segment_hold(struct mp__segment *s, struct mp__part *part, size_t size)
{
    if (size <= part->held)
        return 0;
    if (size > part->size)
        return -ENOMEM;
    size_t offset = (size_t)(part->base - (char *)s->ctl);
    int r = mp__memfd_commit(s->fd, offset + part->held, size - part->held);
    if (r < 0)
        return r == -ENOSPC || r == -EFBIG ? -ENOMEM : r;
    part->held = size;
    return 0;
}

void mp__segment_free(struct mp__segment *s)
{
    munmap(s->ctl, s->size);
    if (s->fd >= 0)
        close(s->fd);
}
