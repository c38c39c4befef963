// SPDX-License-Identifier: MIT
//
// A manager holds objects for many processes, on this machine and others: dicts, lists,
// queues, locks, values. A program connects to it and calls methods of its objects through
// proxies, as if they were its own. What a process held when it died goes back: locks to
// the next who waits, items to their queue, references.
//
//  1. mp_connect_manager(&m, NULL, &(mp_manager_opts){.start = true}) connects to this user's
//     manager, which is started if there is none; or give a name, a path, or a URL;
//  2. mp_manager_get(m, &d, "prices", "dict", "") gives a proxy of the object of that name,
//     made if there is none; mp_manager_create() makes one without a name, which lives as long as
//     somebody refers to it;
//  3. mp_call(d, NULL, MP_FOREVER, "set", "s d", "tea", 3.5) calls any method of it, by its name;
//     mp/proxy.h has functions for the common ones: mp_dict_set(d, "tea", "d", 3.5);
//  4. mp_proxy_free(d);
//  5. mp_manager_free(m).
//
// `mpctl methods dict` lists what can be called of a dict; each object can also be asked "watch"
// and "debug", and the manager itself what `mpctl methods manager` lists.
//
// A connection is a session: the manager gives back what the session holds (locks, references,
// items that were taken and not acknowledged) when it ends, however. It may be used from all
// threads. A process that is forked has the handles, too, and gets a session of its own at its
// first call, in which it holds nothing; it should free them as any other. An object that
// its parent gave up meanwhile is MP_ESTALE there.
//
// When the connection is lost (the manager ended, or the network), every call that waits and each
// later one is MP_ELOST: whether a call that was under way was done is not known, and what was
// held is held no more. mp_manager_reconnect() begins a new session, in which proxies go on, if
// the manager has their objects still. If it was started anew, and does not keep what has a name
// (mpmanager --dir), they are MP_ESTALE for ever.
//
// After a hundred calls within a second a local client goes through shared memory: a call takes a
// microsecond or less then while both sides are awake. (Not while one of its threads waits for
// something: who has such a thread, and many calls to make, makes a connection for each.)
//
// Formats are those of mp/pack.h: the arguments, and behind a > what the result is read into, as
// in mp_call(d, &b, MP_FOREVER, "get", "s > d", "tea", &price). Without a > the result is dropped.
// Pointers that a result gives (of s#, b# and O#) point into the mp_buf. An
// object in a result (O#) becomes a proxy by mp_proxy_new(); in arguments, mp_proxy_pack() makes
// its bytes for O#.
#ifndef MP_MANAGER_H
#define MP_MANAGER_H

#include <mp/base.h>
#include <mp/error.h>
#include <mp/pack.h>
#include <mp/url.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mp_manager mp_manager; // a connection
typedef struct mp_proxy mp_proxy;     // an object at its other end

typedef struct mp_manager_opts {
    const char *client; // what this client is called in `mpctl clients`; NULL: the program's name
    bool start;         // a local one that is not there is started (mpmanager --background)
    bool no_rings;      // never go through shared memory
    int connect_ms;     // how long to try; 0 = 10 s, MP_FOREVER
    int patience_ms;    // how long a manager that owes an answer may be silent until the
                        // connection is given up (MP_ELOST); 0 = 30 s, MP_FOREVER
    const mp_url_opts *url; // for URLs: key, TLS; copied
    char *error;            // where a failing connect puts a sentence that says what is wrong
    size_t error_size;      // 300 bytes will do
} mp_manager_opts;

// Connects to a manager: where is a name (NULL: "default"), which stands for
// $XDG_RUNTIME_DIR/mp/NAME.sock; a path of such a socket, with a slash in it; or a URL (tcp://,
// tls+tcp://, ws://). With opts.start and no manager there, starts one; of several that do so
// at once all get the same. Blocks until it is connected. A path that somebody else could have
// put there, or at which a process of somebody else listens, is MP_EUNSAFE.
// Errors: -ECONNREFUSED or -ENOENT (there is none), MP_EUNSAFE, MP_EVERSION, MP_EQUOTA (it has
// too many clients), MP_ETIMEDOUT, MP_EINVAL, those of mp_connect() for a URL and of
// mp_spawn() with opts.start, -ENOMEM, -EMFILE. Since 0.1.
MP_API MP_NODISCARD int mp_connect_manager(mp_manager **out, const char *where,
                                           const mp_manager_opts *opts);

// Begins a new session after MP_ELOST, at the same place. Nothing is held in it. Not needed
// in a forked child. Errors: as mp_connect_manager(). Since 0.1.
MP_API MP_NODISCARD int mp_manager_reconnect(mp_manager *m);

typedef struct mp_manager_info {
    uint64_t instance; // a random number of this start of the manager
    uint64_t session;  // the number of this session, as in `mpctl clients`
    bool rings;        // it goes through shared memory now
} mp_manager_info;

