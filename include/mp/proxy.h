// SPDX-License-Identifier: MIT
//
// The objects of a manager (mp/manager.h), with a function for each thing that is done often.
// Everything else, and keys that are no text, by mp_call() and the method's name.
//
//  1. mp_manager_get(m, &d, "prices", "dict", "") gives the proxy;
//  2. mp_dict_set(d, "tea", "d", 3.5);
//  3. mp_dict_get(d, NULL, "tea", "d", &price);
//  4. mp_proxy_free(d).
//
// Values have a format of mp/pack.h, and are nearly always one: "d", "s", "{s:i s:[dd]}". Where
// a result can point into the answer (s#, b#, O#), b is what it points into, and NULL otherwise.
// What has a local namesake is called mp_remote_...: mp_lock_acquire() takes a lock in shared
// memory, mp_remote_lock_acquire() one in a manager. Objects of type Pool are in mp/manager_pool.h.
//
// Each returns 0, or what is said there, and the errors of mp_call(): MP_ETYPE when the object
// is of another type, MP_ESTALE, MP_ELOST, ... All may be called from any thread.
#ifndef MP_PROXY_H
#define MP_PROXY_H

#include <mp/manager.h>

#ifdef __cplusplus
extern "C" {
#endif

// What the calls below are made of: a call with a text or an index before the arguments that the
// format says; or with the format for the result. Since 0.1.
typedef enum mp_lead {
    MP_LEAD_NONE,
    MP_LEAD_KEY,        // first argument: key
    MP_LEAD_INDEX,      // first argument: index
    MP_LEAD_RESULT = 4, // the format is the result's
} mp_lead;

// The call itself; MP_CALL_LEAD() adds the types of the arguments. Since 0.1.
MP_API MP_NODISCARD int mp_call_lead_args(mp_proxy *p, mp_buf *b, int timeout_ms,
                                          const char *method, unsigned lead, const char *key,
                                          int64_t index, const char *types, const char *format,
                                          ...);
#define MP_CALL_LEAD(p, b, ms, method, lead, key, index, ...)                                      \
    mp_call_lead_args(p, b, ms, method, lead, key, index, MP_ARG_TYPES(__VA_ARGS__), __VA_ARGS__)

// The number that a method without arguments gives ("len", "qsize", "is_set"), or an error.
// Since 0.1.
MP_API MP_NODISCARD int64_t mp_call_number(mp_proxy *p, const char *method);

// ---- dict ----------------------------------------------------------------------------

// `int mp_dict_set(mp_proxy *d, const char *key, const char *format, ...)` sets a key's value.
// Since 0.1.
#define mp_dict_set(d, key, ...)                                                                   \
    MP_CALL_LEAD(d, NULL, MP_FOREVER, "set", MP_LEAD_KEY, key, 0, __VA_ARGS__)

// `int mp_dict_get(mp_proxy *d, mp_buf *b, const char *key, const char *format, ...)` reads it.
// MP_ENOTFOUND: there is no such key. Since 0.1.
#define mp_dict_get(d, b, key, ...)                                                                \
    MP_CALL_LEAD(d, b, MP_FOREVER, "get", MP_LEAD_KEY | MP_LEAD_RESULT, key, 0, __VA_ARGS__)

// `int mp_dict_pop(mp_proxy *d, mp_buf *b, const char *key, const char *format, ...)` removes a
// key and reads its value; of several that pop it, one gets it. MP_ENOTFOUND. Since 0.1.
#define mp_dict_pop(d, b, key, ...)                                                                \
    MP_CALL_LEAD(d, b, MP_FOREVER, "pop", MP_LEAD_KEY | MP_LEAD_RESULT, key, 0, __VA_ARGS__)

// `int mp_dict_setdefault(mp_proxy *d, mp_buf *b, const char *key, const char *format, ...)` sets
// the value of a key that has none. b, if there is one, gets the value that it has then, packed.
// Since 0.1.
#define mp_dict_setdefault(d, b, key, ...)                                                         \
    MP_CALL_LEAD(d, b, MP_FOREVER, "setdefault", MP_LEAD_KEY, key, 0, __VA_ARGS__)

// Removes a key (MP_ENOTFOUND); tells whether there is one: 1 or 0. Since 0.1.
MP_API int mp_dict_del(mp_proxy *d, const char *key);
MP_API MP_NODISCARD int mp_dict_contains(mp_proxy *d, const char *key);

// Adds to a key's number; a missing one counts as 0. The sum goes to *sum, unless that is NULL.
// MP_ETYPE: it is no integer; MP_EOVERFLOW: it stays. Since 0.1.
MP_API int mp_dict_incr(mp_proxy *d, const char *key, int64_t by, int64_t *sum);

// The number of keys. Since 0.1.
#define mp_dict_len(d) mp_call_number(d, "len")

// ---- list ----------------------------------------------------------------------------

// `int mp_list_append(mp_proxy *l, const char *format, ...)` adds a value at the end. Since 0.1.
#define mp_list_append(l, ...) mp_call(l, NULL, MP_FOREVER, "append", __VA_ARGS__)

// `int mp_list_get(mp_proxy *l, mp_buf *b, int64_t index, const char *format, ...)` reads the value
// at an index; -1 is the last. MP_EINDEX: there is none. Since 0.1.
#define mp_list_get(l, b, index, ...)                                                              \
    MP_CALL_LEAD(l, b, MP_FOREVER, "get", MP_LEAD_INDEX | MP_LEAD_RESULT, NULL, index, __VA_ARGS__)

// `int mp_list_set(mp_proxy *l, int64_t index, const char *format, ...)` replaces it. MP_EINDEX.
// Since 0.1.
#define mp_list_set(l, index, ...)                                                                 \
    MP_CALL_LEAD(l, NULL, MP_FOREVER, "set", MP_LEAD_INDEX, NULL, index, __VA_ARGS__)

// `int mp_list_insert(mp_proxy *l, int64_t index, const char *format, ...)` puts a value before
// it; beyond an end means that end. Since 0.1.
#define mp_list_insert(l, index, ...)                                                              \
    MP_CALL_LEAD(l, NULL, MP_FOREVER, "insert", MP_LEAD_INDEX, NULL, index, __VA_ARGS__)

// `int mp_list_pop(mp_proxy *l, mp_buf *b, int64_t index, const char *format, ...)` removes a
// value and reads it. MP_EINDEX. Since 0.1.
#define mp_list_pop(l, b, index, ...)                                                              \
    MP_CALL_LEAD(l, b, MP_FOREVER, "pop", MP_LEAD_INDEX | MP_LEAD_RESULT, NULL, index, __VA_ARGS__)

// The number of values. Since 0.1.
#define mp_list_len(l) mp_call_number(l, "len")

// ---- Namespace, set, counter ---------------------------------------------------------

// `int mp_namespace_set(mp_proxy *n, const char *name, const char *format, ...)` sets an
// attribute; `int mp_namespace_get(mp_proxy *n, mp_buf *b, const char *name, const char *format,
// ...)` reads it (MP_ENOTFOUND). Since 0.1.
#define mp_namespace_set(n, name, ...)    mp_dict_set(n, name, __VA_ARGS__)
#define mp_namespace_get(n, b, name, ...) mp_dict_get(n, b, name, __VA_ARGS__)

// `int mp_set_add(mp_proxy *s, const char *format, ...)`, `int mp_set_discard(...)`: a value
// is in the set from then on, or is not. Since 0.1.
#define mp_set_add(s, ...)     mp_call(s, NULL, MP_FOREVER, "add", __VA_ARGS__)
#define mp_set_discard(s, ...) mp_call(s, NULL, MP_FOREVER, "discard", __VA_ARGS__)

// Adds to a counter; the sum goes to *sum, unless that is NULL. by 0 reads it. MP_EOVERFLOW: it
// stays. Since 0.1.
MP_API int mp_counter_add(mp_proxy *c, int64_t by, int64_t *sum);

// ---- queues --------------------------------------------------------------------------

// `int mp_remote_queue_put(mp_proxy *q, int timeout_ms, const char *format, ...)` adds an item,
// waiting for room; `int mp_remote_queue_get(mp_proxy *q, mp_buf *b, int timeout_ms, const char
// *format, ...)` takes the next one, waiting for it. MP_ETIMEDOUT, MP_EAGAIN (timeout 0),
// MP_ECLOSED (shut down). Since 0.1.
#define mp_remote_queue_put(q, timeout_ms, ...) mp_call(q, NULL, timeout_ms, "put", __VA_ARGS__)
#define mp_remote_queue_get(q, b, timeout_ms, ...)                                                 \
    MP_CALL_LEAD(q, b, timeout_ms, "get", MP_LEAD_RESULT, NULL, 0, __VA_ARGS__)

// ---- locks ---------------------------------------------------------------------------
//
// A lock belongs to the thread that acquired it, in the session of its process. When the
// process dies, or is killed, the next one gets the lock with MP_EOWNERDEAD: it has it, and should
// look whether what it guards is in order. Each acquire gives a token, larger than all before:
// give it to what the lock guards, and let that refuse smaller ones.

// Acquires a Lock or RLock, or the lock of a Condition. *token may be NULL. MP_EOWNERDEAD:
// acquired, too; MP_ETIMEDOUT, MP_EAGAIN (timeout 0): not. Since 0.1.
MP_API MP_NODISCARD int mp_remote_lock_acquire(mp_proxy *l, int timeout_ms, uint64_t *token);

// The same for lease_ms: then others may have it, whatever has become of this process.
// Since 0.1.
MP_API MP_NODISCARD int mp_remote_lock_acquire_lease(mp_proxy *l, int timeout_ms, int lease_ms,
                                                     uint64_t *token);

// Gives it up. MP_ENOTHELD: this thread does not have it. Since 0.1.
MP_API int mp_remote_lock_release(mp_proxy *l);

// Whether the lock is held under that token still: 1 or 0. Since 0.1.
MP_API MP_NODISCARD int mp_remote_lock_validate(mp_proxy *l, uint64_t token);

// Lets the lease end lease_ms from now. MP_EFENCED: it has run out. Since 0.1.
MP_API MP_NODISCARD int mp_remote_lock_renew(mp_proxy *l, uint64_t token, int lease_ms);

// With the Condition's lock held: gives it up, waits to be notified, has it again. 1 when it was
// notified, 0 when the time was over; or an error. Since 0.1.
MP_API MP_NODISCARD int mp_remote_condition_wait(mp_proxy *c, int timeout_ms);

// Wakes n of those that wait (all: SIZE_MAX). Returns how many. Since 0.1.
MP_API int64_t mp_remote_condition_notify(mp_proxy *c, size_t n);

// Takes one unit of a Semaphore, waiting for it; gives one (MP_EBOUND: more than it began with).
// Those of a process that died come back. Since 0.1.
MP_API MP_NODISCARD int mp_remote_semaphore_acquire(mp_proxy *s, int timeout_ms);
MP_API int mp_remote_semaphore_release(mp_proxy *s);

// Sets, clears, waits for an Event; for its state mp_call_number(e, "is_set"). Since 0.1.
MP_API int mp_remote_event_set(mp_proxy *e);
MP_API int mp_remote_event_clear(mp_proxy *e);
MP_API MP_NODISCARD int mp_remote_event_wait(mp_proxy *e, int timeout_ms);

// Waits at a Barrier until all are there; returns this one's index. MP_EBARRIER: it is broken.
// Since 0.1.
MP_API MP_NODISCARD int64_t mp_remote_barrier_wait(mp_proxy *b, int timeout_ms);

#ifdef __cplusplus
}
#endif
#endif
