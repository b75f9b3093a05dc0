"""ggnn and chebnet against PyTorch Geometric, which computes from the same parameters: predictions and gradients."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # torch.jit.script, deprecated, is called while PyG is imported
    from torch_geometric.nn import ChebConv, GatedGraphConv, RGCNConv, global_add_pool, global_mean_pool

from heliograph import zoo
from heliograph.graph import Graph, dense
from heliograph.model import Inputs
from tests.graphs import ATOMS, BONDS, awkward
from tests.oracles.agreement import TOLERANCE, Parameters, assert_agree

precision = pytest.mark.parametrize("dtype", TOLERANCE, ids=["float64", "float32"])


def called(p: Parameters, prefix: str, x: Tensor) -> Tensor:
    return F.linear(x, p[prefix + ".weight"], p.get(prefix + ".bias"))


def gated(p: Parameters, h: Tensor, x: Tensor, graph: Graph) -> Tensor:
    both = torch.cat([h, x], -1)
    terms = called(p, "readout.gated.W", both).sigmoid() * called(p, "readout.gated.V", both).tanh()
    return called(p, "readout.W", global_add_pool(terms, graph.topology.nodes_by_graph.index, size=graph.G).tanh())


def cell(p: Parameters) -> dict[str, Tensor]:
    return {k.rsplit(".", 1)[1]: v for k, v in p.items() if k.startswith("layers.0.update.cell.")}


@precision
def test_ggnn_with_weighted_edges_of_one_type(dtype: torch.dtype) -> None:
    d, steps = 8, 4
    torch.manual_seed(0)
    net, graph = zoo.build("ggnn", Inputs(ATOMS, 1), 2, {"d": d, "steps": steps}).to(dtype), awkward().to(dtype=dtype)
    graph = graph.with_edges(edge_attr=dense(graph.edges["edge_attr"])[:, :1])
    conv = GatedGraphConv(d, steps).to(dtype)

    def theirs(p: Parameters, graph: Graph) -> Tensor:
        data = graph.to_pyg()
        A = p["layers.0.message.A.weight"].view(d, d)
        weights = {"weight": A.T.expand(steps, d, d), **{f"rnn.{k}": v for k, v in cell(p).items()}}
        h = functional_call(conv, weights, (called(p, "embed.W", data.x), data.edge_index, data.edge_attr))
        return gated(p, h, data.x, graph)

    assert_agree(net, graph, theirs)


@precision
def test_ggnn_with_edge_types(dtype: torch.dtype) -> None:
    d, steps = 8, 4
    torch.manual_seed(0)
    net, graph = zoo.build("ggnn", Inputs(ATOMS, BONDS), 2, {"d": d, "steps": steps}).to(dtype), awkward().to(dtype=dtype)
    kind = graph.topology.pairs.index % BONDS  # both directions of an edge have one type
    graph = graph.with_edges(edge_attr=F.one_hot(kind, BONDS).to(dtype))
    conv = RGCNConv(d, d, BONDS, aggr="add", root_weight=False, bias=False).to(dtype)
    gru = torch.nn.GRUCell(d, d).to(dtype)

    def theirs(p: Parameters, graph: Graph) -> Tensor:
        data = graph.to_pyg()
        A = p["layers.0.message.A.weight"].view(d, d, BONDS).permute(2, 1, 0)  # a row times a matrix
        h = called(p, "embed.W", data.x)
        for _ in range(steps):
            m = functional_call(conv, {"weight": A}, (h, data.edge_index, data.edge_attr.argmax(-1)))
            h = functional_call(gru, cell(p), (m, h))
        return gated(p, h, data.x, graph)

    assert_agree(net, graph, theirs)


@precision
@pytest.mark.parametrize("K", [1, 2, 5])
def test_chebnet(dtype: torch.dtype, K: int) -> None:
    d = 8
    torch.manual_seed(0)
    net, graph = zoo.build("chebnet", Inputs(ATOMS, BONDS), 2, {"d": d, "depth": 2, "K": K}).to(dtype), awkward().to(dtype=dtype)
    conv = ChebConv(d, d, K).to(dtype)

    def theirs(p: Parameters, graph: Graph) -> Tensor:
        data = graph.to_pyg()
        h = called(p, "embed.W", data.x).relu()
        for c in range(2):
            first = c * (K + 1)  # begin, K - 1 steps, end
            weights = {"bias": p[f"layers.{first}.W.bias"], "lins.0.weight": p[f"layers.{first}.W.weight"]}
            weights |= {f"lins.{k}.weight": p[f"layers.{first + k}.update.W.weight"] for k in range(1, K)}
            h = functional_call(conv, weights, (h, data.edge_index)).relu()
        pooled = global_mean_pool(h, data.batch, size=graph.G)
        return called(p, "readout.head.2", called(p, "readout.head.0", pooled).relu())

    assert_agree(net, graph, theirs)
