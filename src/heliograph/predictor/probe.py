"""What a linear map reads off a network's states after each step: element, bond orders, rings, branches.

    score_k(x) = mu_k S^-1 x - mu_k S^-1 mu_k / 2        x [d] the state of an atom; mu_k the mean of kind k, S the covariance of all

Half of the molecules teach this linear discriminant, the other half judge it, by the mean share of each kind that is read right
(balanced accuracy); 1 / C is what guessing among C kinds gets. Beside it stands the same with the kinds of the first half shuffled,
the mean of SHUFFLES: what is read no better than that is not there.
After G. Alain, Y. Bengio, arXiv:1610.01644, and J. Hewitt, P. Liang, arXiv:1909.03368 (the control).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from heliograph.data.store import Store
from heliograph.errors import DataError, UsageError
from heliograph.graph import Features, dense
from heliograph.predictor.predictor import Predictor

RIDGE = 1e-3  # added to the variances of standardised states
SHUFFLES = 10
RARE = 20  # atoms of a kind, in each half: kinds with fewer are left out
MOST_ATOMS = 40_000
_DOUBLE, _TRIPLE, _AROMATIC = 2, 3, 12  # codes of bond types


@dataclass(frozen=True)
class Reading:
    """`read`: balanced accuracy of `what` after `step`; `shuffled`: with shuffled labels; of `kinds` kinds, on `atoms` atoms."""

    step: str
    what: str
    read: float
    shuffled: float
    kinds: int
    atoms: int


def probe(predictor: Predictor, store: Store, member: int = 0, seed: int = 0) -> list[Reading]:
    """Return what is read after each step of one network, "input" first. `store`: molecules, built with the predictor's featurizer.

    Raises DataError where there are too few atoms, UsageError where the network keeps no states of atoms.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(store))
    order = order[: int(np.searchsorted(np.cumsum(np.asarray(store.n_node)[order]), MOST_ATOMS, side="right"))]
    if len(order) < 4:
        raise DataError(f"{len(order)} molecules are too few to read anything off their atoms; give 4 or more")
    store = store.take(np.sort(order))
    kinds, molecule = kinds_of(store), np.repeat(np.arange(len(store)), store.n_node)
    first = np.isin(molecule, rng.permutation(len(store))[: len(store) // 2])
    states = _states(predictor, store, member)
    found = []
    for what, y in kinds.items():
        good = [k for k in np.unique(y) if min((y[first] == k).sum(), (y[~first] == k).sum()) >= RARE]
        if len(good) < 2:
            continue
        kept = np.isin(y, good)
        ys, halves = y[kept], first[kept]
        dealt = []
        for _ in range(SHUFFLES):
            dealt.append(ys.copy())
            dealt[-1][halves] = rng.permutation(ys[halves])
        for step, x in states.items():
            own, *others = _accuracies(x[kept], [ys, *dealt], ys, halves)
            found.append(Reading(step, what, own, float(np.mean(others)), len(good), int(kept.sum())))
    if not found:
        raise DataError(f"no kind of atom is there {RARE} times in each half of {len(store)} molecules: give more of them")
    return found


def kinds_of(store: Store) -> dict[str, np.ndarray]:
    """Return what may be read of each atom [N]: its element, and, as far as the featurizer says them, multiple bonds, rings, branches."""
    c = store.columns
    first = np.repeat(np.asarray(store.node_offsets[:-1], dtype=np.int64), np.diff(store.edge_offsets))
    receivers, senders = (np.asarray(c[name], dtype=np.int64) + first for name in ("receivers", "senders"))
    z, n = np.asarray(c["z"], dtype=np.int64), int(store.node_offsets[-1])
    found = {"element": z}
    codes = store.featurizer.bond_codes
    bonds = np.asarray(c["bond_table"])[np.asarray(c["bond"], dtype=np.int64)]  # [E, Kb]

    def some(flags: np.ndarray) -> np.ndarray:
        return (np.bincount(receivers, flags, minlength=n) > 0).astype(np.int64)

    if "type" in codes:
        kind = bonds[:, codes.index("type")]
        found |= {name: some(kind == code) for name, code in (("double bond", _DOUBLE), ("triple bond", _TRIPLE), ("aromatic", _AROMATIC))}
    if "ring" in codes:
        found["ring"] = some(bonds[:, codes.index("ring")] != 0)
    if len(receivers):
        found["branch"] = (np.bincount(receivers, z[senders] > 1, minlength=n) >= 3).astype(np.int64)
    return found


def _states(predictor: Predictor, store: Store, member: int) -> Mapping[str, np.ndarray]:
    """Numbers of each atom after each step, [N, d]: what the step has of nodes beside what it was given."""
    if member >= len(predictor.models):
        raise UsageError(f"--member {member}: the model has {len(predictor.models)} networks, numbered from 0")
    model, pieces = predictor.models[member].eval(), dict[str, list[np.ndarray]]()
    for start in range(0, len(store), 256):
        graph = model.taken(store.batch(np.arange(start, min(start + 256, len(store)))))
        given = set(graph.nodes)
        with torch.inference_mode():
            pieces.setdefault("input", []).append(_numbers(graph.nodes, {"x"}, graph.N))
            for name, _, made in model.steps(graph):
                new = set(made.nodes) - given if name != "view" else set()
                if made.N != graph.N:
                    raise UsageError("this architecture keeps no states of atoms to be read")
                if new:
                    pieces.setdefault(name, []).append(_numbers(made.nodes, new, graph.N))
    return {name: np.concatenate(parts) for name, parts in pieces.items()}


def _numbers(nodes: Features, names: set[str], n: int) -> np.ndarray:
    """Features [N, d] or [N, d, k] of these names side by side, float64; [N, 0] where they are no numbers."""
    found = [dense(nodes[name]) for name in sorted(names) if name in nodes]
    found = [f.reshape(n, -1).double() for f in found if f.is_floating_point()]
    return torch.cat([torch.zeros(n, 0, dtype=torch.float64), *found], 1).numpy()


def _accuracies(x: np.ndarray, labels: list[np.ndarray], truth: np.ndarray, first: np.ndarray) -> list[float]:
    """Balanced accuracy on the second half, for each of the `labels` [n] that the first half may teach."""
    x = x - x[first].mean(0)
    x = x / np.where((std := x[first].std(0)) > 0, std, 1.0)
    kinds, asked = np.unique(truth), x[~first]
    covariance = x[first].T @ x[first] / first.sum() + RIDGE * np.eye(x.shape[1])
    found = []
    for y in labels:
        mean = np.stack([x[first & (y == k)].mean(0) for k in kinds])  # [C, d]
        w = np.linalg.solve(covariance, mean.T)  # [d, C]
        guess = kinds[(asked @ w - 0.5 * (mean * w.T).sum(1)).argmax(1)]
        found.append(float(np.mean([(guess[truth[~first] == k] == k).mean() for k in kinds])))
    return found


def sentences(readings: list[Reading]) -> list[str]:
    """Return what was read best and where, a sentence for each thing."""
    found = []
    for what in dict.fromkeys(r.what for r in readings):
        of = [r for r in readings if r.what == what]
        best = max(of, key=lambda r: r.read - r.shuffled)
        guess = 1.0 / best.kinds
        told = f"{what}: read best after {best.step}, {best.read:.0%} (shuffled labels {best.shuffled:.0%}, guessing {guess:.0%})"
        found.append(told if best.read - best.shuffled > 0.1 else f"{what}: nothing reads it better than chance")
    return found
