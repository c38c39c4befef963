// SPDX-License-Identifier: MIT
//
// grep on all cores: what each worker prepares once, and what it then does with each line.
//
//     mpmap --so ./plugin_match.so:match 'error|warning' < log
#include <mp/plugin.h>

#include <regex.h>

mp_plugin_init_fn match_init; // found by its name
mp_record_fn match;

MP_API
int match_init(mp_plugin_args *args)
{
    static regex_t re;
    args->state = &re;
    return args->argc == 1 ? regcomp(&re, args->argv[0], REG_EXTENDED | REG_NOSUB) : -1;
}

MP_API
int match(const char *record, size_t len, mp_out *out, void *ctx)
{
    const mp_plugin_args *args = ctx;
    if (regexec(args->state, record, 0, NULL, 0))
        return 0;
    return mp_out_write(out, record, len) ? -1 : mp_out_putc(out, '\n');
}
