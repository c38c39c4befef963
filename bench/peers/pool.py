# SPDX-License-Identifier: MIT
"""multiprocessing.Pool and concurrent.futures: pool.py pool|executor TEST SECONDS

TEST is tiny, tiny1, cpu or start as in pool_test.h, or cpu1: cpu with chunks of one; for a
pool also apply (one task after another) and imap (a hundred thousand, as they come).
An Executor has no automatic chunk size; it is given the one Pool takes.
"""

import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor

context = multiprocessing.get_context("fork")
now = time.perf_counter
which, test, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
who = {"pool": "py_Pool.map", "executor": "py_Executor.map"}[which]
steps = 2000  # of spin(); set before the workers start


def square(x):
    return x * x


def spin(i):
    x = i + 1
    for _ in range(steps):
        x = (x * 1103515245 + 12345) & 0x7FFFFFFF
    return x


def open_pool():
    if which == "pool":
        return context.Pool(2)
    return ProcessPoolExecutor(2, mp_context=context)


def close_pool(p):
    if which == "pool":
        p.close()
        p.join()
    else:
        p.shutdown()


def pool_map(p, function, items, chunk):
    if which == "pool":
        return p.map(function, items, chunk)
    return list(p.map(function, items, chunksize=chunk or 1))


def report(metric, name, value, unit):
    print(f"{metric}\t{name}\t{value:.6g}\t{unit}")


def warm_pool():
    p = open_pool()
    pool_map(p, square, range(64), 1)
    return p


def test_start():
    def once():
        p = open_pool()
        assert pool_map(p, square, [3, 4], 1) == [9, 16]
        close_pool(p)

    for _ in range(3):
        once()
    count, start = 0, now()
    while now() - start < seconds:
        once()
        count += 1
    report("pool_start", who, (now() - start) / count * 1e3, "ms")


def squares(metric, n, chunk):
    p = warm_pool()
    items = list(range(n))
    start = now()
    result = pool_map(p, square, items, chunk)
    elapsed = now() - start
    assert result == [x * x for x in items]
    close_pool(p)
    report(metric, who, n / elapsed, "tasks/s")


def test_cpu(chunk):
    global steps
    n = 10000
    spin(1)
    start = now()
    for i in range(200):
        spin(i)
    steps = int(steps * 100e-6 / ((now() - start) / 200))
    # The serial time half before, half after: the speed of a CPU drifts.
    start = now()
    serial = [spin(i) for i in range(n // 2)]
    serial_time = now() - start
    p = warm_pool()
    start = now()
    result = pool_map(p, spin, range(n), chunk)
    wall = now() - start
    start = now()
    serial += [spin(i) for i in range(n // 2, n)]
    serial_time += now() - start
    assert result == serial
    close_pool(p)
    kind = "chunk1" if chunk == 1 or which == "executor" else "auto"
    report("pool_cpu_eff", f"{who}({kind})", serial_time / (2 * wall) * 100, "%")


def test_apply():
    p = warm_pool()
    count, start = 0, now()
    while now() - start < seconds:
        assert p.apply(square, (count,)) == count * count
        count += 1
    report("pool_apply", "py_Pool.apply", (now() - start) / count * 1e6, "us")
    close_pool(p)


def test_imap():
    n = 100000
    p = warm_pool()
    start = now()
    for i, y in enumerate(p.imap(square, range(n))):
        assert y == i * i
    report("pool_imap", "py_Pool.imap", n / (now() - start), "tasks/s")
    close_pool(p)


if test == "start":
    test_start()
elif test == "apply":
    test_apply()
elif test == "imap":
    test_imap()
elif test == "tiny":
    squares("pool_tiny_auto", 1000000, None if which == "pool" else 125000)
elif test == "tiny1":
    squares("pool_tiny_chunk1", 100000 if which == "pool" else 10000, 1)
elif test in ("cpu", "cpu1"):
    test_cpu(1 if test == "cpu1" else None)
else:
    sys.exit(f"no test named {test}")
