// SPDX-License-Identifier: MIT
//
// What a server keeps on disk, if it is told to, and the custom types that it is given.
#ifndef MP_MANAGER_SERVER_STORE_H
#define MP_MANAGER_SERVER_STORE_H

#include "core/core.h"

struct server;
struct conn;

// Takes the directory of the options, if there is one: between the core's hooks and the server.
// Then loads what is there into the core. On failure text says why.
int store_open(struct server *s, struct mp__core_hooks *hooks, char *text, size_t size);
int store_load(struct server *s, char *text, size_t size);
void store_close(struct server *s);

// Makes last what was done, and lets the answers go that wait for that. The server ends when it
// cannot.
void store_commit(struct server *s);

// When store_commit() is to be called at the latest.
int64_t store_deadline(const struct server *s);

// The call "snapshot" of a client: MP__LATER, or what there is to say.
int store_snapshot(struct server *s, struct conn *asker, uint64_t id, bool may_later);

// Custom types of the options: adds those of each shared object to the core.
int types_load(struct server *s, char *text, size_t size);

#endif
