// SPDX-License-Identifier: MIT
#include "os/memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define MUCH ((size_t)64 << 20)

// Whether a file may become that large. Beyond the limit ftruncate() would not only
// fail, but raise SIGXFSZ, which ends the program.
static bool fits_limit(size_t size)
{
    struct rlimit l;
    if (size > INT64_MAX)
        return false;
    return getrlimit(RLIMIT_FSIZE, &l) < 0 || l.rlim_cur == RLIM_INFINITY || size <= l.rlim_cur;
}

int mp__memfd_resize(int fd, size_t size)
{
    if (!fits_limit(size))
        return -EFBIG;
    return ftruncate(fd, (off_t)size) < 0 ? -errno : 0;
}

int mp__memfd_new(const char *name, size_t size)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -errno;
    int r = mp__memfd_resize(fd, size);
    if (r == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
        r = -errno;
    if (r == 0)
        return fd;
    close(fd);
    return r;
}

// What the machine has left, in bytes; UINT64_MAX if it does not tell.
static uint64_t memory_left(void)
{
    FILE *f = fopen("/proc/meminfo", "re");
    char line[128];
    unsigned long long kib, available = 0, swap = 0;
    while (f && fgets(line, sizeof line, f)) {
        if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
            available = kib;
        else if (sscanf(line, "SwapFree: %llu kB", &kib) == 1)
            swap = kib;
    }
    if (f)
        fclose(f);
    return available ? (uint64_t)(available + swap) << 10 : UINT64_MAX;
}

// The kernel would take page after page until it kills somebody for it. So whoever asks for
// a lot is told before. Pages that the file has already do not count.
static bool is_there(int fd, size_t offset, size_t size)
{
    struct stat st;
    if (size < MUCH || fstat(fd, &st) < 0)
        return true;
    uint64_t has = (uint64_t)st.st_blocks * 512, end = (uint64_t)offset + size;
    uint64_t more = end > has ? end - has : 0;
    return (more < size ? more : size) <= memory_left();
}

int mp__memfd_commit(int fd, size_t offset, size_t size)
{
    int err;
    if (size == 0)
        return 0;
    if (!is_there(fd, offset, size))
        return -ENOMEM;
    do
        err = posix_fallocate(fd, (off_t)offset, (off_t)size);
    while (err == EINTR);
    return -err;
}

int mp__memfd_map(int fd, size_t size, void **out)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    *out = p == MAP_FAILED ? NULL : p;
    return p == MAP_FAILED ? -errno : 0;
}

int mp__memfd_map_at(int fd, size_t size, void *at, void **out)
{
    int flags = MAP_SHARED | MAP_FIXED_NOREPLACE;
    void *p = mmap(at, size, PROT_READ | PROT_WRITE, flags, fd, 0);
    *out = p == at ? p : NULL;
    if (p == at)
        return 0;
    int err = p == MAP_FAILED ? -errno : -EEXIST; // an old kernel takes it for a hint
    if (p != MAP_FAILED)
        munmap(p, size);
    return err;
}

// On 64-bit systems programs lie in the last third of their 47 bits, libraries and all that is
// mapped at the end, sanitizers at the beginning.
#define APART      (UINT64_C(1) << 45)
#define APART_STEP (UINT64_C(1) << 32)

void *mp__memfd_apart(size_t size)
{
    uint64_t random = (uint64_t)getpid();
    (void)!getrandom(&random, sizeof random, 0);
    return (void *)(uintptr_t)(APART + random % ((APART - size) / APART_STEP) * APART_STEP);
}
