"""The same weights in PyTorch Geometric give the same numbers."""

from __future__ import annotations

import warnings
from math import log

import pytest
import torch
from torch import Tensor, nn

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # torch.jit.script, deprecated, is called while PyG is imported
    from torch_geometric.nn import GCNConv, GINEConv, NNConv, global_add_pool, global_mean_pool
    from torch_geometric.nn.aggr import Set2Set as PyGSet2Set
    from torch_geometric.nn.models import SchNet

from heliograph import zoo
from heliograph.graph import Graph, dense
from heliograph.model import MPNN, Inputs
from heliograph.views import CompleteGraph, with_distances
from tests.graphs import ATOMS, BONDS, awkward

TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}
precision = pytest.mark.parametrize("dtype", TOLERANCE, ids=["float64", "float32"])


def network(name: str, dtype: torch.dtype, geometry: bool = False, **args: object) -> MPNN:
    torch.manual_seed(0)
    return zoo.build(name, Inputs(ATOMS, BONDS, geometry), 2, args).to(dtype).eval()


def agree(mine: Tensor, theirs: Tensor, dtype: torch.dtype) -> None:
    assert mine.dtype == theirs.dtype == dtype
    assert torch.allclose(mine, theirs, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype]), float((mine - theirs).detach().abs().max())


def pyg(graph: Graph) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x, edge_index, edge_attr, batch."""
    data = graph.to_pyg()
    return data.x, data.edge_index, data.edge_attr, data.batch


@precision
def test_gcn(dtype: torch.dtype) -> None:
    net, graph = network("gcn", dtype, d=16, depth=3), awkward().to(dtype=dtype)
    x, edge_index, _, batch = pyg(graph)
    h = net.embed.W(x).relu()
    for layer in net.layers:
        conv = GCNConv(16, 16).to(dtype)
        conv.lin.weight.data, conv.bias.data = layer.update.W.weight.data, layer.update.W.bias.data
        h = conv(h, edge_index).relu()
    agree(net(graph)["y"], net.readout.head(global_mean_pool(h, batch, size=graph.G)), dtype)


@precision
def test_gin(dtype: torch.dtype) -> None:
    net, graph = network("gin", dtype, d=16, depth=3), awkward().to(dtype=dtype)
    for layer in net.layers:
        layer.update.eps.data.fill_(0.25)  # exact in every precision
        layer.update.mlp[1].running_mean.normal_()
    x, edge_index, edge_attr, batch = pyg(graph)
    h = net.embed.W(x).detach()
    states = [h]
    for layer in net.layers:
        conv = GINEConv(layer.update.mlp.requires_grad_(False), eps=0.25, edge_dim=BONDS).to(dtype)
        conv.lin.load_state_dict(layer.message.W.state_dict())
        h = conv(h, edge_index, edge_attr).relu()
        states.append(h)
    agree(net(graph)["y"], net.readout.head(global_add_pool(torch.cat(states, -1), batch, size=graph.G)), dtype)


@precision
@pytest.mark.parametrize("geometry", [False, True])
def test_gilmer(dtype: torch.dtype, geometry: bool) -> None:
    d, hidden = 8, 12
    net, graph = network("gilmer", dtype, geometry, d=d, hidden=hidden, steps=3, readout_steps=4), awkward().to(dtype=dtype)
    seen = with_distances(CompleteGraph()(graph)) if geometry else graph
    x, edge_index, edge_attr, batch = pyg(seen)
    if geometry:
        edge_attr = torch.cat([edge_attr, seen.topology.given(dense(seen.edges["distance"]))], -1)
    network_of_edge = nn.Sequential(nn.Linear(BONDS + int(geometry), hidden), nn.ReLU(), nn.Linear(hidden, d * d)).to(dtype)
    conv = NNConv(d, d, network_of_edge, aggr="add", root_weight=False, bias=False)  # this resets the network's weights
    network_of_edge[0].load_state_dict(net.embed.W1.state_dict())
    W2 = net.layers[0].message.W2
    # NNConv multiplies a row from the left: its matrix is the transpose of A
    network_of_edge[2].weight.data = W2.weight.data.view(d, d, hidden).transpose(0, 1).reshape(d * d, hidden)
    network_of_edge[2].bias.data = W2.bias.data.view(d, d).T.reshape(-1)
    h = net.embed.W(x)
    for _ in range(3):
        h = net.layers[0].update.cell(conv(h, edge_index, edge_attr), h)
    set2set = PyGSet2Set(d, processing_steps=4).to(dtype)
    set2set.lstm.load_state_dict({f"{k}_l0": v for k, v in net.readout.set2set.lstm.state_dict().items()})
    pooled = set2set(net.readout.W(torch.cat([h, x], -1)), batch, dim_size=graph.G)
    agree(net(graph)["y"], net.readout.head(pooled), dtype)


@precision
@pytest.mark.parametrize("cutoff", [10.0, 2.5])
def test_schnet(dtype: torch.dtype, cutoff: float) -> None:
    net = network("schnet", dtype, True, d=16, depth=3, gaussians=20, cutoff=cutoff)
    net.readout.mlp[2].weight.data[1:] = 0  # PyG's has one output
    graph = awkward().to(dtype=dtype)

    def pairs(pos: Tensor, batch: Tensor) -> tuple[Tensor, Tensor]:  # PyG's own needs a compiled extension
        near = (torch.cdist(pos, pos) < cutoff) & (batch[:, None] == batch[None, :]) & ~torch.eye(len(pos), dtype=torch.bool)
        edge_index = near.nonzero().T
        return edge_index, (pos[edge_index[0]] - pos[edge_index[1]]).norm(dim=-1)

    theirs = SchNet(16, 16, 3, 20, cutoff, interaction_graph=pairs).to(dtype)
    theirs.embedding.weight.data = net.embed.element.weight.data[:100]
    for block, layer in zip(theirs.interactions, net.layers, strict=True):
        block.mlp.load_state_dict(layer.message.W.state_dict())
        block.conv.lin1.load_state_dict(layer.message.U.state_dict())
        block.conv.lin2.load_state_dict(layer.update.V[0].state_dict())
        block.lin.load_state_dict(layer.update.V[2].state_dict())
    theirs.lin1.load_state_dict(net.readout.mlp[0].state_dict())
    theirs.lin2.weight.data, theirs.lin2.bias.data = net.readout.mlp[2].weight.data[:1], net.readout.mlp[2].bias.data[:1]
    for module in theirs.modules():
        if hasattr(module, "shift"):
            module.shift = log(2.0)  # PyG rounds it to float32
    theirs.distance_expansion.coeff = -float(net.layers[0].message.gaussians.gamma)
    y = theirs(dense(graph.nodes["z"]), dense(graph.nodes["pos"]), graph.topology.members.index)  # [last graph with a node, 1]
    agree(net(graph)["y"][: len(y), :1], y, dtype)
