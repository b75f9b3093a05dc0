"""Test accuracy on HyperGCN's ten splits of three hypergraphs, with an MLP and a GCN on the clique expansion beside.

    python bench/hypergraph.py [--sets cora_cocitation ...] [--archs mlp gcn hgnn unigcnii allset] [--splits 10] [-o FILE.jsonl]

Needs hypergraph/SET.npz in $HELIOGRAPH_DATA or ../shared/data; says so where it is absent. About 5 % of the nodes train, all others are
the test; there is no validation set, and 200 epochs of Adam, lr 0.01, weight decay 5e-4, dropout 0.5, width 32, two
layers S relu(S X W_1) W_2, as HyperGCN's repository has them (Yadati et al. 2019, arXiv:1809.02589); unigcnii with eight layers, dropout
0.2, width 64 and a weight decay of 0.01 in its layers. Features are normalised by row, every node is a hyperedge of its own, too,
and the last epoch counts. A file that holds some runs is gone on with.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
from common import DATA, Lines, parser
from papers import Words
from torch import Tensor, nn
from torch.nn import functional as F

from heliograph import zoo
from heliograph.blocks import NodeWise, Propagate, Scales, collect, normalised, propagated, spread
from heliograph.graph import Features, Graph, dense
from heliograph.layer import Layer
from heliograph.model import MPNN, Inputs
from heliograph.views import incidence

SETS = ("cora_cocitation", "cora_coauthorship", "citeseer_cocitation")
ARCHS = ("hgnn", "unigcnii", "gcn", "mlp", "allset")


def load(path: Path) -> tuple[Graph, Graph, Tensor, Tensor, np.ndarray]:
    """The hypergraph's graph, its clique expansion, sparse features, labels, and training rows [10, n]."""
    z = np.load(path, allow_pickle=False)
    n = int(z["n_nodes"])
    edge, member = np.repeat(np.arange(len(z["edge_ptr"]) - 1), np.diff(z["edge_ptr"])), z["members"].astype(np.int64)
    H = len(z["edge_ptr"]) - 1 + n
    cell = torch.from_numpy(np.append(edge, np.arange(n) + H - n))
    vertex = torch.from_numpy(np.append(member, np.arange(n)))
    none = torch.zeros(0, dtype=torch.long)
    hyper = incidence(Graph.build(none, none, [n], [0], nodes={"x": torch.zeros(n, 1)}), cell, vertex, torch.zeros(H, dtype=torch.long))
    pairs = np.concatenate([np.stack(np.meshgrid(m, m), -1).reshape(-1, 2) for m in np.split(member, z["edge_ptr"][1:-1])])
    pairs = np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)
    clique = Graph.build(*torch.from_numpy(pairs.T.copy()), [n], [len(pairs)], nodes={"x": torch.zeros(n, 1)})
    row = np.repeat(np.arange(n), np.diff(z["x_indptr"]))
    value = 1 / np.diff(z["x_indptr"])[row]
    x = torch.sparse_coo_tensor(np.stack([row, z["x_indices"].astype(np.int64)]), torch.from_numpy(value).float(),
                                tuple(z["x_shape"].tolist()), check_invariants=False).coalesce()  # fmt: skip
    return hyper, clique, x, torch.from_numpy(z["labels"].astype(np.int64)), z["train"].astype(np.int64)


class Start(nn.Module):
    """f(W x) on the nodes, zero at hyperedges. The nodes come first: this is one graph."""

    def __init__(self, x: Tensor, d: int, dropout: float, f: nn.Module | None = None):
        super().__init__()
        self.words = Words(x, d, dropout, bias=True, f=f)

    def forward(self, graph: Graph) -> Graph:
        n, none = self.words.size[0], torch.zeros(0, dtype=torch.long)
        h = dense(self.words(Graph.build(none, none, [n], [0])).nodes["h"])
        h = F.pad(h, (0, 0, 0, graph.N - n))
        return normalised(graph, h, start=h)


class Linear(nn.Module):
    """h = f(W h)."""

    def __init__(self, d: int, out: int, f: nn.Module | None = None):
        super().__init__()
        self.W, self.f = nn.Linear(d, out), f or nn.Identity()

    def forward(self, graph: Graph) -> Graph:
        return graph.with_nodes(h=self.f(self.W(dense(graph.nodes["h"]))))


