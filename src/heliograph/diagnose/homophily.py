"""Do neighbours share their label: edge homophily, the same adjusted for chance, and label informativeness (Platonov et al. 2023)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from heliograph.views.curvature import Ints


@dataclass(frozen=True)
class Homophily:
    """`edge`: the share of edges between equal labels. `adjusted`: that beyond chance, 1 at most (arXiv:2209.06177, eq. 5).

    `informativeness`: the share of the uncertainty of a node's label that a neighbour's label takes away (ibid., eq. 10). NaN where no
    edge has two labels, or there is one label alone. `classes`: how many labels occur.
    """

    classes: int
    edge: float
    adjusted: float
    informativeness: float


def homophily(senders: Ints, receivers: Ints, label: Ints) -> Homophily:
    """Measure from labels [N] (-1: unknown); edges both ways or one way, loops do not count."""
    kept = (senders != receivers) & (label[senders] >= 0) & (label[receivers] >= 0)
    a, b = label[senders[kept]], label[receivers[kept]]
    classes = len(np.unique(label[label >= 0]))
    if not len(a):
        return Homophily(classes, np.nan, np.nan, np.nan)
    C = int(max(a.max(), b.max())) + 1
    joint = np.bincount(a * C + b, minlength=C * C).reshape(C, C) / len(a)
    joint = (joint + joint.T) / 2
    p = joint.sum(1)  # of edge ends
    same, chance = float(joint.trace()), float(np.square(p).sum())
    if chance >= 1:
        return Homophily(classes, same, np.nan, np.nan)
    entropy = -float((p[p > 0] * np.log(p[p > 0])).sum())
    both = -float((joint[joint > 0] * np.log(joint[joint > 0])).sum())
    return Homophily(classes, same, (same - chance) / (1 - chance), 2 - both / entropy)
