// SPDX-License-Identifier: MIT
//
// Handles travel to other processes inside messages: open descriptors, pipe ends and
// shared objects, beside the bytes.
//
//  1. mp_pipe_send_handles(p, data, size, h, n, ...), with h made by MP_HANDLE() of each
//     thing (in C++: by mp_handle_fd(), mp_handle_pipe(), ...);
//  2. mp_pipe_recv_handles() in the process that has the other end: bytes and handles
//     arrive together, in the order of all messages of the pipe;
//  3. mp_handle_take_fd(), mp_handle_take_pipe(), ... make them the receiver's own;
//  4. mp_handle_close() for those it has no use for.
//
// What the sender has of it afterwards depends on its kind:
//
//   descriptor     its own: both have the open file, as after dup(2)
//   pipe end       nothing: it moves, with the messages that were not read yet. The handle
//                  gives MP_EOWNER from then on and is to be freed, as after
//                  mp_process_opts.give. If the send fails, it stays.
//   shared object  its own: both use the same lock, value, queue or arena. A process that
//                  has the object already, by fork, gets the same address; in another it
//                  may have another. Each frees what it took; the one that made the
//                  object, last. An object that was freed before it arrives is
//                  MP_ENOTFOUND when it is taken. The lock of a value cannot be sent
//                  without the value.
//
// Handles that wait in a pipe belong to nobody: when the receiver ends without having
// taken them they are closed, so the other end of a pipe that was among them gets MP_EOF.
// One thread sends and one receives, as ever; no call may be running on an end that is
// sent away.
#ifndef MP_HANDLE_H
#define MP_HANDLE_H

#include <mp/base.h>
#include <mp/error.h>
#include <mp/pipe.h>

