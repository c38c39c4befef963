// SPDX-License-Identifier: MIT
//
// What a new process is told that is no fork of its parent: who it is, what it is to run, with
// which argument and handles. A letter is a memfd; it and the descriptors of the handles
// go through a SOCK_SEQPACKET, and the answer comes back on it.
//
//   parent     mp__letter_write(), mp__letter_send()
//   child      mp__letter_read(): takes it apart, opens the handles, finds the function
//              mp__letter_answer(): that all is well, with a pidfd of itself; or the reason
//   parent     mp__letter_answered(); then a byte, "go"
//
// The letter stays mapped in the child, which has its argument there.
#ifndef MP_WORK_LETTER_H
#define MP_WORK_LETTER_H

#include "base/clock.h"
#include "channel/parcel.h"
#include "work/function.h"

#include <mp/handle.h>
#include <sys/types.h>

// What it says.
struct mp__letter {
    const char *name, *parent_name;
    pid_t parent;
    bool daemon, parent_daemon;
    mp__any_fn *fn;
    bool by_address; // the child has all code where the parent has it
    void *arg;
    size_t arg_size;
    mp_handle *handles;
    size_t n_handles;
    int lifeline;
};

// A letter that is written.
struct mp__envelope {
    int memfd, lifeline;
    bool by_address;
    struct mp__parcel *parcel; // or NULL; its descriptors stay their owners'
};

#define MP__WHY_SIZE 160

// Writes l (but for the handles, which are in the parcel, or NULL). MP_ENOFUNC and *why; -ENOMEM,
// -EMFILE and others of memfd.
int mp__letter_write(struct mp__envelope *e, const struct mp__letter *l, struct mp__parcel *parcel,
                     const char **why);
int mp__letter_send(const struct mp__envelope *e, int sock);

// Reads one and opens its handles, which are in memory that stays. On failure why says why.
int mp__letter_read(struct mp__letter *l, int sock, const char **why);
void mp__letter_answer(int sock, int result, const char *why);

// What came back: 0 and *pid and *pidfd, or the child's error and its reason in why. MP_EOF: the
// socket was closed without an answer. MP_ETIMEDOUT.
int mp__letter_await(int sock, mp__deadline d);
int mp__letter_answered(int sock, pid_t *pid, int *pidfd, char why[MP__WHY_SIZE]);

#endif
