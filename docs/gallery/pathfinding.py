"""Paths learned: does a message need to see both of its ends?

Idea: Gilmer et al. 2017 tried the pair message MLP([h_i, h_j, e]), which sees both ends of a link, on a toy of finding paths that was made
for it, and found it worse than A(e) h_j even there. Here are both, trained twice each: curves of one kind differ as much as those of two.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from page import Claim, Function, main
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra
from torch import Tensor, nn

from heliograph import Graph, Layer
from heliograph.blocks import GRU, MLP, apply_matrix
from heliograph.graph import dense

N, D, ROUNDS, FAR = 16, 16, 5, 8.0
AT, SEEDS, KINDS = (0, 40, 80, 120), 2, ("edge network", "pair message")


@cache
def worlds(count: int, seed: int) -> tuple[Graph, Tensor]:
    """`count` random graphs with links of length 1, 2 or 3 and a goal each; distances [N] to it, at most `FAR`."""
    rng, ends, kinds, far = np.random.default_rng(seed), [], [], []
    for _ in range(count):
        tree = [(k, int(rng.integers(k))) for k in range(1, N)]  # connected
        pairs = np.array(sorted({tuple(sorted(p)) for p in [*tree, *rng.integers(0, N, (N // 2, 2)).tolist()] if p[0] != p[1]}))
        kind = rng.integers(0, 3, len(pairs))
        ends, kinds = [*ends, np.concatenate([pairs, pairs[:, ::-1]])], [*kinds, kind, kind]
        far.append(dijkstra(coo_array((kind + 1.0, pairs.T), shape=(N, N)), directed=False, indices=0).clip(max=FAR))
    edges = torch.from_numpy(np.concatenate([e + N * k for k, e in enumerate(ends)]))
    goal = (torch.arange(count * N) % N == 0).float()[:, None]
    w = nn.functional.one_hot(torch.from_numpy(np.concatenate(kinds)), 3).float()
    graph = Graph.build(*edges.T, [N] * count, [len(e) for e in ends], nodes={"goal": goal}, edges={"w": w})
    return graph, torch.from_numpy(np.concatenate(far)).float()


class Walker(nn.Module):
    """h = W goal, then `ROUNDS` times a message and a GRU, one set of weights; the distance from the last state."""

    def __init__(self, kind: str):
        super().__init__()
        self.start, self.end = nn.Linear(1, D), MLP(D, D, 1)
        edge = MLP(3, 8, D * D) if kind == "edge network" else MLP(2 * D + 3, 24, D)
        alone = lambda e: {"m": apply_matrix(edge(e.e["w"]), e.j["h"])}  # noqa: E731
        both = lambda e: {"m": edge(torch.cat([e.i["h"], e.j["h"], e.e["w"]], -1))}  # noqa: E731
        self.edge, self.layer = edge, Layer(Function(alone if kind == "edge network" else both), GRU(D))

    def forward(self, graph: Graph) -> Tensor:
        graph = graph.with_nodes(h=self.start(dense(graph.nodes["goal"])))
        for _ in range(ROUNDS):
            graph = self.layer(graph)
        return self.end(dense(graph.nodes["h"]))[:, 0]


@cache
def learn(kind: str, seed: int, at: tuple[int, ...] = AT) -> list[float]:
    """The mean absolute error of distances on graphs that training has not seen, after each number of steps in `at`."""
    torch.manual_seed(seed)
    net, (test, right) = Walker(kind), worlds(100, 10**6)
    optimizer, errors = torch.optim.Adam(net.parameters(), lr=6e-3), []
    for k in range(max(at) + 1):
        if k in at:
            with torch.no_grad():
                errors.append(float((net(test) - right).abs().mean()))
        graph, wanted = worlds(16, 1000 * seed + k)
        optimizer.zero_grad()
        (net(graph) - wanted).abs().mean().backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
    return errors


def claims(small: bool) -> list[Claim]:
    guess = float(((right := worlds(100, 10**6)[1]) - right.median()).abs().mean())
    if small:
        return [Claim("edge network: error over that of one guess for all", learn("edge network", 0, (120,))[0] / guess, 0.9)]
    found = {kind: np.mean([learn(kind, seed)[-1] for seed in range(SEEDS)]) for kind in KINDS}
    errors = [Claim(f"{kind}: error over that of one guess for all", found[kind] / guess, 0.95) for kind in KINDS]
    return [*errors, Claim("edge network's error over the pair message's, as measured", found[KINDS[0]] / found[KINDS[1]], 2.0)]


def draw(figure: Any) -> None:
    axes = figure.subplots()
    for kind, style in zip(KINDS, ("C0o-", "C1s--"), strict=True):
        for seed in range(SEEDS):
            axes.plot(AT, learn(kind, seed), style, label=kind if seed == 0 else None)
    axes.set(xlabel="steps of training, 16 graphs each", ylabel="mean error of a distance", ylim=0)
    axes.legend()


if __name__ == "__main__":
    main(__file__, claims, draw)
