"""PyTorch Geometric computes the same from the same parameters: predictions, and the gradient of each parameter."""

from __future__ import annotations

import warnings
from math import log

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # torch.jit.script, deprecated, is called while PyG is imported
    from torch_geometric.nn import GCNConv, GINEConv, NNConv, global_add_pool, global_mean_pool
    from torch_geometric.nn.aggr import Set2Set as PyGSet2Set
    from torch_geometric.nn.models import SchNet
    from torch_geometric.nn.models.schnet import GaussianSmearing

from heliograph import zoo
from heliograph.graph import Graph, dense
from heliograph.model import MPNN, Inputs
from heliograph.views import CompleteGraph, with_distances
from tests.graphs import ATOMS, BONDS, awkward
from tests.oracles.agreement import TOLERANCE, Parameters, assert_agree

precision = pytest.mark.parametrize("dtype", TOLERANCE, ids=["float64", "float32"])


def network(name: str, dtype: torch.dtype, geometry: bool = False, **args: object) -> MPNN:
    torch.manual_seed(0)
    return zoo.build(name, Inputs(ATOMS, BONDS, geometry), 2, args).to(dtype).eval()


def pyg(graph: Graph) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x, edge_index, edge_attr, batch."""
    data = graph.to_pyg()
    return data.x, data.edge_index, data.edge_attr, data.batch


def part(parameters: Parameters, of: str, to: str = "") -> dict[str, Tensor]:
    """The parameters whose names begin with `of.`, under names that begin with `to`."""
    return {to + name.removeprefix(f"{of}."): p for name, p in parameters.items() if name.startswith(f"{of}.")}


@precision
def test_gcn(dtype: torch.dtype) -> None:
    net = network("gcn", dtype, d=16, depth=3)

    def theirs(parameters: Parameters, graph: Graph) -> Tensor:
        x, edge_index, _, batch = pyg(graph)
        h = functional_call(nn.Linear(ATOMS, 16), part(parameters, "embed.W"), x).relu()
        for k in range(3):
            W = {"lin.weight": parameters[f"layers.{k}.update.W.weight"], "bias": parameters[f"layers.{k}.update.W.bias"]}
            h = functional_call(GCNConv(16, 16), W, (h, edge_index)).relu()
        return net.readout.head(global_mean_pool(h, batch, size=graph.G))

    assert_agree(net, awkward().to(dtype=dtype), theirs)


@precision
def test_gin(dtype: torch.dtype) -> None:
    net = network("gin", dtype, d=16, depth=3)
    for layer in net.layers:
        layer.update.eps.data.fill_(0.25)  # exact in every precision
        layer.update.mlp[1].running_mean.normal_()

    def theirs(parameters: Parameters, graph: Graph) -> Tensor:
        x, edge_index, edge_attr, batch = pyg(graph)
        h = functional_call(nn.Linear(ATOMS, 16), part(parameters, "embed.W"), x)
        states = [h]
        for k, layer in enumerate(net.layers):
            mlp = nn.Sequential(nn.Linear(16, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 16))
            conv = GINEConv(mlp, train_eps=True, edge_dim=BONDS).to(dtype).eval()
            weights = part(parameters, f"layers.{k}.update.mlp", "nn.") | part(parameters, f"layers.{k}.message.W", "lin.")
            weights |= {"eps": parameters[f"layers.{k}.update.eps"].view(1), "nn.1.running_mean": layer.update.mlp[1].running_mean}
            h = functional_call(conv, weights, (h, edge_index, edge_attr)).relu()
            states.append(h)
        return net.readout.head(global_add_pool(torch.cat(states, -1), batch, size=graph.G))

    assert_agree(net, awkward().to(dtype=dtype), theirs)


@precision
@pytest.mark.parametrize(("geometry", "towers", "gaussians"), [(False, 1, 0), (True, 1, 0), (False, 2, 0), (True, 4, 0), (True, 1, 7)])
def test_gilmer(dtype: torch.dtype, geometry: bool, towers: int, gaussians: int) -> None:
    d, hidden = 8, 12
    sizes = {"d": d, "hidden": hidden, "steps": 3, "readout_steps": 4}
    net = network("gilmer", dtype, geometry, **sizes, towers=towers, gaussians=gaussians)
    alone, each = towers == 1, d // towers

    def theirs(parameters: Parameters, graph: Graph) -> Tensor:
        seen = with_distances(CompleteGraph()(graph)) if geometry else graph
        x, edge_index, edge_attr, batch = pyg(seen)
        if geometry:
            distance = seen.topology.given(dense(seen.edges["distance"]))
            if gaussians:
                smear = GaussianSmearing(0.5, 8.0, gaussians).to(dtype)
                smear.coeff = -0.5 * ((gaussians - 1) / 7.5) ** 2  # PyG rounds it to float32
                distance = smear(distance)
            edge_attr = torch.cat([edge_attr, distance], -1)
        A = nn.Sequential(nn.Linear(edge_attr.shape[-1], hidden), nn.ReLU(), nn.Linear(hidden, each * each)).to(dtype)
        conv = NNConv(each, each, A, aggr="add", root_weight=False, bias=False)

        def step(h: Tensor, message: str, update: str) -> Tensor:
            W2 = part(parameters, f"layers.0.message{message}.W2")
            weights = part(parameters, "embed.W1", "nn.0.") | {
                # NNConv multiplies a row from the left: its matrix is the transpose of A
                "nn.2.weight": W2["weight"].view(each, each, hidden).transpose(0, 1).reshape(each * each, hidden),
                "nn.2.bias": W2["bias"].view(each, each).T.reshape(-1),
            }
            messages = functional_call(conv, weights, (h, edge_index, edge_attr))
            return functional_call(nn.GRUCell(each, each), part(parameters, f"layers.0.update{update}.cell"), (messages, h))

        h = functional_call(nn.Linear(ATOMS, d), part(parameters, "embed.W"), x)
        for _ in range(3):
            names = [("", "")] if alone else [(f".messages.{t}", f".updates.{t}") for t in range(towers)]
            h = torch.cat([step(of, *name) for of, name in zip(h.chunk(towers, -1), names, strict=True)], -1)
            if not alone:
                g = nn.Sequential(nn.Linear(d, d), nn.ReLU(), nn.Linear(d, d))
                h = functional_call(g, part(parameters, "layers.0.update.g"), h)
        lstm = {f"lstm.{name}_l0": p for name, p in part(parameters, "readout.set2set.lstm").items()}
        states = net.readout.W(torch.cat([h, x], -1))
        return net.readout.head(functional_call(PyGSet2Set(d, processing_steps=4), lstm, (states, batch), {"dim_size": graph.G}))

    assert_agree(net, awkward().to(dtype=dtype), theirs)


@precision
@pytest.mark.parametrize(("cutoff", "dipole"), [(10.0, False), (2.5, False), (10.0, True)])
def test_schnet(dtype: torch.dtype, cutoff: float, dipole: bool) -> None:
    torch.manual_seed(0)
    sizes = {"d": 16, "depth": 3, "gaussians": 20, "cutoff": cutoff, "dipole": dipole}
    net = zoo.build("schnet", Inputs(ATOMS, BONDS, True), 1, sizes).to(dtype).eval()  # PyG's has one output

    def pairs(pos: Tensor, batch: Tensor) -> tuple[Tensor, Tensor]:  # PyG's own needs a compiled extension
        near = (torch.cdist(pos, pos) < cutoff) & (batch[:, None] == batch[None, :]) & ~torch.eye(len(pos), dtype=torch.bool)
        edge_index = near.nonzero().T
        return edge_index, (pos[edge_index[0]] - pos[edge_index[1]]).norm(dim=-1)

    def theirs(parameters: Parameters, graph: Graph) -> Tensor:
        other = SchNet(16, 16, 3, 20, cutoff, interaction_graph=pairs, dipole=dipole).to(dtype)
        of_graph = graph.topology.nodes_by_graph.index
        if dipole:  # PyG's charges need not add up to zero
            other.lin2.register_forward_hook(lambda _, __, q: q - global_mean_pool(q, of_graph)[of_graph])
        weights = {"embedding.weight": parameters["embed.element.weight"][:100]}
        for k in range(3):
            for mine, of in (("message.W", "mlp"), ("message.U", "conv.lin1"), ("update.V.0", "conv.lin2"), ("update.V.2", "lin")):
                weights |= part(parameters, f"layers.{k}.{mine}", f"interactions.{k}.{of}.")
        weights |= part(parameters, "readout.mlp.0", "lin1.") | part(parameters, "readout.mlp.2", "lin2.")
        for module in other.modules():
            if hasattr(module, "shift"):
                module.shift = log(2.0)  # PyG rounds it to float32
        other.distance_expansion.coeff = -float(net.layers[0].message.gaussians.gamma)
        y = functional_call(other, weights, (dense(graph.nodes["z"]), dense(graph.nodes["pos"]), of_graph))  # [last graph with a node, 1]
        y = torch.cat([y, y.new_zeros(graph.G - len(y), 1)])
        return y + parameters["readout.b"] if dipole else y

    assert_agree(net, awkward().to(dtype=dtype), theirs)
