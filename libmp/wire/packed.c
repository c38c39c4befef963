// SPDX-License-Identifier: MIT
//
// Packed values through pipes, in one call. A message that is sent is mostly small, and is
// packed on the stack; one that is received lies in the caller's buffer, since pointers
// into it come back.
#include "wire/buf.h"

#define SMALL 512

int mp_pipe_send_args(mp_pipe *p, int timeout_ms, const char *types, const char *format, ...)
{
    char small[SMALL];
    mp_buf b = {.data = small, .capacity = sizeof small, .borrowed = true};
    va_list args;
    va_start(args, format);
    int r = mp_vpack(&b, types, format, args);
    va_end(args);
    if (r == 0)
        r = mp_pipe_send(p, b.data, b.size, timeout_ms);
    mp_buf_free(&b);
    return r;
}

// Takes the next message into b; makes room if there is too little.
static int receive(mp_pipe *p, mp_buf *b, int timeout_ms)
{
    b->size = 0;
    int64_t n = mp_pipe_recv(p, b->data, b->capacity, timeout_ms);
    if (n == MP_EMSGSIZE) {
        n = mp_pipe_next_size(p, timeout_ms);
        if (n >= 0)
            n = mp__buf_reserve(b, (size_t)n);
        if (n >= 0)
            n = mp_pipe_recv(p, b->data, b->capacity, timeout_ms);
    }
    if (n < 0)
        return (int)n;
    b->size = (size_t)n;
    return 0;
}

int mp_pipe_recv_args(mp_pipe *p, mp_buf *b, int timeout_ms, const char *types, const char *format,
                      ...)
{
    if (!b || !format)
        return MP_EINVAL;
    int r = receive(p, b, timeout_ms);
    if (r < 0)
        return r;
    va_list args;
    va_start(args, format);
    r = mp_vunpack(NULL, NULL, b->data, b->size, types, format, args);
    va_end(args);
    return r;
}
