// SPDX-License-Identifier: MIT
#include "shm/sign.h"
#include "base/clock.h"
#include "os/shmfile.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

static const char magic[8] = "mp-arena";

// Read on a machine of the other byte order, it is another number.
#define MACHINE (0x01000000u | (uint32_t)sizeof(void *) << 8 | (uint32_t)sizeof(pthread_mutex_t))

static uint64_t checksum_of(const struct mp__sign *s)
{
    return mp__checksum(s, offsetof(struct mp__sign, checksum));
}

static uint64_t fresh_id(void)
{
    static _Atomic uint64_t count;
    uint64_t id;
    if (getrandom(&id, sizeof id, GRND_NONBLOCK) != (ssize_t)sizeof id)
        id = (uint64_t)mp__now() << 20 ^ (uint64_t)getpid() << 44 ^ atomic_fetch_add(&count, 1);
    return id;
}

void mp__sign_make(struct mp__sign *s, uint64_t size, uint64_t max, enum mp__purpose purpose)
{
    memcpy(s->magic, magic, sizeof s->magic);
    s->machine = MACHINE;
    s->version = MP__ARENA_VERSION;
    s->size = size;
    s->max = max;
    s->id = fresh_id();
    s->purpose = purpose;
    s->checksum = checksum_of(s);
}

int mp__sign_read(int fd, struct mp__sign *s)
{
    struct stat st;
    int r = mp__shmfile_check(fd);
    if (r < 0)
        return r;
    ssize_t n = pread(fd, s, sizeof *s, 0);
    if (n < 0 || fstat(fd, &st) < 0)
        return -errno;
    if ((size_t)n < sizeof s->magic || memcmp(s->magic, magic, sizeof magic) != 0)
        return MP_EFORMAT;
    if ((size_t)n >= offsetof(struct mp__sign, size) &&
        (s->machine != MACHINE || s->version != MP__ARENA_VERSION))
        return MP_EVERSION;
    if ((size_t)n < sizeof *s || s->checksum != checksum_of(s))
        return MP_EFORMAT;
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    bool sane = s->size == (uint64_t)st.st_size && s->size % page == 0 &&
                s->size >= MP__ARENA_HEAD && s->size <= (uint64_t)1 << MP__ARENA_BITS &&
                s->max <= s->size - MP__ARENA_HEAD &&
                (s->purpose == MP__OF_USER || s->purpose == MP__OF_OBJECT);
    return sane ? 0 : MP_EFORMAT;
}
