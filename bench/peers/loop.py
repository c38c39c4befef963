#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""loop.py soon|switch [SECONDS]: asyncio at what loop_libmp does."""

import asyncio
import sys
import time

CHAINS = 64
calls = 0


def soon(seconds):
    loop = asyncio.new_event_loop()
    end = time.monotonic() + seconds

    def again():
        global calls
        calls += 1
        if calls % 4096 == 0 and time.monotonic() > end:
            loop.stop()
        loop.call_soon(again)

    for _ in range(CHAINS):
        loop.call_soon(again)
    start = time.monotonic()
    loop.run_forever()
    print(f"loop_soon\tpy_asyncio\t{calls / (time.monotonic() - start):g}\tcalls/s")


def switch(seconds):
    end = time.monotonic() + seconds

    async def take_turns():
        n = 0
        while time.monotonic() < end:
            for _ in range(1000):
                await asyncio.sleep(0)
            n += 1000
        return n

    async def both():
        return sum(await asyncio.gather(take_turns(), take_turns()))

    start = time.monotonic()
    n = asyncio.run(both())
    print(f"task_switch\tpy_asyncio\t{(time.monotonic() - start) / n * 1e9:g}\tns")


tests = {"soon": soon, "switch": switch}
tests[sys.argv[1]](float(sys.argv[2]) if len(sys.argv) > 2 else 0.5)
