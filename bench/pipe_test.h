// SPDX-License-Identifier: MIT
//
// The pipe tests, the same for every contestant: two processes and a connection
// between them, seen through two function pointers.
//
//   rtt            64 bytes there and back, one at a time
//   tp64 tp4k tp1m one way, as fast as they go: 64 bytes, 4 KiB, 1 MiB
//   tcp_...        the same under another name, for those that go over tcp
//
// Every message carries its number in its first and last 8 bytes, and both ends
// check both. A stream ends with a message numbered PIPE_TEST_END, which the
// receiver answers with the count of what it got. A warm-up comes first.
//
// A contestant is a struct pipe_peer; pipe_peer_main() forks and runs the test on
// it. Those with processes of their own (MPI, libmp) call the two halves themselves.
#ifndef BENCH_PIPE_TEST_H
#define BENCH_PIPE_TEST_H

#include "common.h"

#define PIPE_TEST_MAX ((size_t)1 << 20) // the longest message
#define PIPE_TEST_ACK ((size_t)64)      // the receiver's answer to a whole stream

// One end of a connection. A contestant's own struct begins with it.
struct pipe_end {
    void (*send)(struct pipe_end *e, const void *data, size_t size);
    // Returns the next message, valid until the next call, and its size. `expect` is
    // the size it will have, for those who must know.
    const void *(*recv)(struct pipe_end *e, size_t expect, size_t *size);
    void (*close)(struct pipe_end *e); // NULL = nothing to do
};

struct pipe_test {
    const char *metric;
    size_t size;
    bool echo; // each message is answered
    double seconds;
};

// Finds a test by name; dies if there is none such.
struct pipe_test pipe_test_named(const char *name, const char *seconds);

// The receiving half: returns when the other half is done.
void pipe_test_serve(const struct pipe_test *t, struct pipe_end *e);

// The sending and measuring half: reports the figure for `who`.
void pipe_test_drive(const struct pipe_test *t, struct pipe_end *e, const char *who);

struct pipe_peer {
    const char *name;
    long arg;                  // whatever tells relatives apart
    void (*prepare)(long arg); // before the fork
    // After it, in both processes: side 0 drives, side 1 serves.
    struct pipe_end *(*open)(long arg, int side, pid_t other);
};

// PEER TEST [SECONDS]. The table ends with a NULL name.
int pipe_peer_main(int argc, char **argv, const struct pipe_peer *peers);

#endif
