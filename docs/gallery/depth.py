"""How many layers a diffusion needs: K h >= sqrt(2 d kappa t).

Idea: K layers see K edges far, h each; heat spreads sqrt(2 d kappa t) far in d dimensions; so K is their ratio. Computed without
training: on noise each cell's value at t is a known sum over all cells (the heat kernel), so the best that K layers can do is that sum
over the cells that they see. Its error falls to 1 / e within a layer of the rule, up to five layers; at six on squares, where steps
see a diamond, 1.1 later.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg
import torch
from heat import mesh
from page import Claim, gap, graph_of, main, step
from scipy.sparse import csr_array
from scipy.sparse.csgraph import shortest_path

from heliograph import Graph
from heliograph.graph import dense


def square(n: int, d: int) -> Graph:
    """n^d cells of side one and the faces between them."""
    number = np.arange(n**d).reshape((n,) * d)
    pairs = [np.stack([np.take(number, range(n - 1), axis).ravel(), np.take(number, range(1, n), axis).ravel()], 1) for axis in range(d)]
    pos, ends = torch.from_numpy(np.stack(np.indices((n,) * d), -1).reshape(-1, d)).double(), np.concatenate(pairs)
    return graph_of(ends, n**d, edges={"g": torch.ones(len(ends)).double()}, pos=pos, area=torch.ones(n**d).double())


MESHES = {"line": lambda: (square(81, 1), 1), "squares": lambda: (square(25, 2), 2), "irregular": lambda: (mesh(500), 2)}


def edge_length(graph: Graph) -> float:
    t, pos = graph.topology, dense(graph.nodes["pos"])
    return float((pos[t.senders] - pos[t.receivers]).norm(dim=1).mean())


def kernel(graph: Graph, time: float) -> np.ndarray:
    """exp(t M): how much of each cell's value comes to each, [N, N]."""
    t, area = graph.topology, dense(graph.nodes["area"]).numpy()
    A = np.zeros((graph.N, graph.N))
    np.add.at(A, (t.receivers.numpy(), t.senders.numpy()), dense(graph.edges["g"]).numpy())
    return scipy.linalg.expm(time * (A - np.diag(A.sum(1))) / area[:, None])


def errors(graph: Graph, time: float) -> np.ndarray:
    """The least error of K = 0, 1, ... layers at the cells of the middle, relative to the value's own spread."""
    t, k, pos = graph.topology, kernel(graph, time), dense(graph.nodes["pos"])
    steps = csr_array((np.ones(t.E), (t.receivers.numpy(), t.senders.numpy())), shape=k.shape)
    middle = (pos - (pos.amax(0) + pos.amin(0)) / 2).norm(dim=1).argsort()[:9].numpy()
    hops, share = shortest_path(steps, unweighted=True, indices=middle), k[middle] ** 2
    return np.array([(share * (hops > K)).sum() / share.sum() for K in range(int(hops.max()) + 1)]) ** 0.5


def knee(error: np.ndarray) -> float:
    """The K, interpolated, at which the error has fallen to 1 / e."""
    k = int(np.argmax(error < np.exp(-1)))
    a, b = np.log(error[k - 1 : k + 1])
    return k - 1 + (a + 1) / (a - b)


def reached(K: int) -> float:
    """By a real stack of layers: K layers carry a spike K cells and no farther; off by."""
    layer = step(lambda e: {"m": e.j["h"]}, lambda n, m: {"h": dense(n["h"]) + m["m"]})
    graph = square(31, 1).with_nodes(h=torch.eye(31)[15])
    for _ in range(K):
        graph = layer(graph)
    return gap((dense(graph.nodes["h"]) > 0).sum(), 2 * K + 1)


def claims(small: bool) -> list[Claim]:
    found = [Claim("cells that five layers reach on a line, off by", reached(5), 0)]
    for name, make in MESHES.items():
        graph, d = make()
        for layers in (3.0, 5.0) if small else (2.0, 3.0, 4.0, 5.0):
            time = (layers * edge_length(graph)) ** 2 / (2 * d)  # the rule, solved for t; kappa = 1
            found.append(Claim(f"{name}: knee against the rule's {layers:g} layers, off by", abs(knee(errors(graph, time)) - layers), 1))
    return found


def draw(figure: Any) -> None:
    for axes, (name, make) in zip(figure.subplots(1, 3, sharey=True), MESHES.items(), strict=True):
        graph, d = make()
        for colour, layers in zip(("C0", "C1", "C2"), (2, 4, 6), strict=True):
            error = errors(graph, (layers * edge_length(graph)) ** 2 / (2 * d))
            axes.semilogy(error[:14].clip(1e-4), "o-", color=colour, label=f"rule: {layers} layers")
            axes.axvline(layers, color=colour, linestyle=":")
        axes.axhline(np.exp(-1), color="0.6", linewidth=0.8)
        axes.set(title=name, xlabel="layers K", ylim=(1e-3, 1.2), xticks=range(0, 14, 2))
    figure.axes[0].set_ylabel("least error")
    figure.axes[0].legend(fontsize=8, loc="lower left")


if __name__ == "__main__":
    main(__file__, claims, draw, (9, 3.2))
