// SPDX-License-Identifier: MIT
#include "options.h"
#include "say.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

// In the order of the man page.
const struct opt_group *const opt_groups[OPT_GROUPS] = {
    &opts_input, &opts_command, &opts_run,   &opts_output, &opts_watch,
    &opts_pipe,  &opts_plugin,  &opts_other, &opts_absent,
};

char option_letter(const struct opt *o, bool gnu)
{
    if (gnu && o->gnu_letter)
        return o->gnu_letter == '-' ? '\0' : o->gnu_letter;
    return o->letter;
}

// What a suffix multiplies by; 0 if it is none.
static long unit(const char *suffix)
{
    static const char big[] = "KMGTP", small[] = "kmgtp";
    if (!*suffix)
        return 1;
    if (suffix[1])
        return 0;
    const char *b = strchr(big, *suffix), *s = strchr(small, *suffix);
    long factor = 1;
    for (long i = b ? b - big : s ? s - small : -1; i >= 0; i--)
        factor *= b ? 1024 : 1000;
    return b || s ? factor : 0;
}

int option_number(const char *option, const char *arg, long min, long *number)
{
    char *end;
    errno = 0;
    long n = strtol(arg, &end, 10), factor = unit(end);
    bool digits = end > arg && end[-1] >= '0' && end[-1] <= '9' && (*arg == '-' || *arg <= '9') &&
                  *arg > ' ' && *arg != '+';
    if (errno || !digits || !factor || __builtin_mul_overflow(n, factor, number) || *number < min)
        return usage_error("--%s %s: not a whole number%s", option, arg,
                           min == 1   ? " from 1 on"
                           : min == 0 ? " from 0 on"
                                      : "");
    return -1;
}
