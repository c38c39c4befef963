// SPDX-License-Identifier: MIT
//
// Processes from inside: the record of one, and all that this process knows of its family.
// process.c looks after children until their end; start.c brings them into being; born.c is
// their side of it; forkserver.c is the process that does it for another; runtime.c is the
// beginning and the end of a program that has any.
#ifndef MP_WORK_PROCESS_H
#define MP_WORK_PROCESS_H

#include "work/letter.h"

#include <mp/process.h>
#include <pthread.h>

// A child, as its parent sees it; or this process and its parent, as they are seen from
// inside. The first group never changes, the second is guarded by the family's lock.
struct mp_process {
    uint64_t owner; // token of the process that started it; 0: not to be joined by anybody
    pid_t pid;
    bool daemon;
    char *name;

    int pidfd;      // sentinel; -1 if there is none (yet)
    int line_read;  // lifeline: here only while it starts, then the child's
    int line_write; // held until it has ended
    int go;         // an eventfd that the child waits for, while it starts by fork
    int talk[2];    // to the child and its end of it, while it starts by letter
    int status[2];  // from the forkserver, which writes the exit code: our end, and its until
                    // it has it
    bool ended;     // its status was taken, or is lost
    int code;       // exit code, -signal or MP_ESTATUS
    bool freed;     // by the user, while it ran: to be dropped at its end
    int pins;       // exit handlers that wait for it: not to be dropped
    struct mp_process *next;

    // What came with it, in the process itself.
    void *arg;
    size_t arg_size;
    mp_handle *handles;
    size_t n_handles;
};

struct mp__family {
    pthread_mutex_t lock; // held across every fork; guards the rest
    struct mp_process *children;
    unsigned named; // children, so far
    struct mp_process *current, *parent;
    int lifeline; // our own, if this is a child
};
extern struct mp__family mp__family;

// The child that this thread is just forking.
extern _Thread_local struct mp_process *mp__starting;

// An empty record, and its end, with all that it has open.
struct mp_process *mp__process_record(void);
void mp__process_drop(struct mp_process *p);
void mp__process_close_fd(int *fd);

// Takes the status of p if it has ended; under the lock.
void mp__process_look(struct mp_process *p);

// Takes p out of the list of children; under the lock.
void mp__process_unlink(struct mp_process *p);

// Drops records of children that were freed and have ended; under the lock.
void mp__process_collect(void);

// The life of a forked one; the parcel is room for its handles, or NULL if it has none.
_Noreturn void mp__process_forked(struct mp_process *p, mp_process_fn *fn, void *arg,
                                  struct mp__parcel *parcel);

// The environment variable with the number of the socket of a program that is to be a process.
#define MP__START_VARIABLE "MP_START"

// The life of a process that was told by letter who it is; begins with reading it.
_Noreturn void mp__process_born(int sock);

// Does that if this program was started to be one.
void mp__process_born_if_told(void);

// The method that these options mean.
mp_start mp__start_method(mp_start start, const mp_context *context);

// Whether mp_runtime_init() was called in this program.
bool mp__process_can_spawn(void);

#endif
