"""The family against PyTorch Geometric, which computes from the same parameters: predictions, gradients of parameters and of inputs."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # torch.jit.script, deprecated, is called while PyG is imported
    from torch_geometric.nn import (
        APPNP,
        GATConv,
        GATv2Conv,
        GCN2Conv,
        GCNConv,
        GraphConv,
        PNAConv,
        ResGatedGraphConv,
        RGCNConv,
        SAGEConv,
        SGConv,
        global_add_pool,
        global_mean_pool,
    )
    from torch_geometric.nn.aggr import Aggregation, LSTMAggregation
    from torch_geometric.nn.models import AttentiveFP
    from torch_geometric.nn.models import JumpingKnowledge as PyGJumpingKnowledge
    from torch_geometric.nn.models.attentive_fp import GATEConv
    from torch_geometric.utils import scatter

from heliograph import zoo
from heliograph.batching import batch
from heliograph.errors import UsageError
from heliograph.graph import Graph, Indexed, dense
from heliograph.model import MPNN, Inputs
from tests.graphs import ATOMS, BONDS, awkward
from tests.oracles.agreement import TOLERANCE, Parameters, assert_agree

precision = pytest.mark.parametrize("dtype", TOLERANCE, ids=["float64", "float32"])
D, DEPTH = 8, 3
Other = Callable[[Parameters, Graph], Tensor]


def network(name: str, dtype: torch.dtype, **args: object) -> MPNN:
    torch.manual_seed(0)
    net = zoo.build(name, Inputs(ATOMS, BONDS), 2, args).to(dtype)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2.0)
    return net.eval()


def check(net: MPNN, dtype: torch.dtype, theirs: Other, graph: Graph | None = None, discrete: bool = False) -> None:
    """On the awkward graphs, whose features are small tables; then with a row of its own for each node and edge, by which to derive.

    `discrete`: edges have types, which PyG takes as integers; then by those of the nodes alone.
    """
    graph = (graph or awkward()).to(dtype=dtype)
    worst = assert_agree(net, graph, theirs)
    rng = torch.Generator().manual_seed(2)
    x, edge_attr = (
        f + 0.1 * torch.randn(f.shape, generator=rng, dtype=dtype) for f in map(dense, (graph.nodes["x"], graph.edges["edge_attr"]))
    )
    x.requires_grad_(), edge_attr.requires_grad_()
    graph = graph.with_nodes(x=x) if discrete else graph.with_nodes(x=x).with_edges(edge_attr=edge_attr)
    gradients = []
    for y in (net(graph)["y"], theirs(dict(net.named_parameters()), graph)):
        weight = torch.linspace(-1, 1, y.numel(), dtype=dtype).view_as(y)
        gradients.append(torch.autograd.grad((weight * y).sum(), [x, edge_attr], materialize_grads=True))
    assert bool(gradients[1][0].any())
    for a, b in zip(*gradients, strict=True):
        difference = float((a - b).abs().max() / b.abs().max().clamp(min=1))
        assert difference <= TOLERANCE[dtype]
        worst = max(worst, difference)
    print(f"largest difference {worst:.1e}")


def linear(p: Parameters, prefix: str, x: Tensor) -> Tensor:
    return F.linear(x, p[prefix + ".weight"], p.get(prefix + ".bias"))


def normed(p: Parameters, net: MPNN, prefix: str, h: Tensor) -> Tensor:
    """The batch normalisation at `prefix`, with its running statistics."""
    norm = net.get_submodule(prefix)
    assert isinstance(norm, torch.nn.BatchNorm1d)
    return F.batch_norm(h, norm.running_mean, norm.running_var, p[f"{prefix}.weight"], p[f"{prefix}.bias"], eps=norm.eps)


def mean_head(p: Parameters, h: Tensor, graph: Graph) -> Tensor:
    return head(p, global_mean_pool(h, graph.topology.nodes_by_graph.index, size=graph.G))


def head(p: Parameters, pooled: Tensor) -> Tensor:
    return linear(p, "readout.head.2", linear(p, "readout.head.0", pooled).relu())


class Ascending(Aggregation):
    """PyG's LSTM over each node's messages, sorted and on their own (in a batch it reads the zeros that fill up short ones)."""

    def __init__(self, d: int):
        super().__init__()
        self.lstm = LSTMAggregation(d, d)

    def forward(self, x: Tensor, index: Tensor, ptr: Tensor | None = None, dim_size: int | None = None, dim: int = -2) -> Tensor:
        rows = []
        for i in range(dim_size or 0):
            own = sorted((index == i).nonzero().flatten().tolist(), key=lambda k: x[k].tolist())
            rows.append(self.lstm(x[own], torch.zeros(len(own), dtype=torch.long))[0] if own else x.new_zeros(x.shape[1]))
        return torch.stack(rows)


@precision
@pytest.mark.parametrize("aggregate", ["mean", "max", "lstm"])
def test_sage(dtype: torch.dtype, aggregate: str) -> None:
    net = network("sage", dtype, d=D, depth=DEPTH, aggregate=aggregate)
    conv = SAGEConv(D, D, aggr=Ascending(D) if aggregate == "lstm" else aggregate, project=aggregate == "max").to(dtype)

    def theirs(p: Parameters, graph: Graph) -> Tensor:
        data = graph.to_pyg()
        h = linear(p, "embed.W", data.x)
        for k in range(DEPTH):
            at = f"layers.{k}.update.combine"
            weights = {"lin_l.weight": p[f"{at}.W2.weight"], "lin_l.bias": p[f"{at}.W1.bias"], "lin_r.weight": p[f"{at}.W1.weight"]}
            if aggregate == "max":
                weights |= {f"lin.{name}": p[f"layers.{k}.message.W_p.{name}"] for name in ("weight", "bias")}
            if aggregate == "lstm":
                cell = f"layers.{k}.aggregate.aggregate.cell"
                own = [f"{kind}_{which}" for kind in ("weight", "bias") for which in ("ih", "hh")]
                weights |= {f"aggr_module.lstm.lstm.{name}_l0": p[f"{cell}.{name}"] for name in own}
            h = F.normalize(functional_call(conv, weights, (h, data.edge_index)).relu())
        return mean_head(p, h, graph)

    check(net, dtype, theirs)


@precision
def test_gat(dtype: torch.dtype) -> None:
    heads = 4
    net = network("gat", dtype, d=D, depth=DEPTH, heads=heads)
    conv = GATConv(D, D // heads, heads).to(dtype)

    def theirs(p: Parameters, graph: Graph) -> Tensor:
        data = graph.to_pyg()
        h = linear(p, "embed.W", data.x)
        for k in range(0, 2 * DEPTH, 2):  # transform, layer
            weights = {"lin.weight": p[f"layers.{k}.W.weight"], "bias": p[f"layers.{k + 1}.update.b"]}
            weights |= {f"att_{end}": p[f"layers.{k + 1}.message.attention.a_{i}"][None] for end, i in (("dst", "i"), ("src", "j"))}
            h = F.elu(functional_call(conv, weights, (h, data.edge_index)))
        return mean_head(p, h, graph)

    check(net, dtype, theirs)


@precision
def test_gatv2(dtype: torch.dtype) -> None:
    heads = 4
    net = network("gatv2", dtype, d=D, depth=DEPTH, heads=heads)
    conv = GATv2Conv(D, D // heads, heads, edge_dim=BONDS, fill_value=0.0).to(dtype)

    def theirs(p: Parameters, graph: Graph) -> Tensor:
        data = graph.to_pyg()
        h = linear(p, "embed.W", data.x)
        for k in range(DEPTH):
            at = f"layers.{k}.message"
            weights = {f"lin_{end}.weight": p[f"{at}.W_{end}.weight"] for end in ("l", "r")}
            weights |= {"lin_l.bias": torch.zeros(D, dtype=dtype), "lin_r.bias": p[f"{at}.W_r.bias"], "att": p[f"{at}.a"][None]}
            weights |= {"lin_edge.weight": p[f"{at}.W_e.weight"], "bias": p[f"layers.{k}.update.b"]}
            h = F.elu(functional_call(conv, weights, (h, data.edge_index, data.edge_attr)))
        return mean_head(p, h, graph)

    check(net, dtype, theirs)


@pytest.mark.parametrize("name", ["gat", "gatv2"])
def test_heads_that_do_not_fit(name: str) -> None:
    with pytest.raises(UsageError, match="a width of 6 does not split into 4 heads"):
        network(name, torch.float64, d=6, heads=4)


@precision
def test_graphconv(dtype: torch.dtype) -> None:
    net = network("graphconv", dtype, d=D, depth=DEPTH)
    conv = GraphConv(D, D).to(dtype)

    def theirs(p: Parameters, graph: Graph) -> Tensor:
        data = graph.to_pyg()
        h = linear(p, "embed.W", data.x)
        for k in range(DEPTH):
            at = f"layers.{k}.update"
            weights = {"lin_rel.weight": p[f"{at}.W2.weight"], "lin_rel.bias": p[f"{at}.W1.bias"], "lin_root.weight": p[f"{at}.W1.weight"]}
            h = functional_call(conv, weights, (h, data.edge_index)).relu()
        return mean_head(p, h, graph)

    check(net, dtype, theirs)


@precision
def test_gatedgcn(dtype: torch.dtype) -> None:
    """PyG's three maps all see the edge; there the key's and the value's do so with weight zero."""
    net = network("gatedgcn", dtype, d=D, depth=DEPTH)
    conv, zero = ResGatedGraphConv(D, D, edge_dim=BONDS).to(dtype), torch.zeros(D, dtype=dtype)

    def theirs(p: Parameters, graph: Graph) -> Tensor:
        data = graph.to_pyg()
        h = linear(p, "embed.W", data.x)
        for k in range(DEPTH):
            A, B, C, V = (p[f"layers.{k}.message.{name}.weight"] for name in "ABCV")
            weights = {"lin_key.weight": torch.cat([A, 0 * C], 1), "lin_key.bias": p[f"layers.{k}.message.A.bias"]}
            weights |= {"lin_query.weight": torch.cat([B, C], 1), "lin_query.bias": zero}
            weights |= {"lin_value.weight": torch.cat([V, 0 * C], 1), "lin_value.bias": p[f"layers.{k}.message.V.bias"]}
            weights |= {"lin_skip.weight": p[f"layers.{k}.update.U.weight"], "bias": p[f"layers.{k}.update.U.bias"]}
            u = functional_call(conv, weights, (h, data.edge_index, data.edge_attr))
            h = h + normed(p, net, f"layers.{k}.update.norm", u).relu()
        return mean_head(p, h, graph)

    check(net, dtype, theirs)


