"""Tree-neighbours-match: over-squashing measured (Alon & Yahav 2021, arXiv:2006.05205, sec. 4.1).

    python bench/tree.py [--depths 2 3] [--archs gcn gin gat ggnn gat+fa] [--epochs 60] [-o FILE.jsonl]

A binary tree of depth r. Each of its 2^r leaves has a key and a value, the root has a key; the label is the value of that key's leaf. It
takes r steps to hear of the leaves, and what 2^r of them say must pass the two children of the root. Training accuracy counts, as
in the paper: what can a network fit at all. Width 32, r + 1 residual layers with LayerNorm, Adam, lr 0.001; `+fa`: the last layer sees all
pairs (attention), `+expander`: every second layer is on an expander. As many examples as there are, `--examples` at most. An epoch limit is
a limit: a network that has not fitted by then might later.
"""

from __future__ import annotations

import itertools
import math
import time

import numpy as np
import torch
from common import Lines, parser
from torch import Tensor, nn
from torch.nn import functional as F

from heliograph import segment
from heliograph.batching import batch
from heliograph.blocks import GRU, MLP, Attend, Heads, Neighbour, Propagate, Transform, normalised, propagated
from heliograph.graph import Features, Graph, dense
from heliograph.layer import Layer
from heliograph.views import CompleteGraph, Expander, OnView


def examples(r: int, at_most: int, seed: int = 0) -> tuple[list[Graph], Tensor]:
    """Trees with `key` and `value` of nodes (0: none); the root is node 0, leaves are the last nodes."""
    rng, n, leaves = np.random.default_rng(seed), 2 ** (r + 1) - 1, 2**r
    if math.factorial(leaves) * leaves <= at_most:
        cases = [(np.array(p), k) for p in itertools.permutations(range(leaves)) for k in range(leaves)]
    else:
        cases = [(rng.permutation(leaves), int(rng.integers(leaves))) for _ in range(at_most)]
    child = torch.arange(1, n)
    edge = torch.cat([child, (child - 1) // 2]), torch.cat([(child - 1) // 2, child])
    graphs = []
    for values, key in cases:
        of, value = torch.zeros(n, dtype=torch.long), torch.zeros(n, dtype=torch.long)
        of[n - leaves :], value[n - leaves :], of[0] = torch.arange(1, leaves + 1), torch.from_numpy(values) + 1, key + 1
        graphs.append(Graph.build(*edge, [n], [2 * (n - 1)], nodes={"key": of, "value": value}))
    return graphs, torch.tensor([int(values[key]) for values, key in cases])


class Convolve(nn.Module):
    """relu(W (S h)_i)."""

    def __init__(self, d: int):
        super().__init__()
        self.W = nn.Linear(d, d)

    def forward(self, nodes: Features, messages: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"h": self.W(propagated(nodes, messages)).relu()}


class Isomorphism(nn.Module):
    """mlp(h_i + m_i)."""

    def __init__(self, d: int):
        super().__init__()
        self.mlp = MLP(d, d, d)

    def forward(self, nodes: Features, messages: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"h": self.mlp(dense(nodes["h"]) + messages["m"]).relu()}


class Residual(nn.Module):
    """LN(h + layers(h))."""

    def __init__(self, d: int, *layers: nn.Module):
        super().__init__()
        self.layers, self.norm = nn.Sequential(*layers), nn.LayerNorm(d)

    def forward(self, graph: Graph) -> Graph:
        h = dense(graph.nodes["h"])
        return graph.with_nodes(h=self.norm(h + dense(self.layers(normalised(graph, h)).nodes["h"])))


def step(name: str, d: int) -> nn.Module:
    layers = {
        "gcn": lambda: [Layer(Propagate(), Convolve(d))],
        "gin": lambda: [Layer(Neighbour(), Isomorphism(d), segment.sum)],
        "ggnn": lambda: [Layer(Neighbour(), GRU(d))],
        "gat": lambda: [Transform(d, 4), Layer(Attend(d, 4), Heads(d, 0.0))],
    }
    return Residual(d, *layers[name]())


class Network(nn.Module):
    """r + 1 steps from key and value of each node; the root's state says the value."""

    def __init__(self, arch: str, r: int, d: int = 32):
        super().__init__()
        name, _, option = arch.partition("+")
        self.key, self.value, self.head = nn.Embedding(2**r + 1, d), nn.Embedding(2**r + 1, d), nn.Linear(d, 2**r)
        views = {"fa": (CompleteGraph, [r]), "expander": (Expander, range(1, r + 1, 2)), "": (None, [])}[option]
        self.layers = nn.Sequential(*(OnView(step("gat", d), views[0]()) if k in views[1] else step(name, d) for k in range(r + 1)))

    def forward(self, graph: Graph) -> Tensor:
        h = self.key(dense(graph.nodes["key"])) + self.value(dense(graph.nodes["value"]))
        states = dense(self.layers(graph.with_nodes(h=h)).nodes["h"])
        roots = graph.topology.n_node.cumsum(0) - graph.topology.n_node
        return self.head(states[roots])


def run(arch: str, r: int, epochs: int, at_most: int, size: int = 256) -> tuple[float, int]:
    """The best training accuracy, percent, and epochs run; ends where all is fitted."""
    torch.manual_seed(0)
    graphs, y = examples(r, at_most)
    net, best, epoch = Network(arch, r), 0.0, 0
    parts = [(batch(graphs[k : k + size]), y[k : k + size]) for k in range(0, len(graphs), size)]
    optimizer = torch.optim.Adam(net.parameters(), lr=0.001)
    repeat = max(1, 16 // len(parts))  # passes an epoch of a small set
    while best < 99.9 and epoch < epochs:
        epoch, correct = epoch + 1, 0
        for part, label in parts * repeat:
            optimizer.zero_grad()
            answer = net(part)
            F.cross_entropy(answer, label).backward()
            optimizer.step()
            correct += int((answer.argmax(1) == label).sum())
        best = max(best, 100 * correct / (len(y) * repeat))
    return best, epoch


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--depths", nargs="+", type=int, default=[2, 3, 4])
    options.add_argument("--archs", nargs="+", default=["gcn", "gin", "gat", "ggnn", "gat+fa", "gcn+fa"])
    options.add_argument("--epochs", type=int, default=60)
    options.add_argument("--examples", type=int, default=4000)
    args = options.parse_args()
    lines = Lines(args)
    done = {(line["arch"], line["r"]) for line in lines.kept if "arch" in line}
    for r in args.depths:
        for arch in args.archs:
            if (arch, r) not in done:
                start = time.perf_counter()
                accuracy, epochs = run(arch, r, args.epochs, args.examples)
                lines({"arch": arch, "r": r, "train_accuracy": round(accuracy, 1), "epochs": epochs, "examples": args.examples,
                       "seconds": round(time.perf_counter() - start, 1)})  # fmt: skip


if __name__ == "__main__":
    main()
