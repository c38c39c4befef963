// SPDX-License-Identifier: MIT
//
// The functions of <mp/proxy.h> and <mp/manager_pool.h>: each is one call, by its name in the table
// of calls.
#include "session.h"

#include <mp/manager_pool.h>
#include <sys/syscall.h>
#include <unistd.h>

int64_t mp_call_number(mp_proxy *p, const char *method)
{
    mp_buf b = {0};
    bool truth;
    int64_t n = 0;
    int r = mp_call(p, &b, MP_FOREVER, method, "");
    if (r == 0 && mp_unpack(b.data, b.size, "t", &truth) == 0)
        n = truth;
    else if (r == 0)
        r = mp_unpack(b.data, b.size, "I", &n);
    mp_buf_free(&b);
    return r < 0 ? r : n;
}

// For methods that give a truth value.
static int truth_of(int r, bool truth)
{
    return r < 0 ? r : truth;
}

int mp_dict_del(mp_proxy *d, const char *key)
{
    return key ? mp_call(d, NULL, MP_FOREVER, "del", "s", key) : MP_EINVAL;
}

int mp_dict_contains(mp_proxy *d, const char *key)
{
    bool is = false;
    if (!key)
        return MP_EINVAL;
    int r = mp_call(d, NULL, MP_FOREVER, "contains", "s > t", key, &is);
    return truth_of(r, is);
}

int mp_dict_incr(mp_proxy *d, const char *key, int64_t by, int64_t *sum)
{
    int64_t n;
    return key ? mp_call(d, NULL, MP_FOREVER, "incr", "s I > I", key, by, sum ? sum : &n)
               : MP_EINVAL;
}

int mp_counter_add(mp_proxy *c, int64_t by, int64_t *sum)
{
    int64_t n;
    return mp_call(c, NULL, MP_FOREVER, "add", "I > I", by, sum ? sum : &n);
}

// ---- what belongs to a thread --------------------------------------------------------

static uint64_t this_thread(void)
{
    static _Thread_local pid_t tid, of; // a forked child has the one of its parent
    pid_t pid = getpid();
    if (of != pid) {
        tid = (pid_t)syscall(SYS_gettid);
        of = pid;
    }
    return (uint64_t)tid;
}

int mp_remote_lock_acquire_lease(mp_proxy *l, int timeout_ms, int lease_ms, uint64_t *token)
{
    uint64_t t;
    if (lease_ms < 0)
        return MP_EINVAL;
    return mp_call(l, NULL, timeout_ms, "acquire", "U u > U", this_thread(), (unsigned)lease_ms,
                   token ? token : &t);
}

int mp_remote_lock_acquire(mp_proxy *l, int timeout_ms, uint64_t *token)
{
    uint64_t t;
    return mp_call(l, NULL, timeout_ms, "acquire", "U > U", this_thread(), token ? token : &t);
}

int mp_remote_lock_release(mp_proxy *l)
{
    return mp_call(l, NULL, 0, "release", "U", this_thread());
}

int mp_remote_lock_validate(mp_proxy *l, uint64_t token)
{
    bool is = false;
    int r = mp_call(l, NULL, 0, "validate", "U > t", token, &is);
    return truth_of(r, is);
}

int mp_remote_lock_renew(mp_proxy *l, uint64_t token, int lease_ms)
{
    return lease_ms <= 0 ? MP_EINVAL
                         : mp_call(l, NULL, 0, "renew", "U u", token, (unsigned)lease_ms);
}

int mp_remote_condition_wait(mp_proxy *c, int timeout_ms)
{
    bool notified = false;
    int r = mp_call(c, NULL, timeout_ms, "wait", "U > [t *]", this_thread(), &notified);
    return truth_of(r, notified);
}

int64_t mp_remote_condition_notify(mp_proxy *c, size_t n)
{
    uint64_t woken = 0;
    int r = n == SIZE_MAX
                ? mp_call(c, NULL, 0, "notify_all", "U > U", this_thread(), &woken)
                : mp_call(c, NULL, 0, "notify", "U U > U", (uint64_t)n, this_thread(), &woken);
    return r < 0 ? r : (int64_t)woken;
}

int mp_remote_semaphore_acquire(mp_proxy *s, int timeout_ms)
{
    return mp_call(s, NULL, timeout_ms, "acquire", "");
}

int mp_remote_semaphore_release(mp_proxy *s)
{
    return mp_call(s, NULL, 0, "release", "");
}

int mp_remote_event_set(mp_proxy *e)
{
    return mp_call(e, NULL, 0, "set", "");
}

int mp_remote_event_clear(mp_proxy *e)
{
    return mp_call(e, NULL, 0, "clear", "");
}

int mp_remote_event_wait(mp_proxy *e, int timeout_ms)
{
    return mp_call(e, NULL, timeout_ms, "wait", "");
}

int64_t mp_remote_barrier_wait(mp_proxy *b, int timeout_ms)
{
    uint64_t index = 0;
    int r = mp_call(b, NULL, timeout_ms, "wait", "> U", &index);
    return r < 0 ? r : (int64_t)index;
}

// ---- Pool ----------------------------------------------------------------------------

int mp_remote_pool_wait(mp_proxy *p, int64_t job, int timeout_ms)
{
    return mp_call(p, NULL, timeout_ms, "wait", "I", job);
}

static int ask_job(mp_proxy *p, const char *method, int64_t job)
{
    bool is = false;
    int r = mp_call(p, NULL, 0, method, "I > t", job, &is);
    return truth_of(r, is);
}

int mp_remote_pool_ready(mp_proxy *p, int64_t job)
{
    return ask_job(p, "ready", job);
}

int mp_remote_pool_successful(mp_proxy *p, int64_t job)
{
    return ask_job(p, "successful", job);
}

int64_t mp_remote_pool_cancel(mp_proxy *p, int64_t job)
{
    uint64_t n = 0;
    int r = mp_call(p, NULL, 0, "cancel", "I > U", job, &n);
    return r < 0 ? r : (int64_t)n;
}

int mp_remote_pool_forget(mp_proxy *p, int64_t job)
{
    return mp_call(p, NULL, 0, "forget", "I", job);
}

int mp_remote_pool_close(mp_proxy *p)
{
    return mp_call(p, NULL, 0, "close", "");
}

int mp_remote_pool_terminate(mp_proxy *p)
{
    return mp_call(p, NULL, 0, "terminate", "");
}

int mp_remote_pool_join(mp_proxy *p, int timeout_ms)
{
    return mp_call(p, NULL, timeout_ms, "join", "");
}
