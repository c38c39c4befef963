// SPDX-License-Identifier: MIT
//
// The error table of <mp/error.h>, read three ways: text, name, kind.
#include <mp/error.h>

#include <limits.h>
#include <string.h>

static const struct entry {
    int code;
    mp_kind kind;
    const char *name;
    const char *text;
} table[] = {
#define ENTRY(name, code, kind, text) {code, MP_KIND_##kind, #name, text},
    MP_ERROR_TABLE(ENTRY)
#undef ENTRY
};

static const struct entry *find(int64_t err)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].code == err)
            return &table[i];
    return NULL;
}

// The name of a system error (-errno), or NULL when the number is none.
static const char *system_name(int64_t err)
{
    return err < 0 && err > -1000 ? strerrorname_np((int)-err) : NULL;
}

const char *mp_version(void)
{
    return MP_VERSION;
}

const char *mp_strerror(int64_t err)
{
    if (err >= 0)
        return "success";
    const struct entry *e = find(err);
    if (e)
        return e->text;
    return system_name(err) ? strerrordesc_np((int)-err) : "unknown error";
}

const char *mp_err_name(int64_t err)
{
    if (err >= 0)
        return "OK";
    const struct entry *e = find(err);
    if (e)
        return e->name;
    const char *name = system_name(err);
    return name ? name : "unknown";
}

mp_kind mp_err_kind(int64_t err)
{
    if (err >= 0)
        return MP_KIND_OK;
    const struct entry *e = find(err);
    if (e)
        return e->kind;
    return system_name(err) ? MP_KIND_SYSTEM : MP_KIND_BUG;
}
