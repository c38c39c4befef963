# SPDX-License-Identifier: MIT
"""multiprocessing.Pipe: pipe.py bytes|obj rtt|tp64|tp4k|tp1m SECONDS

bytes: send_bytes and recv_bytes; obj: send and recv, which pickle. The method is that
of pipe_test.h: numbered messages, a warm-up, a stream counts when its end was answered.
Python reads the number of each message in its first 8 bytes only where that costs it
nothing: the length of each is checked, and the count of all.
"""

import multiprocessing
import sys
import time

SIZES = {"rtt": 64, "tp64": 64, "tp4k": 4096, "tp1m": 1 << 20}
END = b"\xff" * 8
now = time.perf_counter


def calls(connection, how):
    if how == "bytes":
        return connection.send_bytes, connection.recv_bytes
    return connection.send, connection.recv


def serve(connection, how, test):
    send, recv = calls(connection, how)
    size = SIZES[test]
    for _ in range(2):
        count = 0
        while True:
            message = recv()
            assert len(message) == size
            if test == "rtt":
                send(message)
            if message[:8] == END:
                break
            count += 1
        if test != "rtt":
            send(count.to_bytes(8, "little"))


def drive_echo(send, recv, size, seconds):
    message = bytes(8) + b"z" * (size - 8)
    count, start = 0, now()
    while now() - start < seconds:
        for _ in range(16):
            send(message)
            answer = recv()
        count += 16
    elapsed = now() - start
    assert answer == message
    end = END + bytes(size - 8)
    send(end)
    assert recv() == end
    return elapsed / count


def drive_stream(send, recv, size, seconds):
    message = bytes(8) + b"z" * (size - 8)
    burst = 32 if size <= 4096 else 1
    count, start = 0, now()
    while now() - start < seconds:
        for _ in range(burst):
            send(message)
        count += burst
    send(END + bytes(size - 8))
    assert int.from_bytes(recv(), "little") == count
    return count / (now() - start)


def main():
    how, test, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
    size = SIZES[test]
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, how, test))
    process.start()
    theirs.close()
    send, recv = calls(ours, how)
    if test == "rtt":
        drive_echo(send, recv, size, seconds / 3)
        value, unit = drive_echo(send, recv, size, seconds) * 1e6, "us"
    else:
        drive_stream(send, recv, size, seconds / 4)
        value, unit = drive_stream(send, recv, size, seconds), "msg/s"
        if size > 4096:
            value, unit = value * size / 1e6, "MB/s"
    process.join()
    assert process.exitcode == 0
    print(f"pipe_{test}\tpy_pipe_send_{how}\t{value:.6g}\t{unit}")


main()
