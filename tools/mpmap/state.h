// SPDX-License-Identifier: MIT
//
// A run, as its parts see it: run.c sets it up and steps it, start.c starts jobs, stop.c
// ends them, finish.c counts those that have ended.
#ifndef MPMAP_STATE_H
#define MPMAP_STATE_H

#include "ask.h"
#include "blocks.h"
#include "deadline.h"
#include "family.h"
#include "feed.h"
#include "gate.h"
#include "group.h"
#include "halt.h"
#include "input.h"
#include "job.h"
#include "joblog.h"
#include "kept.h"
#include "output.h"
#include "resume.h"
#include "say.h"
#include "template.h"
#include "waiting.h"
#include "watch.h"

#include <limits.h>

enum { SIGNALS = 5 };

struct run {
    const struct args *args;
    mp_loop *loop;
    struct input input;
    struct order order; // of --shuf and --priority
    struct template template, tag;
    struct output output;
    struct launch launch;
    char program[PATH_MAX]; // found, as long as it is the same for all jobs
    char seq_env[40], slot_env[40];
    char gnu_seq_env[40], gnu_slot_env[40]; // the same under GNU parallel's names
    char slot_var_env[200];                 // the slot, from 0, under a name that was given

    int jobs, running, fds_max, fds_job;
    bool *slot_taken;
    int slots;        // in slot_taken
    int slot_free;    // no slot below it is free
    struct job *live; // those that run, the youngest first
    long started;
    struct item item;     // taken from the input and not yet started
    struct blocks blocks; // of --pipe, instead of the input
    struct block block;
    bool has_item, input_ended;

    struct family family;
    struct gate gate;
    struct ask ask;
    struct group_maker groups;
    struct joblog joblog;
    struct resume resume;
    struct job *waiting; // for another try
    struct halt halt;
    struct times times; // of jobs that succeeded
    struct watch watch;
    bool keeps_items, wants_command;
    bool loud; // the last job wrote more than a little
    bool has_terminal;

    long ended, failed;
    int status; // to end with, if it is none of failed jobs
    bool stopping, killed;
    bool halting, halted; // no more jobs are started; and the status is
    int halt_status;      // this, or < 0: the number of jobs that failed
    int signal;           // that stopped it
    mp_watch *signals[SIGNALS], *grace, *shortage, *deadline, *retry_timer, *tick, *youth;
};

// ---- run.c ----

// What may be started is, what may be written is; then it sees whether that was all.
void run_step(struct run *r);
void run_step_again(void *run); // the same, as a callback
void run_set_jobs(struct run *r, int jobs);

// ---- start.c ----

void start_jobs(struct run *r);
bool start_get_item(struct run *r);             // whether there is one
const char *start_refuses(const struct run *r); // why the item cannot be run, or NULL
void slot_give(struct run *r, int slot);

// ---- listen.c ----

void listen_started(struct run *r, struct job *j);
void listen_ended(struct run *r, const struct job *j);

// ---- finish.c ----

void finish_child(struct job *j); // its process has ended
void finish_say(struct job *j);   // how, if there is something to say about it
void finish_job(struct run *r, struct job *j, bool log);
void finish_waiting(struct run *r); // those that wait for another try get none

// ---- stop.c ----

void stop_run(struct run *r);
void stop_failed(struct run *r, int status); // and ends with this status
void stop_halt(struct run *r);
void stop_job(struct run *r, struct job *j);  // as --term-seq has it
void stop_left(struct run *r, struct job *j); // what an ended job left
int stop_signal(const struct run *r);         // the first that a job is ended by
void stop_unheard(struct run *r);             // jobs that the terminal has stopped
void stop_watch_time(struct run *r);          // after a start
int stop_watch_signals(struct run *r);

#endif
