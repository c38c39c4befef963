// SPDX-License-Identifier: MIT
#include "retry.h"
#include "say.h"

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
    char *copy = xstrdup(codes), *save = NULL;
    bool good = *codes;
    for (char *s = strtok_r(copy, ",", &save); s && good; s = strtok_r(NULL, ",", &save))
        good = parse_code(r, s);
    free(copy);
    r->some = true;
    return good;
}

bool retry_wants(const struct retry *r, int tries, int code, bool timed_out)
{
    if (tries >= r->tries)
        return false;
    if (!r->some)
        return true;
    if (timed_out)
        return r->on_timeout;
    return code < 0 ? r->on_signal : r->on[code];
}

int64_t retry_delay_ms(const struct retry *r, int tries)
{
    int doublings = tries - 1 < DOUBLINGS ? tries - 1 : DOUBLINGS;
    int64_t delay = r->delay_ms << (doublings > 0 ? doublings : 0);
    return delay < DELAY_MAX_MS || delay == r->delay_ms ? delay : DELAY_MAX_MS;
}
