#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""queues.py PRODUCERS CONSUMERS [SECONDS]: multiprocessing.Queue with items of 64 bytes."""

import multiprocessing as mp
import sys
import time


def produce(q, seconds, counts, index):
    n, end = 0, time.monotonic() + seconds
    item = b"x" * 64
    while time.monotonic() < end:
        for _ in range(64):
            q.put(item)
        n += 64
    counts[index] = n


def consume(q, got, index):
    n = 0
    while q.get() is not None:
        n += 1
    got[index] = n


def main():
    producers, consumers = int(sys.argv[1]), int(sys.argv[2])
    seconds = float(sys.argv[3]) if len(sys.argv) > 3 else 1.0
    q = mp.Queue(1024)
    put, got = mp.Array("q", producers), mp.Array("q", consumers)
    takers = [mp.Process(target=consume, args=(q, got, i)) for i in range(consumers)]
    makers = [mp.Process(target=produce, args=(q, seconds, put, i)) for i in range(producers)]
    for p in takers + makers:
        p.start()
    start = time.monotonic()
    for p in makers:
        p.join()
    for _ in takers:
        q.put(None)
    for p in takers:
        p.join()
    took = time.monotonic() - start
    if sum(put) != sum(got):
        sys.exit("items were lost")
    print(f"queue_{producers}p{consumers}c\tpy_Queue\t{sum(put) / took:g}\titems/s")


main()
