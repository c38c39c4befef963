#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A foreign peer of forty lines: SP's PAIR, PUSH and PULL over tcp and ipc on plain sockets.
Arguments and behaviour as peer_nng's; docs/protocol.md describes the bytes."""

import socket
import struct
import sys

HELLO = b"\0SP\0\0%c\0\0"
PAIR, PUSH, PULL = 0x10, 0x50, 0x51


def exactly(s, n):
    data = b""
    while len(data) < n:
        more = s.recv(n - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def main():
    how, url, what = sys.argv[1:4]
    ipc = url.startswith("ipc://")
    if ipc:
        s = socket.socket(socket.AF_UNIX)
        address = url[len("ipc://"):]
    else:
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        host, port = url[len("tcp://"):].rsplit(":", 1)
        address = host, int(port)
    if how == "listen":
        s.bind(address)
        s.listen()
        s = s.accept()[0]
    else:
        s.connect(address)
    ours, theirs = {"push": (PUSH, PULL), "pull": (PULL, PUSH)}.get(what, (PAIR, PAIR))
    s.sendall(HELLO % ours)
    assert exactly(s, 8) == HELLO % theirs
    mark = b"\1" if ipc else b""

    def send(data):
        s.sendall(mark + struct.pack(">Q", len(data)) + data)

    def receive():
        assert exactly(s, len(mark)) == mark
        return exactly(s, struct.unpack(">Q", exactly(s, 8))[0])

    if what == "pull":
        for i in range(100):
            assert receive() == f"message {i}".encode()
    elif what in ("send", "push"):
        for i in range(100):
            send(f"message {i}".encode())
    else:
        while (data := receive()) != b"end":
            send(data)
    s.close()


main()
