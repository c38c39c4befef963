// SPDX-License-Identifier: MIT
//
// Waits for several things at once: pipes, queues, the end of processes, descriptors.
#ifndef MP_WAIT_H
#define MP_WAIT_H

#include <mp/base.h>
#include <mp/error.h>
#include <mp/pipe.h>
#include <mp/queue.h>

#ifdef __cplusplus
extern "C" {
#endif

// One thing to wait for: a pipe that can be received from, a queue that has an item,
// or a descriptor that is readable (a socket, a timerfd, mp_process_sentinel()).
// Exactly one counts: pipe, else queue, else fd.
typedef struct mp_wait_item {
    mp_pipe *pipe;
    int fd;
    bool ready; // set by mp_wait()
    mp_queue *queue;
} mp_wait_item;

#define MP_WAIT_PIPE(p)  ((mp_wait_item){.pipe = (p), .fd = -1})
#define MP_WAIT_QUEUE(q) ((mp_wait_item){.fd = -1, .queue = (q)})
#define MP_WAIT_FD(f)    ((mp_wait_item){.fd = (f)})

// Waits until at least one of n items is ready, sets `ready` in each, and returns
// how many are; 0 when timeout_ms passed first. "Ready" means that the next
// receive or read does not block: data, end of data, or an error to be told.
// n = 0 only waits. A queue of another machine is asked, and with timeout 0 the answer is
// there at the next call. Errors: MP_EINVAL (a NULL array, a negative fd), MP_EOWNER,
// MP_ECLOSED, MP_ESTATE (a pipe end that only sends), -EBADF, -ENOMEM, -EMFILE. Since 0.1.
MP_API MP_NODISCARD int mp_wait(mp_wait_item *items, size_t n, int timeout_ms);

#ifdef __cplusplus
}
#endif
#endif
