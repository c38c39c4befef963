// SPDX-License-Identifier: MIT
#include "retry.h"
#include "job.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { DOUBLINGS = 10, DELAY_MAX_MS = 3600 * 1000 };

static bool parse_code(struct retry *r, const char *s)
{
    char *end;
    if (!strcmp(s, "signal"))
        return r->on_signal = true;
    if (!strcmp(s, "timeout"))
        return r->on_timeout = true;
    if (*s < '0' || *s > '9')
        return false;
    long first = strtol(s, &end, 10), last = first;
    if (*end == '-' && end[1] >= '0' && end[1] <= '9')
        last = strtol(end + 1, &end, 10);
    if (*end || first < 1 || last > 255 || first > last)
        return false;
    for (long i = first; i <= last; i++)
        r->on[i] = true;
    return true;
}

bool retry_parse(struct retry *r, const char *codes)
{
    char *copy = strdup(codes), *save = NULL;
    bool good = copy && *codes;
    for (char *s = strtok_r(copy, ",", &save); s && good; s = strtok_r(NULL, ",", &save))
        good = parse_code(r, s);
    free(copy);
    r->some = true;
    return good;
}

bool retry_wants(const struct retry *r, const struct job *j)
{
    if (j->tries >= r->tries)
        return false;
    if (!r->some)
        return true;
    if (j->timed_out)
        return r->on_timeout;
    return j->code < 0 ? r->on_signal : r->on[j->code];
}

void retry_add(struct retry *r, struct job *j, int64_t now_ms, bool at_once)
{
    int doublings = j->tries - 1 < DOUBLINGS ? j->tries - 1 : DOUBLINGS;
    int64_t delay = at_once ? 0 : r->delay_ms << (doublings > 0 ? doublings : 0);
    j->due_ms = now_ms + (delay < DELAY_MAX_MS || delay == r->delay_ms ? delay : DELAY_MAX_MS);
    struct job **at = &r->waiting;
    while (*at && (*at)->due_ms <= j->due_ms)
        at = &(*at)->next;
    j->next = *at;
    *at = j;
}

struct job *retry_take(struct retry *r, int64_t now_ms)
{
    struct job *j = r->waiting;
    if (!j || j->due_ms > now_ms)
        return NULL;
    r->waiting = j->next;
    j->next = NULL;
    return j;
}

int retry_due(const struct retry *r, int64_t now_ms)
{
    if (!r->waiting)
        return -1;
    int64_t left = r->waiting->due_ms - now_ms;
    return left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
}
