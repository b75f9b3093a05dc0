"""Domains of the STARmap sections of the prefrontal cortex: mean against attention, by layers, without labels.

    python bench/starmap.py [--depth 8] [-o FILE.jsonl]

Needs spatial/starmap_mpfc.npz in $HELIOGRAPH_DATA or ../shared/data (Wang et al. 2018; domains of Li & Zhou 2022); says so where absent.
Counts are scaled to the median total of a cell, log(1 + x), 20 principal components; each cell hears its six nearest and itself, by the
layers of docs/gallery/tissue.py; four k-means clusters. `mixed`: three layers of mean, then attention. Per section, way and
layers: adjusted Rand index, the share of border cells (with a neighbour of another domain) and of the others that are right under
the best matching of clusters to domains, and Moran's I of the states.
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

sys.path.append(str(Path(__file__).parents[1] / "docs" / "gallery"))
from tissue import clusters, moran, neighbours, states


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--depth", type=int, default=8)
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
        for way, layers in ways.items():
            for depth, h in enumerate(layers):
                found = clusters(h, len(np.unique(domain)))
                table = confusion_matrix(np.unique(domain, return_inverse=True)[1], found)
                a, b = linear_sum_assignment(-table)
                right = dict(zip(b.tolist(), a.tolist(), strict=True))
                correct = np.array([right[c] for c in found]) == np.unique(domain, return_inverse=True)[1]
                lines({"section": section, "way": way, "layers": depth,
                       "ari": round(adjusted_rand_score(domain, found), 3), "border_right": round(float(correct[border].mean()), 3),
                       "inside_right": round(float(correct[~border].mean()), 3),
                       "moran": round(float(moran(graph, h).mean()), 3)})  # fmt: skip


if __name__ == "__main__":
    main()
