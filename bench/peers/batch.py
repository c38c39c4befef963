# SPDX-License-Identifier: MIT
"""One timed run of a batch runner: batch.py TEST WHO SECONDS

  launch  2,000 times /bin/true, two at a time, start of the runner included
  echo    1,000 times /bin/echo, output collected and printed in the order of the input
  start   one job: what it takes from the runner's start to its end
  so      a C function over ten million short lines, without a process for each
  pipe_wc, pipe_gzip, pipepart_wc, pipepart_gzip
          200 MB of text, cut into blocks, through two of wc -l or gzip -1 at a time
  rss     the peak memory of the runner when a million arguments wait

GNU parallel gets fewer jobs, being slow: its start is a noticeable part of its time.
Files are made in $BENCH_TMP and used again. Before a runner is timed it runs a script
that counts its calls: each job must really have run, once.
"""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

TMP = Path(os.environ["BENCH_TMP"])
BIN = os.environ["BENCH_BIN"]
MPMAP = os.environ["BENCH_BUILD"] + "/bin/mpmap"
QUICK = bool(os.environ.get("BENCH_QUICK"))
PLUGIN = f"{BIN}/batch_plugin.so:square"
DASH = "PARALLEL_SHELL=/bin/dash"
now = time.perf_counter

# No user configuration, and no request to cite on GNU parallel's first run.
env = dict(os.environ, HOME=str(TMP), PARALLEL_HOME=str(TMP / ".parallel"))
test, who, seconds = sys.argv[1:4]

# {p} is the program, {f} a file with an argument a line.
LAUNCH = {
    "mpmap": f"{MPMAP} -j2 {{p}} < {{f}}",
    "mpmap(ungrouped)": f"{MPMAP} -u -j2 {{p}} < {{f}}",
    "gnu_parallel": "parallel -j2 {p} < {f}",
    "gnu_parallel_tuned": f"{DASH} parallel -u -j2 {{p}} < {{f}}",
    "gnu_parallel_nested": "parallel --pipe -N 250 -j2 'parallel -u -j1 {p}' < {f}",
    "xargs_P2_n1": "xargs -P2 -n1 {p} < {f}",
    "moreutils_parallel": "parallel.moreutils -j2 {p} -- $(cat {f})",
    "xjobs": "sed 's,^,{p} ,' {f} | xjobs -j2 >/dev/null 2>&1",
    "make_j2": "sed 's,.*,all: t&\\nt&:\\n\\t@{p} &,' {f} | make -s -j2 -f - all",
    "c_posix_spawn": f"{BIN}/batch_spawn posix_spawn 2 {{p}} < {{f}}",
    "c_vfork": f"{BIN}/batch_spawn vfork 2 {{p}} < {{f}}",
    "c_fork": f"{BIN}/batch_spawn fork 2 {{p}} < {{f}}",
}
ECHO = {
    "mpmap": f"{MPMAP} -k -j2 {{p}} < {{f}}",
    "gnu_parallel_k": "parallel -k -j2 {p} < {f}",
    "gnu_parallel_k_tuned": f"{DASH} parallel -k -j2 {{p}} < {{f}}",
    "c_spawn_capture": f"{BIN}/batch_spawn capture 2 {{p}} < {{f}}",
}


def report(metric, value, unit):
    print(f"{metric}\t{who}\t{value:.6g}\t{unit}")


def sh(command, stdout=None):
    """Runs it in a shell; returns the seconds it took and its output."""
    start = now()
    result = subprocess.run(["/bin/bash", "-o", "pipefail", "-c", command], env=env,
                            stdin=subprocess.DEVNULL, stdout=stdout)
    elapsed = now() - start
    if result.returncode:
        sys.exit(f"status {result.returncode}: {command}")
    return elapsed, result.stdout


def made_once(name, lines):
    """The path of a file with these lines."""
    path = TMP / name
    if not path.exists():
        part = TMP / f"{name}.part"
        # By large pieces, as split writes: how a file lies in the page cache depends on it.
        with open(part, "w", buffering=1 << 20) as f:
            f.writelines(lines())
        part.rename(path)
    return path


def numbers(n):
    return made_once(f"numbers-{n}", lambda: (f"{i}\n" for i in range(1, n + 1)))


def check_each_runs_once(command, n):
    """Runs it on a program that writes down its argument."""
    done = TMP / f"checked-{test}-{who}"
    if done.exists():
        return
    log, script = TMP / "calls.log", TMP / "calls.sh"
    script.write_text(f'#!/bin/dash\necho "$1" >> {log}\n')
    script.chmod(0o755)
    log.write_text("")
    sh(command.format(p=script, f=numbers(n)), stdout=subprocess.DEVNULL)
    calls = sorted(int(line) for line in log.read_text().split())
    assert calls == list(range(1, n + 1)), f"{len(calls)} of {n} jobs ran"
    done.touch()


def jobs(full, quick):
    n = quick if QUICK else full
    return n // 4 if who.startswith("gnu_parallel") else n


def launch():
    n = jobs(2000, 400)
    check_each_runs_once(LAUNCH[who], 100)
    elapsed, _ = sh(LAUNCH[who].format(p="/bin/true", f=numbers(n)))
    report("batch_launch", n / elapsed, "jobs/s")


def echo():
    n = jobs(1000, 400)
    file = numbers(n)
    elapsed, out = sh(ECHO[who].format(p="/bin/echo", f=file), stdout=subprocess.PIPE)
    assert out == file.read_bytes(), "the output is not that of each job, in order"
    report("batch_echo_ordered", n / elapsed, "jobs/s")


