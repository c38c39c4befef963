// SPDX-License-Identifier: MIT
//
// Files of records. Sixteen bytes of head: "MPMANAGR", the version, the generation; then each
// record: its size (4 bytes), a checksum (8) of size and bytes, and the bytes. Big-endian. The
// checksum is SipHash with a fixed key: against disks, not against people.
#ifndef MP_MANAGER_RECORDS_H
#define MP_MANAGER_RECORDS_H

#include <mp/pack.h>
#include <stdint.h>

enum { MP__FILE_HEAD = 16, MP__RECORD_HEAD = 12, MP__FILE_VERSION = 1 };

void mp__file_head(uint8_t head[MP__FILE_HEAD], uint32_t generation);
int mp__file_head_check(const uint8_t *data, size_t size,
                        uint32_t generation); // MP_EFORMAT, MP_EVERSION

// Puts a record at the end of b: -ENOMEM.
int mp__record_put(mp_buf *b, const void *data, size_t size);

// The record at data: its size with head, 0 when it is cut off, MP_EFORMAT when it is damaged.
int64_t mp__record_read(const uint8_t *data, size_t size, const uint8_t **payload, size_t *length);

// All of a file, or a whole write.
int mp__file_read(int dir, const char *name, mp_buf *b);
int mp__file_write(int fd, const void *data, size_t size);

#endif
