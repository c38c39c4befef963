# SPDX-License-Identifier: MIT
"""Running a command so that nothing of it stays behind, and knowing who else used the
CPUs meanwhile."""

import ctypes
import os
import resource
import signal
import subprocess
import time
from collections import namedtuple
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
TIMEOUT = 60  # seconds a command may take
GRACE = 0.5  # seconds its orphans may take to notice
TICK = os.sysconf("SC_CLK_TCK")
SHM = Path("/dev/shm")
# What MPICH and Python leave in /dev/shm when they are killed.
SHM_NAMES = ("mpich", "psm_", "sem.mp-")

Result = namedtuple("Result", "figures noise problem")


def adopt_orphans():
    """Processes whose parent ends become our children: we see them and their CPU time."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _children():
    """Living children of this process; those that have ended are collected."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return []
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = stat.read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        if int(after_name[1]) == os.getpid():
            found.append(int(stat.parent.name))
    return found


def end_leftovers(grace=GRACE):
    """Kills what a command left running; returns how many that were."""
    deadline = time.monotonic() + grace
    while (left := _children()) and time.monotonic() < deadline:
        time.sleep(0.01)
    killed = 0
    while left := _children():
        killed += len(left)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)
    return killed


def _kill_group(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def _shm_files():
    try:
        return {f for f in os.listdir(SHM) if f.startswith(SHM_NAMES)}
    except OSError:
        return set()


def _remove_shm(names):
    for name in names:
        try:
            if (SHM / name).stat().st_uid == os.getuid():
                (SHM / name).unlink()
        except OSError:
            pass


def _cpu_seconds():
    """CPU time used so far: by the whole machine, and by us and what we ran."""
    with open("/proc/stat") as f:
        user, nice, system, _, _, irq, softirq, steal = map(int, f.readline().split()[1:9])
    whole = (user + nice + system + irq + softirq + steal) / TICK
    own = 0.0
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        usage = resource.getrusage(who)
        own += usage.ru_utime + usage.ru_stime
    return whole, own


def _figures(text):
    for line in text.splitlines():
        fields = line.split("\t")
        if len(fields) == 4:
            yield fields[0], fields[1], float(fields[2]), fields[3]


def run(command, env):
    """Runs a command in a process group of its own and returns its figures."""
    shm_before = _shm_files()
    whole, own = _cpu_seconds()
    start = time.monotonic()
    process = subprocess.Popen([str(w) for w in command], env=env, text=True,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, start_new_session=True)
    problem = ""
    try:
        out, err = process.communicate(timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        problem = f"took longer than {TIMEOUT} s"
        _kill_group(process)
        end_leftovers(grace=0)
        out, err = process.communicate()
    except BaseException:
        _kill_group(process)
        process.wait()
        end_leftovers(grace=0)
        _remove_shm(_shm_files() - shm_before)
        raise
    elapsed = time.monotonic() - start
    left = end_leftovers()
    whole_after, own_after = _cpu_seconds()
    noise = ((whole_after - whole) - (own_after - own)) / max(elapsed, 0.2)
    figures = list(_figures(out))
    if problem or process.returncode:
        _remove_shm(_shm_files() - shm_before)
        reason = err.strip()[-500:] or "(no message)"
        problem = problem or f"ended with status {process.returncode}: {reason}"
    elif left:
        problem = f"left {left} processes behind"
    elif not figures:
        problem = "printed no figure"
    return Result(figures if not problem else [], noise, problem)
