# SPDX-License-Identifier: MIT
"""multiprocessing.Value: value.py locked|100procs SECONDS, by the method of value_test.h."""

import multiprocessing
import sys
import time

now = time.perf_counter
context = multiprocessing.get_context("fork")
CHILDREN = 100


def add(value):
    with value.get_lock():
        value.value += 1


def work(value, gate, did, which, seconds):
    gate.wait()
    start, steps = now(), 0
    while now() - start < seconds:
        for _ in range(1000):
            with value.get_lock():
                value.value += 1
        steps += 1000
    did[2 * which], did[2 * which + 1] = steps, now() - start


def run(target, arguments):
    processes = [context.Process(target=target, args=a) for a in arguments]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0


def main():
    test, seconds = sys.argv[1], float(sys.argv[2])
    value = context.Value("q", 0)
    if test == "locked":
        gate = context.Barrier(2)
        did = context.RawArray("d", 4)
        run(work, [(value, gate, did, i, seconds) for i in range(2)])
        steps = did[0] + did[2]
        assert value.value == steps
        print(f"value_2p_locked_inc\tpy_Value\t{steps / (did[1] + did[3]) * 2:.6g}\tops/s")
        return
    run(add, [(value,)] * CHILDREN)
    start, rounds = now(), 0
    while now() - start < seconds:
        run(add, [(value,)] * CHILDREN)
        rounds += 1
    elapsed = now() - start
    assert value.value == (rounds + 1) * CHILDREN
    print(f"value_100procs\tpy_Value\t{elapsed / rounds * 1e3:.6g}\tms")


main()
