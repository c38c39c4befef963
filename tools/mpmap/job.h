// SPDX-License-Identifier: MIT
//
// One job: a process, and what it writes. It has ended when its process has: what
// children it left behind write later is not waited for.
#ifndef MPMAP_JOB_H
#define MPMAP_JOB_H

#include "feed.h"
#include "held.h"
#include "kept.h"
#include "latest.h"
#include "results.h"
#include "say.h"

#include <mp/loop.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>

struct job;

// A pipe from the job.
struct stream {
    struct job *job;
    int fd; // -1: closed, or never was
    mp_watch *watch;
    bool resting; // not read, for the time being
    bool blocked; // what is held could be written, but for the sink
    bool in_line; // the beginning of a line was written
    struct held held;
};

enum { OUT, ERR, STREAMS };

struct job {
    long seq, log_seq; // log_seq: in the joblog, of --retry-failed that of the first run
    int slot;
    pid_t pid; // its process group, too; 0 when it did not start
    int pidfd;
    mp_watch *child;
    struct stream stream[STREAMS];
    struct feed *feed; // its stdin, or NULL: /dev/null
    bool ended;
    bool listening;    // to what it writes, or only to its end
    bool current;      // its turn to be written: output is passed on as it comes
    bool whole;        // but not this one, as it may be tried again
    bool lost;         // output that could not be held, or input that could not be given
    bool says_at_once; // messages are no part of its output
    int code;          // exit code or -signal
    char label[SHOWN]; // its item, for messages

    double began;     // seconds of the wall clock, which may be set meanwhile
    int64_t began_ns; // of the loop's, which is not
    double runtime, cpu;
    long memory;   // high-water mark, KiB
    long received; // bytes of its standard output
    long wrote;    // bytes of both
    int tries;
    bool timed_out, put_back; // why it was ended: it took too long; others need the memory
    bool wants_terminal;      // and was stopped by it
    bool out_of_memory;       // more than --mem gives it
    int term_step;            // of its ending: 0 = none
    int64_t due_ms;           // of the next step; or of the next try
    bool left_behind;         // processes that hold its output open

    char *command;     // as the joblog has it, or NULL
    char *tag;         // of its lines, or NULL
    struct kept *kept; // its item, or NULL
    struct results *results;
    struct latest *latest; // of --latest-line, or NULL
    long group;            // the number of its control group; 0: none
    struct job *next, *prev;
    struct run *run;
};

static inline int64_t job_began_ms(const struct job *j)
{
    return j->began_ns / 1000000;
}

// How jobs are started; the same for all.
struct launch {
    mp_loop *loop;
    const char *path;    // of the program, or NULL to search argv[0]
    const char *workdir; // of the jobs, or NULL
    char **env;
    const int *groups; // control groups, as mp_spawn() takes them
    sigset_t signals;  // that are not at their default here
    int null;          // /dev/null, opened
    bool capture;
    bool silent;                     // output is not printed, but in the results
    bool lines;                      // output is passed on line by line
    bool latest;                     // of the output there is only the last line
    const struct blocks *blocks;     // what jobs get as stdin, or NULL
    void (*on_output)(struct job *); // something was added to held
    void (*on_idle)(void *run);      // a job has got all of its block
    void (*on_end)(struct job *);
};

struct job *job_new(struct run *run, long seq, int slot, const struct item *item);

// Starts it. 0 or mp_spawn()'s error; then the job is as it was.
int job_start(struct job *j, const struct launch *l, char *const argv[]);

// Has the loop take what it writes, as it comes.
void job_listen(struct job *j);

// Takes what is in the pipes of a job that has ended, and closes them.
void job_drain(struct job *j);

// Reads on, where it rested because what it wrote had not been passed on.
void job_resume(struct job *j);

// Adds a message to its stderr, where it comes in its turn.
void job_say(struct job *j, const char *format, ...) MP_PRINTF(2, 3);

// How it ended, as parts of a JSON object.
void job_json(FILE *f, const struct job *j);

// As it was before its start, for another try.
void job_again(struct job *j);

// Sends sig to its process group.
void job_kill(struct job *j, int sig);

void job_free(struct job *j);

#endif
