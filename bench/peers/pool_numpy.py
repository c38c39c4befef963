# SPDX-License-Identifier: MIT
"""64 arrays of 8 MiB, scaled, with numpy: pool_numpy.py pool|executor|shm_copy|shm_inplace

pool, executor: arrays are arguments and results. shm_*: Python's best, the arrays lie
in shared memory and only an index travels; with private memory in and out, or in place.
"""

import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import shared_memory

import numpy

context = multiprocessing.get_context("fork")
now = time.perf_counter
ARRAYS, LENGTH = 64, 1 << 20
MEGABYTES = ARRAYS * LENGTH * 8 / 1e6
big = None  # in shared memory


def report(metric, who, elapsed):
    print(f"{metric}\t{who}\t{MEGABYTES / elapsed:.6g}\tMB/s")


def scale(a):
    a *= 2.0
    return a


def scale_shared(i):
    big[i] *= 2.0
    return i


def travelling(which):
    arrays = [numpy.arange(LENGTH, dtype=numpy.float64) + i for i in range(ARRAYS)]
    if which == "pool":
        with context.Pool(2) as p:
            p.map(abs, range(64), 1)
            start = now()
            result = p.map(scale, arrays)
            elapsed = now() - start
    else:
        with ProcessPoolExecutor(2, mp_context=context) as p:
            list(p.map(abs, range(64)))
            start = now()
            result = list(p.map(scale, arrays))
            elapsed = now() - start
    assert all(numpy.array_equal(r, a * 2.0) for r, a in zip(result, arrays))
    report("pool_large", f"py_{'Pool' if which == 'pool' else 'Executor'}.map(numpy)", elapsed)


def copied(p):
    source = numpy.arange(ARRAYS * LENGTH, dtype=numpy.float64).reshape(ARRAYS, LENGTH)
    result = numpy.zeros((ARRAYS, LENGTH))
    start = now()
    big[:] = source
    p.map(scale_shared, range(ARRAYS))
    result[:] = big
    elapsed = now() - start
    assert numpy.array_equal(result, source * 2)
    report("pool_large", "py_Pool+shm_copy(numpy)", elapsed)


def in_place(p):
    start = now()
    p.map(scale_shared, range(ARRAYS))
    elapsed = now() - start
    assert (big == 4.0).all()
    report("pool_large_inplace", "py_Pool+shm_inplace(numpy)", elapsed)


def main():
    global big
    which = sys.argv[1]
    if not which.startswith("shm_"):
        travelling(which)
        return
    shm = shared_memory.SharedMemory(create=True, size=ARRAYS * LENGTH * 8)
    try:
        big = numpy.ndarray((ARRAYS, LENGTH), dtype=numpy.float64, buffer=shm.buf)
        big[:] = 1.0
        with context.Pool(2) as p:
            p.map(scale_shared, range(ARRAYS))
            copied(p) if which == "shm_copy" else in_place(p)
    finally:
        big = None
        shm.close()
        shm.unlink()


main()
