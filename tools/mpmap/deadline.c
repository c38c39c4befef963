// SPDX-License-Identifier: MIT
#include "deadline.h"
#include "say.h"

#include <errno.h>
#include <math.h> // isfinite()
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static int parse_signal(const char *s)
{
    char *end;
    if (!strncmp(s, "SIG", 3))
        s += 3;
    long n = strtol(s, &end, 10);
    if (*s >= '0' && *s <= '9' && !*end)
        return n > 0 && n < NSIG ? (int)n : 0;
    for (int i = 1; i < NSIG; i++) {
        const char *name = sigabbrev_np(i);
        if (name && !strcmp(name, s))
            return i;
    }
    return 0;
}

static bool parse_ms(const char *s, int *ms)
{
    char *end;
    long n = strtol(s, &end, 10);
    *ms = (int)n;
    return *s >= '0' && *s <= '9' && !*end && n <= 86400000;
}

bool term_seq_parse(struct term_seq *t, const char *s)
{
    char *copy = xstrdup(s), *save = NULL;
    bool good = true;
    *t = (struct term_seq){0};
    for (char *p = strtok_r(copy, ",", &save); p && good; p = strtok_r(NULL, ",", &save)) {
        good = t->len < TERM_STEPS && (t->sig[t->len] = parse_signal(p)) > 0;
        if (!good)
            break;
        p = strtok_r(NULL, ",", &save);
        if (p)
            good = parse_ms(p, &t->ms[t->len]);
        t->len++;
    }
    free(copy);
    return good && t->len > 0;
}

// ---- run times --------------------------------------------------------------------------

// A bucket for each 32nd part of each power of two, from 2^-20 seconds on: the upper bits
// of the number itself.
enum { SHIFT = 52 - 5 };
static const double least = 0x1p-20;

static uint64_t bits_of(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits >> SHIFT;
}

void times_add(struct times *t, double seconds)
{
    uint64_t i = seconds <= least ? 0 : bits_of(seconds) - bits_of(least);
    t->in[i < BUCKETS ? i : BUCKETS - 1]++;
    t->len++;
}

double times_median(const struct times *t)
{
    long seen = 0;
    for (uint64_t i = 0; i < BUCKETS && t->len; i++) {
        seen += t->in[i];
        if (2 * seen < t->len)
            continue;
        uint64_t bits = (bits_of(least) + i) << SHIFT | 1ULL << (SHIFT - 1);
        double x;
        memcpy(&x, &bits, sizeof x);
        return x;
    }
    return 0;
}

int64_t parse_duration(const char *s)
{
    static const struct {
        char unit;
        double seconds;
    } units[] = {{'\0', 1}, {'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    char *end;
    if ((*s < '0' || *s > '9') && *s != '.')
        return -1;
    errno = 0;
    double n = strtod(s, &end);
    if (end == s || errno || !isfinite(n) || n > 1e9 || (*end && end[1]))
        return -1;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (*end == units[i].unit)
            return (int64_t)(n * units[i].seconds * 1000);
    return -1;
}
