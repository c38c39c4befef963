// SPDX-License-Identifier: MIT
//
// Where a user's daemons have their sockets, so that both sides find the same place and
// neither trusts one that others could have prepared.
#ifndef MP_OS_SOCKET_PLACE_H
#define MP_OS_SOCKET_PLACE_H

#include <stdbool.h>
#include <stddef.h>

enum { MP__SOCKET_PATH = 108 }; // what the kernel takes, with the NUL

// Whether `name` may be one: 1 to 64 of A-Z a-z 0-9 . _ -, not a dot first.
bool mp__socket_name_ok(const char *name);

// The path of the socket called `name`: $XDG_RUNTIME_DIR/mp/<name>.sock; without such a
// directory of this user's $TMPDIR/mp-<uid>/ or /tmp/mp-<uid>/. A name with a slash in it is a
// path already. 0; MP_EINVAL (no name, or too long).
int mp__socket_path(char path[MP__SOCKET_PATH], const char *name);

// Whether the directory of `path` is safe: it and the one above belong to this user or root,
// and nobody else may write to it, nor to the one above unless it is sticky. With `make` it
// is made (0700) when it is missing. The descriptor of the directory, close-on-exec; -ENOENT,
// MP_EUNSAFE (`why` says what, static text), -errno.
int mp__socket_directory(const char *path, bool make, const char **why);

#endif