class Smooth(nn.Module):
    """f(m_i / sqrt(d_i)) on a hypergraph, f(S h) on a graph."""

    def __init__(self, f: nn.Module | None = None):
        super().__init__()
        self.f = f or nn.Identity()

    def forward(self, nodes: Features, messages: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"h": self.f(messages["m"] * dense(nodes["at_vertices"]) if "rank" in nodes else propagated(nodes, messages))}


def network(arch: str, x: Tensor, classes: int) -> tuple[MPNN, list[nn.Module]]:
    """The network, and the modules whose weight decay is 0.01 as the paper of unigcnii has it."""
    d, act = 32, nn.Sequential(nn.ReLU(), nn.Dropout(0.5))
    if arch == "unigcnii":
        layers = zoo.build(arch, Inputs(1, 0), classes, {"d": 64, "depth": 8, "dropout": 0.2}).layers
        return MPNN(Start(x, 64, 0.2, nn.ReLU()), [*layers, Linear(64, classes)], NodeWise(nn.Identity())), list(layers)
    if arch == "allset":
        layers = zoo.build(arch, Inputs(1, 0), classes, {"d": d, "depth": 2, "dropout": 0.5}).layers
        return MPNN(Start(x, d, 0.5, act), [*layers, Linear(d, classes)], NodeWise(nn.Identity())), []
    step = {
        "mlp": lambda f: [Linear(d, d, f)] if f else [],
        "gcn": lambda f: [Layer(Propagate(), Smooth(f))],
        "hgnn": lambda f: [collect("at_vertices"), spread(Smooth(f))],
    }[arch]
    first: list[nn.Module] = [Scales()] if arch == "hgnn" else []
    return MPNN(Start(x, d, 0.5), [*first, *step(act), Linear(d, classes), *step(None)], NodeWise(nn.Identity())), []


def run(arch: str, data: tuple[Graph, Graph, Tensor, Tensor, np.ndarray], split: int, epochs: int = 200) -> float:
    """Test accuracy, percent, after the last epoch."""
    hyper, clique, x, y, train = data
    torch.manual_seed(split)
    graph, n = (clique if arch in ("gcn", "mlp") else hyper), len(y)
    net, deep = network(arch, x, int(y.max()) + 1)
    rows = torch.from_numpy(train[split])
    test = torch.ones(n, dtype=torch.bool).index_fill(0, rows, False)
    more = {p for module in deep for p in module.parameters()}
    rest = [p for p in net.parameters() if p not in more]
    groups = [{"params": rest, "weight_decay": 5e-4}, {"params": list(more), "weight_decay": 0.01}]
    optimizer = torch.optim.Adam(groups[: 1 + bool(more)], lr=0.01)
    for _ in range(epochs):
        optimizer.zero_grad()
        F.cross_entropy(net(graph)["y"][rows], y[rows]).backward()
        optimizer.step()
    with torch.no_grad():
        found = net.eval()(graph)["y"][:n].argmax(1)
    return 100 * float((found == y)[test].float().mean())


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--sets", nargs="+", default=SETS, choices=SETS)
    options.add_argument("--archs", nargs="+", default=ARCHS, choices=ARCHS)
    options.add_argument("--splits", type=int, default=10)
    args = options.parse_args()
    lines = Lines(args)
    known = {(r["set"], r["arch"], r["split"]) for r in lines.kept if "split" in r}
    for split in range(args.splits):
        for name in args.sets:
            path = DATA / "hypergraph" / f"{name}.npz"
            if not path.is_file():
                print(f"{path} is not there: set HELIOGRAPH_DATA to the folder of data sets")
                continue
            data = load(path)
            for arch in args.archs:
                if (name, arch, split) not in known:
                    start = time.perf_counter()
                    accuracy = run(arch, data, split)
                    seconds = round(time.perf_counter() - start, 1)
                    lines({"set": name, "arch": arch, "split": split, "accuracy": round(accuracy, 2), "seconds": seconds})


if __name__ == "__main__":
    main()
