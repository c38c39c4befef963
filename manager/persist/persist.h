// SPDX-License-Identifier: MIT
//
// Keeping what a manager has, in a directory: snapshots, and a log of what was done since.
//
//  1. mp__persist_open(): the directory is ours alone from then on;
//  2. mp__persist_hooks() puts it between the core and its server, before mp__core_new();
//  3. mp__persist_load() into the new core, before the first session;
//  4. mp__persist_commit() after each batch of messages, before the server waits for more, and
//     before it frees what hooks.send is given as user;
//  5. mp__persist_snapshot(), now and then, or in a child with mp__persist_snapshot_begin();
//  6. mp__persist_close().
//
// With MP__FSYNC_ALWAYS nobody sees an answer before what it tells of is on disk: answers are held
// until mp__persist_commit(), also those of readers, who may have read what is not there yet.
// Many clients so share one fdatasync.
#ifndef MP_MANAGER_PERSIST_H
#define MP_MANAGER_PERSIST_H

#include "core/core.h"

#include <sys/types.h>

struct mp__persist;

enum mp__fsync {
    MP__FSYNC_EVERYSEC, // a second may be lost when the machine fails; nothing with the manager
    MP__FSYNC_ALWAYS,
    MP__FSYNC_NO, // when the kernel likes
};

struct mp__persist_opts {
    const char *dir; // must be there, the user's own, and nobody else's to write
    enum mp__fsync fsync;
    void (*warn)(void *ctx, const char *text); // or NULL: what an operator should know
    void *ctx;
};

// Errors: MP_EINVAL, MP_EUNSAFE (the directory is another user's, or others may write it),
// MP_ESTATE (another manager has it), -errno.
int mp__persist_open(struct mp__persist **out, const struct mp__persist_opts *opts);

// Makes hooks, which are the server's, what the core is to be given: with p between the two.
void mp__persist_hooks(struct mp__persist *p, struct mp__core_hooks *hooks);

// Loads the newest snapshot and the logs since. What is cut off at the end of the last log, by a
// crash, is removed from it, with a warning. Errors: MP_EFORMAT (damaged elsewhere: nothing is
// changed on disk), MP_EVERSION, -ENOMEM, -errno.
int mp__persist_load(struct mp__persist *p, struct mp__core *c);

// Writes what was recorded, makes it last as the fsync mode says, and lets held answers go. An
// error is final: what was held is not sent, and the manager has to end. `now` as in the core.
int mp__persist_commit(struct mp__persist *p, int64_t now);

// When mp__persist_commit() must be called at the latest; INT64_MAX: not by itself.
int64_t mp__persist_deadline(const struct mp__persist *p);

// Writes a snapshot of all there is and removes what it makes superfluous. The first does it at
// once; the second in a child, whose pid it returns: when that has ended, the third is
// told whether its exit status was 0. MP_ESTATE: one is on its way. -errno.
int mp__persist_snapshot(struct mp__persist *p, struct mp__core *c);
pid_t mp__persist_snapshot_begin(struct mp__persist *p, struct mp__core *c);
int mp__persist_snapshot_end(struct mp__persist *p, bool done);

// Bytes in the logs since the last snapshot: a server makes one when they are many.
uint64_t mp__persist_log_size(const struct mp__persist *p);

// Commits, and lets go of the directory. NULL is fine.
void mp__persist_close(struct mp__persist *p);

#endif