#ifdef __cplusplus
extern "C" {
#endif

// What can be sent besides descriptors: X(KIND, name) for each mp_<name>, of mp/<name>.h. The
// kinds and functions below are made from it. Numbers stay: new ones come last.
#define MP_HANDLE_TYPES(X)                                                                         \
    X(PIPE, pipe)                                                                                  \
    X(QUEUE, queue)                                                                                \
    X(ARENA, arena)                                                                                \
    X(LOCK, lock)                                                                                  \
    X(RLOCK, rlock)                                                                                \
    X(SEMAPHORE, semaphore)                                                                        \
    X(CONDITION, condition)                                                                        \
    X(EVENT, event)                                                                                \
    X(BARRIER, barrier)                                                                            \
    X(RWLOCK, rwlock)                                                                              \
    X(VALUE, value)                                                                                \
    X(ARRAY, array)                                                                                \
    X(SHM_DICT, shm_dict)                                                                          \
    X(SHM_LIST, shm_list)

#define MP_HANDLE_KIND(KIND, name) MP_HANDLE_##KIND,
typedef enum mp_handle_kind {
    MP_HANDLE_NONE,                 // nothing, or taken
    MP_HANDLE_FD,                   // and MP_HANDLE_PIPE, ...
    MP_HANDLE_TYPES(MP_HANDLE_KIND) //
} mp_handle_kind;

// A handle on its way. One that was received may be sent on as it is.
typedef struct mp_handle {
    mp_handle_kind kind;
    int fd;       // of MP_HANDLE_FD; else -1
    int error;    // 0, or why the object that arrived cannot be had
    void *object; // of the others
} mp_handle;

// Descriptors that a message may carry: a pipe end counts as four, a queue as two, other
// objects as one.
#define MP_HANDLES_MAX 253

// A handle for fd; nothing is checked or changed before it is sent. The same for the others:
// mp_handle mp_handle_pipe(mp_pipe *p), mp_handle_arena(a) and so on. Since 0.1.
static inline mp_handle mp_handle_fd(int fd)
{
    mp_handle h = {MP_HANDLE_FD, fd, 0, NULL};
    return h;
}

// A handle for any of them, by the type of x. C only.
#ifndef __cplusplus
#define MP_HANDLE(x) _Generic((x), MP_HANDLE_TYPES(MP_HANDLE_CASE) int : mp_handle_fd)(x)

#define MP_HANDLE_CASE(KIND, name) struct mp_##name * : mp_handle_##name,
#endif

// Sends size bytes and n handles as one message. Blocks as mp_pipe_send() does, and
// also while some 200 messages with handles wait to be received. With n = 0 it is
// mp_pipe_send(). On failure nothing was given away.
// Errors: those of mp_pipe_send(); MP_ENOTSUP (a pipe by URL); MP_EINVAL (also: a negative
// descriptor, a NULL handle, an end sent through itself or its other end, or twice, an object that
// was freed), MP_EOWNER and MP_ECLOSED (also of an end among the handles), MP_EMSGSIZE (also: more
// than MP_HANDLES_MAX descriptors), -EBADF, -ENOMEM, -ETOOMANYREFS (this user has more descriptors
// under way than it may open). Since 0.1.
MP_API MP_NODISCARD int mp_pipe_send_handles(mp_pipe *p, const void *data, size_t size,
                                             const mp_handle *h, size_t n, int timeout_ms);

// Receives the next message, with handles or without: its bytes as mp_pipe_recv() does, and
// its handles into h, which has room for *n of them; *n becomes how many came. They are
// this process's from then on, close-on-exec. n = NULL is room for none.
// Errors: those of mp_pipe_recv(); and without taking the message: MP_EMSGSIZE (longer
// than cap; or more handles than *n, which then becomes how many), -EMFILE, -ENFILE,
// -ENOMEM (no room for them in this process). Since 0.1.
MP_API MP_NODISCARD int64_t mp_pipe_recv_handles(mp_pipe *p, void *buf, size_t cap, mp_handle *h,
                                                 size_t *n, int timeout_ms);

// Takes what the handle holds, which is then MP_HANDLE_NONE. The descriptor is returned; the
// caller closes it, or frees the pipe or the object. The same for the others:
// int mp_handle_take_pipe(mp_handle *h, mp_pipe **out) and so on; all are mp_handle_take().
// Errors: MP_ETYPE (of another kind, or taken: then it stays); of an object that cannot be
// had: MP_ENOTFOUND (it was freed), MP_EFORMAT, MP_EVERSION, MP_EUNSAFE; MP_EINVAL.
// Since 0.1.
MP_API MP_NODISCARD int mp_handle_take_fd(mp_handle *h);
MP_API MP_NODISCARD int mp_handle_take(mp_handle *h, mp_handle_kind kind, void **out);

#define MP_HANDLE_FUNCTIONS(KIND, name)                                                            \
    struct mp_##name;                                                                              \
    static inline mp_handle mp_handle_##name(struct mp_##name *object)                             \
    {                                                                                              \
        mp_handle h = {MP_HANDLE_##KIND, -1, 0, object};                                           \
        return h;                                                                                  \
    }                                                                                              \
    static inline int mp_handle_take_##name(mp_handle *h, struct mp_##name **out)                  \
    {                                                                                              \
        void *p = NULL;                                                                            \
        int r = out ? mp_handle_take(h, MP_HANDLE_##KIND, &p) : MP_EINVAL;                         \
        if (out)                                                                                   \
            *out = (struct mp_##name *)p;                                                          \
        return r;                                                                                  \
    }
MP_HANDLE_TYPES(MP_HANDLE_FUNCTIONS)

// Closes what was received in n handles and not taken. NULL is fine. Since 0.1.
MP_API void mp_handle_close(mp_handle *h, size_t n);

// A message of a single handle and no bytes. mp_pipe_recv_fd() returns the descriptor.
// Errors: as above; MP_ETYPE when the next message is anything else, which then stays.
// Since 0.1.
MP_API MP_NODISCARD int mp_pipe_send_fd(mp_pipe *p, int fd, int timeout_ms);
MP_API MP_NODISCARD int mp_pipe_recv_fd(mp_pipe *p, int timeout_ms);
MP_API MP_NODISCARD int mp_pipe_send_pipe(mp_pipe *p, mp_pipe *end, int timeout_ms);
MP_API MP_NODISCARD int mp_pipe_recv_pipe(mp_pipe *p, mp_pipe **end, int timeout_ms);

#ifdef __cplusplus
}
#endif
#endif
