"""PageRank and personalised PageRank by message passing; `appnp` without learning is personalised PageRank.

Idea: a page sends its importance along its links, shared equally, and adds up what it receives; with probability 1 - damping a reader
starts anew. Sent for one start page that is personalised PageRank, which `appnp` runs on predictions instead of on ones. Correction: the
network that does this is called APPNP; personalised PageRank is the matrix that it applies, and in its symmetric normalisation.
"""

from __future__ import annotations

from typing import Any

import networkx
import torch
from page import Claim, gap, main, step
from torch import Tensor, nn

from heliograph import Graph, zoo
from heliograph.graph import dense
from heliograph.model import Inputs


def rank(nx: networkx.DiGraph, start: Tensor, damping: float = 0.85, rounds: int = 200) -> list[Tensor]:
    """p' = (1 - damping) start + damping (sum_j p_j / out_j + what pages without links hold, by start), after each round."""
    graph = Graph.from_networkx(nx)
    t = graph.topology
    out = torch.zeros(t.N, dtype=torch.float64).index_add(0, t.senders, torch.ones(t.E, dtype=torch.float64))
    share = torch.where(out > 0, 1 / out.clamp(min=1), 0)
    graph = graph.with_nodes(p=start, share=share, dead=(out == 0).double(), start=start)
    vote = step(
        lambda e: {"m": e.j["p"] * e.j["share"]},
        lambda n, m: {"p": (1 - damping) * dense(n["start"])
                      + damping * (m["m"] + (dense(n["p"]) * dense(n["dead"])).sum() * dense(n["start"]))},
    )  # fmt: skip
    found = []
    for _ in range(rounds):
        graph = vote(graph)
        found.append(dense(graph.nodes["p"]))
    return found


def identity_appnp(nx: networkx.Graph, alpha: float, K: int) -> tuple[Tensor, Tensor]:
    """`appnp` with predictions h^0 = x, and alpha (1 - (1 - alpha) S)^-1 x with S = D^-1/2 (A + 1) D^-1/2."""
    n = len(nx)
    net = zoo.build("appnp", Inputs(n, 0), 1, {"d": n, "K": K, "alpha": alpha}).double().eval()
    net.embed.mlp = nn.Identity()
    x = torch.eye(n, dtype=torch.float64)
    found = dense(net.states(Graph.from_networkx(nx).with_nodes(x=x)).nodes["h"])
    A = torch.from_numpy(networkx.to_numpy_array(nx)) + torch.eye(n, dtype=torch.float64)
    norm = A.sum(1).rsqrt()
    return found.detach(), alpha * torch.linalg.inv(torch.eye(n, dtype=torch.float64) - (1 - alpha) * norm[:, None] * A * norm)


def web(n: int) -> networkx.DiGraph:
    return networkx.gnp_random_graph(n, 3 / n, seed=1, directed=True)


def claims(small: bool) -> list[Claim]:
    nx = web(60 if small else 2000)
    n = len(nx)
    everywhere, one = torch.full((n,), 1 / n, dtype=torch.float64), torch.eye(n, dtype=torch.float64)[0]
    theirs = networkx.pagerank(nx, tol=1e-14, max_iter=1000)
    mine = networkx.pagerank(nx, personalization={0: 1}, tol=1e-14, max_iter=1000)
    small_world = networkx.connected_watts_strogatz_graph(60, 4, 0.2, seed=0)
    return [
        Claim("PageRank = NetworkX", gap(rank(nx, everywhere)[-1], list(theirs.values())), 1e-10),
        Claim("personalised PageRank = NetworkX", gap(rank(nx, one)[-1], list(mine.values())), 1e-10),
        Claim("pages without links, which the sum must not lose", sum(d == 0 for _, d in nx.out_degree), 1, at_least=True),
        Claim("appnp with identity predictions = the PPR matrix", gap(*identity_appnp(small_world, 0.2, 150)), 1e-10),
    ]


def draw(figure: Any) -> None:
    left, right = figure.subplots(1, 2)
    nx = web(300)
    start = torch.full((300,), 1 / 300, dtype=torch.float64)
    found, theirs = rank(nx, start, rounds=60), torch.tensor(list(networkx.pagerank(nx, tol=1e-15, max_iter=1000).values()))
    left.semilogy([gap(p, theirs) for p in found])
    left.set(xlabel="rounds", ylabel="largest difference", title="PageRank, against NetworkX")
    nx = networkx.connected_watts_strogatz_graph(60, 4, 0.2, seed=0)
    for alpha in (0.1, 0.2, 0.5):
        gaps = [gap(*identity_appnp(nx, alpha, K)) for K in range(1, 60, 6)]
        right.semilogy(range(1, 60, 6), gaps, "o-", label=f"alpha = {alpha}")
    right.set(xlabel="K, steps of appnp", title="appnp, against the inverse matrix")
    right.legend()


if __name__ == "__main__":
    main(__file__, claims, draw)
