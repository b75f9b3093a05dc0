"""Counters and histograms in the text format that Prometheus reads (version 0.0.4)."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
SIZES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0)
Labels = tuple[tuple[str, str], ...]


class Metrics:
    """What a service has done since it began. `count`, `observe` and `gauge` take labels as keywords."""

    def __init__(self) -> None:
        self._counts: dict[str, dict[Labels, float]] = defaultdict(lambda: defaultdict(float))
        self._gauges: dict[str, dict[Labels, float]] = defaultdict(dict)
        self._histograms: dict[str, dict[Labels, list[float]]] = defaultdict(dict)  # counts a bucket, then the sum
        self._bounds: dict[str, tuple[float, ...]] = {}

    def count(self, name: str, by: float = 1.0, /, **labels: str) -> None:
        """Add to a counter."""
        self._counts[name][tuple(sorted(labels.items()))] += by

    def gauge(self, name: str, value: float, /, **labels: str) -> None:
        """Set a number that goes up and down."""
        self._gauges[name][tuple(sorted(labels.items()))] = value

    def observe(self, name: str, value: float, bounds: tuple[float, ...] = SECONDS, /, **labels: str) -> None:
        """Put one value into a histogram."""
        self._bounds[name] = bounds
        cells = self._histograms[name].setdefault(tuple(sorted(labels.items())), [0.0] * (len(bounds) + 2))
        cells[bisect_left(bounds, value)] += 1
        cells[-1] += value

    def text(self) -> str:
        """All of it."""
        lines: list[str] = []
        for kind, group in (("counter", self._counts), ("gauge", self._gauges)):
            for name, cells in sorted(group.items()):
                lines.append(f"# TYPE heliograph_{name} {kind}")
                lines += [f"heliograph_{name}{_shown(labels)} {value:.17g}" for labels, value in sorted(cells.items())]
        for name, histograms in sorted(self._histograms.items()):
            lines.append(f"# TYPE heliograph_{name} histogram")
            for labels, counts in sorted(histograms.items()):
                total = 0.0
                for bound, one in zip((*map(str, self._bounds[name]), "+Inf"), counts[:-1], strict=True):
                    total += one
                    lines.append(f"heliograph_{name}_bucket{_shown((*labels, ('le', bound)))} {total:.17g}")
                lines.append(f"heliograph_{name}_sum{_shown(labels)} {counts[-1]:.17g}")
                lines.append(f"heliograph_{name}_count{_shown(labels)} {total:.17g}")
        return "\n".join(lines) + "\n"


def _shown(labels: Labels) -> str:
    if not labels:
        return ""
    inner = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels)
    return "{" + inner + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