@precision
def test_appnp(dtype: torch.dtype) -> None:
    net = network("appnp", dtype, d=D, K=6, alpha=0.2)
    conv = APPNP(6, 0.2)

    def theirs(p: Parameters, graph: Graph) -> Tensor:
        data = graph.to_pyg()
        h = linear(p, "embed.mlp.2", linear(p, "embed.mlp.0", data.x).relu())
        return mean_head(p, conv(h, data.edge_index), graph)

    check(net, dtype, theirs)


@precision
def test_gcn2(dtype: torch.dtype) -> None:
    net = network("gcn2", dtype, d=D, depth=DEPTH, alpha=0.2, lambda_=0.7)
    convs = [GCN2Conv(D, 0.2, theta=0.7, layer=k + 1) for k in range(DEPTH)]

    def theirs(p: Parameters, graph: Graph) -> Tensor:
        data = graph.to_pyg()
        h = start = linear(p, "embed.W", data.x).relu()
        for k, conv in enumerate(convs):
            h = functional_call(conv, {"weight1": p[f"layers.{k}.update.W.weight"].T}, (h, start, data.edge_index)).relu()
        return mean_head(p, h, graph)

    check(net, dtype, theirs)


@precision
def test_sgc(dtype: torch.dtype) -> None:
    """PyG applies the linear map node by node; a mean of linear maps is the map of the mean where there is a node at all."""
    net = network("sgc", dtype, K=DEPTH)
    conv = SGConv(ATOMS, 2, DEPTH)

    def theirs(p: Parameters, graph: Graph) -> Tensor:
        data, W, b = graph.to_pyg(), p["readout.head.weight"], p["readout.head.bias"]
        scores = functional_call(conv, {"lin.weight": W, "lin.bias": torch.zeros_like(b)}, (data.x, data.edge_index))
        return global_mean_pool(scores, data.batch, size=graph.G) + b

    check(net, dtype, theirs)


