// SPDX-License-Identifier: MIT
//
// Static probes for perf, bpftrace and SystemTap, where <sys/sdt.h> was there when libmp was
// compiled: a no-op of one byte each, until somebody attaches. The provider is "libmp". They are
// listed in <mp/pool.h>, for whom they are a promise.
#ifndef MP_OS_TRACE_H
#define MP_OS_TRACE_H

#ifdef __has_include
#if __has_include(<sys/sdt.h>)
#include <sys/sdt.h>
#define MP__TRACE2(name, a, b)    DTRACE_PROBE2(libmp, name, a, b)
#define MP__TRACE3(name, a, b, c) DTRACE_PROBE3(libmp, name, a, b, c)
#endif
#endif

#ifndef MP__TRACE2
#define MP__TRACE2(name, a, b)    ((void)0)
#define MP__TRACE3(name, a, b, c) ((void)0)
#endif

#endif
