"""Contacts of residues from alignments: mutual information, the same weighed with distance along the chain, and a network over pairs.

    python bench/contacts.py [--epochs 5] [--folds 4] [-o FILE.jsonl]

Needs proteins/pfam40.npz in $HELIOGRAPH_DATA or ../shared/data (40 Pfam domains, Ollikainen & Kortemme 2013); says so where absent. A
contact: C-beta atoms nearer than 8 angstrom, at least 6 residues apart along the chain; only residues that the alignment covers. Per
domain the precision of the L / 5 best pairs (at least 6, or 24, apart), averaged over domains; each domain is scored by a network that
has not seen it (folds of domains; settings fixed beforehand, no tuning). All three know the family by its alignment.

    mi         mutual information of two columns less the average product (Dunn et al. 2008, doi:10.1093/bioinformatics/btm604)
    logistic   the same, raw information and the distance along the chain, by logistic regression
    network    three layers on the graph of pairs: (i, j) hears its eight neighbours (i + a, j + b) and itself, a matrix for each
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from common import DATA, Lines, parser
from torch import Tensor, nn
from torch.nn import functional as F

from heliograph.blocks import apply_matrix
from heliograph.edge import Edge
from heliograph.graph import Features, Graph, dense
from heliograph.layer import Layer

NINE = [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1)]
NEAR, APART, LONG = 8.0, 6, 24  # angstrom, residues, residues


def information(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mutual information of columns of letters [sequences, L], and the same less the average product, [L, L]."""
    letters, L = np.unique(rows, return_inverse=True)[1].reshape(rows.shape), rows.shape[1]
    A = int(letters.max()) + 1
    one = torch.from_numpy(np.eye(A, dtype=np.float32)[letters].reshape(len(rows), L * A))
    joint = (one.T @ one / len(rows)).reshape(L, A, L, A).double().numpy()
    p = one.mean(0).reshape(L, A).double().numpy()
    product = p[:, :, None, None] * p
    seen = joint > 0
    mi = np.where(seen, joint * np.log(np.where(seen, joint, 1) / np.where(seen, product, 1)), 0).sum((1, 3))
    np.fill_diagonal(mi, 0)
    mean = mi.sum(1) / (L - 1)
    return mi, mi - mean[:, None] * mean / mean.mean()


@dataclass(frozen=True)
class Domain:
    """`graph`: pairs of residues as nodes with `x` [pairs, 5]. `apart`, `contact`, `mi` [pairs]; `length` of the chain."""

    graph: Graph
    apart: Tensor
    contact: Tensor
    mi: Tensor
    length: int


def domain(rows: np.ndarray, number: np.ndarray, cb: np.ndarray, length: int) -> Domain:
    """Make the graph of pairs of the L aligned residues with their `number` [L] along the chain."""
    raw, apc = information(rows)
    i, j = np.triu_indices(len(number), 1)
    apart = number[j] - number[i]
    i, j, apart = i[apart >= APART], j[apart >= APART], apart[apart >= APART]
    at = np.full((len(number) + 2, len(number) + 2), -1)
    at[i + 1, j + 1] = np.arange(len(i))
    senders = np.stack([at[i + 1 + a, j + 1 + b] for a, b in NINE])
    relation, receivers = (senders >= 0).nonzero()
    scaled = [(m[i, j] - m[i, j].mean()) / m[i, j].std() for m in (apc, raw)]
    x = np.stack([*scaled, np.log(apart / 20), apart < 12, apart >= LONG], 1)
    graph = Graph.build(
        torch.from_numpy(senders[relation, receivers]), torch.from_numpy(receivers), [len(i)], [len(receivers)],
        nodes={"x": torch.from_numpy(x).float()}, edges={"relation": F.one_hot(torch.from_numpy(relation), len(NINE)).float()},
    )  # fmt: skip
    near = np.linalg.norm(cb[i] - cb[j], axis=1) < NEAR
    return Domain(graph, torch.from_numpy(apart), torch.from_numpy(near), torch.from_numpy(apc[i, j]), length)