def start():
    """The timing is done in C: starting a process from Python is slow itself."""
    one = numbers(1)
    commands = {
        "mpmap": [MPMAP, "-j2", "{p}"],
        "xargs_P2_n1": ["xargs", "-P2", "-n1", "{p}"],
        "gnu_parallel": ["parallel", "-j2", "{p}"],
        "moreutils_parallel": ["parallel.moreutils", "-j2", "{p}", "--", "1"],
        "xjobs": ["xjobs", "-j2"],
        "c_posix_spawn": ["{p}", "1"],
    }
    command = commands[who]
    if who in LAUNCH and who != "c_posix_spawn":
        check_each_runs_once(LAUNCH[who], 1)
    if who == "xjobs":
        one = made_once("xjobs-1", lambda: ["/bin/true 1\n"])
    command = [word.format(p="/bin/true") for word in command]
    os.execve(f"{BIN}/batch_start", ["batch_start", who, seconds, str(one), *command], env)


def so():
    n = 1000000 if QUICK else 10000000
    lines = numbers(n)
    if who == "c_two_processes":
        os.execve(f"{BIN}/batch_loop", ["batch_loop", str(lines), str(n), str(TMP / "loop")], env)
    if who == "c_serial_lines":
        os.execve(f"{BIN}/batch_lines", ["batch_lines", str(lines), str(n)], env)
    want = made_once(f"squares-{n}", lambda: (f"{i * i}\n" for i in range(1, n + 1)))
    got = TMP / "squares"
    elapsed, _ = sh(f"{MPMAP} -j2 --so {PLUGIN} < {lines} > {got}")
    sh(f"cmp {got} {want} >&2")
    got.unlink()
    report("batch_so_lines", n / elapsed, "lines/s")


def text(size):
    """Lines of words that a compressor has something to do with."""
    def lines():
        words = "the of a process memory lock waits until pipe another".split()
        done = i = 0
        while done < size:
            i += 1
            line = f"{i} {words[i % 7]} {i * 7919 % 99991} {words[i * 31 % 10]} {i * i % 1000}\n"
            done += len(line)
            yield line
    return made_once(f"text-{size}", lines)


def pieces(file, how):
    """A pattern for the blocks as files: as many as the runners make of it."""
    size = "-C 10M" if how == "pipe" else "-n l/2"
    if not Path(f"{file}-{how}-aa").exists():
        sh(f"split {size} {file} {file}-{how}-")
    return f"{file}-{how}-??"


def pipe():
    how, program = test.split("_")
    size = 20_000_000 if QUICK else 200_000_000
    file = text(size)
    command = {"wc": "wc -l", "gzip": "gzip -1"}[program]
    block = "10M" if how == "pipe" else "-1"
    source = f"--pipe --block {block}" if how == "pipe" else f"--pipepart -a {file} --block {block}"
    stdin = f"< {file}" if how == "pipe" else ""
    run = {
        "mpmap": f"{MPMAP} -k -j2 {source} {command} {stdin}",
        "gnu_parallel": f"parallel -k -j2 {source} {command} {stdin}",
        "pieces": f"ls {pieces(file, how)} | xargs -P2 -I% sh -c '{command} < % > %.out' && "
                  f"cat {pieces(file, how)}.out",
    }[who]
    want = {"wc": "awk '{ n += $1 } END { print n }'", "gzip": "gunzip | wc -l"}[program]
    checked = TMP / f"checked-{test}-{who}"
    if not checked.exists():
        _, got = sh(f"{run} | {want}", stdout=subprocess.PIPE)
        _, lines = sh(f"wc -l < {file}", stdout=subprocess.PIPE)
        assert int(got) == int(lines), f"{int(got)} lines of {int(lines)}"
        checked.touch()
    elapsed, _ = sh(f"{run} > {TMP}/pipe.out")
    report(f"batch_{test}", file.stat().st_size / elapsed / 1e6, "MB/s")


def peak_mib(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status).group(1)) / 1024


def rss():
    million = numbers(1000000)
    commands = {
        "mpmap": [MPMAP, "-j2", "/bin/true"],
        "gnu_parallel": ["parallel", "-j2", "/bin/true", "::::", str(million)],
        "gnu_parallel_eta": ["parallel", "-j2", "--eta", "/bin/true", "::::", str(million)],
        "xargs_P2_n1": ["xargs", "-P2", "-n1", "/bin/true"],
        "xjobs": ["xjobs", "-j2"],
        "c_posix_spawn": [f"{BIN}/batch_spawn", "posix_spawn", "2", "/bin/true"],
        # More do not fit on a command line.
        "moreutils_parallel(100k argv)": ["parallel.moreutils", "-j2", "/bin/true", "--",
                                          *map(str, range(100000))],
    }
    if who == "xjobs":
        million = made_once("xjobs-million", lambda: (f"/bin/true {i}\n" for i in range(1000000)))
    with open(million) as stdin:
        runner = subprocess.Popen(commands[who], env=env, stdin=stdin, start_new_session=True,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(4 if who == "gnu_parallel_eta" else 1.2)
    try:
        assert runner.poll() is None, "ended before it could be measured"
        peak = peak_mib(runner.pid)
    finally:
        os.killpg(runner.pid, signal.SIGKILL)
        runner.wait()
    report("batch_rss_1M_args", peak, "MiB")


(TMP / ".parallel").mkdir(exist_ok=True)
(TMP / ".parallel" / "will-cite").touch()
{"launch": launch, "echo": echo, "start": start, "so": so, "rss": rss,
 **dict.fromkeys(("pipe_wc", "pipe_gzip", "pipepart_wc", "pipepart_gzip"), pipe)}[test]()
