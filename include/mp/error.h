// SPDX-License-Identifier: MIT
//
// Errors: one table of codes, names and texts.
//
// A failing call returns a negative number. Errors of the operating system are
// -errno (so -ENOMEM, -EMFILE, ...); our own are the MP_E... below, from -1001
// on. They come in kinds, because each wants another reaction:
//
//   MP_KIND_MISUSE  the call is wrong: mend the program
//   MP_KIND_OVER    it is over: closed, end of data, timed out, cancelled
//   MP_KIND_PEER    the other process died or broke off
//   MP_KIND_REMOTE  the function you ran elsewhere failed
//   MP_KIND_SYSTEM  the operating system refused: memory, descriptors, limits
//   MP_KIND_BUG     a state that libmp rules out: please report it
//
// There is no global "last error". Where a text says more than the code can
// (which item, which signal), the object has it: mp_pool_error(), mp_future_error_text().
#ifndef MP_ERROR_H
#define MP_ERROR_H

#include <mp/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum mp_kind {
    MP_KIND_OK,
    MP_KIND_MISUSE,
    MP_KIND_OVER,
    MP_KIND_PEER,
    MP_KIND_REMOTE,
    MP_KIND_SYSTEM,
    MP_KIND_BUG,
} mp_kind;

// The table: X(name, code, kind, text). Codes are stable: never renumbered,
// never used again.
#define MP_ERROR_TABLE(X)                                                                          \
    X(MP_EINVAL, -1001, MISUSE, "an argument is not valid")                                        \
    X(MP_ESTATE, -1002, MISUSE, "not allowed in the object's present state")                       \
    X(MP_EOWNER, -1003, MISUSE,                                                                    \
      "this process does not own the handle (it was inherited or given away)")                     \
    X(MP_ENOFUNC, -1004, MISUSE, "the function is not known in the process that should run it")    \
    X(MP_EOVERFLOW, -1005, MISUSE,                                                                 \
      "a number does not fit: count x size, or a value into its type")                             \
    X(MP_EDEPTH, -1006, MISUSE, "nested too deeply")                                               \
    X(MP_EMSGSIZE, -1007, MISUSE, "the message does not fit")                                      \
    X(MP_ENOTHELD, -1008, MISUSE, "the caller does not hold it")                                   \
    X(MP_EHELD, -1009, MISUSE, "the caller holds it already")                                      \
    X(MP_EBOUND, -1010, MISUSE, "above the bound: released more often than acquired")              \
    X(MP_EINDEX, -1011, MISUSE, "the index is out of range")                                       \
    X(MP_ETYPE, -1012, MISUSE, "an object or a value of another type")                             \
    X(MP_ENOTSUP, -1013, MISUSE, "this kind of pipe or object cannot do that")                     \
    X(MP_EDENIED, -1014, MISUSE, "not allowed for this client")                                    \
    X(MP_ECLOSED, -1101, OVER, "closed")                                                           \
    X(MP_EOF, -1102, OVER, "end of data: the other end is closed and everything was read")         \
    X(MP_ETIMEDOUT, -1103, OVER, "timed out")                                                      \
    X(MP_ECANCELED, -1104, OVER, "cancelled")                                                      \
    X(MP_EAGAIN, -1105, OVER, "would block")                                                       \
    X(MP_ENOTFOUND, -1106, OVER, "no such key, name or item")                                      \
    X(MP_ESTALE, -1107, OVER, "the object is gone: freed, or its manager was started again")       \
    X(MP_EFENCED, -1108, OVER, "not the lock's holder any more: others may have it")               \
    X(MP_EQUOTA, -1109, OVER, "a limit of the manager is reached")                                 \
    X(MP_EPIPE, -1201, PEER, "broken pipe: nobody reads the other end any more")                   \
    X(MP_ETRUNCATED, -1202, PEER, "the peer went away inside a message")                           \
    X(MP_EWORKERDIED, -1203, PEER, "the worker that ran this died")                                \
    X(MP_EBROKEN, -1204, PEER, "broken: it can only be freed")                                     \
    X(MP_EPROTO, -1205, PEER, "the peer sent or wrote something that makes no sense")              \
    X(MP_ESTATUS, -1206, PEER,                                                                     \
      "the exit status was taken by somebody else (SIGCHLD ignored, or waitpid)")                  \
    X(MP_EOWNERDEAD, -1207, PEER, "the owner of the lock died while holding it")                   \
    X(MP_EBARRIER, -1208, PEER,                                                                    \
      "the barrier is broken: a party died, gave up or aborted it (reset it to use it again)")     \
    X(MP_EFORMAT, -1209, PEER, "not shared memory of libmp, or it is cut off or damaged")          \
    X(MP_EVERSION, -1210, PEER, "made by another version of libmp, or for another machine")        \
    X(MP_EUNSAFE, -1211, PEER, "it belongs to another user, or others may write it")               \
    X(MP_ELOST, -1212, PEER,                                                                       \
      "the connection to the manager is lost: whether the call was done is not known")             \
    X(MP_ETASK, -1301, REMOTE, "a task failed")                                                    \
    X(MP_EBUG, -1901, BUG, "internal error in libmp")

enum {
#define MP_ERROR_ENUM(name, code, kind, text) name = code,
    MP_ERROR_TABLE(MP_ERROR_ENUM)
#undef MP_ERROR_ENUM
};

// Returns a text for err, e.g. "broken pipe: nobody reads ...", or the system's
// own for -errno. Static storage, never NULL; async-signal-safe for MP_E codes.
// Since 0.1.
MP_API const char *mp_strerror(int64_t err);

// Returns the name of err: "MP_EPIPE", "ENOMEM"; "OK" for 0 and above, "unknown"
// for a number that is no error. Static storage. Since 0.1.
MP_API const char *mp_err_name(int64_t err);

// Returns the kind of err; MP_KIND_OK for 0 and above. Since 0.1.
MP_API mp_kind mp_err_kind(int64_t err);

#ifdef __cplusplus
}
#endif
#endif
