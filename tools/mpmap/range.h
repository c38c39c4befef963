// SPDX-License-Identifier: MIT
//
// A piece of the input of --so, and what a worker does with it.
//
// A range says at any moment how far it has come, in one store, so when the function
// crashes or its worker is killed, we know the record, keep the results before it, and
// can run the rest again.
#ifndef MPMAP_RANGE_H
#define MPMAP_RANGE_H

#include "records.h"

#include <mp/arena.h>
#include <mp/plugin.h>
#include <mp/task.h>
#include <stdatomic.h>
#include <stdint.h>

enum { FAILURES = 8 }; // told one by one, of a range and in all

// How far a range is. It is a whole: read and published at once.
struct progress {
    size_t pos;     // of the record in work or to be done next
    size_t record;  // which one it is, from 0
    size_t out_len; // what there is of records that are done
    size_t failed;
};

struct failure {
    size_t record, pos;
    int code;   // what the function returned, or:
    bool crash; // it took its worker with it
};

// A piece, in shared memory. Changed by the worker that has it, and while none has it by the
// main process.
struct range {
    char *data;
    size_t len;
    size_t next;            // the end of the record in work; up to pos if none is
    int64_t ns;             // that the worker took
    char *_Atomic out;      // kept from piece to piece
    _Atomic size_t out_cap; // never more than `out` has
    _Atomic unsigned turn;  // which of the two is valid; the other one is written
    struct progress state[2];
    struct failure failure[FAILURES]; // the first ones; valid are as many as have failed
};

// What the workers have from before they were forked.
struct setup {
    mp_arena *arena;
    mp_record_fn *function;
    mp_plugin_init_fn *init; // or NULL
    mp_plugin_args arguments;
    struct records records;
};
extern struct setup range_setup;

// How far it is, and the same for writing: all of it with one store.
const struct progress *range_progress(const struct range *r);
void range_publish(struct range *r, const struct progress *now);

// The record that *now is at fails. Does not count until *now is published.
void range_add_failure(struct range *r, struct progress *now, struct failure f);

// The length of the record at s, with its separator, in a range, which holds whole ones: only
// the last of fixed ones may be short.
size_t range_record_len(const struct records *how, const char *s, size_t left);

// In a worker: calls the function for the records that are left of a range. An mp_task_fn.
int range_work(mp_task *task, const void *unused, size_t size, void *range);

// What a worker does first.
int range_start_worker(void *unused);

#endif
