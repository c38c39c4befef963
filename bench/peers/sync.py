# SPDX-License-Identifier: MIT
"""multiprocessing.Lock: sync.py uncontended|contended SECONDS

The method is that of sync_test.h: a counter under the lock, compared with the steps done.
"""

import multiprocessing
import sys
import time

now = time.perf_counter
context = multiprocessing.get_context("fork")


def repeat(lock, count, seconds):
    acquire, release = lock.acquire, lock.release
    start, steps = now(), 0
    while now() - start < seconds:
        for _ in range(1000):
            acquire()
            count[0] += 1
            release()
        steps += 1000
    return steps, now() - start


def work(lock, count, gate, did, which, seconds):
    gate.wait()
    did[2 * which], did[2 * which + 1] = repeat(lock, count, seconds)


def contended(lock, count, seconds):
    gate = context.Barrier(2)
    did = context.RawArray("d", 4)
    both = [context.Process(target=work, args=(lock, count, gate, did, i, seconds))
            for i in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
        assert process.exitcode == 0
    steps, elapsed = did[0] + did[2], (did[1] + did[3]) / 2
    assert count[0] == steps
    return steps / elapsed


def main():
    test, seconds = sys.argv[1], float(sys.argv[2])
    lock, count = context.Lock(), context.RawArray("q", 1)
    if test == "uncontended":
        repeat(lock, count, seconds / 4)
        steps, elapsed = repeat(lock, count, seconds)
        print(f"sync_uncontended\tpy_Lock\t{elapsed / steps * 1e9:.6g}\tns")
    else:
        print(f"sync_contended_2p\tpy_Lock\t{contended(lock, count, seconds):.6g}\tops/s")


main()
