"""What a trained network does with depth: whether neighbours become alike, and how far away an atom still counts."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import shortest_path
from torch import Tensor

from heliograph.graph import Graph, dense
from heliograph.model import MPNN

DIRECTIONS = 8  # random ones, in which answers of an atom's state to the others are measured
MOST_GRAPHS = 64


@dataclass(frozen=True)
class Propagation:
    """Of one trained network on molecules that it was not trained on.

    `energy`: after the embedding and each step, the mean of |h_i - h_j|^2 over bonds, over twice the mean of |h_i - mean h|^2 over the
    molecule's atoms: 1 where neighbours are as different as any two atoms, 0 where they are alike (over-smoothing).
    `influence`: the share of the gradient of an atom's last state that goes to the features of atoms 0, 1, 2, ... bonds away; empty
    where the network reads no features `x`. `atoms`: the share of atoms at these distances.
    """

    learner: str
    energy: tuple[float, ...]
    influence: tuple[float, ...]
    atoms: tuple[float, ...]

    def sentences(self) -> list[str]:
        """Say in words what the figures mean."""
        said = []
        if len(self.energy) > 1 and math.isfinite(self.energy[-1]):
            first, last = 100 * self.energy[0], 100 * self.energy[-1]
            means = "they blur." if last < 0.5 * first else "no sign that depth makes them alike."
            said.append(
                f"{self.learner}: after the last step bonded atoms are {last:.0f} % as different as any two atoms of a molecule "
                f"(before the first {first:.0f} %): {means}"
            )
        if len(self.influence) > 5:
            far, there = 100 * sum(self.influence[5:]), 100 * sum(self.atoms[5:])
            said.append(
                f"{self.learner}: what an atom knows comes to {far:.1f} % from atoms more than four bonds away, "
                f"which are {there:.0f} % of all atoms."
            )
        return said


def propagation(learner: str, net: MPNN, graph: Graph) -> Propagation:
    """Of `net` on the graphs of a batch; random directions are seeded."""
    net.eval()
    return Propagation(learner, tuple(_energy(net, graph)), *(tuple(x) for x in _influence(net, graph)))


def _energy(net: MPNN, graph: Graph) -> list[float]:
    found = []
    bonds = graph.topology
    with torch.no_grad():
        for name, _, seen in net.steps(graph):
            if name != "view" and "h" in seen.nodes and seen.N == graph.N:
                h = dense(seen.nodes["h"]).flatten(1).double()
                found.append(_relative(h, bonds.senders, bonds.receivers, bonds.nodes_by_graph.index, bonds.G))
    return found


def _relative(h: Tensor, j: Tensor, i: Tensor, of: Tensor, graphs: int) -> float:
    count = torch.bincount(of, minlength=graphs).clamp(min=1)[:, None]
    mean = torch.zeros(graphs, h.shape[1], dtype=h.dtype).index_add_(0, of, h) / count
    any_two = 2 * (h - mean[of]).square().sum(1).mean()
    joined = (h[i] - h[j]).square().sum(1).mean() if len(i) else torch.tensor(float("nan"))
    return float(joined / any_two) if any_two > 0 else math.nan


def _influence(net: MPNN, graph: Graph) -> tuple[list[float], list[float]]:
    """Shares by distance in bonds, from one atom of each graph."""
    if "x" not in graph.nodes:
        return [], []
    t, rng = graph.topology, torch.Generator().manual_seed(0)
    sizes = t.n_node[t.n_node > 0]
    first = (t.n_node.cumsum(0) - t.n_node)[t.n_node > 0]
    centre = first + (torch.rand(len(sizes), generator=rng) * sizes).long()
    x = dense(graph.nodes["x"]).float().clone().requires_grad_()
    with torch.enable_grad():
        h = dense(net.states(graph.with_nodes(x=x)).nodes["h"])[centre].flatten(1)  # [graphs, d]
        size = torch.zeros(graph.N)
        for _ in range(DIRECTIONS):
            v = torch.randn(h.shape, generator=rng)
            (gradient,) = torch.autograd.grad((h * v).sum(), x, retain_graph=True, allow_unused=True)
            if gradient is None:
                return [], []
            size += gradient.norm(dim=1)
    steps = _distances(graph, centre)
    far = int(steps.max())
    influence = np.bincount(steps[steps >= 0], size.numpy()[steps >= 0], minlength=far + 1)
    atoms = np.bincount(steps[steps >= 0], minlength=far + 1)
    if not influence.sum() > 0:
        return [], []
    return (influence / influence.sum()).tolist(), (atoms / atoms.sum()).tolist()


def _distances(graph: Graph, centre: Tensor) -> np.ndarray:
    """Bonds from each atom to the centre of its graph, [N]; -1 where there is no way."""
    t = graph.topology
    matrix = coo_matrix((np.ones(t.E), (t.senders.numpy(), t.receivers.numpy())), shape=(t.N, t.N)).tocsr()
    steps = np.asarray(shortest_path(matrix, directed=False, unweighted=True, indices=centre.numpy())).min(0)  # graphs are disjoint
    return np.where(np.isfinite(steps), steps, -1).astype(np.int64)
