#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""executor.py burst|single [SECONDS]: ThreadPoolExecutor, submit a tiny task, take its result."""

import sys
import time
from concurrent.futures import ThreadPoolExecutor


def add_one(i):
    return i + 1


def run(executor, n):
    futures = [executor.submit(add_one, i) for i in range(n)]
    for i, future in enumerate(futures):
        if future.result() != i + 1:
            sys.exit("a wrong result")


def main():
    n = 1 if sys.argv[1] == "single" else 1000
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 0.5
    with ThreadPoolExecutor() as executor:
        run(executor, n)
        tasks, begin = 0, time.monotonic()
        while True:
            run(executor, n)
            tasks += n
            took = time.monotonic() - begin
            if took >= seconds:
                break
    print(f"executor_thread_{sys.argv[1]}\tpy_ThreadPoolExecutor\t{tasks / took:g}\ttasks/s")


main()
