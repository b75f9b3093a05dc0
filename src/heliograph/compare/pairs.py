"""Which pairs of rows make the floor, and why two rows of unequal labels look the same.

A class of n labels adds sum_i (y_i - mean)^2 = (1/n) sum_{i<j} (y_i - y_j)^2 to the squared error at the floor (Lagrange's identity), so
each pair has a share of it, and all shares add up to one. For labels that are classes the difference is 0 or 1.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from heliograph.compare.floor import Classes
from heliograph.graph import Graph, dense
from heliograph.learn.task import Kind

SAME_GEOMETRY = 0.01  # angstrom by which sorted interatomic distances may differ


@dataclass(frozen=True)
class Pair:
    """Rows `first` and `second` of one colour, their labels (y_first <= y_second), and their share of the squared error at the floor.

    `apart`: the number of rounds after which they have two colours; None: there is none among those looked at.
    """

    first: int
    second: int
    y_first: float
    y_second: float
    share: float
    apart: int | None
    cause: str = ""

    @property
    def difference(self) -> float:
        """Of the labels, at least 0."""
        return self.y_second - self.y_first


def pairs(classes: Classes, rounds: int, kind: Kind, y: np.ndarray, rows: np.ndarray | None = None, most: int = 20) -> list[Pair]:
    """The `most` pairs with the largest shares of the squared error at the floor of `rounds`, for one target `y` [n] (NaN = missing).

    `rows`: those that count (None: all).
    """
    rows = np.arange(len(y)) if rows is None else np.asarray(rows)
    rows = rows[np.isfinite(y[rows])]
    number = np.unique(classes.at(rounds)[rows], return_inverse=True)[1]
    order = np.lexsort((y[rows], number))  # by class, ascending within
    rows, number = rows[order], number[order]
    value, size = y[rows], np.bincount(number)
    weight = 1 / size[number]  # [n] of a pair of this class

    def excess(lo: int, hi: int) -> float:
        difference = float(value[hi] - value[lo])
        return float(weight[lo]) * (float(difference != 0) if kind == "multiclass" else difference**2)

    # the widest pair of a class comes first; inside it, what remains when its upper end moves down, and for the top end, its lower end up
    end = np.cumsum(size)
    waiting = [(-excess(lo, hi), lo, hi, hi) for lo, hi in zip((end - size).tolist(), (end - 1).tolist(), strict=True)]
    heapq.heapify(waiting)
    found: list[tuple[float, int, int]] = []
    while waiting and len(found) < most and waiting[0][0] < 0:
        minus, lo, hi, top = heapq.heappop(waiting)
        found.append((-minus, lo, hi))
        if lo + 1 < hi:
            heapq.heappush(waiting, (-excess(lo, hi - 1), lo, hi - 1, top))
            if hi == top:
                heapq.heappush(waiting, (-excess(lo + 1, hi), lo + 1, hi, top))
    total = _squared_error(kind, value, number)
    place = [(int(rows[lo]), int(rows[hi]), float(value[lo]), float(value[hi]), share / total) for share, lo, hi in found]
    return [Pair(*entry, apart=classes.apart(entry[0], entry[1])) for entry in place]


def _squared_error(kind: Kind, y: np.ndarray, number: np.ndarray) -> float:
    """Around the means of the classes: what the shares are shares of."""
    columns = [y] if kind != "multiclass" else [(y == label) / np.sqrt(2) for label in np.unique(y)]
    return float(sum(np.square(c - (np.bincount(number, c) / np.bincount(number))[number]).sum() for c in columns))


def explain(found: Sequence[Pair], classes: Classes, smiles: Sequence[str], graph: Graph | None = None) -> list[Pair]:
    """The pairs with their causes in words. `smiles` [n]: canonical, as a store has them; `graph`: all rows, where they have positions."""
    from heliograph.chem.stereo import without_stereo

    flat = without_stereo(smiles[k] for pair in found for k in (pair.first, pair.second))
    explained = []
    for pair, first, second in zip(found, flat[::2], flat[1::2], strict=True):
        if smiles[pair.first] == smiles[pair.second]:
            same = graph is None or "pos" not in graph.nodes or _same_geometry(graph, pair.first, pair.second)
            what = "the same structure twice" if same else "the same structure in two geometries (conformers)"
        else:
            what = "they differ in stereochemistry only" if first == second else "two different structures"
        explained.append(replace(pair, cause=f"{what}; {_when(pair, classes)}"))
    return explained


def _when(pair: Pair, classes: Classes) -> str:
    if pair.apart is not None:
        return f"{pair.apart} round{'s tell' if pair.apart > 1 else ' tells'} them apart"
    limit = "no number of rounds" if classes.settled else f"nothing within T = {len(classes.number) - 1}"
    return f"with these features {limit} tells them apart"


def _same_geometry(graph: Graph, i: int, j: int) -> bool:
    """Whether two graphs of as many atoms have the same distances between atoms, mirror images included."""
    ends, pos = graph.topology.nodes_by_graph.pointer, dense(graph.nodes["pos"]).double()
    first, second = (pos[ends[k] : ends[k + 1]] for k in (i, j))
    if len(first) != len(second):
        return False
    far = [(p[:, None] - p[None]).norm(dim=-1).flatten().sort().values for p in (first, second)]
    return bool((far[0] - far[1]).abs().max() < SAME_GEOMETRY)
