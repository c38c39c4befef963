# SPDX-License-Identifier: MIT
"""The parts of tools/dev/bench. Reading order: contestants, goals, samples, machine, build."""
