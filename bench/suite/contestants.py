# SPDX-License-Identifier: MIT
"""Who is measured, and how: one function a group, one Contestant a command.

A command prints its figures as `metric<TAB>who<TAB>value<TAB>unit`; the last word is
mostly the seconds its timed part shall last. Contestants of one metric run one after
the other in the order given here, so ours stands right behind what it is held against.

To add a group: write a function that yields contestants, and add it to GROUPS. What
Debian has to offer for it goes into PEERS. Its goals go into goals.py.
"""

import os
import shutil
import subprocess
from collections import namedtuple
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / "build" / "release"
BIN = BUILD / "bench"
SCRIPTS = ROOT / "bench" / "peers"
# Debian's own Python: others are built differently, and slower as a rule.
PYTHON = os.environ.get("BENCH_PYTHON", "/usr/bin/python3")


@dataclass(frozen=True)
class Contestant:
    group: str
    metric: str
    who: str
    command: tuple
    target: str = ""  # what CMake builds for it
    peer: str = ""  # what must be installed for it: a key of PEERS
    env: dict = field(default_factory=dict)
    once: bool = False  # one sample is enough, the figure does not vary

    @property
    def label(self):
        """The command as --only sees it and as messages show it."""
        words = [str(w).replace(f"{ROOT}/", "") for w in self.command]
        return f"{self.group}:{' '.join(words)}"


# ---- what is installed ----


def _module(name):
    """Whether PYTHON has a module."""
    code = f"import importlib.util, sys; sys.exit(not importlib.util.find_spec('{name}'))"
    return subprocess.run([PYTHON, "-c", code], capture_output=True).returncode == 0


def _gnu_parallel():
    if not shutil.which("parallel"):
        return False
    out = subprocess.run(["parallel", "--version"], capture_output=True, text=True).stdout
    return "GNU" in out


def _perl(name):
    return subprocess.run(["perl", f"-M{name}", "-e1"], capture_output=True).returncode == 0


Peer = namedtuple("Peer", "packages installed")

# Name: the Debian packages, and whether they are there. None: if CMake found the library.
PEERS = {
    "mpich": Peer("mpich libmpich-dev", lambda: shutil.which("mpiexec.mpich")),
    "nng": Peer("libnng-dev", None),
    "zmq": Peer("libzmq3-dev", None),
    "openmp": Peer("libgomp1", None),
    "python3": Peer("python3", lambda: shutil.which(PYTHON)),
    "numpy": Peer("python3-numpy", lambda: shutil.which(PYTHON) and _module("numpy")),
    "perl MCE": Peer("libmce-perl", lambda: shutil.which("perl") and _perl("MCE::Map")),
    "GNU parallel": Peer("parallel", _gnu_parallel),
    "moreutils": Peer("moreutils", lambda: shutil.which("parallel.moreutils")),
    "xjobs": Peer("xjobs", lambda: shutil.which("xjobs")),
    "redis": Peer("redis-server", lambda: shutil.which("redis-server")),
    "memcached": Peer("memcached", lambda: shutil.which("memcached")),
    "make": Peer("make", lambda: shutil.which("make")),
}


# ---- pipes ----


def pipe(seconds):
    for test in ("rtt", "tp64", "tp4k", "tp1m"):

        def one(who, target, *command, peer="", env=None, test=test):
            return Contestant("pipe", f"pipe_{test}", who, command, target, peer, env or {})

        def program(name, who, peer="", test=test):
            return one(who, name, BIN / name, who, test, seconds, peer=peer)

        if test == "rtt":
            yield program("pipe_shm", "c_shm_busy")
        yield program("pipe_shm", "c_shm_spin")
        yield one("libmp", "pipe_libmp", BIN / "pipe_libmp", test, seconds)
        mpi = ("mpiexec.mpich", "-launcher", "fork", "-n", "2", BIN / "pipe_mpich")
        yield one("mpich", "pipe_mpich", *mpi, test, seconds, peer="mpich")
        yield program("pipe_shm", "c_shm_futex")
        if test == "tp1m":
            yield program("pipe_shm", "c_shm_slab")
            yield program("pipe_shm", "c_vm_readv")
            yield program("pipe_kernel", "c_pipe_1m")
        else:
            yield program("pipe_kernel", "c_posix_mq")
        for who in ("c_seqpacket", "c_stream", "c_pipe"):
            yield program("pipe_kernel", who)
        yield program("pipe_nng", "nng_pair0", peer="nng")
        yield program("pipe_zmq", "zmq_pair", peer="zmq")
        for how in ("bytes", "obj"):
            who = f"py_pipe_send_{how}"
            yield one(who, "", PYTHON, SCRIPTS / "pipe.py", how, test, seconds, peer="python3")


