# SPDX-License-Identifier: MIT
"""multiprocessing.Manager().dict(): manager.py one|eight|tcp SECONDS, as manager_test.h has it.
tcp is a remote manager, which knows no calls under way."""

import multiprocessing
import sys
import time
from multiprocessing.managers import SyncManager

METRICS = {"one": ("manager_1", 1), "eight": ("manager_8", 8), "tcp": ("manager_tcp16", 1)}
VALUE = b"v" * 64


def work(shared, start, seconds, results):
    for i in range(1000):
        shared[f"key{i:05}"] = VALUE
    start.wait()
    n, end = 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        key = f"key{n // 2 % 1000:05}"
        shared[key] = VALUE
        assert shared[key] == VALUE
        n += 2
    results.put(n)


def main():
    metric, clients = METRICS[sys.argv[1]]
    seconds = float(sys.argv[2])
    address = ("127.0.0.1", 0) if sys.argv[1] == "tcp" else None
    with SyncManager(address=address) as manager:
        shared = manager.dict()
        start, results = multiprocessing.Barrier(clients), multiprocessing.Queue()
        workers = [multiprocessing.Process(target=work, args=(shared, start, seconds, results))
                   for _ in range(clients)]
        for w in workers:
            w.start()
        total = sum(results.get() for _ in workers)
        for w in workers:
            w.join()
    print(f"{metric}\tpy_Manager\t{total / seconds:.6g}\tcalls/s")


if __name__ == "__main__":
    main()
