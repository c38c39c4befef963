# SPDX-License-Identifier: MIT
"""What libmp must reach, and whether it did.

A goal is a ratio to a rival in the same round, the median over all rounds: this machine
and the next one differ by more than the best and the worst idea, and one machine differs
from itself a minute later. Few goals are absolute, and say so.
"""

import statistics
from dataclasses import dataclass

LOW_IS_BETTER = ("us", "ns", "ms", "MiB")


@dataclass(frozen=True)
class Goal:
    metric: str
    ours: str
    rivals: tuple  # the best of them in each round, of this metric or "metric:who" of
    # another; empty: an absolute goal
    bound: float
    at_most: bool = False  # ours / rival <= bound; else: ours is `bound` times as good
    stable: bool = False  # must hold in each of ten runs (--stability)

    def ratio(self, ours, rivals, unit):
        low = unit in LOW_IS_BETTER
        if not rivals:
            return ours
        rival = (min if low else max)(rivals)
        return ours / rival if self.at_most or not low else rival / ours

    def holds(self, value):
        return value <= self.bound if self.at_most else value >= self.bound

    def text(self, unit):
        sign = "<=" if self.at_most else ">="
        bound = f"{self.bound:,.0f}" if self.bound >= 1000 else f"{self.bound:g}"
        return f"{sign} {bound} {'x' if self.rivals else unit}"

    def find(self, rival):
        return rival.split(":") if ":" in rival else (self.metric, rival)

    def measure(self, samples):
        """The median of the ratios of all rounds, or None if somebody is missing."""
        ours = samples.rounds(self.metric, self.ours)
        rivals = [samples.rounds(*self.find(r)) for r in self.rivals]
        rivals = [r for r in rivals if r]
        if not ours or (self.rivals and not rivals):
            return None
        unit = samples.unit(self.metric)
        both = [r for r in ours if all(r in other for other in rivals)]
        values = [self.ratio(ours[r], [other[r] for other in rivals], unit) for r in both]
        return statistics.median(values) if values else None


def _at_least(bound, metric, *rivals, ours="libmp", **more):
    return Goal(metric, ours, rivals, bound, **more)


def _at_most(bound, metric, *rivals, ours="libmp", **more):
    return Goal(metric, ours, rivals, bound, at_most=True, **more)