# ---- queues ----


def queue(seconds):
    for n in (1, 2):

        def one(who, target, *command, peer="", n=n):
            metric = f"queue_{n}p{n}c"
            return Contestant("queue", metric, who, (*command, n, n, seconds), target, peer)

        yield one("c_mpmc_spin", "queue_mpmc", BIN / "queue_mpmc")
        yield one("zmq_pushpull", "queue_zmq", BIN / "queue_zmq", peer="zmq")
        yield one("libmp", "queue_libmp", BIN / "queue_libmp")
        yield one("py_Queue", "", PYTHON, SCRIPTS / "queues.py", peer="python3")


# ---- the event loop ----

LOOP_TESTS = {"soon": "loop_soon", "timers": "loop_timers", "switch": "task_switch"}


def loop(seconds):
    for test, metric in LOOP_TESTS.items():

        def one(who, target, *command, peer="", metric=metric):
            return Contestant("loop", metric, who, command, target, peer)

        if test == "switch":
            yield one("c_swapcontext", "loop_swap", BIN / "loop_swap", seconds)
        yield one("libmp", "loop_libmp", BIN / "loop_libmp", test, seconds)
        if test == "timers":  # asyncio takes half a minute
            yield one("libuv", "loop_uv", BIN / "loop_uv")
        else:
            script = (PYTHON, SCRIPTS / "loop.py", test, seconds)
            yield one("py_asyncio", "", *script, peer="python3")
# ---- URLs ----


def url(seconds):
    for test in ("tcp_rtt", "tcp_tp64", "tcp_tp1m"):
        for who in ("nng_pair0", "libmp", "libmp_to_nng"):
            command = (BIN / "url_pairs", who, test, seconds)
            yield Contestant("url", test, who, command, "url_pairs mpproxy", "nng")
    for who in ("nng_pushpull", "libmp", "libmp_each"):
        command = (BIN / "queue_url", who, 1, 1, seconds)
        yield Contestant("url", "tcp_queue_1p1c", who, command, "queue_url mpproxy", "nng")


# ---- pools ----

POOL_TESTS = {
    "tiny": "pool_tiny_auto",
    "tiny1": "pool_tiny_chunk1",
    "range": "pool_tiny_range",
    "item": "pool_tiny_item",
    "cpu": "pool_cpu_eff",
    "large": "pool_large",
    "inplace": "pool_large_inplace",
    "start": "pool_start",
}
NUMPY_TESTS = {"large": ("pool", "executor", "shm_copy"), "inplace": ("shm_inplace",)}


def pool(seconds):
    for test, metric in POOL_TESTS.items():

        def one(who, target, *command, peer="", env=None, metric=metric):
            return Contestant("pool", metric, who, command, target, peer, env or {})

        # Threads that wait actively would keep the next process off the CPUs.
        passive = {"OMP_WAIT_POLICY": "passive"} if test == "start" else {}
        openmp = one("c_openmp", "pool_openmp", BIN / "pool_openmp", test, seconds,
                     peer="openmp", env=passive)
        fork = one("c_fork", "pool_fork", BIN / "pool_fork", test, seconds)
        ours = one("libmp", "pool_libmp", BIN / "pool_libmp", test, seconds)
        # Ours next to its rival: OpenMP where no copies are made of tiny items.
        yield from (fork, openmp, ours) if test in ("range", "item") else (openmp, fork, ours)
        if test in ("large", "inplace"):
            for which in NUMPY_TESTS[test]:
                yield one("py", "", PYTHON, SCRIPTS / "pool_numpy.py", which, peer="numpy")
        elif test not in ("range", "item"):
            for who, which in (("py_Pool.map", "pool"), ("py_Executor.map", "executor")):
                yield one(who, "", PYTHON, SCRIPTS / "pool.py", which, test, seconds,
                          peer="python3")
            yield one("perl_MCE::Map", "", "perl", SCRIPTS / "pool_mce.pl", test, seconds,
                      peer="perl MCE")
        if test == "cpu":
            yield one("py_Pool.map(chunk1)", "", PYTHON, SCRIPTS / "pool.py", "pool", "cpu1",
                      seconds, peer="python3")
    for test in ("apply", "imap"):
        metric = f"pool_{test}"
        yield Contestant("pool", metric, "libmp", (BIN / "pool_libmp", test, seconds),
                         "pool_libmp", "", {})
        yield Contestant("pool", metric, f"py_Pool.{test}",
                         (PYTHON, SCRIPTS / "pool.py", "pool", test, seconds), "", "python3", {})