// Tells about the session; in a forked child begins it. Errors: MP_ELOST, MP_ECLOSED, and
// those of mp_connect_manager() in a child. Since 0.1.
MP_API MP_NODISCARD int mp_manager_get_info(mp_manager *m, mp_manager_info *out);

// Ends the session: calls that wait get MP_ECLOSED. Idempotent; NULL is fine. Since 0.1.
MP_API void mp_manager_close(mp_manager *m);

// Closes it and releases the handle. Proxies that are left stay to be freed; they are
// MP_ECLOSED. NULL is fine. Since 0.1.
MP_API void mp_manager_free(mp_manager *m);

// ---- objects -------------------------------------------------------------------------

// `int mp_manager_create(mp_manager *m, mp_proxy **out, const char *type, const char *format, ...)`
// makes an object of that type, with arguments as the format says ("" if there are none).
// Errors: those of mp_call(), MP_ENOTFOUND (no such type), MP_EQUOTA. Since 0.1.
#define mp_manager_create(m, out, type, ...)                                                       \
    mp_manager_create_args(m, out, type, MP_ARG_TYPES(__VA_ARGS__), __VA_ARGS__)

// `int mp_manager_get(mp_manager *m, mp_proxy **out, const char *name, const char *type, const char
// *format, ...)` gives a proxy of the object of that name, and makes the object if there is
// none, in one step. It lives until its name is deleted. Returns 1 when it was made, 0 when it was
// there. Errors: as mp_manager_create(), MP_ETYPE (it is of another type). Since 0.1.
#define mp_manager_get(m, out, name, type, ...)                                                    \
    mp_manager_get_args(m, out, name, type, MP_ARG_TYPES(__VA_ARGS__), __VA_ARGS__)

// What the two call. Since 0.1.
MP_API MP_NODISCARD int mp_manager_create_args(mp_manager *m, mp_proxy **out, const char *type,
                                               const char *types, const char *format, ...);
MP_API MP_NODISCARD int mp_manager_get_args(mp_manager *m, mp_proxy **out, const char *name,
                                            const char *type, const char *types, const char *format,
                                            ...);

// Gives a proxy of the object of that name. Errors: MP_ENOTFOUND, those of mp_call(). Since 0.1.
MP_API MP_NODISCARD int mp_manager_open(mp_manager *m, mp_proxy **out, const char *name);

// Takes a name away; the object goes with the last reference to it. MP_ENOTFOUND. Since 0.1.
MP_API int mp_manager_delete(mp_manager *m, const char *name);

// Each object that a result contains is kept alive for this session, until a proxy of it is freed
// or the session ends: make a proxy of those that will not be needed for long.
//
// Gives a proxy of an object that a result contains: data and size are what O# gave. Errors:
// MP_ETYPE (it is no object), those of mp_call(). Since 0.1.
MP_API MP_NODISCARD int mp_proxy_new(mp_manager *m, mp_proxy **out, const void *data, size_t size);

// Puts the object at the end of b, for O# in arguments: it is then in what it was put into,
// for everybody, and lives as long as that. Errors: MP_EINVAL, those of mp_pack(). Since 0.1.
MP_API MP_NODISCARD int mp_proxy_pack(const mp_proxy *p, mp_buf *b);

// Gives the object a name. Errors: -EEXIST (another has it), MP_EINVAL (no name), those of
// mp_call(). Since 0.1.
MP_API MP_NODISCARD int mp_proxy_name(mp_proxy *p, const char *name);

// Its type ("dict"), as long as the proxy; its number in the manager. NULL, 0 for NULL.
// Since 0.1.
MP_API const char *mp_proxy_type(const mp_proxy *p);
MP_API uint64_t mp_proxy_number(const mp_proxy *p);

// Gives the session's reference back and releases the proxy. Does not wait. NULL is fine.
// Since 0.1.
MP_API void mp_proxy_free(mp_proxy *p);

// ---- calls ---------------------------------------------------------------------------

// `int mp_call(mp_proxy *p, mp_buf *b, int timeout_ms, const char *method, const char *format,
// ...)` calls a method and waits for its result. timeout_ms is how long the method itself may
// have to wait, for a lock or an item say: MP_ETIMEDOUT, and then nothing was taken. 0: not at all,
// MP_EAGAIN. It makes no difference to methods that never wait. A manager that is silent for
// opts.patience_ms beyond that is MP_ELOST. b gets the result as it is packed,
// in place of what b holds, or the text that an error comes with; NULL: no use for it.
// Errors: what the method gives; MP_ENOFUNC (no such method), MP_ETYPE and MP_EINVAL (arguments,
// also of another number), MP_ESTALE (the object is gone, or the manager was started anew),
// MP_ELOST (the connection is lost: it may have been done, or not), MP_ECLOSED, MP_EQUOTA (a limit
// of the manager's), MP_EMSGSIZE (too long for it), those of mp_pack() and of mp_unpack()
// for the result, -ENOMEM. Since 0.1.
#define mp_call(p, b, timeout_ms, method, ...)                                                     \
    mp_call_args(p, b, timeout_ms, method, MP_ARG_TYPES(__VA_ARGS__), __VA_ARGS__)

