"""What no network can do better on this table: floors per number of rounds, the pairs behind them, replicate noise, depth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from heliograph.compare.evaluations import Material
from heliograph.compare.floor import Classes, floors, graph_classes
from heliograph.compare.learners import parted
from heliograph.compare.pairs import Pair, explain, pairs
from heliograph.diagnose.depth import connectivity, sentences
from heliograph.errors import StructureError
from heliograph.learn.figures import METRICS
from heliograph.uncertainty.replicates import replicates

MOST_MOLECULES = 100_000  # beyond it a random choice of so many
MOST_PAIRS = 12
STEPS = 4  # of message passing, for the sentences on depth


@dataclass(frozen=True)
class Twin:
    """Two molecules of one colour with unequal labels, and their share of the squared error at the floor."""

    structures: tuple[str, str]
    rows: tuple[int, int]
    labels: tuple[float, float]
    share: float
    cause: str


@dataclass(frozen=True)
class Bound:
    """For networks of bonds that start from the same features, without encodings: `archs`. It is said of those that are `bounded` by 1-WL.

    `table` and `folds`: the floor (a ceiling for scores) of `metric` after 0, 1, ... rounds until nothing splits any more, on the whole
    table and averaged over the folds' test rows. `twins` are of the last round and the first target. `depth`: sentences by name.
    """

    features: str
    archs: tuple[str, ...]
    bounded: tuple[str, ...]
    metric: str
    table: tuple[float, ...]
    folds: tuple[float, ...]
    sharing: tuple[int, ...]
    twins: tuple[Twin, ...]
    noise: str
    depth: tuple[tuple[str, str], ...]


def bounds(m: Material) -> tuple[Bound, ...]:
    """One for each list of features among the architectures that read bonds alone."""
    by_features: dict[str, list[str]] = {}
    for arch, one in m.data.items():
        if not one.store.has_geometry:
            by_features.setdefault(repr(one.store.featurizer.to_dict()), []).append(arch)
    return tuple(_bound(m, tuple(archs)) for archs in by_features.values())


def _bound(m: Material, archs: tuple[str, ...]) -> Bound:
    from heliograph import zoo

    store, rows = m.data[archs[0]].store, m.at[archs[0]]
    chosen = np.arange(len(rows))
    if len(rows) > MOST_MOLECULES:
        chosen = np.sort(np.random.default_rng(m.config.fit.seed).choice(len(rows), MOST_MOLECULES, replace=False))
    graph, y = store.batch(rows[chosen]), m.y[chosen]
    classes = graph_classes(graph)
    whole = floors(classes, m.task, y)
    metric = m.metrics[0] if m.metrics[0] in whole[0].metrics["mean"] else next(iter(whole[0].metrics["mean"]))
    tests = [np.flatnonzero(np.isin(chosen, fold.test)) for fold in m.folds]
    of_folds = [[f.metrics["mean"][metric] for f in floors(classes, m.task, y, test)] for test in tests if len(test)]
    last = next(k for k, f in enumerate(whole) if f.classes == whole[-1].classes)
    smiles = [store.smiles[rows[k]] for k in chosen]
    found = pairs(classes, last, m.task.kind, y[:, 0], most=MOST_PAIRS)
    return Bound(
        features=zoo.load(parted(archs[0])[0]).FEATURIZER,
        archs=archs,
        bounded=tuple(arch for arch in archs if _is_bounded(arch)),
        metric=metric,
        table=tuple(f.metrics["mean"][metric] for f in whole[: last + 1]),
        folds=tuple(np.nanmean([f[: last + 1] for f in of_folds], axis=0).tolist()),
        sharing=tuple(f.rows for f in whole[: last + 1]),
        twins=tuple(_twin(p, smiles, m.rows[chosen]) for p in _explained(found, classes, smiles)),
        noise=_noise(smiles, y[:, 0], m) if m.task.kind == "regression" else "",
        depth=tuple(sentences(connectivity(graph), STEPS).items()),
    )


def _is_bounded(arch: str) -> bool:
    """Tell whether its file of the zoo says so; what other files say is not checked, and not believed."""
    from heliograph import zoo

    name, _ = parted(arch)
    return name in zoo.names() and zoo.load(name).BOUND == "1-WL"


def _explained(found: list[Pair], classes: Classes, smiles: list[str]) -> list[Pair]:
    try:
        return explain(found, classes, smiles)
    except StructureError:  # a table of bare positions has formulas, not SMILES
        return found


def _twin(p: Pair, smiles: list[str], rows: np.ndarray) -> Twin:
    ends = (int(rows[p.first]), int(rows[p.second]))
    return Twin((smiles[p.first], smiles[p.second]), ends, (p.y_first, p.y_second), p.share, p.cause)


def _noise(smiles: list[str], y: np.ndarray, m: Material) -> str:
    found = replicates(smiles, y)
    if found is None:
        return ""
    unit = f" {m.task.units[0]}" if m.task.units and m.task.units[0] else ""
    return (
        f"{found.groups} structures are there more than once ({found.rows} rows); their labels scatter by {found.sd:.3g}{unit} "
        f"(95 %: {found.low:.3g} to {found.high:.3g}), which no model of the structure can predict."
    )


def words(bound: Bound, score: float | None) -> str:
    """The floor beside the best score of a network that it bounds."""
    higher = METRICS[bound.metric].higher_is_better
    name, label = ("ceiling", "no higher") if higher else ("floor", "no lower")
    text = (
        f"What 1-WL networks on {bound.features} features can reach: {METRICS[bound.metric].label} {label} than {bound.folds[-1]:.3g} "
        f"on these folds ({bound.table[-1]:.3g} on the whole table)"
    )
    if score is None or not np.isfinite(bound.folds[-1]):
        return text + "."
    gap = (1 - score, 1 - bound.folds[-1]) if higher else (score, bound.folds[-1])
    near = gap[1] > 0.5 * gap[0]
    held = f"more than half of its error is that {name}: other features or geometry help, training does not."
    return f"{text}; the best of them reached {score:.3g}: {held if near else f'the {name} is not what holds it back.'}"
