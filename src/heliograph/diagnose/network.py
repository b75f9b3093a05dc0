"""What a network does with depth on one graph or a batch: how alike states become, and how far a node's state depends on others' inputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse
import torch

from heliograph.graph import Graph, dense
from heliograph.layer import Layer
from heliograph.model import MPNN

PROBES = 24  # nodes whose Jacobian is taken
DIRECTIONS = 4  # random ones, in which it is taken
PAIRS = 4096  # pairs of nodes whose angle is taken


@dataclass(frozen=True, eq=False)
class Network:
    """Of a network of `steps` message passing steps.

    After the embedding and each step: `energy`, the mean of |h_i - h_j|^2 over edges, over the mean of |h_i|^2 (the Dirichlet
    energy of the states, scaled), and `cosine`, the mean over pairs of nodes of one graph of the cosine of their states.
    By distance 0, 1, ...: `jacobian`, the mean of |dh_v / dx_u|, and `bound`, the mean of (S^K)_vu, S = D^-1/2 (A + 1) D^-1/2, both over
    their value at distance 0 (Topping et al. 2022, arXiv:2111.14522, lemma 1: the first is at most c times the second). Empty where
    the network reads no features x.
    """

    steps: int
    energy: tuple[float, ...]
    cosine: tuple[float, ...]
    jacobian: tuple[float, ...]
    bound: tuple[float, ...]


def network(net: MPNN, graph: Graph) -> Network:
    """Measure a network, trained or not, on a graph or a batch. Random choices are seeded."""
    net.eval()
    steps = depth_of(net)
    energy, cosine = _alike(net, graph)
    jacobian, bound = _influence(net, graph, max(1, steps))
    return Network(steps, tuple(energy), tuple(cosine), tuple(jacobian), tuple(bound))


def depth_of(net: MPNN) -> int:
    """Count the message passing steps; the same layer twice is two steps."""
    found = 0
    for layer in net.layers:
        inner = sum(isinstance(m, Layer) for m in layer.modules())
        found += inner
    return found


def _alike(net: MPNN, graph: Graph) -> tuple[list[float], list[float]]:
    t, rng = graph.topology, np.random.default_rng(0)
    start = (t.n_node.cumsum(0) - t.n_node).numpy()
    i = rng.integers(max(graph.N, 1), size=PAIRS)
    of = t.nodes_by_graph.index.numpy()[i] if graph.N else i
    j = start[of] + rng.integers(1 << 30, size=PAIRS) % t.n_node.numpy()[of] if graph.N else i
    i, j = i[i != j], j[i != j]
    energies, cosines = [], []
    with torch.no_grad():
        for name, _, seen in net.steps(graph):
            if name == "view" or "h" not in seen.nodes or seen.N != graph.N:
                continue
            h = dense(seen.nodes["h"]).flatten(1).double().cpu()
            size = h.square().sum(1).mean().clamp(min=1e-300)
            if t.E:
                energies.append(float((h[t.senders] - h[t.receivers]).square().sum(1).mean() / size))
            if len(i):
                cosines.append(float(torch.nn.functional.cosine_similarity(h[i], h[j], dim=1, eps=1e-150).mean()))
    return energies, cosines


def _influence(net: MPNN, graph: Graph, K: int) -> tuple[list[float], list[float]]:
    if "x" not in graph.nodes or not graph.N:
        return [], []
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    probes = np.sort(rng.choice(graph.N, min(PROBES, graph.N), replace=False))
    S, hops = _propagation(graph, probes, K)
    parameter = next(net.parameters())
    size = np.zeros((len(probes), graph.N))
    with torch.enable_grad():
        x = dense(graph.nodes["x"]).to(parameter.dtype).detach().clone().requires_grad_()
        h = dense(net.states(graph.with_nodes(x=x)).nodes["h"])
        if len(h) != graph.N or not h.requires_grad:
            return [], []
        for k, v in enumerate(probes.tolist()):
            for _ in range(DIRECTIONS):
                side = torch.randn(h[v].shape, generator=generator).to(h)
                (gradient,) = torch.autograd.grad((h[v] * side).sum(), x, retain_graph=True, allow_unused=True)
                if gradient is None:
                    return [], []
                size[k] += gradient.norm(dim=1).double().numpy() / DIRECTIONS
    far = int(hops.max())
    by_distance = [[float(rows[hops == d].mean()) for d in range(far + 1) if (hops == d).any()] for rows in (size, S)]
    return tuple([v / values[0] for v in values] if values[0] > 0 else [] for values in by_distance)  # type: ignore[return-value]


def _propagation(graph: Graph, probes: np.ndarray, K: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows (S^K)_vu and distances (-1: none) of the probes v, [probes, N] each."""
    t = graph.topology
    A = scipy.sparse.csr_array((np.ones(t.E), (t.receivers.numpy(), t.senders.numpy())), shape=(t.N, t.N))
    A.sum_duplicates()
    root = scipy.sparse.diags_array(1 / np.sqrt(1 + A.sum(1)))
    S = root @ (A + scipy.sparse.eye_array(t.N)) @ root
    rows = np.zeros((len(probes), t.N))
    rows[np.arange(len(probes)), probes] = 1
    hops = np.where(rows > 0, 0, -1)
    reached = rows
    for k in range(1, t.N):
        reached = ((reached @ A + reached) > 0).astype(float)
        new = (reached > 0) & (hops < 0)
        if not new.any():
            break
        hops[new] = k
    for _ in range(K):
        rows = rows @ S
    return rows, hops
