"""gps against PyTorch Geometric; graphormer and san against their papers' equations in loops."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable

import networkx
import pytest
import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # torch.jit.script, deprecated, is called while PyG is imported
    from torch_geometric.nn import GINEConv, GPSConv, global_add_pool

from heliograph.graph import Graph, dense
from heliograph.views import LaplacianEigenvectors, RandomWalks
from tests.graphs import BONDS, awkward
from tests.oracles.agreement import Parameters, assert_agree
from tests.oracles.test_naive import affine, each, mlp, network, nodes_and_edges, precision


def softmax(scores: dict[int, Tensor]) -> dict[int, Tensor]:
    total = sum(s.exp() for s in scores.values())
    return {j: s.exp() / total for j, s in scores.items()}


def layer_norm(p: Parameters, name: str, x: Tensor) -> Tensor:
    return (x - x.mean()) / (x.var(unbiased=False) + 1e-5).sqrt() * p[name + ".weight"] + p[name + ".bias"]


def batch_norm(p: Parameters, name: str, x: Tensor) -> Tensor:
    """With the running mean 0 and variance 1 of an untrained network."""
    return x / (1 + 1e-5) ** 0.5 * p[name + ".weight"] + p[name + ".bias"]


def attend(p: Parameters, name: str, h: list[Tensor], heads: int, bias: Callable[[int, int, int], Tensor | float]) -> list[Tensor]:
    """sum_j softmax_j(q_i . k_j / sqrt(d / H) + bias(i, j, head)) v_j over all j, the heads one after the other."""
    q, k, v = ([affine(p, f"{name}.{letter}", x).view(heads, -1) for x in h] for letter in "QKV")
    result = []
    for i in range(len(h)):
        of_heads = []
        for a in range(heads):
            w = softmax({j: q[i][a] @ k[j][a] / len(q[i][a]) ** 0.5 + bias(i, j, a) for j in range(len(h))})
            of_heads.append(sum(w[j] * v[j][a] for j in range(len(h))))
        result.append(torch.cat(of_heads))
    return result


# ---- Rampasek et al. 2022 -----------------------------------------------------------------------------------------


@precision
def test_gps(dtype: torch.dtype) -> None:
    d, heads, depth = 8, 2, 3
    net, graph = network("gps", dtype, d=d, heads=heads, depth=depth, walks=5), awkward().to(dtype=dtype)
    x = torch.cat([dense(graph.nodes["x"]), dense(RandomWalks(5)(graph).nodes["walks"])], -1)
    local = torch.nn.Sequential(torch.nn.Linear(d, d), torch.nn.ReLU(), torch.nn.Linear(d, d))
    conv = GPSConv(d, GINEConv(local, edge_dim=BONDS), heads).to(dtype).eval()

    def theirs(p: Parameters, graph: Graph) -> Tensor:
        data, h = graph.to_pyg(), F.linear(x, p["embed.W.weight"], p["embed.W.bias"])
        for t in range(depth):
            m, u = f"layers.{t}.message.", f"layers.{t}.update."
            of = {  # their name: my name
                "conv.lin": m + "W",
                "conv.nn.0": u + "mlp1.0",
                "conv.nn.2": u + "mlp1.2",
                "attn.out_proj": u + "O",
                "mlp.0": u + "mlp2.0",
                "mlp.3": u + "mlp2.2",
                **{f"norm{k}.module": f"{u}norm{k}" for k in (1, 2, 3)},
            }
            weights = {f"{theirs}.{part}": p[f"{mine}.{part}"] for theirs, mine in of.items() for part in ("weight", "bias")}
            weights["attn.in_proj_weight"] = torch.cat([p[f"{m}attention.{k}.weight"] for k in "QKV"])
            no = torch.zeros(d, dtype=dtype)
            weights["attn.in_proj_bias"] = torch.cat([p[m + "attention.Q.bias"], no, p[m + "attention.V.bias"]])
            h = functional_call(conv, weights, (h, data.edge_index, data.batch), {"edge_attr": data.edge_attr})
        pooled = global_add_pool(h, data.batch, size=graph.G)
        return F.linear(
            F.linear(pooled, p["readout.head.0.weight"], p["readout.head.0.bias"]).relu(),
            *(p[f"readout.head.2.{k}"] for k in ("weight", "bias")),
        )

    assert_agree(net, graph, theirs)


# ---- Ying et al. 2021 ---------------------------------------------------------------------------------------------


def graphormer(heads: int, limit: int, steps: int) -> Callable[[Parameters, Graph], Tensor]:
    def one(p: Parameters, graph: Graph) -> Tensor:
        x, e, neighbours = nodes_and_edges(graph)
        nx = networkx.Graph(list(e))
        B, C = p["embed.B.weight"], p["embed.C.weight"].view(heads, steps, -1)
        h = [affine(p, "embed.W", x[i]) + p["embed.z.weight"][:, len(neighbours[i])] for i in range(graph.N)]
        bias = {}
        for i in range(graph.N):
            for j in range(graph.N):
                if i == j:
                    bias[i, j] = B[:, 0]
                    continue
                ways = list(networkx.all_shortest_paths(nx, i, j)) if i in nx and j in nx and networkx.has_path(nx, i, j) else []
                if not ways or len(ways[0]) - 1 > limit:
                    bias[i, j] = B[:, limit + 1]
                    continue
                bias[i, j] = B[:, len(ways[0]) - 1]
                for way in ways:
                    taken = list(itertools.pairwise(way))[:steps]
                    for n, edge in enumerate(taken):
                        bias[i, j] = bias[i, j] + C[:, n] @ e[edge] / len(taken) / len(ways)
        h.append(p["embed.W.bias"] + p["embed.v.weight"][:, 0])  # the virtual node, the last
        for i in range(graph.N + 1):
            bias[i, graph.N] = bias[graph.N, i] = p["embed.b.weight"][:, 0]
        t = 0
        while f"layers.{t}.update.O.weight" in p:
            name = f"layers.{t}."
            m = attend(
                p, name + "message.attention", [layer_norm(p, name + "message.norm", v) for v in h], heads, lambda i, j, a: bias[i, j][a]
            )
            u = [v + affine(p, name + "update.O", w) for v, w in zip(h, m, strict=True)]
            h = [v + mlp(p, name + "update.mlp", layer_norm(p, name + "update.norm", v), F.gelu) for v in u]
            t += 1
        return mlp(p, "readout.head", h[-1])

    return each(one)


@precision
@pytest.mark.parametrize(("limit", "steps"), [(6, 3), (2, 1)])
def test_graphormer(dtype: torch.dtype, limit: int, steps: int) -> None:
    net = network("graphormer", dtype, d=6, heads=2, depth=2, limit=limit, steps=steps)
    assert_agree(net, awkward().to(dtype=dtype), graphormer(2, limit, steps))


# ---- Kreuzer et al. 2021 ------------------------------------------------------------------------------------------


def after(p: Parameters, name: str, h: list[Tensor], m: list[Tensor], norm: Callable[[Parameters, str, Tensor], Tensor]) -> list[Tensor]:
    u = [norm(p, name + ".norm1", v + affine(p, name + ".O", w)) for v, w in zip(h, m, strict=True)]
    return [norm(p, name + ".norm2", v + mlp(p, name + ".mlp", v)) for v in u]


def san(heads: int, m: int, gamma: float) -> Callable[[Parameters, Graph], Tensor]:
    def one(p: Parameters, graph: Graph) -> Tensor:
        x, e, _ = nodes_and_edges(graph)
        seen = LaplacianEigenvectors(m)(graph)
        phi, eigenvalue = dense(seen.nodes["eigenvectors"]), dense(seen.globals["eigenvalues"])[0]
        h = []
        for i in range(graph.N):
            tokens = [affine(p, "embed.W_p", torch.stack([eigenvalue[k], phi[i, k]])) for k in range(min(m, graph.N - 1))]
            for t in range(2):
                name = f"embed.layers.{t}."
                tokens = after(p, name + "update", tokens, attend(p, name + "message.attention", tokens, 4, lambda *_: 0.0), layer_norm)
            h.append(torch.cat([affine(p, "embed.W", x[i]), sum(tokens, p["embed.W_p.bias"].new_zeros(8))]))
        t = 0
        while f"layers.{t}.message.V.weight" in p:
            name = f"layers.{t}.message."
            Q, K, Q2, K2, V = ([affine(p, name + k, v).view(heads, -1) for v in h] for k in ("Q", "K", "Q2", "K2", "V"))
            collected = []
            for i in range(graph.N):
                of_heads = []
                for a in range(heads):
                    root = len(V[i][a]) ** 0.5
                    real = {
                        j: Q[i][a] @ (K[j][a] * affine(p, name + "E", e[i, j]).view(heads, -1)[a]) / root
                        for j in range(len(h))
                        if (i, j) in e
                    }
                    fake = {
                        j: Q2[i][a] @ (K2[j][a] * p[name + "E2"].view(heads, -1)[a]) / root
                        for j in range(len(h))
                        if j != i and (i, j) not in e
                    }
                    total = V[i][a].new_zeros(len(V[i][a]))
                    for j, w in softmax(real).items():
                        total = total + w / (1 + gamma) * V[j][a]
                    for j, w in softmax(fake).items():
                        total = total + w * gamma / (1 + gamma) * V[j][a]
                    of_heads.append(total)
                collected.append(torch.cat(of_heads))
            h = after(p, f"layers.{t}.update", h, collected, batch_norm)
            t += 1
        return mlp(p, "readout.head", sum(h, p["readout.head.0.bias"].new_zeros(p["readout.head.0.weight"].shape[1])))

    return each(one)


@precision
def test_san(dtype: torch.dtype) -> None:
    net = network("san", dtype, d=12, heads=2, depth=2, m=4, gamma=0.5)
    assert_agree(net, awkward().to(dtype=dtype), san(2, 4, 0.5))
