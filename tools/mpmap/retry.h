// SPDX-License-Identifier: MIT
//
// --retries: which jobs are tried again, and when.
#ifndef MPMAP_RETRY_H
#define MPMAP_RETRY_H

#include <stdbool.h>
#include <stdint.h>

struct job;

struct retry {
    long tries;       // of each job in all; LONG_MAX: until it succeeds
    int64_t delay_ms; // before the second try, doubled for each that follows
    bool some;        // only those marked in `on`
    bool on[256], on_signal, on_timeout;
    struct job *waiting; // by their time
};

// "1,75,100-110,signal,timeout". False: it is none.
bool retry_parse(struct retry *r, const char *codes);

// Whether a job that has failed is to be tried again.
bool retry_wants(const struct retry *r, const struct job *j);

// Puts it among those that wait, for as long as it has to.
void retry_add(struct retry *r, struct job *j, int64_t now_ms, bool at_once);

// The next one whose time has come, or NULL.
struct job *retry_take(struct retry *r, int64_t now_ms);

// How long until then: 0 to INT_MAX ms; -1: none waits.
int retry_due(const struct retry *r, int64_t now_ms);

#endif
