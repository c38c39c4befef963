// SPDX-License-Identifier: MIT
#include "work/report.h"

#include <mp/error.h>
#include <stdio.h>
#include <string.h>

#define COUNTS 64 // bytes: "; 12 items failed, 3 done"

void mp__report_init(struct mp__report *r, size_t n)
{
    *r = (struct mp__report){.n = n, .died = {SIZE_MAX, SIZE_MAX}, .first_failed = SIZE_MAX};
}

void mp__report_death(struct mp__report *r, struct mp__range items, const struct mp__mortem *m)
{
    r->failed += items.end - items.begin;
    if (items.begin >= r->died.begin)
        return;
    r->died = items;
    r->mortem = *m;
}

void mp__report_failures(struct mp__report *r, size_t count, size_t first, int status)
{
    r->failed += count;
    if (first >= r->first_failed)
        return;
    r->first_failed = first;
    r->first_status = status;
}

int mp__report_result(const struct mp__report *r)
{
    if (r->died.begin != SIZE_MAX)
        return MP_EWORKERDIED;
    return r->failed ? MP_ETASK : 0;
}

static int put_death(const struct mp__report *r, char *buf, size_t size)
{
    char items[64];
    if (r->died.end - r->died.begin == 1)
        snprintf(items, sizeof items, "item %zu", r->died.begin);
    else
        snprintf(items, sizeof items, "items %zu to %zu", r->died.begin, r->died.end - 1);
    // What follows is more important than the end of a long sentence.
    int len = snprintf(buf, size, "%s of %zu: ", items, r->n);
    return len + mp__mortem_text(&r->mortem, buf + len, size - (size_t)len - COUNTS);
}

void mp__report_text(const struct mp__report *r, char *buf, size_t size)
{
    int len = 0;
    buf[0] = 0;
    if (r->failed == 0)
        return;
    if (r->died.begin != SIZE_MAX)
        len = put_death(r, buf, size);
    else
        len = snprintf(buf, size, "item %zu of %zu: the task returned %d", r->first_failed, r->n,
                       r->first_status);
    snprintf(buf + len, size - (size_t)len, "; %zu item%s failed, %zu done", r->failed,
             r->failed == 1 ? "" : "s", r->n - r->failed);
}
