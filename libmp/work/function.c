// SPDX-License-Identifier: MIT
//
// A list of those that are registered, and the way from a pointer to what it is called and
// back. Name, build and place in it must all be the same: so two static functions of one
// name are told apart, and nobody runs what merely lies where something else was.
//
// Entries come and go in constructors, which may run in any thread while another forks: the
// list's lock is held across forks, as all our locks are.
#include "work/function.h"
#include "os/fork.h"
#include "work/code.h"

#include <mp/error.h>
#include <pthread.h>
#include <string.h>

static mp_function *registered; // guarded by the lock
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void lock_list(void)
{
    pthread_mutex_lock(&lock);
}

static void unlock_list(void)
{
    pthread_mutex_unlock(&lock);
}

MP__FORK_HOOKS(MP__HOOKS_FUNCTIONS) static void set_hooks(void)
{
    pthread_atfork(lock_list, unlock_list, unlock_list);
}

void mp_function_register(mp_function *f)
{
    if (!f)
        return;
    lock_list();
    f->next = registered;
    registered = f;
    unlock_list();
}

void mp_function_unregister(mp_function *f)
{
    lock_list();
    mp_function **at = &registered;
    while (*at && *at != f)
        at = &(*at)->next;
    if (*at)
        *at = f->next;
    unlock_list();
}

int mp__function_refer(mp__any_fn *fn, struct mp__function_ref *ref, const char **name)
{
    lock_list();
    const mp_function *f = registered;
    while (f && f->fn != fn)
        f = f->next;
    *name = f ? f->name : NULL;
    unlock_list();
    return *name && mp__code_at(fn, &ref->build, &ref->offset) ? 0 : MP_ENOFUNC;
}

mp__any_fn *mp__function_find(const struct mp__function_ref *ref, const char *name,
                              const char **why)
{
    mp__any_fn *found = NULL;
    struct mp__function_ref here;
    *why = "no function of that name is registered there";
    lock_list();
    for (const mp_function *f = registered; f && !found; f = f->next) {
        if (strcmp(f->name, name) != 0 || !mp__code_at(f->fn, &here.build, &here.offset))
            continue;
        if (here.build == ref->build && here.offset == ref->offset)
            found = f->fn;
        else
            *why = "the function of that name there is of another build, or another one";
    }
    unlock_list();
    return found;
}

const mp_function *mp__function_next(const mp_function *f)
{
    return f ? f->next : registered;
}