class Std(Aggregation):
    """sqrt(variance + 1e-5), zero for a node alone. PyG's own cuts variances below 1e-5 off, and their gradient."""

    def forward(self, x: Tensor, index: Tensor, ptr: Tensor | None = None, dim_size: int | None = None, dim: int = -2) -> Tensor:
        apart = x - self.reduce(x, index, ptr, dim_size, dim, "mean").index_select(dim, index)
        count = self.reduce(torch.ones_like(x), index, ptr, dim_size, dim, "sum")
        return (self.reduce(apart * apart, index, ptr, dim_size, dim, "mean") + 1e-5).sqrt() * (count > 0)


@precision
def test_pna(dtype: torch.dtype) -> None:
    """PyG has two more linear maps, for edges before and for towers after; there they are identities."""
    histogram = torch.tensor([3, 5, 4, 2])  # nodes of degree 0, 1, 2, 3
    delta = float((torch.arange(1, 5).double().log() * histogram).sum() / histogram.sum())
    net = network("pna", dtype, d=D, depth=DEPTH, delta=delta)
    conv = PNAConv(D, D, ["mean", "max", "min", Std()], ["identity", "amplification", "attenuation"], histogram, edge_dim=BONDS).to(dtype)
    conv.aggr_module.avg_deg_log.fill_(delta)  # PyG computes it in float32
    wide = {"weight": torch.eye(D, BONDS, dtype=dtype), "bias": torch.zeros(D, dtype=dtype)}
    same = {"weight": torch.eye(D, dtype=dtype), "bias": torch.zeros(D, dtype=dtype)}

    def theirs(p: Parameters, graph: Graph) -> Tensor:
        data = graph.to_pyg()
        h = linear(p, "embed.W", data.x)
        for k in range(DEPTH):
            at = f"layers.{k}"
            weights = {f"edge_encoder.{name}": v for name, v in wide.items()} | {f"lin.{name}": v for name, v in same.items()}
            weights |= {
                "pre_nns.0.0.weight": F.pad(p[f"{at}.message.M.weight"], (0, D - BONDS)),
                "pre_nns.0.0.bias": p[f"{at}.message.M.bias"],
            }
            weights |= {f"post_nns.0.0.{name}": p[f"{at}.update.U.{name}"] for name in ("weight", "bias")}
            u = functional_call(conv, weights, (h, data.edge_index, data.edge_attr))
            h = h + normed(p, net, f"{at}.update.norm", u).relu()
        return head(p, global_add_pool(h, data.batch, size=graph.G))

    check(net, dtype, theirs)


