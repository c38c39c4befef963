// SPDX-License-Identifier: MIT
//
// --retries: which jobs are to be tried again, and when.
#ifndef MPMAP_RETRY_H
#define MPMAP_RETRY_H

#include <stdbool.h>
#include <stdint.h>

struct retry {
    long tries;       // of each job in all; LONG_MAX: until it succeeds
    int64_t delay_ms; // before the second try, doubled for each that follows
    bool some;        // only those marked in `on`
    bool on[256], on_signal, on_timeout;
};

// "1,75,100-110,signal,timeout". False: it is none.
bool retry_parse(struct retry *r, const char *codes);

// Whether a job that has failed, with this exit code or -signal, is to be tried again, and after
// how long.
bool retry_wants(const struct retry *r, int tries, int code, bool timed_out);
int64_t retry_delay_ms(const struct retry *r, int tries);

#endif
