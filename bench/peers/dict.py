# SPDX-License-Identifier: MIT
"""multiprocessing.Manager().dict(): dict.py get1|get2|mixed SECONDS

As dict_test.h has it, with fewer keys: each is a call to another process.
"""

import multiprocessing
import random
import sys
import time

KEYS = 1000
METRICS = {"get1": ("dict_get1", 1, 0), "get2": ("dict_get2", 2, 0), "mixed": ("dict_mixed2", 2, 10)}


def key_of(number):
    return number.to_bytes(16, "little")


def work(shared, sets_every, start, seconds, calls):
    start.wait()
    end = time.perf_counter() + seconds
    count = 0
    while time.perf_counter() < end:
        number = random.randrange(KEYS)
        count += 1
        if sets_every and count % sets_every == 0:
            shared[key_of(number)] = number.to_bytes(8, "little") * 8
        else:
            assert shared[key_of(number)] == number.to_bytes(8, "little") * 8
    calls.put(count)


def main():
    metric, processes, sets_every = METRICS[sys.argv[1]]
    seconds = float(sys.argv[2])
    with multiprocessing.Manager() as manager:
        shared = manager.dict({key_of(i): i.to_bytes(8, "little") * 8 for i in range(KEYS)})
        start, calls = multiprocessing.Barrier(processes), multiprocessing.Queue()
        args = (shared, sets_every, start, seconds, calls)
        workers = [multiprocessing.Process(target=work, args=args) for _ in range(processes)]
        for worker in workers:
            worker.start()
        total = sum(calls.get() for _ in workers)
        for worker in workers:
            worker.join()
    print(f"{metric}\tpy_Manager.dict\t{total / seconds:.6g}\tcalls/s")


if __name__ == "__main__":
    main()
