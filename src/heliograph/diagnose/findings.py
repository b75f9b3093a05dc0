"""From measures to sentences: what is wrong, by which measure, and what to try.

The bounds are fixed here, and the tests plant each trouble in thirty graphs and look for it in thirty healthy ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from heliograph.diagnose.alike import Alike
from heliograph.diagnose.homophily import Homophily
from heliograph.diagnose.network import Network
from heliograph.diagnose.structure import Structure

BRIDGE = 1 / 3  # of all pairs of nodes that a single edge parts
CUT, LOAD = 0.2, 2.5  # share of pairs that a cut parts, and how many times the usual load its edges carry
LOST = 1e-4  # share of the embedding's energy of differences that is left
ALIKE, FEW = 0.9995, 0.005  # or the cosine of any two states, and this share left
LEAKED = 0.005  # of the rows of a part


@dataclass(frozen=True)
class Finding:
    """`name` of the trouble, the `sentence` that says it with its figures, and what to `try_`."""

    name: str
    sentence: str
    try_: str


@dataclass(frozen=True)
class Diffusion:
    """A field that spreads: `kappa` [length^2 / time] over `time` in `dimension` dimensions on edges of mean `length`."""

    kappa: float
    time: float
    dimension: int
    length: float

    @property
    def layers(self) -> float:
        """sqrt(2 d kappa dt) / h: the steps that a network needs at least."""
        return float((2 * self.dimension * self.kappa * self.time) ** 0.5 / self.length)


def of_structure(s: Structure) -> list[Finding]:
    """Bottlenecks of the graph itself."""
    narrow = s.cut_share >= CUT and s.cut_load >= LOAD
    if s.nodes < 6 or not (s.bridge_share >= BRIDGE or narrow):
        return []
    across = "a single edge" if s.bridge_share >= BRIDGE else f"{s.cut_edges} edges"
    share = max(s.bridge_share, s.cut_share if narrow else 0)
    return [
        Finding(
            "bottleneck",
            f"All that {share:.0%} of the pairs of nodes can tell each other must pass {across} (spectral gap {s.gap:.3g}, largest "
            f"effective resistance {s.resistance_max:.3g}): what many nodes know is squashed into a few states there.",
            "rewire (`heliograph rewire --method fosr` adds the edges that widen the gap most), a fully adjacent last layer or a master "
            "node; a wider state helps, more layers do not",
        )
    ]


def of_depth(s: Structure, steps: int) -> list[Finding]:
    """Whether so many steps see the graph."""
    if not steps or np.isnan(s.diameter) or steps >= len(s.reach) - 1:
        return []
    seen = float(s.reach[steps])
    if seen >= 0.5:
        return []
    return [
        Finding(
            "short-sighted",
            f"With {steps} steps a node hears of {seen:.0%} of the others; the farthest are {s.diameter:.0f} steps away.",
            "more steps if far nodes matter to the target (jumping knowledge keeps the near ones), or shortcuts",
        )
    ]


def of_diffusion(diffusion: Diffusion, steps: int) -> list[Finding]:
    """Whether so many steps reach as far as the field spreads: K h >= sqrt(2 d kappa dt)."""
    if steps >= diffusion.layers:
        return []
    return [
        Finding(
            "shallow diffusion",
            f"The field spreads over sqrt(2 d kappa dt) = {diffusion.layers * diffusion.length:.3g}, and {steps} steps of mean edge "
            f"{diffusion.length:.3g} reach {steps * diffusion.length:.3g}: no network of this depth can know the answer.",
            f"at least {int(np.ceil(diffusion.layers))} steps, or a shorter time step",
        )
    ]


def of_network(n: Network) -> list[Finding]:
    """Over-smoothing: states that point one way, with next to nothing left of their differences."""
    if len(n.cosine) < 2 or not n.energy or n.energy[0] <= 0:
        return []
    left = n.energy[-1] / n.energy[0]
    if left > LOST and (n.cosine[-1] < ALIKE or left > FEW):
        return []
    good = [k for k, e in enumerate(n.energy) if e > FEW * n.energy[0]]
    return [
        Finding(
            "over-smoothing",
            f"After {len(n.energy) - 1} steps {left:.2g} of the embedding's energy of differences between neighbours is left, and any two "
            f"states have a cosine of {n.cosine[-1]:.3f}: depth makes all nodes alike.",
            f"fewer steps (after {good[-1] if good else 1} there still are differences), initial residuals (gcn2, appnp), PairNorm, or "
            "jumping knowledge",
        )
    ]


def of_alike(a: Alike) -> list[Finding]:
    """Twins of 1-WL among graphs, and copies across a split."""
    found = []
    if a.twins:
        found.append(
            Finding(
                "1-WL twins",
                f"{len(a.twins):,} of {a.graphs:,} graphs look exactly like another to any network of messages between neighbours, and "
                f"are different graphs (the first: {a.twins[0][0]} and {a.twins[0][1]}).",
                "structural encodings (random walks, rings), geometry, or a network above 1-WL (kgnn, nerve)",
            )
        )
    if len(a.leaks) > LEAKED * a.graphs:
        found.append(_leak(len(a.leaks), a.leaks[0], "graphs"))
    return found


def of_node_leaks(leaks: tuple[tuple[int, int], ...], nodes: int) -> list[Finding]:
    """Copies of nodes across a split."""
    return [_leak(len(leaks), leaks[0], "nodes")] if len(leaks) > LEAKED * nodes else []


def _leak(count: int, first: tuple[int, int], what: str) -> Finding:
    return Finding(
        "leak",
        f"{count:,} pairs of {what} are copies of each other in different parts of the split (the first: {first[0]} and {first[1]}): "
        "a test score partly measures memory.",
        "drop the copies, or keep copies in one part (a split by group), and score again",
    )


def of_labels(h: Homophily) -> list[Finding]:
    """Neighbours that differ in their label."""
    if not np.isfinite(h.adjusted) or h.adjusted >= 0.05:
        return []
    use = "they still tell something" if h.informativeness > 0.05 else "they tell next to nothing"
    return [
        Finding(
            "heterophily",
            f"{h.edge:.0%} of the edges join equal labels ({h.adjusted:+.2f} beyond chance), and of a node's label {use} "
            f"(informativeness {h.informativeness:.2f}).",
            "keep a node's own state apart from its neighbours' (sage, gcn2), and compare with a model that sees no edges",
        )
    ]
