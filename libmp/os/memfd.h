// SPDX-License-Identifier: MIT
//
// Anonymous files that processes share as memory. The size is fixed at birth and
// sealed, so no peer can take pages away; pages are committed step by step, so
// that a full machine is an error here and not a SIGBUS later.
#ifndef MP_OS_MEMFD_H
#define MP_OS_MEMFD_H

#include <stddef.h>

// Makes a close-on-exec memfd of `size` bytes of address space and no memory yet.
// Returns the fd, or -errno (-ENOSYS where the system forbids memfd_create, -EFBIG beyond
// the limit for files, which raises no SIGXFSZ here).
int mp__memfd_new(const char *name, size_t size);

// Sets the size of a file that is not sealed yet. -EFBIG, without SIGXFSZ, or -errno.
int mp__memfd_resize(int fd, size_t size);

// Takes memory for [offset, offset+size) from the system: 0 or -ENOSPC, -ENOMEM (also for
// more than the machine has left).
// Costs about 1 us per KiB for fresh pages, nothing for
// those it has.
int mp__memfd_commit(int fd, size_t offset, size_t size);

// Maps the file's first `size` bytes, shared, at *out. 0 or -errno.
int mp__memfd_map(int fd, size_t size, void **out);

// The same at this address and nowhere else. -EEXIST: something is there.
int mp__memfd_map_at(int fd, size_t size, void *at, void **out);

// An address at which other processes of the same program have nothing either, likely. Another
// one each time.
void *mp__memfd_apart(size_t size);

#endif
