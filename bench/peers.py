"""The same networks with the same weights in PyTorch Geometric (and one in plain PyTorch).

A peer is a function (our network, the graph) -> (module, its arguments). Whatever a peer may prepare when its batch is built (pairs, a
normalised adjacency matrix) is prepared, and not timed; ours derives what it needs within the step.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from heliograph.graph import Graph, dense
from heliograph.model import MPNN
from heliograph.views import CompleteGraph, RandomWalks, with_distances

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from torch_geometric.nn import GATConv, GATv2Conv, GCNConv, GINEConv, GPSConv, MessagePassing, NNConv, global_add_pool, global_mean_pool
    from torch_geometric.nn.aggr import Set2Set
    from torch_geometric.nn.conv.gcn_conv import gcn_norm
    from torch_geometric.nn.models import SchNet as PyGSchNet
    from torch_geometric.utils import to_torch_csr_tensor

Peer = Callable[[MPNN, Graph], tuple[nn.Module, tuple[Any, ...]]]


def complete(graph: Graph) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x, edge_index, [bond features, distance] and batch on the graph of all pairs."""
    data = with_distances(CompleteGraph()(graph)).to_pyg()
    return data.x, data.edge_index, torch.cat([data.edge_attr, data.distance], -1), data.batch


def schnet(net: MPNN, graph: Graph) -> tuple[nn.Module, tuple[Any, ...]]:
    """PyG's SchNet; the pairs are handed to it, so that it doesn't search for them."""
    index, members = complete(graph)[1], graph.topology.nodes_by_graph.index

    def pairs(pos: Tensor, batch: Tensor) -> tuple[Tensor, Tensor]:
        return index, (pos[index[0]] - pos[index[1]]).norm(dim=-1)

    theirs = PyGSchNet(128, 128, 6, 50, 10.0, interaction_graph=pairs)
    theirs.embedding.weight.data = net.embed.element.weight.data[:100].clone()
    for block, layer in zip(theirs.interactions, net.layers, strict=True):
        block.mlp.load_state_dict(layer.message.W.state_dict())
        block.conv.lin1.load_state_dict(layer.message.U.state_dict())
        block.conv.lin2.load_state_dict(layer.update.V[0].state_dict())
        block.lin.load_state_dict(layer.update.V[2].state_dict())
    theirs.lin1.load_state_dict(net.readout.mlp[0].state_dict())
    theirs.lin2.load_state_dict(net.readout.mlp[2].state_dict())
    return theirs, (dense(graph.nodes["z"]), dense(graph.nodes["pos"]), members)


class Gilmer(nn.Module):
    """Embedding, edge network, GRU, Set2Set and head of PyG's QM9 example with the weights of ours; `conv` passes the messages."""

    def __init__(self, net: MPNN):
        super().__init__()
        W2 = net.layers[0].message.W2
        d, hidden = math.isqrt(W2.out_features), W2.in_features
        self.start, self.project, self.head = (copy.deepcopy(m) for m in (net.embed.W, net.readout.W, net.readout.head))
        self.cell, self.T = copy.deepcopy(net.layers[0].update.cell), len(net.layers)
        network = nn.Sequential(nn.Linear(net.embed.W1.in_features, hidden), nn.ReLU(), nn.Linear(hidden, d * d))
        self.conv = NNConv(d, d, network, aggr="add", root_weight=False, bias=False)  # resets the weights of `network`
        W2 = net.layers[0].message.W2
        network[0].load_state_dict(net.embed.W1.state_dict())
        network[2].weight.data = W2.weight.data.view(d, d, hidden).transpose(0, 1).reshape(d * d, hidden).clone()
        network[2].bias.data = W2.bias.data.view(d, d).T.reshape(-1).clone()
        self.set2set = Set2Set(d, processing_steps=net.readout.set2set.steps)
        self.set2set.lstm.load_state_dict({f"{k}_l0": v for k, v in net.readout.set2set.lstm.state_dict().items()})

    def readout(self, h: Tensor, x: Tensor, members: Tensor, G: int) -> Tensor:
        return self.head(self.set2set(self.project(torch.cat([h, x], -1)), members, dim_size=G))

    def forward(self, x: Tensor, index: Tensor, attr: Tensor, members: Tensor, G: int) -> Tensor:
        h = self.start(x)
        for _ in range(self.T):
            h = self.cell(self.conv(h, index, attr), h)
        return self.readout(h, x, members, G)


