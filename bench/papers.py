"""Citation graphs, and networks for nodes as their papers have them, from the parts of each architecture's file.

The last layer's width is the number of classes. gat_code has two more dropouts, which gat's authors' code has and their paper does not
tell of: a mask of the words for each head, and one of W h where it is sent. The scores of both have no biases, as in the paper; appnp's
dropout of edges is left out.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from heliograph.blocks import AdditiveAttention, Dropout, Heads, NodeWise, OnStates, Propagate, normalised
from heliograph.data.graph_store import GraphStore
from heliograph.data.sources.one_graph import Nodes
from heliograph.edge import Edge
from heliograph.graph import Features, Graph, dense
from heliograph.layer import Layer
from heliograph.model import MPNN
from heliograph.views import SelfLoops
from heliograph.zoo import appnp, gcn2, sgc


class Words(nn.Module):
    """f(W x_i) with dropout on x, the words of a paper, held sparse; a mask of its own for each of `heads` parts of W."""

    def __init__(self, x: Tensor, d: int, dropout: float, bias: bool = False, f: nn.Module | None = None, heads: int = 1):
        super().__init__()
        self.register_buffer("index", x.indices(), persistent=False)
        self.register_buffer("value", x.values(), persistent=False)
        self.size, self.dropout, self.f, self.heads = x.shape, Dropout(dropout), f or nn.Identity(), heads
        self.W = nn.Linear(x.shape[1], d, bias=bias)

    def forward(self, graph: Graph) -> Graph:
        def product(W: Tensor) -> Tensor:
            x = torch.sparse_coo_tensor(self.index, self.dropout(self.value), self.size, check_invariants=False, is_coalesced=True)
            return torch.sparse.mm(x, W.T)

        h = torch.cat([product(W) for W in self.W.weight.chunk(self.heads if self.training else 1)], 1)  # [N, d]
        h = self.f(h if self.W.bias is None else h + self.W.bias)
        return normalised(graph, h, start=h)


class Relu(nn.Module):
    """relu((S h)_i)."""

    def __init__(self) -> None:
        super().__init__()
        self.smooth = sgc.Smooth()

    def forward(self, nodes: Features, messages: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"h": self.smooth(nodes, messages)["h"].relu()}


class Average(nn.Module):
    """The mean of the heads, and a bias: GAT's eq. 6."""

    def __init__(self, d: int):
        super().__init__()
        self.b = nn.Parameter(torch.zeros(d))

    def forward(self, nodes: Features, messages: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"h": messages["m"].mean(1) + self.b}  # [N, heads, classes] -> [N, classes]


class Project(nn.Module):
    """W h_i in heads, [N, heads, d], as `blocks.Transform` for W of any shape; and what is sent, after dropout."""

    def __init__(self, W: nn.Module, heads: int, dropout: float):
        super().__init__()
        self.W, self.heads, self.dropout = W, heads, Dropout(dropout)

    def forward(self, graph: Graph) -> Graph:
        Wh = self.W(dense(graph.nodes["h"])).unflatten(-1, (self.heads, -1))
        return graph.with_nodes(Wh=Wh, sent=self.dropout(Wh))


class Send(nn.Module):
    """`blocks.Attend`, whose scores are of W h and whose messages are of W h after dropout."""

    def __init__(self, d: int, heads: int):
        super().__init__()
        self.attention = AdditiveAttention(heads, d // heads, dropout=0.6)

    def forward(self, e: Edge) -> dict[str, Any]:
        return {"m": self.attention(e.i["Wh"], e.j["Wh"], e.graph.topology.incoming, e.j["sent"])}


class Start(nn.Module):
    """h^0 of the teleports: the states as they are now."""

    def forward(self, graph: Graph) -> Graph:
        return graph.with_nodes(start=graph.nodes["h"])


def network(arch: str, data: str, x: Tensor, classes: int) -> MPNN:
    """The paper's network, with weights as its authors' code draws them."""
    net = _network(arch, data, x, classes)
    if arch != "gcn2":  # its authors' code has PyTorch's own
        for module in net.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
    return net


def _network(arch: str, data: str, x: Tensor, classes: int) -> MPNN:
    if arch == "gcn":  # S relu(S X W_0) W_1, eq. 9
        words = Words(x, 16, 0.5)
        head = nn.Sequential(Dropout(0.5), nn.Linear(16, classes, bias=False))
        return MPNN(words, [Layer(Propagate(), Relu()), Layer(Propagate(), sgc.Smooth())], NodeWise(head))
    if arch in ("gat", "gat_code"):  # 8 heads of 8, then one head of classes
        masks, sent = (8, 0.6) if arch == "gat_code" else (1, 0.0)
        first = [Project(nn.Identity(), 8, sent), Layer(Send(64, 8), Heads(64, 0.6))]
        last = [Project(nn.Linear(64, classes, bias=False), 1, sent), Layer(Send(classes, 1), Average(classes))]
        return MPNN(Words(x, 64, 0.6, heads=masks), [*first, *last], NodeWise(nn.Identity()), view=SelfLoops())
    if arch == "appnp":  # 10 steps of predictions
        words = Words(x, 64, 0.5, f=nn.ReLU())
        predict = OnStates(nn.Sequential(Dropout(0.5), nn.Linear(64, classes, bias=False)))
        steps = [Layer(Propagate(), appnp.Teleport(0.1))] * 10
        return MPNN(words, [predict, Start(), *steps], NodeWise(nn.Identity()))
    d, depth, lambda_, dropout = (64, 64, 0.5, 0.6) if data == "cora" else (256, 32, 0.6, 0.7)  # table 7
    layers = [Layer(Propagate(), gcn2.Update(d, 0.1, math.log(lambda_ / k + 1), dropout)) for k in range(1, depth + 1)]
    words = Words(x, d, dropout, bias=True, f=nn.ReLU())
    return MPNN(words, [OnStates(Dropout(dropout)), *layers], NodeWise(nn.Linear(d, classes)))


def load(path: Path) -> tuple[Nodes, Tensor, dict[str, np.ndarray]]:
    """The graph with labels "y", its features [N, words] sparse with rows of sum one, and the public split."""
    data = dict(np.load(path).items())
    n, ends, count = int(data["n_nodes"]), data["edges"].astype(np.int64), np.diff(data["x_indptr"])
    total = np.maximum(np.add.reduceat(np.append(data["x_data"], 0), data["x_indptr"][:-1]) * (count > 0), 1e-12)
    rows = np.repeat(np.arange(n), count)
    index, value = np.stack([rows, data["x_indices"]]).astype(np.int64), (data["x_data"] / total[rows]).astype(np.float32)
    x = torch.sparse_coo_tensor(torch.from_numpy(index), torch.from_numpy(value), tuple(data["x_shape"]), check_invariants=True)
    k = int(data["n_train"])
    parts = {"train": np.arange(k), "val": np.arange(k, k + 500), "test": data["test_index"].astype(np.int64)}
    store = GraphStore.build(ends[ends[:, 0] != ends[:, 1]], n)
    return Nodes(store, {"y": torch.from_numpy(data["labels"].astype(np.int64))}), x.coalesce(), parts
