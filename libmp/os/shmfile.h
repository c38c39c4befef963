// SPDX-License-Identifier: MIT
//
// Files in /dev/shm, for memory that unrelated processes of one user find by name. A file
// is made without a name and gets it when it is complete: nobody sees half of one, and a
// process that is killed on the way leaves nothing.
//
// The file of a name is /dev/shm/mp-UID-NAME, with mode 0600. What lies there and belongs
// to somebody else, is open to others, or is no plain file is refused.
#ifndef MP_OS_SHMFILE_H
#define MP_OS_SHMFILE_H

#include <stdbool.h>
#include <stddef.h>

// Whether it is a name: 1 to 64 of A-Z a-z 0-9 . _ -, the first not a dot.
bool mp__shmfile_is_name(const char *name);

// Makes a file of `size` bytes that has no name and no memory yet, close-on-exec. The fd,
// -EFBIG (as mp__memfd_new()), or another -errno of open(2).
int mp__shmfile_new(size_t size);

// Gives it its name. -EEXIST: there is something of that name, whosever.
int mp__shmfile_publish(int fd, const char *name);

// Opens the file of a name to read and write, close-on-exec. MP_ENOTFOUND, MP_EUNSAFE, or
// -errno of open(2).
int mp__shmfile_open(const char *name);

// 0, or MP_EUNSAFE: an open plain file of this user, that others cannot open by its name or
// whose size nobody can reduce (it is sealed). MP_EFORMAT: no plain file.
int mp__shmfile_check(int fd);

// Removes a name. MP_ENOTFOUND, MP_EUNSAFE (it is not ours), or -errno.
int mp__shmfile_unlink(const char *name);

#endif
