# SPDX-License-Identifier: MIT
"""The figures measured, by metric, contestant and round."""

import statistics

# Other processes' share of one CPU from which on a run counts as disturbed.
NOISE = 0.15


class Samples:
    def __init__(self):
        self._units = {}  # metric: unit
        self._values = {}  # metric: {who: {round: (value, clean)}}

    def add(self, round_, metric, who, value, unit, noise):
        self._units.setdefault(metric, unit)
        rounds = self._values.setdefault(metric, {}).setdefault(who, {})
        rounds[round_] = (value, noise <= NOISE)

    def unit(self, metric):
        return self._units[metric]

    def rounds(self, metric, who):
        """{round: value}. Disturbed ones are left out when two others are there."""
        every = self._values.get(metric, {}).get(who, {})
        clean = {r: v for r, (v, ok) in every.items() if ok}
        return clean if len(clean) >= 2 else {r: v for r, (v, _) in every.items()}

    def medians(self):
        """(metric, who, median, unit), in the order of measuring."""
        for metric, people in self._values.items():
            for who in people:
                values = self.rounds(metric, who).values()
                yield metric, who, statistics.median(values), self._units[metric]