// What mp_call() is made of: it adds the types of the arguments. Since 0.1.
MP_API MP_NODISCARD int mp_call_args(mp_proxy *p, mp_buf *b, int timeout_ms, const char *method,
                                     const char *types, const char *format, ...);

// The manager itself as an object, with methods such as "stats", "list", "clients" and
// "shutdown". It is the connection's, not to be freed. Since 0.1.
MP_API mp_proxy *mp_manager_self(mp_manager *m);

// Many calls under way at once: begun one after the other, they are done in that order, but for
// those that wait for something.
//
// `int64_t mp_call_begin(mp_proxy *p, int timeout_ms, const char *method, const char *format, ...)`
// sends a call, with arguments only (no > in the format), and returns its ticket (> 0) for
// mp_call_end(), which has to follow. Blocks only while 250 are under way. Errors: those of
// mp_call() that are known without an answer, MP_EQUOTA (250, none of which is ending). Since
// 0.1.
#define mp_call_begin(p, timeout_ms, method, ...)                                                  \
    mp_call_begin_args(p, timeout_ms, method, MP_ARG_TYPES(__VA_ARGS__), __VA_ARGS__)

// What mp_call_begin() is made of. Since 0.1.
MP_API MP_NODISCARD int64_t mp_call_begin_args(mp_proxy *p, int timeout_ms, const char *method,
                                               const char *types, const char *format, ...);

// `int mp_call_end(mp_manager *m, mp_buf *b, int64_t ticket, const char *format, ...)` waits for
// the answer to a call and reads it by the format (without >; NULL or "": drops it). The ticket is
// used up, whatever the result. Errors: as mp_call(), MP_EINVAL (no such ticket). Since 0.1.
#define mp_call_end(m, b, ticket, ...)                                                             \
    mp_call_end_args(m, b, ticket, MP_ARG_TYPES(__VA_ARGS__), __VA_ARGS__)

// What mp_call_end() is made of. Since 0.1.
MP_API MP_NODISCARD int mp_call_end_args(mp_manager *m, mp_buf *b, int64_t ticket,
                                         const char *types, const char *format, ...);

// Whether mp_call_end() or mp_call_next() would not block: 1 or 0, after waiting up to timeout_ms.
// Errors: MP_EINVAL. Since 0.1.
MP_API MP_NODISCARD int mp_call_poll(mp_manager *m, int64_t ticket, int timeout_ms);

// `int mp_call_future(mp_proxy *p, mp_future **out, int timeout_ms, const char *method, const char
// *format, ...)` begins a call as mp_call_begin() does, whose answer completes a future
// (mp/future.h): its result is the value as it is packed, for mp_unpack(); its error that of the
// call. It can be waited for together with futures of any kind, and in a task of an mp_loop by
// mp_await_future(); it cannot be cancelled. Errors: as mp_call_begin(). Since 0.1.
#define mp_call_future(p, out, timeout_ms, method, ...)                                            \
    mp_call_future_args(p, out, timeout_ms, method, MP_ARG_TYPES(__VA_ARGS__), __VA_ARGS__)

struct mp_future;
// What mp_call_future() is made of. Since 0.1.
MP_API MP_NODISCARD int mp_call_future_args(mp_proxy *p, struct mp_future **out, int timeout_ms,
                                            const char *method, const char *types,
                                            const char *format, ...);

// Asks for the call to end early: mp_call_end() then gives MP_ECANCELED, or a result that was
// quicker, and what that acquired is the caller's. Does not wait. Since 0.1.
MP_API int mp_call_cancel(mp_manager *m, int64_t ticket);

// For "watch" and "monitor", whose calls stay open: waits for the next event and puts it into
// b, packed. Returns 1, or the error with which the call has ended; the ticket is still to be
// given to mp_call_end(). Errors: MP_ETIMEDOUT, as mp_call(). Since 0.1.
MP_API MP_NODISCARD int mp_call_next(mp_manager *m, int64_t ticket, mp_buf *b, int timeout_ms);

// A descriptor that is readable when an answer or event may be there, for poll() and event loops:
// then call mp_call_poll(m, ticket, 0) until it says 0. It stays the manager's, until a
// reconnect. A client that goes by its socket stays with that. Errors: MP_ELOST, MP_ECLOSED,
// -EMFILE. Since 0.1.
MP_API int mp_manager_fd(mp_manager *m);

#ifdef __cplusplus
}
#endif
#endif