class WithBonds(GATEConv):
    """PyG's attention weights on the paper's values: neighbours with their bonds, where PyG's own takes neighbours alone."""

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor) -> Tensor:
        u = F.leaky_relu(self.lin1(torch.cat([x[edge_index[0]], edge_attr], -1)))
        alpha = self.edge_updater(edge_index, x=x, edge_attr=edge_attr)
        return scatter(alpha[:, None] * self.lin2(u), edge_index[1], 0, len(x), "sum") + self.bias


@precision
def test_attentivefp(dtype: torch.dtype) -> None:
    """The whole model but for the values of the first layer. PyG counts graphs by their nodes: the last graph is no empty one here."""
    steps = 3
    net, graph = network("attentivefp", dtype, d=D, depth=DEPTH, steps=steps), batch(awkward().unbatch()[:-1])
    other = AttentiveFP(ATOMS, D, 2, BONDS, DEPTH, steps)
    other.gate_conv = WithBonds(D, D, BONDS)
    other = other.to(dtype)

    def gru(p: Parameters, at: str, name: str) -> dict[str, Tensor]:
        return {f"{name}.{k.rsplit('.', 1)[1]}": v for k, v in p.items() if k.startswith(f"{at}.gru.cell.")}

    def attention(p: Parameters, at: str, W: str, update: str, name: str) -> dict[str, Tensor]:
        weights = {f"att_{end}": p[f"{at}.attention.a_{i}"][None] for end, i in (("dst", "i"), ("src", "j"))}
        weights |= {"lin.weight": p[f"{W}.W.weight"], "bias": p[f"{update}.context.b"]}
        return {f"{name}.{key}": v for key, v in weights.items()}

    def theirs(p: Parameters, graph: Graph) -> Tensor:
        first = "layers.0.message"
        weights = {f"lin1.{k}": p[f"embed.W.{k}"] for k in ("weight", "bias")} | {
            f"lin2.{k}": p[f"readout.V.{k}"] for k in ("weight", "bias")
        }
        weights |= {f"gate_conv.lin{k}.weight": p[f"{first}.W_{k}.weight"] for k in (1, 2)}
        weights |= {f"gate_conv.att_{end}": p[f"{first}.attention.a_{i}"] for end, i in (("l", "j"), ("r", "i"))}
        weights |= {"gate_conv.bias": p["layers.0.update.context.b"]} | gru(p, "layers.0.update", "gru")
        for k in range(DEPTH - 1):
            W, layer = f"layers.{2 * k + 1}", f"layers.{2 * k + 2}"
            weights |= attention(p, f"{layer}.message", W, f"{layer}.update", f"atom_convs.{k}") | gru(
                p, f"{layer}.update", f"atom_grus.{k}"
            )
        weights |= attention(p, "readout", "readout", "readout.update", "mol_conv") | gru(p, "readout.update", "mol_gru")
        assert weights.keys() == dict(other.named_parameters()).keys()
        data = graph.to_pyg()
        return functional_call(other, weights, (data.x, data.edge_index, data.edge_attr, data.batch))

    check(net, dtype, theirs, graph)


