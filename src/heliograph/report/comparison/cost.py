"""Score against what it costs, with those marked that nothing is both better and cheaper than."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from heliograph.compare.result import CompareResult
from heliograph.report.comparison.scale import Scale, short
from heliograph.report.digits import count, duration, megabytes, number
from heliograph.report.svg import Axis, Plot

LABELLED = 16  # learners whose names are all written into the plot; of more, only those on the front


def figures(result: CompareResult, scale: Scale) -> list[tuple[Markup, str]]:
    """Score against training time, the rate of prediction, parameters and memory, each where at least two learners have one."""
    learners = [result.learner(name) for name in result.ranking]
    wanted = (
        ("training, seconds of all folds", [k.seconds for k in learners], False, "Score against the time to train on all folds."),
        ("prediction, molecules/s", [k.predict_molecules_per_second for k in learners], True, "Score against the rate of prediction."),
        ("parameters", [k.parameters for k in learners], False, "Score against the number of parameters."),
        ("memory of a training, MB", [k.peak_memory_mb for k in learners], False, "Score against the peak memory of a training."),
    )
    out = []
    for label, costs, more_is_better, caption in wanted:
        known = [(name, float(cost)) for name, cost in zip(result.ranking, costs, strict=True) if cost]
        if len(known) > 1:
            out.append(
                (_pareto(result, scale, known, label, more_is_better), f"{caption} On the line, nothing is both better and cheaper.")
            )
    return out


def front(scores: Sequence[float], costs: Sequence[float]) -> list[int]:
    """Places of those that none other equals or beats in both and beats in one; smaller is better in both. By ascending cost."""
    order = sorted(range(len(scores)), key=lambda k: (costs[k], scores[k]))
    found: list[int] = []
    for k in order:
        if not found or scores[k] < scores[found[-1]]:
            found.append(k)
    return found


def _pareto(result: CompareResult, scale: Scale, known: Sequence[tuple[str, float]], label: str, more_is_better: bool) -> Markup:
    names, costs = [name for name, _ in known], [cost for _, cost in known]
    means = [result.mean(name) for name in names]
    best = front([-m if scale.higher else m for m in means], [-c if more_is_better else c for c in costs])
    plot = Plot(
        Axis.fit(costs, label, pad=0.1, log=True), Axis.fit(means, scale.axis, pad=0.1), f"{scale.label} against {label}", height=360
    )
    plot.line([costs[k] for k in best], [means[k] for k in best], "front")
    titles = [f"{short(n)}: {scale.value(m)}\n{_told(label, c)}" for n, m, c in zip(names, means, costs, strict=True)]
    networks = [result.learner(name).network for name in names]
    for style, wanted in (("dot full", True), ("dot simple", False)):
        which = [k for k, network in enumerate(networks) if network == wanted]
        if which:
            plot.points(np.take(costs, which), np.take(means, which), style, [titles[k] for k in which], 4.5)
            plot.legend(style, "network" if wanted else "baseline", "dot")
    plot.legend("front", "front")
    order = [*best, *(k for k in range(len(names)) if k not in best)]
    named = len(names) if len(names) <= LABELLED else len(best)
    plot.labels(np.take(costs, order), np.take(means, order), [short(names[k]) if i < named else "" for i, k in enumerate(order)])
    return plot.svg()


def _told(label: str, cost: float) -> str:
    if label.startswith("training"):
        return f"{duration(cost)} to train"
    if label.startswith("memory"):
        return megabytes(cost)
    return f"{count(int(cost))} parameters" if label == "parameters" else f"{number(cost)} molecules/s"