class GilmerOnce(Gilmer):
    """A(e) computed once and kept for all T steps, messages by a batched product: what plain PyTorch does when told that A is tied."""

    def forward(self, x: Tensor, index: Tensor, attr: Tensor, members: Tensor, G: int) -> Tensor:
        h = self.start(x)
        A = self.conv.nn(attr).view(-1, h.shape[1], h.shape[1])  # [E, d, d]
        for _ in range(self.T):
            m = (h.index_select(0, index[0]).unsqueeze(1) @ A).squeeze(1)  # [E, d]
            h = self.cell(torch.zeros_like(h).index_add(0, index[1], m.to(h.dtype)), h)
        return self.readout(h, x, members, G)


def gilmer(net: MPNN, graph: Graph) -> tuple[nn.Module, tuple[Any, ...]]:
    return Gilmer(net), (*complete(graph), graph.G)


def gilmer_once(net: MPNN, graph: Graph) -> tuple[nn.Module, tuple[Any, ...]]:
    return GilmerOnce(net), (*complete(graph), graph.G)


class PairConv(MessagePassing):
    """sum_j mlp([h_i, h_j, e_ij])."""

    def __init__(self, mlp: nn.Module):
        super().__init__(aggr="add")
        self.mlp = mlp

    def forward(self, h: Tensor, index: Tensor, attr: Tensor) -> Tensor:
        return self.propagate(index, h=h, attr=attr)

    def message(self, h_i: Tensor, h_j: Tensor, attr: Tensor) -> Tensor:
        return self.mlp(torch.cat([h_i, h_j, attr], -1))


class Interaction(nn.Module):
    """`interaction.py`, through PyG's MessagePassing."""

    def __init__(self, net: MPNN):
        super().__init__()
        self.start, self.head = copy.deepcopy(net.embed.W), copy.deepcopy(net.readout.head)
        self.convs = nn.ModuleList(PairConv(copy.deepcopy(layer.message.phi)) for layer in net.layers)

    def forward(self, x: Tensor, index: Tensor, attr: Tensor, members: Tensor, G: int) -> Tensor:
        h = self.start(x)
        for conv in self.convs:
            h = h + conv(h, index, attr)
        return self.head(global_add_pool(h, members, G))


def interaction(net: MPNN, graph: Graph) -> tuple[nn.Module, tuple[Any, ...]]:
    return Interaction(net), (*complete(graph), graph.G)


class GCN(nn.Module):
    """Layers of GCNConv with the weights of ours; `normalize` False: the graph comes with weights."""

    def __init__(self, net: MPNN, normalize: bool):
        super().__init__()
        self.start, self.head = copy.deepcopy(net.embed.W), copy.deepcopy(net.readout.head)
        self.convs = nn.ModuleList(gcn_conv(layer.update.W, normalize) for layer in net.layers)

    def forward(self, x: Tensor, graph: Tensor, weight: Tensor | None, members: Tensor, G: int) -> Tensor:
        h = self.start(x).relu()
        for conv in self.convs:
            h = conv(h, graph, weight).relu()
        return self.head(global_mean_pool(h, members, G))


def gcn_conv(W: nn.Linear, normalize: bool) -> GCNConv:
    conv = GCNConv(W.in_features, W.out_features, normalize=normalize)
    conv.lin.weight.data, conv.bias.data = W.weight.data.clone(), W.bias.data.clone()
    return conv


def csr(index: Tensor, N: int) -> Tensor:
    """The normalised adjacency matrix, receivers as rows, in PyTorch's CSR format (PyG: `adj_t`)."""
    index, weight = gcn_norm(index, num_nodes=N)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch: sparse CSR is in beta
        return to_torch_csr_tensor(index.flip(0), weight, size=(N, N))


def gcn(net: MPNN, graph: Graph) -> tuple[nn.Module, tuple[Any, ...]]:
    data = graph.to_pyg()
    return GCN(net, True), (data.x, data.edge_index, None, data.batch, graph.G)


def gcn_weighted(net: MPNN, graph: Graph) -> tuple[nn.Module, tuple[Any, ...]]:
    data = graph.to_pyg()
    return GCN(net, False), (data.x, *gcn_norm(data.edge_index, num_nodes=graph.N), data.batch, graph.G)


def gcn_sparse(net: MPNN, graph: Graph) -> tuple[nn.Module, tuple[Any, ...]]:
    data = graph.to_pyg()
    return GCN(net, False), (data.x, csr(data.edge_index, graph.N), None, data.batch, graph.G)


class GIN(nn.Module):
    """Layers of GINEConv with the weights of ours."""

    def __init__(self, net: MPNN):
        super().__init__()
        self.start, self.head = copy.deepcopy(net.embed.W), copy.deepcopy(net.readout.head)
        self.convs = nn.ModuleList()
        for layer in net.layers:
            W = layer.message.W
            conv = GINEConv(nn.Identity(), train_eps=True)
            conv.nn, conv.lin = copy.deepcopy(layer.update.mlp), copy.deepcopy(W)  # handed to it, they would get new weights
            self.convs.append(conv)

    def forward(self, x: Tensor, index: Tensor, attr: Tensor, members: Tensor, G: int) -> Tensor:
        states = [self.start(x)]
        for conv in self.convs:
            states.append(conv(states[-1], index, attr).relu())
        return self.head(global_add_pool(torch.cat(states, -1), members, G))