@precision
def test_rgcn(dtype: torch.dtype) -> None:
    """Types of directed edges: that from j to i need not be that from i to j."""
    bases = 3
    net, graph = network("rgcn", dtype, d=D, depth=DEPTH, bases=bases), awkward()
    kind = torch.randint(BONDS, (graph.E,), generator=torch.Generator().manual_seed(1))
    assert bool((kind != kind[graph.topology.reverse]).any())
    graph = graph.with_edges(edge_attr=Indexed(torch.eye(BONDS, dtype=torch.float64), kind))
    conv = RGCNConv(D, D, BONDS, num_bases=bases).to(dtype)

    def theirs(p: Parameters, graph: Graph) -> Tensor:
        data = graph.to_pyg()
        h = linear(p, "embed.embed.W", data.x)
        for k in range(DEPTH):
            V = p[f"layers.{k}.message.V.weight"].view(D, D, bases).permute(2, 1, 0).contiguous()  # PyG multiplies rows
            weights = {"weight": V, "comp": p[f"layers.{k}.message.a.weight"].T}
            weights |= {"root": p[f"layers.{k}.update.W_0.weight"].T, "bias": p[f"layers.{k}.update.W_0.bias"]}
            h = functional_call(conv, weights, (h, data.edge_index, data.edge_attr.argmax(-1))).relu()
        return mean_head(p, h, graph)

    check(net, dtype, theirs, graph, discrete=True)


@precision
@pytest.mark.parametrize("mode", ["concat", "max", "lstm"])
def test_jk(dtype: torch.dtype, mode: str) -> None:
    """Around the layers of gcn."""
    net = network("jk", dtype, mode=mode, d=D, depth=DEPTH)
    for layer in net.layers[0].layers:
        layer.update.W.weight.data *= 3  # else the first layer is the largest everywhere
    conv, jump = GCNConv(D, D).to(dtype), PyGJumpingKnowledge(mode.replace("concat", "cat"), D, DEPTH).to(dtype)

    def theirs(p: Parameters, graph: Graph) -> Tensor:
        data, at = graph.to_pyg(), "layers.0"
        h, states = linear(p, "embed.W", data.x).relu(), []
        for k in range(DEPTH):
            W = f"{at}.layers.{k}.update.W"
            h = functional_call(conv, {"lin.weight": p[f"{W}.weight"], "bias": p[f"{W}.bias"]}, (h, data.edge_index)).relu()
            states.append(h)
        own = {name.replace(f"{at}.join.a", "att").replace(f"{at}.join.", ""): v for name, v in p.items() if f"{at}.join." in name}
        return mean_head(p, functional_call(jump, own, (states,)), graph)

    check(net, dtype, theirs)
