// SPDX-License-Identifier: MIT
//
// All of libmp's public headers. Not here are those of other libraries: mp/loop.h, mp/coro.h and
// mp/async.h (libmploop), mp/manager_start.h and mp/manager_type.h (libmpmanager); nor
// mp/plugin.h, for what mpmap loads.
#ifndef MP_MP_H
#define MP_MP_H

#include <mp/arena.h>
#include <mp/array.h>
#include <mp/atomic.h>
#include <mp/barrier.h>
#include <mp/base.h>
#include <mp/condition.h>
#include <mp/cpu.h>
#include <mp/error.h>
#include <mp/event.h>
#include <mp/executor.h>
#include <mp/function.h>
#include <mp/future.h>
#include <mp/handle.h>
#include <mp/imap.h>
#include <mp/lock.h>
#include <mp/log.h>
#include <mp/manager.h>
#include <mp/manager_pool.h>
#include <mp/monitor.h>
#include <mp/pack.h>
#include <mp/pipe.h>
#include <mp/pool.h>
#include <mp/process.h>
#include <mp/proxy.h>
#include <mp/queue.h>
#include <mp/random.h>
#include <mp/reduce.h>
#include <mp/rwlock.h>
#include <mp/semaphore.h>
#include <mp/shm_dict.h>
#include <mp/shm_list.h>
#include <mp/shm_pack.h>
#include <mp/spawn.h>
#include <mp/starmap.h>
#include <mp/start.h>
#include <mp/supervise.h>
#include <mp/task.h>
#include <mp/thread.h>
#include <mp/timer.h>
#include <mp/type.h>
#include <mp/url.h>
#include <mp/value.h>
#include <mp/wait.h>
#include <mp/with.h>

#endif