# ---- packed values ----


def pack(seconds):
    for who in ("c_msgpack", "libmp"):
        yield Contestant("pack", "pack_small", who, (BIN / "pack_small", who, seconds),
                         "pack_small")


# ---- locks and values ----


def sync(seconds):
    for test, metric in (("uncontended", "sync_uncontended"), ("contended", "sync_contended_2p")):

        def one(who, target, *command, peer="", test=test, metric=metric):
            return Contestant("sync", metric, who, (*command, test, seconds), target, peer)

        yield one("c_pthread_mutex", "sync_pthread", BIN / "sync_pthread", "c_pthread_mutex")
        yield one("c_robust", "sync_pthread", BIN / "sync_pthread", "c_robust")
        yield one("libmp", "sync_libmp", BIN / "sync_libmp", "libmp")
        yield one("libmp_rlock", "sync_libmp", BIN / "sync_libmp", "libmp_rlock")
        yield one("py_Lock", "", PYTHON, SCRIPTS / "sync.py", peer="python3")


# ---- processes ----

# Test: who the limits are
PROCESS_TESTS = {
    "fork": ("c_fork",),
    "forkserver": ("c_fork", "c_posix_spawn"),
    "spawn": ("c_posix_spawn",),
    "large": ("c_fork", "c_posix_spawn"),
}


def process(seconds):
    for test, limits in PROCESS_TESTS.items():

        def one(who, target, *command, peer="", metric=f"process_{test}"):
            return Contestant("process", metric, who, (*command, seconds), target, peer)

        for who in limits:
            yield one(who, "process_raw", BIN / "process_raw", who, f"process_{test}")
        yield one("libmp", "process_libmp", BIN / "process_libmp", test)
        yield one("py_Process", "", PYTHON, SCRIPTS / "process.py", test, peer="python3")


# ---- values ----

# Test: (metric, who the limits are)
VALUE_TESTS = {
    "locked": ("value_2p_locked_inc", ("c_robust", "c_pthread_mutex")),
    "atomic": ("value_2p_atomic_add", ("c_atomic_add",)),
    "100procs": ("value_100procs", ("c_fork",)),
}


def value(seconds):
    for test, (metric, limits) in VALUE_TESTS.items():

        def one(who, target, *command, peer="", test=test, metric=metric):
            return Contestant("value", metric, who, (*command, test, seconds), target, peer)

        for who in limits:
            yield one(who, "value_raw", BIN / "value_raw", who)
        yield one("libmp", "value_libmp", BIN / "value_libmp")
        if test == "100procs":
            yield one("libmp(shared)", "value_libmp_so", BIN / "value_libmp_so")
        if test != "atomic":
            yield one("py_Value", "", PYTHON, SCRIPTS / "value.py", peer="python3")


# ---- executors ----


def executor(seconds):
    for kind, peer in (("thread", "py_ThreadPoolExecutor"), ("process", "py_ProcessPoolExecutor")):
        for test in ("burst", "single"):
            metric = f"executor_{kind}_{test}"
            yield Contestant("executor", metric, peer,
                             (PYTHON, SCRIPTS / "executor.py", kind, test, seconds), "", "python3")
            yield Contestant("executor", metric, "libmp",
                             (BIN / "executor_libmp", kind, test, seconds), "executor_libmp")


# ---- batches ----

_GNU = dict(peer="GNU parallel")
_SPAWN = dict(target="batch_spawn")
_MPMAP = dict(target="mpmap")

# `pieces` is the limit: the file was cut into the same blocks before.
_PIPE = {"pieces": {}, "mpmap": _MPMAP, "gnu_parallel": _GNU}

