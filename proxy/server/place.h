// SPDX-License-Identifier: MIT
//
// The place of a socket file. NNG's own listen removes whatever is in the way, a regular file,
// too; so it gets a name of ours to listen at, and the socket is moved to where it shall be in
// one step that replaces nothing. A dead socket of this user is removed before, under a lock on the
// directory that every mpproxy takes.
#ifndef MP_PROXY_PLACE_H
#define MP_PROXY_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct place {
    char path[108];
    char temporary[108]; // where to listen
    dev_t dev;           // of the socket, once it is in place
    ino_t ino;
};

// Clears the way to path. 0, or an error with what is wrong in text.
int place_prepare(struct place *p, const char *path, char *text, size_t size);

// After listening at p->temporary: moves it.
int place_take(struct place *p, char *text, size_t size);

// Removes the socket, if it is still ours that lies there.
void place_leave(struct place *p);

#endif
