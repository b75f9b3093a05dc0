"""Architectures that nobody else computes: the papers' equations a second time, one node and one edge at a time.

Parameters are the zoo file's, everything else is written from the papers with plain loops over graphs, nodes and edges.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from heliograph import zoo
from heliograph.graph import Graph, dense
from heliograph.model import MPNN, Inputs
from tests.graphs import ATOMS, BONDS, awkward
from tests.oracles.agreement import TOLERANCE, Parameters, assert_agree

precision = pytest.mark.parametrize("dtype", TOLERANCE, ids=["float64", "float32"])
OUT = 2


def network(name: str, dtype: torch.dtype, geometry: bool = False, **args: object) -> MPNN:
    torch.manual_seed(0)
    return zoo.build(name, Inputs(ATOMS, BONDS, geometry), OUT, args).to(dtype).eval()


def each(one: Callable[[Parameters, Graph], Tensor]) -> Callable[[Parameters, Graph], Tensor]:
    """A function of one graph, [out], for all graphs of a batch, [G, out]."""
    return lambda p, graph: torch.stack([one(p, g) for g in graph.unbatch()])


def affine(p: Parameters, name: str, x: Tensor) -> Tensor:
    y = p[name + ".weight"] @ x
    return y + p[name + ".bias"] if name + ".bias" in p else y


def mlp(p: Parameters, name: str, x: Tensor, act: Callable[[Tensor], Tensor] = torch.relu) -> Tensor:
    """Affine maps under `name`.0, .2, ... with `act` between."""
    numbers = sorted({int(k[len(name) + 1 :].split(".")[0]) for k in p if k.startswith(name + ".")})
    for k in numbers:
        x = affine(p, f"{name}.{k}", x)
        x = act(x) if k != numbers[-1] else x
    return x


def ssp(x: Tensor) -> Tensor:
    return (0.5 * x.exp() + 0.5).log()


def nodes_and_edges(graph: Graph) -> tuple[list[Tensor], dict[tuple[int, int], Tensor], list[list[int]]]:
    """x_i; e_ij under (i, j), j the sender; the neighbours of each i."""
    t, e = graph.topology, dense(graph.edges["edge_attr"])
    edges = {(int(t.receivers[k]), int(t.senders[k])): e[k] for k in range(graph.E)}
    return list(dense(graph.nodes["x"])), edges, [[j for (i, j) in edges if i == v] for v in range(graph.N)]


def distances(graph: Graph) -> dict[tuple[int, int], Tensor]:
    pos = dense(graph.nodes["pos"])
    return {(i, j): (pos[i] - pos[j]).norm() for i in range(graph.N) for j in range(graph.N) if i != j}


def total(vectors: list[Tensor], width: int, like: Tensor) -> Tensor:
    result = like.new_zeros(width)
    for vector in vectors:
        result = result + vector
    return result


# ---- Li et al. 2016 -----------------------------------------------------------------------------------------------


def ggnn(p: Parameters, graph: Graph) -> Tensor:
    x, e, neighbours = nodes_and_edges(graph)
    A = p["layers.0.message.A.weight"]  # [d * d, types]
    d = round(len(A) ** 0.5)
    h = [affine(p, "embed.W", v) for v in x]
    cell = "layers.0.update.cell."
    for _ in range(3):
        new = []
        for i in range(graph.N):
            a = total([e[i, j][k] * (A[:, k].view(d, d) @ h[j]) for j in neighbours[i] for k in range(BONDS)], d, A)
            of_a = p[cell + "weight_ih"] @ a + p[cell + "bias_ih"]
            of_h = p[cell + "weight_hh"] @ h[i] + p[cell + "bias_hh"]
            r, z = torch.sigmoid(of_a[:d] + of_h[:d]), torch.sigmoid(of_a[d : 2 * d] + of_h[d : 2 * d])
            new.append((1 - z) * torch.tanh(of_a[2 * d :] + r * of_h[2 * d :]) + z * h[i])
        h = new
    both = [torch.cat([h[i], x[i]]) for i in range(graph.N)]
    terms = [torch.sigmoid(affine(p, "readout.gated.W", v)) * torch.tanh(affine(p, "readout.gated.V", v)) for v in both]
    return affine(p, "readout.W", torch.tanh(total(terms, d, A)))


@precision
def test_ggnn(dtype: torch.dtype) -> None:
    assert_agree(network("ggnn", dtype, d=6, steps=3), awkward().to(dtype=dtype), each(ggnn))


# ---- Battaglia et al. 2016 ----------------------------------------------------------------------------------------


def interaction(steps: int) -> Callable[[Parameters, Graph], Tensor]:
    def one(p: Parameters, graph: Graph) -> Tensor:
        x, r, _ = nodes_and_edges(graph)
        o = [affine(p, "embed.W", v) for v in x]
        effects = p["layers.0.message.f.8.bias"]
        for _ in range(steps):
            e = [effects.new_zeros(len(effects)) for _ in range(graph.N)]
            for (receiver, sender), attribute in r.items():
                b = torch.cat([o[receiver], o[sender], attribute])
                e[receiver] = e[receiver] + mlp(p, "layers.0.message.f", b)
            for i in range(graph.N):
                if "external" in graph.nodes:
                    external = dense(graph.nodes["external"])[i]
                elif "external" in graph.globals:
                    external = dense(graph.globals["external"])[0]
                else:
                    external = effects.new_zeros(0)
                o[i] = mlp(p, "layers.0.update.f", torch.cat([o[i], external, e[i]]))
        return mlp(p, "readout.head", total(o, len(p["embed.W.bias"]), effects))

    return each(one)


@precision
@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("where", ["nowhere", "nodes", "globals"])
def test_interaction(dtype: torch.dtype, steps: int, where: str) -> None:
    graph = awkward().to(dtype=dtype)
    rng = torch.Generator().manual_seed(5)
    if where == "nodes":
        graph = graph.with_nodes(external=torch.randn(graph.N, 3, generator=rng, dtype=dtype))
    if where == "globals":
        graph = graph.with_globals(external=torch.randn(graph.G, 3, generator=rng, dtype=dtype))
    net = network("interaction", dtype, d=6, effect=4, steps=steps, external=0 if where == "nowhere" else 3)
    assert_agree(net, graph, interaction(steps))


# ---- Duvenaud et al. 2015 -----------------------------------------------------------------------------------------


def duvenaud(p: Parameters, graph: Graph) -> Tensor:
    r, bonds, neighbours = nodes_and_edges(graph)
    f = p["embed.V.bias"].new_zeros(len(p["embed.V.bias"]))
    for a in range(graph.N):
        f = f + torch.softmax(affine(p, "embed.V", r[a]), 0)
    for layer in ("layers.0.update", "layers.1.update"):
        new = []
        for a in range(graph.N):
            v = total([torch.cat([r[b], bonds[a, b]]) for b in neighbours[a]], p[layer + ".H"].shape[1], f)
            H = p[layer + ".H"][min(len(neighbours[a]), 5)]
            new.append(torch.relu(affine(p, layer + ".W", r[a]) + v @ H))
            f = f + torch.softmax(affine(p, layer + ".V", new[a]), 0)
        r = new
    return mlp(p, "readout.head", f)


@precision
def test_duvenaud(dtype: torch.dtype) -> None:
    graph = awkward().to(dtype=dtype)
    assert {0, 1, 2, 3} <= set(graph.topology.incoming.count.tolist()) and graph.topology.incoming.longest > 5
    assert_agree(network("duvenaud", dtype, d=6, length=9), graph, each(duvenaud))


# ---- Kearnes et al. 2016 ------------------------------------------------------------------------------------------

QUANTILES = [-1.645, -1.080, -0.739, -0.468, -0.228, 0.0, 0.228, 0.468, 0.739, 1.080, 1.645]
DEVIATIONS = [0.283, 0.170, 0.134, 0.118, 0.114, 0.114, 0.114, 0.118, 0.134, 0.170, 0.283]


def weave(p: Parameters, graph: Graph) -> Tensor:
    A, bonds, _ = nodes_and_edges(graph)
    pairs = [(a, b) for a in range(graph.N) for b in range(graph.N) if a != b]
    some = p["layers.0.message.W_PA.bias"]
    P = {pair: bonds.get(pair, some.new_zeros(BONDS)) for pair in pairs}
    for k in range(2):
        new = []
        for a in range(graph.N):
            PA = total([torch.relu(affine(p, f"layers.{k}.message.W_PA", P[a, b])) for b in range(graph.N) if b != a], len(some), some)
            AA = torch.relu(affine(p, f"layers.{k}.update.W_AA", A[a]))
            new.append(torch.relu(affine(p, f"layers.{k}.update.W_A", torch.cat([AA, PA]))))
        if k == 0:
            of = {}
            for a, b in pairs:
                AP = sum(torch.relu(affine(p, "layers.1.edge.W_AP", torch.cat([A[u], A[v]]))) for u, v in ((a, b), (b, a)))
                PP = torch.relu(affine(p, "layers.1.edge.W_PP", P[a, b]))
                of[a, b] = torch.relu(affine(p, "layers.1.edge.W_P", torch.cat([AP, PP])))
            P = of
        A = new
    width = len(p["layers.2.U.bias"])
    bins = some.new_zeros(width, 11)
    for a in range(graph.N):
        value = torch.tanh(affine(p, "layers.2.U", A[a]))
        for c in range(width):
            normal = [torch.exp(-((value[c] - m) ** 2) / (2 * s * s)) for m, s in zip(QUANTILES, DEVIATIONS, strict=True)]
            share = torch.stack(normal) / sum(normal)
            bins = torch.cat([bins[:c], (bins[c] + share)[None], bins[c + 1 :]])
    return mlp(p, "readout.head", bins.flatten(), torch.tanh)


@precision
def test_weave(dtype: torch.dtype) -> None:
    net = network("weave", dtype, d=6, width=4)
    assert torch.allclose(net.layers[2].means, torch.tensor(QUANTILES, dtype=dtype))
    net.layers[2].means, net.layers[2].widths = torch.tensor(QUANTILES, dtype=dtype), torch.tensor(DEVIATIONS, dtype=dtype)  # not rounded
    assert_agree(net, awkward().to(dtype=dtype), each(weave))


# ---- Schuett et al. 2017 ------------------------------------------------------------------------------------------


def dtnn(p: Parameters, graph: Graph) -> Tensor:
    z, D = dense(graph.nodes["z"]).tolist(), distances(graph)
    c = [p["embed.element.weight"][k] for k in z]
    v = "layers.0.message."
    for _ in range(3):
        new = []
        for i in range(graph.N):
            total_ = c[i]
            for j in range(graph.N):
                if j != i:
                    d = torch.stack([torch.exp(-((D[i, j] - (-1 + 0.2 * k)) ** 2) / (2 * 0.2**2)) for k in range(56)])
                    total_ = total_ + torch.tanh(p[v + "W_fc.weight"] @ (affine(p, v + "W_cf", c[j]) * affine(p, v + "W_df", d)))
            new.append(total_)
        c = new
    energy = p["embed.element.weight"].new_zeros(OUT)
    for one in c:
        energy = energy + affine(p, "readout.mlp.2", torch.tanh(affine(p, "readout.mlp.0", one)))
    return energy


@precision
def test_dtnn(dtype: torch.dtype) -> None:
    net = network("dtnn", dtype, True, d=6, factors=7)
    centres = torch.tensor([-1 + 0.2 * k for k in range(56)], dtype=dtype)
    gaussians = net.layers[0].message.gaussians
    assert torch.allclose(gaussians.mu, centres, atol=1e-6)
    gaussians.mu = centres  # the model's own are rounded to float32
    assert_agree(net, awkward().to(dtype=dtype), each(dtnn))


# ---- Joergensen et al. 2018 ---------------------------------------------------------------------------------------


def schnet_edge(cutoff: float) -> Callable[[Parameters, Graph], Tensor]:
    def one(p: Parameters, graph: Graph) -> Tensor:
        z = dense(graph.nodes["z"]).tolist()
        h = [p["embed.element.weight"][k] for k in z]
        step = cutoff / 24  # 25 Gaussians from zero to the cutoff
        near = {pair: r for pair, r in distances(graph).items() if r < cutoff}
        e = {pair: torch.stack([torch.exp(-((r - k * step) ** 2) / (2 * step * step)) for k in range(25)]) for pair, r in near.items()}
        for t in range(2):
            name = f"layers.{t}."
            e = {(v, w): mlp(p, name + "edge.W_E", torch.cat([h[v], h[w], old]), ssp) for (v, w), old in e.items()}
            new = []
            for v in range(graph.N):
                m = p["embed.element.weight"].new_zeros(len(h[v]))
                for w in range(graph.N):
                    if (v, w) in e:
                        m = m + (p[name + "message.W_1.weight"] @ h[w]) * ssp(mlp(p, name + "message.gate.0", e[v, w], ssp))
                new.append(h[v] + mlp(p, name + "update.V", m, ssp))
            h = new
        y = p["embed.element.weight"].new_zeros(OUT)
        for state in h:
            y = y + mlp(p, "readout.mlp", state, ssp)
        return y

    return each(one)


@precision
@pytest.mark.parametrize("cutoff", [15.0, 3.0])
def test_schnet_edge(dtype: torch.dtype, cutoff: float) -> None:
    net = network("schnet_edge", dtype, True, d=6, depth=2, gaussians=25, cutoff=cutoff)
    assert_agree(net, awkward().to(dtype=dtype), schnet_edge(cutoff))


# ---- Choudhary & DeCost 2021 --------------------------------------------------------------------------------------


def alignn(cutoff: float, gaussians: int, depth: int) -> Callable[[Parameters, Graph], Tensor]:
    silu = torch.nn.functional.silu

    def basis(value: Tensor, start: float, end: float) -> Tensor:
        step = (end - start) / (gaussians - 1)
        return torch.stack([torch.exp(-((value - start - k * step) ** 2) / (2 * step * step)) for k in range(gaussians)])

    def normed(p: Parameters, name: str, x: Tensor) -> Tensor:
        return (x - x.mean()) / ((x - x.mean()).square().mean() + 1e-5).sqrt() * p[name + ".weight"] + p[name + ".bias"]

    def convolved(p: Parameters, name: str, h: dict, e: dict, fade: dict) -> tuple[dict, dict]:
        """States of things and of ordered pairs of them, (receiver, sender)."""
        a = {
            (i, j): affine(p, name + "edge.A", h[i]) + affine(p, name + "edge.B", h[j]) + affine(p, name + "edge.C", e[i, j]) for i, j in e
        }
        g = {pair: torch.sigmoid(a[pair]) * fade[pair] for pair in a}
        new = {}
        for i in h:
            above, below = torch.zeros_like(h[i]), torch.zeros_like(h[i]) + 1e-6
            for receiver, j in a:
                if receiver == i:
                    above, below = above + g[i, j] * affine(p, name + "message.V", h[j]), below + g[i, j]
            new[i] = h[i] + silu(normed(p, name + "update.norm", affine(p, name + "update.U", h[i]) + above / below))
        learned = name + "edge.norm.weight" in p
        return new, {pair: e[pair] + silu(normed(p, name + "edge.norm", a[pair])) for pair in e} if learned else e

    def one(p: Parameters, graph: Graph) -> Tensor:
        z, pos = dense(graph.nodes["z"]).tolist(), dense(graph.nodes["pos"])
        h = {i: p["embed.elements.element.weight"][k] for i, k in enumerate(z)}
        near = {pair: r for pair, r in distances(graph).items() if r < cutoff}
        fade = {pair: 1 - 21 * (r / cutoff) ** 5 + 35 * (r / cutoff) ** 6 - 15 * (r / cutoff) ** 7 for pair, r in near.items()}
        e = {pair: mlp(p, "embed.e.1", basis(r, 0.0, cutoff), silu) for pair, r in near.items()}
        t, faded = {}, {}
        for i, j in near:
            for other, k in near:  # the bond of k and j, seen by that of j and i
                if other == j and k != i:
                    cosine = (pos[k] - pos[j]) @ (pos[i] - pos[j]) / (near[i, j] * near[j, k])
                    t[(i, j), (j, k)] = mlp(p, "layers.0.angle.1", basis(cosine, -1.0, 1.0), silu)
                    faded[(i, j), (j, k)] = fade[i, j] * fade[j, k]
        for layer in range(depth):
            h, e = convolved(p, f"layers.0.atoms.{layer}.", h, e, fade)
            e, t = convolved(p, f"layers.0.bonds.{layer}.", e, t, faded)
        for layer in range(1, depth + 1):
            h, e = convolved(p, f"layers.{layer}.", h, e, fade)
        return total([affine(p, "readout.mlp", state) for state in h.values()], OUT, pos)

    return each(one)


@precision
@pytest.mark.parametrize("cutoff", [15.0, 3.0])
def test_alignn(dtype: torch.dtype, cutoff: float) -> None:
    net = network("alignn", dtype, True, d=6, depth=2, gaussians=9, cutoff=cutoff)
    assert_agree(net, awkward().to(dtype=dtype), alignn(cutoff, 9, 2))
