"""Scatter is a sparse matrix product: sum_j w_ij h_j = (A h)_i with A in CSR.

Idea: adding messages to their receivers one by one is a product with a sparse matrix whose rows are receivers. The toolkit's sum over
edges sorted by receiver, PyTorch's scatter, SciPy's CSR and PyTorch's CSR give one answer, and so do the gradients; what differs is time.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse
import torch
from page import Claim, gap, main, step
from torch import Tensor

from heliograph import Graph
from heliograph.graph import dense


def random(n: int, degree: int, d: int, dtype: torch.dtype = torch.float64) -> tuple[Graph, Tensor]:
    rng = torch.Generator().manual_seed(0)
    ends = torch.randint(n, (2, n * degree), generator=rng)
    w = torch.rand(n * degree, 1, generator=rng, dtype=dtype)
    return Graph.build(ends[0], ends[1], [n], [n * degree], edges={"w": w}), torch.randn(n, d, generator=rng, dtype=dtype)


LAYER = step(lambda e: {"m": e.e["w"] * e.j["h"]}, lambda n, m: {"h": m["m"]})


def ways(graph: Graph, h: Tensor) -> dict[str, Callable[[], Tensor]]:
    t, w = graph.topology, dense(graph.edges["w"])
    A = scipy.sparse.csr_array((w[:, 0].numpy(), t.senders.numpy(), t.incoming.pointer.numpy()), shape=(graph.N, graph.N))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch calls its CSR a beta
        B = torch.sparse_csr_tensor(t.incoming.pointer, t.senders, w[:, 0], size=(graph.N, graph.N))
    index = t.receivers[:, None].expand(-1, h.shape[1])
    return {
        "heliograph": lambda: dense(LAYER(graph.with_nodes(h=h)).nodes["h"]),
        "scatter_add": lambda: torch.zeros_like(h).scatter_add(0, index, w * h[t.senders]),
        "SciPy CSR": lambda: torch.from_numpy(A @ h.numpy()),
        "torch CSR": lambda: B @ h,
    }


def gradient(graph: Graph, h: Tensor) -> tuple[Tensor, Tensor]:
    """That of sum_i v_i . (A h)_i by h: A' v."""
    t, w, v = graph.topology, dense(graph.edges["w"]), torch.cos(h)
    h = h.clone().requires_grad_()
    (dense(LAYER(graph.with_nodes(h=h)).nodes["h"]) * v).sum().backward()
    A = scipy.sparse.csr_array((w[:, 0].numpy(), t.senders.numpy(), t.incoming.pointer.numpy()), shape=(graph.N, graph.N))
    return h.grad, torch.from_numpy(A.T @ v.numpy())


def seconds(f: Callable[[], Tensor], repeat: int = 5) -> float:
    taken = []
    for _ in range(repeat):
        start = time.perf_counter()
        f()
        taken.append(time.perf_counter() - start)
    return min(taken)


def claims(small: bool) -> list[Claim]:
    graph, h = random(200 if small else 20_000, 8, 16)
    found = {name: f() for name, f in ways(graph, h).items()}
    wanted = found.pop("SciPy CSR")
    return [
        *(Claim(f"{name} = SciPy's CSR product", gap(y, wanted), 1e-12) for name, y in found.items()),
        Claim("gradient = product with the transpose", gap(*gradient(graph, h)), 1e-12),
    ]


def draw(figure: Any) -> None:
    axes, sizes = figure.subplots(), [1_000, 10_000, 100_000]
    times = {n: {name: seconds(f) for name, f in ways(*random(n, 8, 32, torch.float32)).items()} for n in sizes}
    for name in times[sizes[0]]:
        axes.loglog(sizes, [1e3 * times[n][name] for n in sizes], "o-", label=name)
    axes.set(xlabel="nodes (8 edges each, 32 channels)", ylabel="ms", title="four ways to the same sum, on the machine that drew this")
    axes.set_xticks(sizes, [f"{n:,}" for n in sizes])
    axes.set_xticks(np.array([]), minor=True)
    axes.legend()


if __name__ == "__main__":
    main(__file__, claims, draw)