GOALS = (
    _at_most(1.2, "pipe_rtt", "c_shm_busy", "c_shm_spin", stable=True),
    _at_least(2, "pipe_rtt", "mpich", stable=True),
    _at_least(3, "pipe_tp64", "mpich", stable=True),
    _at_least(1.1, "pipe_tp4k", "mpich", stable=True),
    _at_least(3, "pipe_tp1m", "mpich", stable=True),
    _at_least(4, "queue_1p1c", "zmq_pushpull"),
    _at_least(1.5, "queue_2p2c", "zmq_pushpull"),
    _at_most(1.3, "tcp_rtt", "nng_pair0"),
    _at_least(20, "tcp_tp64", "nng_pair0"),
    _at_least(1.2, "tcp_tp1m", "nng_pair0"),
    # 64 at a time; one at a time, each of ours is a round trip, and one of theirs is not.
    _at_least(4, "tcp_queue_1p1c", "nng_pushpull"),
    _at_least(0.1, "tcp_queue_1p1c", "nng_pushpull", ours="libmp_each"),
    # With NNG at the other end it is NNG's receiver that is measured, above all.
    _at_most(1.3, "tcp_rtt", "nng_pair0", ours="libmp_to_nng"),
    _at_least(0.5, "tcp_tp64", "nng_pair0", ours="libmp_to_nng"),
    _at_least(1, "tcp_tp1m", "nng_pair0", ours="libmp_to_nng"),
    # OpenMP with the copies that a pool has to make of private arrays is what arrays in an
    # arena are to beat; its loop in place stands beside ours in the lines.
    _at_least(1, "pool_tiny_range", "pool_tiny_auto:c_openmp"),
    _at_least(0.6, "pool_tiny_item", "pool_tiny_auto:c_openmp"),
    _at_least(0.9, "pool_tiny_auto", "c_fork_atomic"),
    _at_least(0.8, "pool_tiny_chunk1", "c_fork_atomic"),
    _at_least(0.99, "pool_cpu_eff", "c_fork_atomic"),
    _at_least(0.95, "pool_large_inplace", "c_fork_shm_inplace"),
    _at_least(0.9, "pool_large", "c_fork_copyinout"),
    _at_most(4, "pool_start", "c_fork_atomic"),
    _at_most(0.1, "pool_apply", "py_Pool.apply"),
    _at_least(20, "pool_imap", "py_Pool.imap"),
    # A format is read with each call, and its arguments and the whole message are checked; the
    # rival is a program written for this one message.
    _at_least(0.4, "pack_small", "c_msgpack"),
    _at_most(1.3, "sync_uncontended", "c_robust"),
    _at_least(0.9, "sync_contended_2p", "c_robust"),
    _at_least(0.9, "value_2p_locked_inc", "c_pthread_mutex"),
    _at_least(0.9, "value_2p_locked_inc", "c_robust"),
    _at_least(0.9, "value_2p_atomic_add", "c_atomic_add"),
    _at_most(1.5, "value_100procs", "c_fork"),
    _at_most(3, "process_fork", "c_fork"),
    _at_least(5, "process_fork", "py_Process"),
    # Two messages and two processes more than a fork; it pays when the program is large.
    _at_most(8, "process_forkserver", "c_fork"),
    _at_least(5, "process_forkserver", "py_Process"),
    _at_most(4, "process_spawn", "c_posix_spawn"),
    _at_least(5, "process_spawn", "py_Process"),
    _at_least(10, "process_large", "c_fork"),
    _at_least(5e6, "dict_get1"),
    _at_least(1.5, "dict_get2", "dict_get1:libmp"),
    _at_least(20, "executor_thread_burst", "py_ThreadPoolExecutor"),
    _at_least(20, "executor_thread_single", "py_ThreadPoolExecutor"),
    _at_least(10, "executor_process_burst", "py_ProcessPoolExecutor"),
    _at_least(10, "executor_process_single", "py_ProcessPoolExecutor"),
    _at_least(5e6, "loop_soon"),
    _at_least(20, "loop_soon", "py_asyncio"),
    _at_most(2, "loop_timers", "libuv"),
    _at_most(2, "task_switch", "c_swapcontext"),
    _at_least(10, "task_switch", "py_asyncio"),
    _at_least(50, "manager_1", "redis"),
    _at_least(50, "manager_1", "py_Manager"),
    _at_least(5, "manager_8", "redis"),
    _at_least(1.2, "manager_8x16", "redis"),
    _at_least(5, "manager_tcp16", "py_Manager"),
    _at_least(1, "batch_launch", "xargs_P2_n1", ours="mpmap"),
    _at_least(1, "batch_launch", "make_j2", ours="mpmap"),
    _at_least(0.95, "batch_launch", "xjobs", ours="mpmap"),
    _at_least(0.9, "batch_echo_ordered", "c_spawn_capture", ours="mpmap"),
    _at_least(6, "batch_echo_ordered", "gnu_parallel_k", ours="mpmap"),
    _at_most(4, "batch_rss_1M_args", ours="mpmap"),
    _at_most(5, "batch_start", ours="mpmap"),
    _at_least(5e6, "batch_so_lines", ours="mpmap"),
    _at_least(0.66, "batch_so_lines", "c_two_processes", ours="mpmap"),
    # Twice GNU parallel where the runner is what takes the time. With gzip it is gzip: pieces, which
    # have no runner, are 1.1 to 1.5 x GNU parallel, so that there is only the limit to come near.
    _at_least(2, "batch_pipe_wc", "gnu_parallel", ours="mpmap"),
    _at_least(2, "batch_pipepart_wc", "gnu_parallel", ours="mpmap"),
    _at_least(0.9, "batch_pipe_gzip", "pieces", ours="mpmap"),
    _at_least(0.9, "batch_pipepart_wc", "pieces", ours="mpmap"),
    _at_least(0.9, "batch_pipepart_gzip", "pieces", ours="mpmap"),
    _at_least(0.9, "batch_pipe_wc", "pieces", ours="mpmap"),
)