# Test: (metric, {who: what it needs}). The commands are in peers/batch.py.
BATCH_TESTS = {
    "launch": ("batch_launch", {
        "c_posix_spawn": _SPAWN,
        "c_vfork": _SPAWN,
        "c_fork": _SPAWN,
        "xargs_P2_n1": {},
        "mpmap": _MPMAP,
        "xjobs": dict(peer="xjobs"),
        "mpmap(ungrouped)": _MPMAP,
        "moreutils_parallel": dict(peer="moreutils"),
        "make_j2": dict(peer="make"),
        "gnu_parallel": _GNU,
        "gnu_parallel_tuned": _GNU,
        "gnu_parallel_nested": _GNU,
    }),
    "echo": ("batch_echo_ordered", {
        "c_spawn_capture": _SPAWN,
        "mpmap": _MPMAP,
        "gnu_parallel_k": _GNU,
        "gnu_parallel_k_tuned": _GNU,
    }),
    "start": ("batch_start", {
        "c_posix_spawn": dict(target="batch_start"),
        "xargs_P2_n1": dict(target="batch_start"),
        "mpmap": dict(target="batch_start mpmap"),
        "xjobs": dict(target="batch_start", peer="xjobs"),
        "moreutils_parallel": dict(target="batch_start", peer="moreutils"),
        "gnu_parallel": dict(target="batch_start", peer="GNU parallel"),
    }),
    "so": ("batch_so_lines", {
        "c_serial_lines": dict(target="batch_lines"),
        "c_two_processes": dict(target="batch_loop"),
        "mpmap": dict(target="mpmap batch_plugin"),
    }),
    "pipe_wc": ("batch_pipe_wc", _PIPE),
    "pipe_gzip": ("batch_pipe_gzip", _PIPE),
    "pipepart_wc": ("batch_pipepart_wc", _PIPE),
    "pipepart_gzip": ("batch_pipepart_gzip", _PIPE),
    "rss": ("batch_rss_1M_args", {
        "c_posix_spawn": _SPAWN,
        "xargs_P2_n1": {},
        "mpmap": _MPMAP,
        "xjobs": dict(peer="xjobs"),
        "moreutils_parallel(100k argv)": dict(peer="moreutils"),
        "gnu_parallel": _GNU,
        "gnu_parallel_eta": _GNU,
    }),
}


def batch(seconds):
    for test, (metric, runners) in BATCH_TESTS.items():
        for who, needs in runners.items():
            command = (PYTHON, SCRIPTS / "batch.py", test, who, seconds)
            yield Contestant("batch", metric, who, command, once=test == "rss", **needs)


# ---- shared dicts ----


DICT_TESTS = {
    "get1": "dict_get1",
    "get2": "dict_get2",
    "mixed": "dict_mixed2",
    "large": "dict_get_large",
}


def shm_dict(seconds):
    for test, metric in DICT_TESTS.items():

        def program(name, who, test=test, metric=metric):
            return Contestant("dict", metric, who, (BIN / name, who, test, seconds), name)

        if test != "mixed":
            yield program("dict_shm", "c_raw_hash")
        yield program("dict_libmp", "libmp")
        yield program("dict_shm", "c_robust_mutex")
        if test != "large":
            yield Contestant("dict", metric, "py_Manager.dict",
                             (PYTHON, SCRIPTS / "dict.py", test, seconds), peer="python3")

def manager(seconds):
    tests = {"manager_1": "one", "manager_8": "eight", "manager_8x16": "flight",
             "manager_tcp16": "tcp"}
    script = SCRIPTS / "manager.py"
    for metric, test in tests.items():
        if test != "tcp":
            for who in ("redis", "memcached"):
                yield Contestant("manager", metric, who, (BIN / "manager_stores", who, test, seconds),
                                 "manager_stores", who)
        if test != "flight":
            yield Contestant("manager", metric, "py_Manager", (PYTHON, script, test, seconds),
                             peer="python3")
        yield Contestant("manager", metric, "libmp", (BIN / "manager_libmp", test, seconds),
                         "manager_libmp")


GROUPS = (pipe, queue, pool, executor, process, sync, value, shm_dict, pack, loop, url, manager, batch)


def contestants(seconds):
    return [c for group in GROUPS for c in group(f"{seconds:g}")]
