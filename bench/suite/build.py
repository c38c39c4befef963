# SPDX-License-Identifier: MIT
"""Building what will run and nothing else, and finding out who cannot run."""

import os
import subprocess
import sys

from .contestants import BUILD, PEERS, ROOT


def _cmake(*args):
    return subprocess.run(["cmake", *args], cwd=ROOT, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)


def _known_targets():
    """The names that can be built, from lines like `pipe_shm: phony`."""
    out = _cmake("--build", str(BUILD), "--target", "help").stdout
    return {line.split(":")[0].strip("* ").strip() for line in out.splitlines()}


def _build(targets):
    """Returns {target: why it could not be built}."""
    jobs = str(os.cpu_count() or 1)
    if _cmake("--build", str(BUILD), "-j", jobs, "--target", *targets).returncode == 0:
        return {}
    failed = {}
    for target in targets:
        result = _cmake("--build", str(BUILD), "-j", jobs, "--target", target)
        if result.returncode:
            lines = [l for l in result.stdout.splitlines() if "error" in l or "undefined" in l]
            failed[target] = (lines or result.stdout.splitlines())[0].replace(f"{ROOT}/", "")
    return failed


def prepare(chosen):
    """Builds for the chosen contestants. Returns those that can run, why others are
    skipped: {reason: [who]}, and what went wrong: [message]."""
    skipped, present = {}, {}
    runnable = []
    for c in chosen:
        if c.peer not in present:
            check = PEERS[c.peer].installed if c.peer else None
            present[c.peer] = not check or bool(check())
        if present[c.peer]:
            runnable.append(c)
        else:
            skipped.setdefault(_install(c.peer), []).append(c.who)

    targets = {t for c in runnable for t in c.target.split()}
    if not targets:
        return runnable, skipped, []
    configured = _cmake("--preset", "release", "-DMP_BENCH=ON")
    if configured.returncode:
        sys.exit(f"bench: cmake failed:\n{configured.stdout[-2000:]}")
    missing = targets - _known_targets()
    failed = _build(sorted(targets - missing)) if targets - missing else {}

    able = []
    for c in runnable:
        mine = set(c.target.split())
        if mine & missing:
            why = _install(c.peer) if c.peer else "not in this source tree"
            skipped.setdefault(why, []).append(c.who)
        elif not mine & failed.keys():
            able.append(c)
    problems = [f"{t} could not be built: {why}" for t, why in failed.items()]
    return able, skipped, problems


def _install(peer):
    return f"{peer} is not installed (Debian: {PEERS[peer].packages})"


def install_peers():
    packages = sorted({p for peer in PEERS.values() for p in peer.packages.split()})
    apt = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
    if os.getuid() != 0:
        apt.insert(0, "sudo")
    print(" ".join(apt), file=sys.stderr, flush=True)
    env = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    return subprocess.run(apt, env=env, stdout=sys.stderr, stdin=subprocess.DEVNULL).returncode
