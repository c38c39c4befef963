#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Plays systemd: runs a daemon with a notify socket and a watchdog, and prints what it says."""

import os
import signal
import socket
import subprocess
import sys

path = os.path.abspath("notify")
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
    s.bind(path)
    s.settimeout(30)
    env = dict(os.environ, NOTIFY_SOCKET=path, WATCHDOG_USEC="300000")
    daemon = subprocess.Popen([*sys.argv[1:], "--log-level=error"], env=env)
    said = []

    def hear(word):
        while True:
            got = s.recv(100).decode().split("=")[0]
            if not said or said[-1] != got:
                said.append(got)
            if got == word:
                return

    hear("READY")
    hear("WATCHDOG")
    hear("WATCHDOG")
    daemon.send_signal(signal.SIGHUP)
    hear("RELOADING")
    hear("READY")
    daemon.send_signal(signal.SIGTERM)
    while said[-1] != "STOPPING":
        got = s.recv(100).decode().split("=")[0]
        if got != "WATCHDOG":
            said.append(got)
    assert daemon.wait(30) == 0
os.unlink(path)
print(*said)