def gin(net: MPNN, graph: Graph) -> tuple[nn.Module, tuple[Any, ...]]:
    data = graph.to_pyg()
    return GIN(net), (data.x, data.edge_index, data.edge_attr, data.batch, graph.G)


class GAT(nn.Module):
    """Layers of GATConv or GATv2Conv with the weights of ours."""

    def __init__(self, net: MPNN, convs: list[nn.Module]):
        super().__init__()
        self.start, self.head, self.convs = copy.deepcopy(net.embed.W), copy.deepcopy(net.readout.head), nn.ModuleList(convs)

    def forward(self, x: Tensor, index: Tensor, attr: Tensor | None, members: Tensor, G: int) -> Tensor:
        h = self.start(x)
        for conv in self.convs:
            h = nn.functional.elu(conv(h, index) if attr is None else conv(h, index, attr))
        return self.head(global_mean_pool(h, members, G))


def gat(net: MPNN, graph: Graph) -> tuple[nn.Module, tuple[Any, ...]]:
    convs: list[nn.Module] = []
    for transform, layer in zip(net.layers[::2], net.layers[1::2], strict=True):
        a, d = layer.message.attention, transform.W.in_features
        conv = GATConv(d, d // transform.heads, transform.heads)
        conv.lin.weight.data, conv.bias.data = transform.W.weight.data.clone(), layer.update.b.data.clone()
        conv.att_dst.data, conv.att_src.data = a.a_i.data[None].clone(), a.a_j.data[None].clone()
        convs.append(conv)
    data = graph.to_pyg()
    return GAT(net, convs), (data.x, data.edge_index, None, data.batch, graph.G)


def gatv2(net: MPNN, graph: Graph) -> tuple[nn.Module, tuple[Any, ...]]:
    convs: list[nn.Module] = []
    for layer in net.layers:
        of, (heads, width) = layer.message, layer.message.a.shape
        conv = GATv2Conv(heads * width, width, heads, edge_dim=of.W_e.in_features, fill_value=0.0)
        conv.lin_r.load_state_dict(of.W_r.state_dict())
        conv.lin_l = copy.deepcopy(of.W_l)  # theirs has a bias
        conv.lin_edge.load_state_dict(of.W_e.state_dict())
        conv.att.data, conv.bias.data = of.a.data[None].clone(), layer.update.b.data.clone()
        convs.append(conv)
    data = graph.to_pyg()
    return GAT(net, convs), (data.x, data.edge_index, data.edge_attr, data.batch, graph.G)


class GPS(nn.Module):
    """Layers of GPSConv around GINEConv with the weights of ours; it pads graphs to the largest and multiplies matrices."""

    def __init__(self, net: MPNN):
        super().__init__()
        self.start, self.head = copy.deepcopy(net.embed.W), copy.deepcopy(net.readout.head)
        self.convs = nn.ModuleList()
        for layer in net.layers:
            message, update, d = layer.message, layer.update, layer.message.W.out_features
            local = GINEConv(nn.Identity(), train_eps=False)
            local.nn, local.lin = copy.deepcopy(update.mlp1), copy.deepcopy(message.W)
            conv = GPSConv(d, None, message.attention.heads)  # handed a conv, it would give it new weights
            conv.conv, of = local, message.attention
            conv.attn.in_proj_weight.data = torch.cat([of.Q.weight, of.K.weight, of.V.weight]).detach().clone()
            conv.attn.in_proj_bias.data = torch.cat([of.Q.bias, torch.zeros(d), of.V.bias]).detach().clone()
            conv.attn.out_proj.load_state_dict(update.O.state_dict())
            conv.mlp[0].load_state_dict(update.mlp2[0].state_dict())
            conv.mlp[3].load_state_dict(update.mlp2[2].state_dict())
            self.convs.append(conv)

    def forward(self, x: Tensor, index: Tensor, attr: Tensor, members: Tensor, G: int) -> Tensor:
        h = self.start(x)
        for conv in self.convs:
            h = conv(h, index, members, edge_attr=attr)
        return self.head(global_add_pool(h, members, G))


def gps(net: MPNN, graph: Graph) -> tuple[nn.Module, tuple[Any, ...]]:
    data = graph.to_pyg()
    walks = dense(RandomWalks(net.embed.W.in_features - data.x.shape[1])(graph).nodes["walks"])
    return GPS(net), (torch.cat([data.x, walks], -1), data.edge_index, data.edge_attr, data.batch, graph.G)
