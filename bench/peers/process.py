# SPDX-License-Identifier: MIT
"""multiprocessing.Process: process.py fork|forkserver|spawn|large SECONDS, by the method of
process_test.h."""

import multiprocessing
import sys
import time

now = time.perf_counter


def nothing():
    pass


def start_and_join(context):
    process = context.Process(target=nothing)
    process.start()
    process.join()
    assert process.exitcode == 0


def main():
    test, seconds = sys.argv[1], float(sys.argv[2])
    memory = bytearray(256 << 20) if test == "large" else b""
    for i in range(0, len(memory), 4096):
        memory[i] = i >> 12 & 255 | 1
    context = multiprocessing.get_context("forkserver" if test == "large" else test)
    start_and_join(context)
    begin, rounds, elapsed = now(), 0, 0
    while elapsed < seconds:
        start_and_join(context)
        rounds += 1
        elapsed = now() - begin
    print(f"process_{test}\tpy_Process\t{elapsed / rounds * 1e6:.6g}\tus")


if __name__ == "__main__":
    main()
