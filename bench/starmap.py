"""Domains of the STARmap sections of the prefrontal cortex: mean against attention, by layers, without labels.

    python bench/starmap.py [--depth 8] [--learned 3] [-o FILE.jsonl]

Needs spatial/starmap_mpfc.npz in $HELIOGRAPH_DATA or ../shared/data (Wang et al. 2018; domains of Li & Zhou 2022); says so where absent.
Counts are scaled to the median total of a cell, log(1 + x), 20 principal components; each cell hears its six nearest and itself, by the
layers of docs/gallery/tissue.py; four k-means clusters. `mixed`: three layers of mean, then attention. Per section, way and
layers: adjusted Rand index, the share of border cells (with a neighbour of another domain) and of the others that are right under
the best matching of clusters to domains, and Moran's I of the states. Beside them, with `--learned` seeds, two networks of three layers
that learn to fill in the components of the 30 % of the cells that are hidden at each step (200 steps of Adam, lr 0.003, width 32; fixed
beforehand): one averages over neighbours, the other attends to them as GAT does.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from common import DATA, Lines, parser
from scipy.optimize import linear_sum_assignment
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score, confusion_matrix
from torch import Tensor, nn

from heliograph import segment
from heliograph.blocks import Attend, Heads, Transform
from heliograph.edge import Edge
from heliograph.graph import Graph, dense
from heliograph.layer import Layer

sys.path.append(str(Path(__file__).parents[1] / "docs" / "gallery"))
from tissue import clusters, moran, neighbours, states


class Mean(nn.Module):
    """W h_j of each neighbour, to be averaged."""

    def forward(self, e: Edge) -> dict[str, object]:
        return {"m": e.j["Wh"]}


def learned(graph: Graph, x: Tensor, attention: bool, seed: int, d: int = 32, depth: int = 3) -> Tensor:
    """The states [cells, d] of a network that fills in hidden cells."""
    torch.manual_seed(seed)
    layer = (lambda: Layer(Attend(d, 1), Heads(d))) if attention else (lambda: Layer(Mean(), Heads(d), segment.mean))
    first, last = nn.Linear(x.shape[1], d), nn.Linear(d, x.shape[1])
    steps = nn.Sequential(*(part for _ in range(depth) for part in (Transform(d, 1), layer())))
    optimizer = torch.optim.Adam([*first.parameters(), *steps.parameters(), *last.parameters()], lr=3e-3)
    for _ in range(200):
        hidden = (torch.rand(len(x), 1) < 0.3).float()
        h = dense(steps(graph.with_nodes(h=first(x * (1 - hidden)))).nodes["h"])
        optimizer.zero_grad()
        (((last(h) - x).square() * hidden).sum() / hidden.sum()).backward()
        optimizer.step()
    with torch.no_grad():
        return dense(steps(graph.with_nodes(h=first(x))).nodes["h"])


def judged(found: np.ndarray, domain: np.ndarray, border: np.ndarray) -> dict[str, float]:
    """Rand index of clusters, and the shares of border cells and of the others that are right under the best matching."""
    truth = np.unique(domain, return_inverse=True)[1]
    a, b = linear_sum_assignment(-confusion_matrix(truth, found))
    correct = np.array([dict(zip(b.tolist(), a.tolist(), strict=True))[c] for c in found]) == truth
    right = {"border_right": correct[border], "inside_right": correct[~border]}
    return {"ari": round(adjusted_rand_score(domain, found), 3), **{name: round(float(x.mean()), 3) for name, x in right.items()}}


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--depth", type=int, default=8)
    options.add_argument("--learned", type=int, default=3, help="seeds of the two networks (3; 0: none)")
    args = options.parse_args()
    path = DATA / "spatial" / "starmap_mpfc.npz"
    if not path.is_file():
        print(f"{path} is not there: set HELIOGRAPH_DATA to the folder of data sets")
        return
    z, lines = np.load(path, allow_pickle=False), Lines(args)
    for section in sorted(name.removesuffix("_counts") for name in z.files if name.endswith("_counts")):
        counts, xy, domain = (z[f"{section}_{what}"] for what in ("counts", "xy", "domain"))
        total = counts.sum(1, keepdims=True)
        x = PCA(20, random_state=0).fit_transform(np.log1p(counts / np.maximum(total, 1) * np.median(total)))
        graph = neighbours(np.asarray(xy, dtype=float))
        t = graph.topology
        border = np.zeros(graph.N, dtype=bool)
        np.logical_or.at(border, t.receivers.numpy(), domain[t.senders.numpy()] != domain[t.receivers.numpy()])
        genes = float(moran(graph, torch.from_numpy(np.log1p(counts).astype(float))).nan_to_num().mean())
        lines({"section": section, "cells": graph.N, "border": int(border.sum()), "moran_genes": round(genes, 3)})
        start = torch.from_numpy(x.astype(float))
        mean = states(graph, start, False, args.depth)
        ways = {"mean": mean, "attention": states(graph, start, True, args.depth)}
        ways["mixed"] = [*mean[:4], *states(graph, mean[3], True, args.depth - 3)[1:]]
        found = [(way, None, depth, h) for way, layers in ways.items() for depth, h in enumerate(layers)]
        scaled = torch.from_numpy(x / x[:, 0].std()).float()
        found += [(f"learned {'attention' if a else 'mean'}", seed, 3, learned(graph, scaled, a, seed))
                  for seed in range(args.learned) for a in (False, True)]  # fmt: skip
        for way, seed, depth, h in found:
            measured = judged(clusters(h, len(np.unique(domain))), domain, border)
            more = {} if seed is None else {"seed": seed}
            lines({"section": section, "way": way, "layers": depth, **more, **measured, "moran": round(float(moran(graph, h).mean()), 3)})


if __name__ == "__main__":
    main()
