"""The smallest connected fragment that keeps the prediction.

    |f(S) - f(all)| <= KEPT |f(all) - f({})|,  S connected

Atoms are taken off one after the other, each time the one at the border whose loss moves f least from f(all), as long as the
prediction is kept. No single atom more can be taken off what is left; a smaller fragment elsewhere is not excluded.
"""

from __future__ import annotations

import numpy as np

from heliograph.explain.methods import number, parts
from heliograph.explain.value import Value

KEPT = 0.1  # share of the prediction's distance from the baseline that may be lost


def rationale(f: Value, kept: float = KEPT) -> np.ndarray:
    """Return the atoms of the fragment, bool [n]; none where no connected part of the molecule keeps the prediction.

    Of a molecule of several parts (a salt) it lies in the one that keeps the prediction best. Where the network answers the
    same with everything hidden there is nothing to keep, and no fragment.
    """
    neighbours = f.bonded()
    everything = np.ones(f.n, dtype=bool)
    ends = f(np.stack([everything, ~everything])).mean(1)
    allowed = kept * abs(float(ends[0] - ends[1]))
    if allowed == 0.0:
        return np.zeros(f.n, dtype=bool)
    starts = np.array([_mask(part, f.n) for part in parts(number(everything), neighbours)])
    lost = np.abs(f(starts).mean(1) - ends[0])
    fragment = starts[int(lost.argmin())]
    if lost.min() > allowed:
        return np.zeros(f.n, dtype=bool)
    while fragment.sum() > 1:
        smaller = _less(fragment, neighbours, f.order)
        lost = np.abs(f(smaller).mean(1) - ends[0])
        if lost.min() > allowed:
            break
        fragment = smaller[int(lost.argmin())]
    return fragment


def _less(fragment: np.ndarray, neighbours: list[int], order: np.ndarray) -> np.ndarray:
    """Fragments without one atom more that hold together, in the canonical order of that atom."""
    found = []
    for k in order.tolist():
        if fragment[k]:
            rest = fragment.copy()
            rest[k] = False
            if len(parts(number(rest), neighbours)) == 1:
                found.append(rest)
    return np.array(found)


def _mask(part: int, n: int) -> np.ndarray:
    return np.array([bool(part >> k & 1) for k in range(n)])
