// SPDX-License-Identifier: MIT
#include "persist/records.h"

#include "wire/buf.h"
#include "wire/frame.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium/crypto_shorthash.h>
#include <sys/stat.h>
#include <unistd.h>

static const uint8_t magic[8] = "MPMANAGR";
static const uint8_t key[crypto_shorthash_KEYBYTES] = "manager records";

void mp__file_head(uint8_t head[MP__FILE_HEAD], uint32_t generation)
{
    memcpy(head, magic, sizeof magic);
    mp__put_be(head + 8, MP__FILE_VERSION, 4);
    mp__put_be(head + 12, generation, 4);
}

int mp__file_head_check(const uint8_t *data, size_t size, uint32_t generation)
{
    if (size < MP__FILE_HEAD || memcmp(data, magic, sizeof magic) != 0)
        return MP_EFORMAT;
    if (mp__get_be(data + 8, 4) != MP__FILE_VERSION)
        return MP_EVERSION;
    return mp__get_be(data + 12, 4) == generation ? 0 : MP_EFORMAT;
}

// Of the size, then of the bytes with that as part of the key: no copy is needed.
static void checksum(const void *data, size_t size, uint8_t sum[8])
{
    uint8_t keyed[sizeof key];
    memcpy(keyed, key, sizeof key);
    mp__put_be(keyed, size, 4);
    crypto_shorthash(sum, data, size, keyed);
}

int mp__record_put(mp_buf *b, const void *data, size_t size)
{
    uint8_t head[MP__RECORD_HEAD];
    if (size > UINT32_MAX)
        return MP_EMSGSIZE;
    int r = mp__buf_reserve(b, sizeof head + size);
    if (r < 0)
        return r;
    mp__put_be(head, size, 4);
    checksum(data, size, head + 4);
    (void)!mp__buf_append(b, head, sizeof head);
    return mp__buf_append(b, data, size);
}

int64_t mp__record_read(const uint8_t *data, size_t size, const uint8_t **payload, size_t *length)
{
    uint8_t sum[8];
    if (size < MP__RECORD_HEAD)
        return 0;
    *length = (size_t)mp__get_be(data, 4);
    if (*length > size - MP__RECORD_HEAD)
        return 0;
    *payload = data + MP__RECORD_HEAD;
    checksum(*payload, *length, sum);
    if (memcmp(sum, data + 4, sizeof sum) != 0)
        return MP_EFORMAT;
    return (int64_t)(MP__RECORD_HEAD + *length);
}

int mp__file_read(int dir, const char *name, mp_buf *b)
{
    struct stat st;
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -errno;
    int r = fstat(fd, &st) < 0 ? -errno : S_ISREG(st.st_mode) ? 0 : MP_EFORMAT;
    if (r == 0)
        r = mp__buf_reserve(b, (size_t)st.st_size + 1);
    while (r == 0 && b->size < b->capacity) {
        ssize_t n = read(fd, (char *)b->data + b->size, b->capacity - b->size);
        if (n == 0)
            break;
        if (n < 0 && errno != EINTR)
            r = -errno;
        b->size += n > 0 ? (size_t)n : 0;
    }
    close(fd);
    return r;
}

int mp__file_write(int fd, const void *data, size_t size)
{
    const char *at = data;
    while (size > 0) {
        ssize_t n = write(fd, at, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        at += n;
        size -= (size_t)n;
    }
    return 0;
}
