"""Strains of perov_5 undone by `empnn`: how much of each is left.

    python bench/strain.py --minutes 8 --test

The given part of perov_5 (7,572 cells, pooled): 6,000 to train, 500 to validate, the rest to test. Each cell is multiplied by I + a random
symmetric strain of norm 5 to 10 %; the network answers with a deformation D of the lattice. Left: the distance of the singular values of
D F from one, over that of F's. Training minimises |G^T G - I|^2, G = D F. One cycle of Adam for so many minutes of CPU.
Choices are made on the validation cells; `--test` prints what is left of the test cells' strains, too.
"""

from __future__ import annotations

import itertools
import time

import numpy as np
import torch


def main() -> None:
    from common import DATA, Lines, parser

    from heliograph import zoo
    from heliograph.data.frames import Frame
    from heliograph.data.sources.structures import Keys, Structures
    from heliograph.potential.potential import INPUTS

    made = parser(__doc__)
    made.add_argument("--minutes", type=float, default=8.0)
    made.add_argument("--test", action="store_true", help="print what is left of the test cells' strains, too")
    options = made.parse_args()
    lines, cutoff, batch = Lines(options), 3.8, 16
    cells: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for part in ("val", "test"):
        with np.load(DATA / "crystals" / f"perov_5_{part}.npz", allow_pickle=False) as q:
            n = q["n_atoms"]
            ends = np.concatenate([[0], np.cumsum(n.astype(np.int64))])
            cells += [(q["Z"][a:b], q["frac"][a:b], q["lattice"][k]) for k, (a, b) in enumerate(itertools.pairwise(ends))]
    order = np.random.default_rng(0).permutation(len(cells))
    parts = {"train": order[:6000], "val": order[6000:6500], "test": order[6500:]}

    def strained(rows: np.ndarray, rng: np.random.Generator) -> tuple[object, torch.Tensor]:
        frames, applied = [], []
        for k in rows:
            z, frac, cell = cells[k]
            e = rng.normal(size=(3, 3))
            e = e + e.T
            F = np.eye(3) + e * rng.uniform(0.05, 0.10) / np.linalg.norm(e)
            frames.append(Frame(z.astype(np.uint8), frac @ cell @ F, cell @ F, (True,) * 3))
            applied.append(F)
        data = Structures.collect(frames, Keys()).with_neighbours(cutoff)
        return data.batch(np.arange(len(rows))), torch.tensor(np.array(applied))

    torch.manual_seed(0)
    net, rng = zoo.build("empnn", INPUTS, 1, {"d": 48, "depth": 3, "cutoff": cutoff}), np.random.default_rng(1)

    def left(part: str) -> list[float]:
        found: list[float] = []
        fixed = np.random.default_rng(2)
        with torch.no_grad():
            for start in range(0, len(parts[part]), 50):
                graph, F = strained(parts[part][start : start + 50], fixed)
                D = net(graph)["deformation"].double()
                sizes = [(torch.linalg.svdvals(M) - 1).square().sum(1).sqrt() for M in (D @ F, F)]
                found += (sizes[0] / sizes[1]).tolist()
        return found

    optimizer, peak, began = torch.optim.Adam(net.parameters()), 5e-3, time.process_time()
    unit, steps = torch.eye(3), 0
    while (share := (time.process_time() - began) / (60 * options.minutes)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = peak * min(share / 0.1, 1.0) * 0.5 * (1 + np.cos(np.pi * share)) + 1e-6
        graph, F = strained(rng.choice(parts["train"], batch, replace=False), rng)
        G = net(graph)["deformation"] @ F.float()
        loss = (G.transpose(1, 2) @ G - unit).square().sum((1, 2)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        steps += 1
        if steps % 500 == 0:
            lines({"steps": steps, "share": round(share, 3), "loss": round(float(loss.detach()), 5)})
    for part in ("val", "test") if options.test else ("val",):
        found = left(part)
        lines({"part": part, "cells": len(found), "steps": steps, "left_mean": round(float(np.mean(found)), 4),
               "left_median": round(float(np.median(found)), 4), "left_90": round(float(np.quantile(found, 0.9)), 4)})  # fmt: skip


if __name__ == "__main__":
    main()
