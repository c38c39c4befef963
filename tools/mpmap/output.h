// SPDX-License-Identifier: MIT
//
// Writes what the jobs have written: each job's stdout, then its stderr, whole.
//
// One job at a time is current. In the order of their ends, that is a job that
// has ended. In the order of the items (-k) it is the first that is not yet
// written, ended or not: if it still runs, it is passed on as it comes. All others
// are held.
//
// Line by line (--line-buffer), all jobs are passed on as they come, but only whole
// lines, up to LONG_LINE: one that is longer has the sink to itself until it ends. With
// tags, lines are composed in the sink first.
//
// Writing never blocks, or a reader that stopped would keep us from hearing
// signals: to a pipe or terminal goes as much as poll(2) says fits. The flags of
// the descriptors are not touched, as they are shared with others.
#ifndef MPMAP_OUTPUT_H
#define MPMAP_OUTPUT_H

#include "job.h"
#include "table.h"

#include <stdio.h>

enum { LONG_LINE = 64 * 1024 };
enum { WINDOW = 1024 }; // jobs that may have ended and not be written yet

struct sink {
    int fd;
    bool patient;    // may block: ask poll() first
    mp_watch *watch; // waits for room
    int err;         // -errno of a write: nothing goes there any more
    char *buf;       // [start, end) was composed, and is to be written next
    size_t start, end, cap;
    struct stream *owner; // in the middle of whose line it is, or NULL
};

struct output {
    mp_loop *loop;
    bool keep_order;
    bool lines, tags, color; // line by line; each line begins with its job's tag
    struct table table;      // where jobs are written instead, if anywhere
    struct job *const *live; // those that run
    struct sink sink[STREAMS];
    struct job *first, **last; // ended, in the order of their ends
    struct job *turn[WINDOW];  // -k: by seq modulo WINDOW
    long next;                 // -k: the seq whose turn it is
    int waiting;               // jobs ended and not written
    bool lost;                 // output that was held and could not be read back
    void (*on_room)(void *);
    void *arg;
};

// Of `a`: keep_order, line_buffer, tag. `live`: the list of jobs that run.
void output_init(struct output *o, mp_loop *loop, const struct args *a, struct job *const *live,
                 void (*on_room)(void *), void *arg);

// Whether the job with this seq may be started: its output will find a place.
bool output_has_room(const struct output *o, long seq);

void output_add(struct output *o, struct job *j);    // at its start
void output_remove(struct output *o, struct job *j); // it did not start, and may later
void output_ended(struct output *o, struct job *j);  // from here it is ours

// Writes what can be written now, and frees the jobs that are through.
void output_pump(struct output *o);

// Jobs write standard output themselves, and one has failed: sees whether nobody reads it
// any more.
void output_look(struct output *o);

// Whether everything is written.
bool output_is_idle(const struct output *o);

// Frees what is left without writing it.
void output_close(struct output *o);

#endif
