"""A tissue's domains: averaging over neighbours finds them, too many layers blur them, attention keeps their borders.

Idea: each layer of averaging is a step of diffusion. It gathers evidence within a domain and mixes domains at borders; attention
by likeness (softmax of - |h_i - h_j|^2 / t) mixes less there. Here t is the median over edges, no label is used; domains are
k-means clusters. On three real sections (`bench/starmap.py`) such attention from the start does worse than the mean; after three layers of
mean it keeps more border cells right at eight layers in each, and the whole section's index is better in one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from page import Claim, gap, main, step
from scipy.spatial import cKDTree
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from torch import Tensor

from heliograph import Graph, segment
from heliograph.graph import dense


def neighbours(xy: np.ndarray, k: int = 6) -> Graph:
    """Each cell hears its k nearest and itself."""
    near, n = torch.from_numpy(cKDTree(xy).query(xy, k + 1)[1]).flatten(), len(xy)
    return Graph.build(near, torch.arange(n).repeat_interleave(k + 1), [n], [len(near)])


def attention_layer(t: float) -> Any:
    """h_i' = sum_j softmax_j(-|h_i - h_j|^2 / t) h_j; t infinite is the mean."""

    def message(e: Any) -> Any:
        near = -(e.i["h"] - e.j["h"]).dense().square().sum(-1, keepdim=True) / t
        return {"m": segment.softmax(near, e.graph.topology.incoming) * e.j["h"].dense()}

    return step(message, lambda n, m: {"h": m["m"]})


def states(graph: Graph, x: Tensor, attention: bool, depth: int) -> list[Tensor]:
    """States after 0 .. depth layers."""
    graph, found, t = graph.with_nodes(h=x), [x], graph.topology
    for _ in range(depth):
        apart = (found[-1][t.senders] - found[-1][t.receivers]).square().sum(1)
        graph = attention_layer(float(apart[apart > 0].median()) if attention else float("inf"))(graph)
        found.append(dense(graph.nodes["h"]))
    return found


def clusters(h: Tensor, k: int) -> Any:
    return KMeans(k, n_init=10, random_state=0).fit_predict(h.numpy())


def moran(graph: Graph, x: Tensor) -> Tensor:
    """Moran's I of each column: do neighbours vary alike (loops left out)."""
    t, z = graph.topology, x - x.mean(0)
    w = (t.senders != t.receivers)[:, None].double()
    lag = step(lambda e: {"m": e.e["w"] * e.j["h"]}, lambda n, m: {"h": m["m"]})(graph.with_edges(w=w).with_nodes(h=z))
    return len(x) / w.sum() * (z * dense(lag.nodes["h"])).sum(0) / z.square().sum(0)


def synthetic(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, Tensor]:
    """Four bands of cells; genes tell them apart badly."""
    rng = np.random.default_rng(seed)
    xy = rng.uniform(size=(n, 2))
    band = np.digitize(xy[:, 1] + 0.05 * np.sin(9 * xy[:, 0]), [0.2, 0.5, 0.7])
    return xy, band, torch.from_numpy(rng.normal(size=(4, 8))[band] * 0.8 + rng.normal(size=(n, 8)))


def claims(small: bool) -> list[Claim]:
    xy, band, x = synthetic(1000, seed=1)
    graph, z = neighbours(xy), (x - x.mean(0)).numpy()
    W = np.zeros((len(x), len(x)))
    W[graph.topology.receivers, graph.topology.senders] = graph.topology.receivers != graph.topology.senders
    wanted = len(x) / W.sum() * (z * (W @ z)).sum(0) / (z**2).sum(0)
    mean, attention = ([adjusted_rand_score(band, clusters(h, 4)) for h in states(graph, x, a, 8)] for a in (False, True))
    return [
        Claim("Moran's I = its formula with a dense matrix", gap(moran(graph, x), wanted), 1e-10),
        Claim("ARI of two layers of mean above none", mean[2] - mean[0], 0.1, at_least=True),
        Claim("ARI lost by mean from two layers to eight", mean[2] - mean[8], 0.03, at_least=True),
        Claim("ARI after eight layers, attention minus mean", attention[8] - mean[8], 0.05, at_least=True),
    ]


def draw(figure: Any) -> None:
    (left, right), (xy, band, x) = figure.subplots(1, 2), synthetic(1000, seed=1)
    graph = neighbours(xy)
    for attention in (False, True):
        found = states(graph, x, attention, 12)
        left.plot([adjusted_rand_score(band, clusters(h, 4)) for h in found], "o-", label="attention" if attention else "mean")
        right.plot([float(moran(graph, h).mean()) for h in found], "o-")
    left.set(xlabel="layers", title="domains found: adjusted Rand index")
    right.set(xlabel="layers", title="how alike neighbours are: Moran's I")
    left.legend()


if __name__ == "__main__":
    main(__file__, claims, draw)
