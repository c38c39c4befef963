#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""executor.py thread|process burst|single [SECONDS]: submit a tiny task to a ThreadPoolExecutor
or a ProcessPoolExecutor, take its result."""

import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor


def add_one(i):
    return i + 1


def run(executor, n):
    futures = [executor.submit(add_one, i) for i in range(n)]
    for i, future in enumerate(futures):
        if future.result() != i + 1:
            sys.exit("a wrong result")


def main():
    kind = ThreadPoolExecutor if sys.argv[1] == "thread" else ProcessPoolExecutor
    n = 1 if sys.argv[2] == "single" else 1000
    seconds = float(sys.argv[3]) if len(sys.argv) > 3 else 0.5
    with kind() as executor:
        run(executor, n)
        tasks, begin = 0, time.monotonic()
        while True:
            run(executor, n)
            tasks += n
            took = time.monotonic() - begin
            if took >= seconds:
                break
    print(f"executor_{sys.argv[1]}_{sys.argv[2]}\tpy_{kind.__name__}\t{tasks / took:g}\ttasks/s")


if __name__ == "__main__":
    main()