def load() -> list[Domain]:
    z = np.load(DATA / "proteins" / "pfam40.npz", allow_pickle=False)
    ends, rows = np.cumsum(z["alignments"]), np.cumsum(z["length"])
    found = []
    for k in range(len(ends)):
        text = bytes(z["alignment_text"][ends[k] - z["alignments"][k] : ends[k]]).decode().split()
        table = np.array([list(line.encode()) for line in text if not line.startswith(">")], dtype=np.uint8)
        own = slice(rows[k] - z["length"][k], rows[k])
        column = z["column_of_residue"][own]
        kept = (column >= 0).nonzero()[0]
        found.append(domain(table[:, column[kept]], kept, z["cb"][own][kept], int(z["length"][k])))
    return found


class Message(nn.Module):
    """W_r h_j, r one of the nine directions."""

    def __init__(self, d: int):
        super().__init__()
        self.W = nn.Parameter(torch.randn(len(NINE), d * d) / (len(NINE) * d) ** 0.5)

    def forward(self, e: Edge) -> dict[str, object]:
        return {"m": apply_matrix(e.e["relation"] @ self.W, e.j["h"])}


class Update(nn.Module):
    """h + relu(m + b)."""

    def __init__(self, d: int):
        super().__init__()
        self.b = nn.Parameter(torch.zeros(d))

    def forward(self, nodes: Features, messages: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"h": dense(nodes["h"]) + (messages["m"] + self.b).relu()}


class Network(nn.Module):
    """The logit of a contact for each pair; without layers it is logistic regression."""

    def __init__(self, layers: int, d: int = 8):
        super().__init__()
        self.start = nn.Linear(5, d) if layers else nn.Identity()
        self.layers, self.end = nn.Sequential(*(Layer(Message(d), Update(d)) for _ in range(layers))), nn.Linear(d if layers else 5, 1)

    def forward(self, graph: Graph) -> Tensor:
        return self.end(dense(self.layers(graph.with_nodes(h=self.start(dense(graph.nodes["x"])))).nodes["h"]))[:, 0]


def trained(layers: int, some: list[Domain], epochs: int) -> Network:
    torch.manual_seed(0)
    net = Network(layers)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    for epoch in range(epochs):
        for k in torch.randperm(len(some), generator=torch.Generator().manual_seed(epoch)).tolist():
            optimizer.zero_grad()
            F.binary_cross_entropy_with_logits(net(some[k].graph), some[k].contact.float()).backward()
            optimizer.step()
    return net


def precision(score: Tensor, d: Domain, apart: int) -> float:
    """The share of contacts among the L / 5 best pairs that are so far apart."""
    rows = (d.apart >= apart).nonzero()[:, 0]
    best = rows[score[rows].argsort(descending=True)[: max(1, d.length // 5)]]
    return float(d.contact[best].double().mean())


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--epochs", type=int, default=5)
    options.add_argument("--folds", type=int, default=4)
    args = options.parse_args()
    if not (DATA / "proteins" / "pfam40.npz").is_file():
        print(f"{DATA / 'proteins' / 'pfam40.npz'} is not there: set HELIOGRAPH_DATA to the folder of data sets")
        return
    lines, domains = Lines(args), load()
    fold = np.random.default_rng(0).permutation(len(domains)) % args.folds
    scores = {"mi": [d.mi for d in domains]}
    for name, layers in (("logistic", 0), ("network", 3)):
        nets = [trained(layers, [d for d, f in zip(domains, fold, strict=True) if f != k], args.epochs) for k in range(args.folds)]
        with torch.no_grad():
            scores[name] = [nets[f](d.graph) for d, f in zip(domains, fold, strict=True)]
    for name, of in scores.items():
        for apart in (LONG, APART):
            each = np.array([precision(s, d, apart) for s, d in zip(of, domains, strict=True)])
            lines({"way": name, "apart": apart, "precision": round(float(each.mean()), 3),
                   "standard_error": round(float(each.std(ddof=1) / len(each) ** 0.5), 3)})  # fmt: skip


if __name__ == "__main__":
    main()
