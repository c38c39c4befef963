// SPDX-License-Identifier: MIT
#include "halt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

// Takes a word off the beginning.
static bool skip(const char **s, const char *word)
{
    size_t n = strlen(word);
    bool found = !strncmp(*s, word, n);
    if (found)
        *s += n;
    return found;
}

static bool parse_number(struct halt *h, const char *s)
{
    char *end;
    errno = 0;
    h->number = strtol(s, &end, 10);
    h->percent = *end == '%';
    end += h->percent;
    return *s >= '0' && *s <= '9' && !*end && !errno && h->number >= 1 &&
           (!h->percent || h->number <= 100);
}

static bool parse_old(struct halt *h, const char *s)
{
    static const struct {
        const char *name;
        struct halt is;
    } old[] = {
        {"never", {HALT_NEVER, ON_FAIL, 1, false, 0, 0}},
        {"0", {HALT_NEVER, ON_FAIL, 1, false, 0, 0}},
        {"1", {HALT_SOON, ON_FAIL, 1, false, 0, 0}},
        {"2", {HALT_NOW, ON_FAIL, 1, false, 0, 0}},
        {"-1", {HALT_SOON, ON_SUCCESS, 1, false, 0, 0}},
        {"-2", {HALT_NOW, ON_SUCCESS, 1, false, 0, 0}},
    };
    for (size_t i = 0; i < sizeof old / sizeof *old; i++)
        if (!strcmp(s, old[i].name)) {
            *h = old[i].is;
            return true;
        }
    h->when = HALT_SOON;
    return parse_number(h, s) && h->percent;
}

bool halt_parse(struct halt *h, const char *s)
{
    *h = (struct halt){.when = HALT_NOW};
    if (skip(&s, "soon,"))
        h->when = HALT_SOON;
    else if (!skip(&s, "now,"))
        return parse_old(h, s);
    if (skip(&s, "success="))
        h->what = ON_SUCCESS;
    else if (skip(&s, "done="))
        h->what = ON_DONE;
    else if (!skip(&s, "fail="))
        return false;
    return parse_number(h, s);
}

bool halt_count(struct halt *h, bool failed, long jobs)
{
    h->failed += failed;
    h->succeeded += !failed;
    if (h->when == HALT_NEVER || (h->what != ON_DONE && (h->what == ON_FAIL) != failed))
        return false;
    long all = h->failed + h->succeeded;
    long n = h->what == ON_FAIL ? h->failed : h->what == ON_SUCCESS ? h->succeeded : all;
    return h->percent ? 100 * n >= h->number * jobs : n >= h->number;
}
