"""kgnn and bruna against their papers' equations in loops: sets by itertools, spectra by NumPy."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.interpolate import BSpline
from torch import Tensor

from heliograph.errors import UsageError
from heliograph.graph import Graph, dense
from heliograph.views import node_sets
from tests.graphs import BONDS, awkward
from tests.oracles.agreement import Parameters, assert_agree
from tests.oracles.test_naive import affine, each, mlp, network, nodes_and_edges, precision, total

# ---- Morris et al. 2019 -------------------------------------------------------------------------------------------


def neighbours_of_sets(n: int, edges: set[tuple[int, int]], k: int) -> dict[tuple[int, ...], list[tuple[int, ...]]]:
    """All s, and the t that send to it; edges (i, j) have the sender second."""
    sets = list(combinations(range(n), k))
    near = {s: [] for s in sets}
    for s in sets:
        for t in sets:
            v, w = set(s) - set(t), set(t) - set(s)
            if len(v) == 1 and (*v, *w) in edges:
                near[s].append(t)
    return near


@pytest.mark.parametrize("k", [2, 3])
def test_the_graph_of_sets(k: int) -> None:
    batch = awkward()
    seen = node_sets(batch, k)
    assert bool((seen.topology.receivers.diff() >= 0).all())
    for graph, sets in zip(batch.unbatch(), seen.unbatch(), strict=True):
        _, e, _ = nodes_and_edges(graph)
        near = neighbours_of_sets(graph.N, set(e), k)
        name = list(near)  # in the order of combinations
        t = sets.topology
        ends = sorted((name[int(i)], name[int(j)]) for i, j in zip(t.receivers, t.senders, strict=True))
        number, attributes = dense(sets.nodes["edges"]), dense(sets.nodes["edge_attr"])
        assert len(number) == len(name) and ends == sorted((s, other) for s, others in near.items() for other in others)
        for row, s in enumerate(name):
            inside = [e[pair] for pair in e if set(pair) <= set(s)]
            assert number[row].argmax() == len(inside) // 2 and number[row].sum() == 1
            assert torch.allclose(attributes[row], total(inside, BONDS, attributes))


def kgnn(k: int) -> Callable[[Parameters, Graph], Tensor]:
    def one(p: Parameters, graph: Graph) -> Tensor:
        x, e, neighbours = nodes_and_edges(graph)
        h = [affine(p, "embed.W", v) for v in x]
        like = p["embed.W.bias"]
        d = len(like)

        def step(name: str, f: dict, near: dict) -> dict:
            return {
                s: torch.relu(affine(p, name + ".W1", f[s]) + p[name + ".W2.weight"] @ total([f[t] for t in near[s]], d, like)) for s in f
            }

        h = dict(enumerate(h))
        for t in range(2):
            h = step(f"layers.{t}.update", h, neighbours)
        near, g = neighbours_of_sets(graph.N, set(e), k), {}
        for s in near:
            inside = [e[pair] for pair in e if set(pair) <= set(s)]
            kind = like.new_tensor([float(len(inside) // 2 == number) for number in range(k * (k - 1) // 2 + 1)])
            g[s] = torch.relu(affine(p, "layers.2.W", torch.cat([kind, total(inside, BONDS, like), total([h[i] for i in s], d, like)])))
        for t in range(2):
            g = step(f"layers.2.layers.{t}.update", g, near)
        pooled = torch.cat([total(list(f.values()), d, like) / max(len(f), 1) for f in (h, g)])
        return mlp(p, "readout.head", pooled)

    return each(one)


@precision
@pytest.mark.parametrize("k", [2, 3])
def test_kgnn(dtype: torch.dtype, k: int) -> None:
    assert_agree(network("kgnn", dtype, d=5, depth=2, k=k), awkward().to(dtype=dtype), kgnn(k))


def test_kgnn_refuses_other_k() -> None:
    with pytest.raises(UsageError, match="k = 2 or 3; got 4"):
        network("kgnn", torch.float32, k=4)


# ---- Bruna et al. 2014 --------------------------------------------------------------------------------------------


def bruna(K: int) -> Callable[[Parameters, Graph], Tensor]:
    def one(p: Parameters, graph: Graph) -> Tensor:
        x, e, neighbours = nodes_and_edges(graph)
        like = p["embed.W.bias"]
        d = len(like)
        L = np.zeros((graph.N, graph.N))
        for i, j in e:
            L[i, j] = -1 / (len(neighbours[i]) * len(neighbours[j])) ** 0.5
        for i in range(graph.N):
            L[i, i] = float(len(neighbours[i]) > 0)
        value, v = np.linalg.eigh(L)
        v = torch.from_numpy(v).to(like.dtype)
        knots = 2 / (K - 3) * np.arange(-3, K + 1)
        beta = torch.from_numpy(BSpline(knots, np.eye(K), 3)(value.clip(0, 2))).to(like.dtype)  # [n, K]
        h = [affine(p, "embed.W", row) for row in x]
        for t in range(2):
            W = p[f"layers.{t}.message.F.weight"].view(d, d, K)
            waves = [total([v[i, n] * h[i] for i in range(graph.N)], d, like) for n in range(graph.N)]
            waves = [(W @ beta[n]) @ wave for n, wave in enumerate(waves)]  # a matrix of channels at each eigenvalue
            h = [
                torch.relu(total([v[i, n] * wave for n, wave in enumerate(waves)], d, like) + p[f"layers.{t}.update.b"])
                for i in range(graph.N)
            ]
        return mlp(p, "readout.head", total(h, d, like) / max(len(h), 1))

    return each(one)


@precision
@pytest.mark.parametrize("K", [4, 6])
def test_bruna(dtype: torch.dtype, K: int) -> None:
    assert_agree(network("bruna", dtype, d=5, depth=2, K=K), awkward().to(dtype=dtype), bruna(K))
