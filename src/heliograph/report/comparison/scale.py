"""How the scores and learners of a comparison are written: label, unit, digits, short names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from heliograph.compare.result import CompareResult
from heliograph.learn.figures import METRICS
from heliograph.report import digits
from heliograph.report.scores import powered


@dataclass(frozen=True)
class Scale:
    """The main metric: its name, unit, direction, and the decimals that the intervals of differences deserve."""

    label: str
    unit: str
    higher: bool
    places: int

    @classmethod
    def of(cls, result: CompareResult) -> Scale:
        metric, best = METRICS[result.metric], result.ranking[0]
        widths = [p.high - p.low for p in (result.pair(name, best) for name in result.ranking[1:]) if p.high > p.low]
        unit = powered(result.units[0], result.metric) if len(result.targets) == 1 and result.units else ""
        label = f"{metric.label} relative to the mean's" if result.scaled else metric.label
        room = float(np.median(widths)) / 2 if widths else abs(result.mean(best)) / 10
        return cls(label, digits.shorten(unit, 30), metric.higher_is_better, digits.decimals(room, 2))

    @property
    def axis(self) -> str:
        return f"{self.label} ({self.unit})" if self.unit else self.label

    def value(self, value: float) -> str:
        return digits.fixed(value, self.places)

    def signed(self, value: float) -> str:
        """With a plus where it is above zero."""
        return f"{'+' if value > 0 else ''}{self.value(value)}"

    def with_unit(self, value: float) -> str:
        return digits.with_unit(digits.number(value), self.unit)


def short(name: str) -> str:
    """A learner's name; of a file of one's own the file's name alone."""
    return digits.shorten(Path(name).name if name.endswith((".py", ".toml")) else name, 22)
