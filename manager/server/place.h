// SPDX-License-Identifier: MIT
//
// The daemon's place: a socket file that is its own, and that a second daemon leaves alone.
#ifndef MP_MANAGER_SERVER_PLACE_H
#define MP_MANAGER_SERVER_PLACE_H

#include "os/socket_place.h"

#include <sys/types.h>

struct place {
    char path[MP__SOCKET_PATH];
    int listener; // the socket, non-blocking; -1
    int lock;     // held as long as we live; -1
    dev_t dev;    // of the socket file, so that only ours is ever removed
    ino_t ino;
};

#define PLACE_NONE                                                                                 \
    {                                                                                              \
        .listener = -1, .lock = -1                                                                 \
    }

// Takes the place at `path`: makes the directory if it is missing, locks path + ".lock" and
// listens. On failure nothing has changed, and text says what is wrong: -EADDRINUSE (another
// daemon's, whose pid text tells), -EEXIST (a file that is no socket of ours), MP_EUNSAFE, ...
int place_take(struct place *p, const char *path, char *text, size_t size);

// Stops listening and removes the file, if it is ours still.
void place_leave(struct place *p);

#endif
