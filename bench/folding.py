"""From sequences to contact maps and coordinates, 40 Pfam domains, beside mutual information of alignments: one JSON line a fold.

    python bench/folding.py [--folds 5] [--epochs 30] [-o FILE.jsonl]

Needs proteins/pfam40.npz in $HELIOGRAPH_DATA or ../shared/data. A contact: C-beta nearer than 8 A, 6 or more residues apart; P@L/5 is
the share of contacts among the L / 5 likeliest pairs, at 6 and at 24 or more residues. Domains are of different families; each fold's
domains are tested once. The network knows the sequence alone: `rgcn` on the chain with a relation for each offset from -4 to 4, which is
a convolution, and a head of both ends' states and their separation. Beside it: MI-APC (Dunn et al. 2008), which knows the family's
alignment (pairs of aligned residues), and separation alone. The network also predicts distances; these become coordinates by classical
scaling, the mirror image with right-handed helices is taken, and dRMSD is of C-beta. Nothing is tuned.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from common import DATA, Lines, parser
from contacts import information
from torch import Tensor, nn

from heliograph import distances, learn, zoo
from heliograph.blocks.links import ends
from heliograph.data.sources.graphs import Graphs
from heliograph.data.targets import Target
from heliograph.graph import Graph
from heliograph.model import MPNN, Inputs

LETTERS, NEAR, APART, FAR = "ACDEFGHIKLMNPQRSTVWY-", 8.0, 6, 24
OFFSETS = [k for k in range(-4, 5) if k]
STEPS = (7, 9, 12, 16, 24, 36, 60)  # of separation


@dataclass(frozen=True, eq=False)
class Domain:
    """A domain of L residues: `codes` [L], C-beta `x` [L, 3], alignment `rows` [M, columns] (codes), `column` [L] (-1: not aligned)."""

    codes: np.ndarray
    x: np.ndarray
    rows: np.ndarray
    column: np.ndarray

    @property
    def pairs(self) -> np.ndarray:
        """Residues that may be in contact, [Q, 2]."""
        return np.argwhere(np.triu(np.ones((len(self.x), len(self.x)), bool), APART))

    @property
    def distance(self) -> np.ndarray:
        """Between C-beta atoms [L, L]."""
        return np.linalg.norm(self.x[:, None] - self.x[None], axis=-1)


def domains() -> list[Domain]:
    """All of the file."""
    with np.load(DATA / "proteins" / "pfam40.npz") as file:
        z = {k: file[k] for k in file.files}
    ends_, texts = np.cumsum([0, *z["length"]]), np.cumsum([0, *z["alignments"]])
    found = []
    for k in range(len(z["length"])):
        rows = bytes(z["alignment_text"][texts[k] : texts[k + 1]]).decode().split()
        here = slice(ends_[k], ends_[k + 1])
        found.append(Domain(codes(z["sequences"][k]), z["cb"][here], np.stack([codes(r) for r in rows]), z["column_of_residue"][here]))
    return found


def codes(text: str) -> np.ndarray:
    """Places among LETTERS; others count as gaps."""
    return np.array([max(LETTERS.find(c), -1) % 21 for c in text])


def mutual_information(domain: Domain) -> np.ndarray:
    """MI of aligned columns less the average product correction (Dunn et al. 2008, doi:10.1093/bioinformatics/btm604), [L, L]."""
    corrected = information(domain.rows)[1]
    full = np.full((len(domain.x),) * 2, -np.inf)
    there = np.flatnonzero(domain.column >= 0)
    full[np.ix_(there, there)] = corrected[np.ix_(domain.column[there], domain.column[there])]
    return full


def precision(domain: Domain, score: np.ndarray, apart: int) -> float:
    """P@L/5 of pairs `apart` or more residues apart, by `score` [L, L]."""
    i, j = np.triu_indices(len(domain.x), apart)
    best = np.argsort(-score[i, j], kind="stable")[: max(len(domain.x) // 5, 1)]
    return float((domain.distance[i[best], j[best]] < NEAR).mean())


class Pairs(nn.Module):
    """[contact, log distance] of the pairs that are asked, [Q, 2]: head([h_i * h_j, |h_i - h_j|, separation])."""

    level = "pair"

    def __init__(self, d: int):
        super().__init__()
        self.head = nn.Sequential(nn.Linear(2 * d + len(STEPS) + 1, 64), nn.ReLU(), nn.Dropout(0.3), nn.Linear(64, 2))

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        assert graph.asked is not None
        u, v = ends(graph, "h")
        apart = (graph.asked[:, 1] - graph.asked[:, 0]).float()
        steps = (apart[:, None] >= torch.tensor(STEPS)).to(u.dtype)
        y = self.head(torch.cat([u * v, (u - v).abs(), steps, apart[:, None].to(u.dtype).log()], -1))
        return {"contact": y[:, :1], "distance": y[:, 1:]}


def network(d: int = 48, depth: int = 4) -> MPNN:
    """The chain's convolution and the pairs' head."""
    plain = zoo.build("rgcn", Inputs(23, len(OFFSETS)), 1, {"d": d, "depth": depth, "dropout": 0.3}, level="node")
    return MPNN(plain.embed, plain.layers, Pairs(d), plain.view)


def graph(domain: Domain) -> Graph:
    """The chain: residues one-hot, and how near the ends they are; an edge for each offset."""
    L = len(domain.codes)
    i = np.repeat(np.arange(L), len(OFFSETS))
    offset = np.tile(np.arange(len(OFFSETS)), L)
    j = i + np.array(OFFSETS)[offset]
    keep = (j >= 0) & (j < L)
    place = np.stack([np.exp(-np.arange(L) / 10), np.exp(-np.arange(L)[::-1] / 10)], 1)
    x = np.concatenate([np.eye(21)[domain.codes], place], 1).astype(np.float32)
    made = Graph.build(
        torch.from_numpy(j[keep]), torch.from_numpy(i[keep]), [L], [int(keep.sum())], nodes={"x": torch.from_numpy(x)},
        edges={"edge_attr": torch.eye(len(OFFSETS))[torch.from_numpy(offset[keep])]},
    )  # fmt: skip
    return made.with_asked(torch.from_numpy(domain.pairs))


def targets(domain: Domain) -> dict[str, Target]:
    """Contacts and log distances of the pairs."""
    d = torch.from_numpy(domain.distance[tuple(domain.pairs.T)]).float()[:, None]
    return {"contact": Target((d < NEAR).float(), "pair"), "distance": Target(d.log(), "pair")}


def by_separation(train: Sequence[Domain]) -> tuple[np.ndarray, np.ndarray]:
    """The share of contacts and the mean log distance at each separation, [151] each, smoothed by a pseudocount."""
    near, total, log = np.zeros(151), np.zeros(151), np.zeros(151)
    for domain in train:
        i, j = np.triu_indices(len(domain.x), 1)
        d = domain.distance[i, j]
        np.add.at(near, j - i, d < NEAR)
        np.add.at(total, j - i, 1)
        np.add.at(log, j - i, np.log(d))
    known = total > 0
    return near / (total + 20), np.interp(np.arange(151), np.flatnonzero(known), log[known] / total[known])


def completed(domain: Domain, log_distance: np.ndarray, table: np.ndarray) -> np.ndarray:
    """All distances [L, L]: the mean of their separation where it is small, else exp(`log_distance` [Q])."""
    apart = np.abs(np.subtract.outer(np.arange(len(domain.x)), np.arange(len(domain.x))))
    d = np.exp(table[apart]) * (apart > 0)
    i, j = domain.pairs.T
    d[i, j] = d[j, i] = np.exp(log_distance)
    return d


def folded(domain: Domain, d: np.ndarray) -> tuple[float, np.ndarray]:
    """dRMSD of the coordinates that distances give, and those."""
    x = distances.right_handed(distances.from_distances(torch.from_numpy(d)))
    return float(distances.drmsd(x, torch.from_numpy(domain.x).double())), x.numpy()


def fold(all_: list[Domain], test: Sequence[int], val: Sequence[int], epochs: int, seed: int) -> dict[str, Any]:
    """Train without `test` and `val`; figures of the domains in `test`."""
    train = [k for k in range(len(all_)) if k not in test and k not in val]
    source = Graphs([graph(d) for d in all_], [targets(d) for d in all_])
    parts = {"train": np.array(train), "val": np.array(val), "test": np.array(test)}
    objective = learn.Supervised({"contact": "bce", "distance": "mse"})
    rates = {"init_lr": 3e-3, "max_lr": 3e-3, "final_lr": 3e-4, "warmup_epochs": 0.0}
    fit = learn.FitConfig(epochs=epochs, batch_size=2, weight_decay=0.01, seed=seed, **rates)
    job = learn.Job(source, parts, partial(network), objective, fit, None, (), "loss", unit="domains")
    one = learn.train(job)[1][0]
    model = learn.network(job, one).eval()
    near, log = by_separation([all_[k] for k in train])
    found: dict[str, list[float]] = {}
    for k in test:
        domain = all_[k]
        with torch.no_grad():
            y = model(source.batch(np.array([k]), None))
        apart = np.abs(np.subtract.outer(np.arange(len(domain.x)), np.arange(len(domain.x))))
        score = np.full(apart.shape, -np.inf)
        score[tuple(domain.pairs.T)] = y["contact"][:, 0].numpy()
        maps = {"network": score, "mi_apc": mutual_information(domain), "separation": near[apart]}
        for name, which in maps.items():
            for least in (APART, FAR):
                found.setdefault(f"{name} P@L/5 >= {least}", []).append(precision(domain, which, least))
        i, j = np.triu_indices(len(domain.x), FAR)
        found.setdefault(f"base rate >= {FAR}", []).append(float((domain.distance[i, j] < NEAR).mean()))
        found.setdefault("network dRMSD", []).append(folded(domain, completed(domain, y["distance"][:, 0].double().numpy(), log))[0])
        found.setdefault("separation dRMSD", []).append(folded(domain, completed(domain, log[apart[tuple(domain.pairs.T)]], log))[0])
        found.setdefault("true distances dRMSD", []).append(folded(domain, domain.distance.astype(float))[0])
    return {name: [round(v, 3) for v in values] for name, values in found.items()}


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--folds", type=int, default=5)
    options.add_argument("--epochs", type=int, default=30)
    given = options.parse_args()
    if not (DATA / "proteins" / "pfam40.npz").is_file():
        raise SystemExit(f"{DATA / 'proteins' / 'pfam40.npz'} is absent: set HELIOGRAPH_DATA. Nothing was run.")
    line, all_ = Lines(given), domains()
    order = np.random.default_rng(0).permutation(len(all_))
    pieces = np.array_split(order, given.folds)
    together: dict[str, list[float]] = {}
    for k in range(given.folds):
        if not (old := [x for x in line.kept if x.get("fold") == k and x.get("epochs") == given.epochs]):
            old = [fold(all_, pieces[k].tolist(), pieces[(k + 1) % given.folds].tolist(), given.epochs, k)]
            line({"fold": k, "epochs": given.epochs} | old[0])
        for name, values in old[0].items():
            if isinstance(values, list):
                together.setdefault(name, []).extend(values)
    line({"domains": len(together["network dRMSD"])} | {name: round(statistics.mean(v), 3) for name, v in together.items()})


if __name__ == "__main__":
    main()
