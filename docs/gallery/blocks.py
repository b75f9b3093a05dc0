"""Block-sparse propagation: the same product in dense blocks, with the bytes that move and the time, by how full the blocks are.

Idea: scattered reads of neighbours waste memory bandwidth; a graph numbered so that its edges fall into dense b x b blocks reads each
neighbour block once. That is message passing on the graph of blocks: the state of a node is b rows, an edge carries a matrix. Correction:
it pays only where blocks are full enough, and by how much is a matter of the machine: counted and timed here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse
import torch
from page import Claim, gap, main, step
from torch import Tensor

from heliograph import Graph
from heliograph.graph import dense

B = 16  # nodes of a block


def matrix(n: int, fill: float, blocks_a_row: int = 4) -> scipy.sparse.csr_array:
    """[n, n] of `blocks_a_row` blocks in each block row, a share `fill` of whose entries is there."""
    rng, rows = np.random.default_rng(0), n // B
    column = [rng.permutation(rows)[:blocks_a_row] for _ in range(rows)]
    where = np.stack([np.repeat(np.arange(rows), blocks_a_row), np.concatenate(column)])
    block, i, j = np.nonzero(rng.uniform(size=(where.shape[1], B, B)) < fill)
    return scipy.sparse.csr_array((rng.normal(size=len(i)), (where[0, block] * B + i, where[1, block] * B + j)), shape=(n, n))


def edges(A: scipy.sparse.csr_array) -> Graph:
    coo = A.tocoo()
    i, j = (torch.from_numpy(np.asarray(x, dtype=np.int64)) for x in (coo.row, coo.col))
    return Graph.build(j, i, [A.shape[0]], [A.nnz], edges={"A": torch.from_numpy(coo.data)[:, None]})


def blocks(A: scipy.sparse.csr_array) -> Graph:
    """A node for B rows, an edge for each block with something in it, which it carries as `A` [blocks, B, B]."""
    bsr = scipy.sparse.bsr_array(A, blocksize=(B, B))
    i = np.repeat(np.arange(A.shape[0] // B), np.diff(bsr.indptr))
    ends = torch.from_numpy(np.stack([bsr.indices, i]).astype(np.int64))
    return Graph.build(ends[0], ends[1], [A.shape[0] // B], [len(i)], edges={"A": torch.from_numpy(bsr.data.copy())})


def propagate(graph: Graph, h: Tensor) -> Tensor:
    """sum_j A_ij h_j, where h_j is a row [d] or a block of rows [B, d]; back as [n, d]."""
    A = dense(graph.edges["A"])
    if A.dim() == 2:
        layer = step(lambda e: {"m": e.e["A"] * e.j["h"]}, lambda n, m: {"h": m["m"]})
        return dense(layer(graph.with_nodes(h=h)).nodes["h"])
    layer = step(lambda e: {"m": torch.bmm(e.e["A"].dense(), e.j["h"].dense())}, lambda n, m: {"h": m["m"]})
    return dense(layer(graph.with_nodes(h=h.unflatten(0, (-1, B)))).nodes["h"]).flatten(0, 1)


def bytes_moved(graph: Graph, d: int, size: int) -> int:
    """Read: each edge's or block's matrix, two numbers of nodes, the sender's rows; written: the result."""
    rows = 1 if dense(graph.edges["A"]).dim() == 2 else B
    return graph.E * (rows * rows * size + 16 + rows * d * size) + graph.N * rows * d * size


def seconds(f: Callable[[], Tensor], device: str) -> float:
    taken = []
    for _ in range(5):
        start = time.perf_counter()
        f()
        if device == "cuda":
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - start)
    return min(taken)


def claims(small: bool) -> list[Claim]:
    A = matrix(256 if small else 4096, 0.4)
    h = torch.cos(torch.arange(24.0 * A.shape[0]).double()).view(-1, 24)
    found = [Claim(f"by {f.__name__} = SciPy's CSR", gap(propagate(f(A), h), A @ h.numpy()), 1e-11) for f in (edges, blocks)]
    ratio = {fill: bytes_moved(blocks(matrix(1024, fill)), 64, 4) / bytes_moved(edges(matrix(1024, fill)), 64, 4) for fill in (0.01, 0.9)}
    return [*found, Claim("bytes of full blocks over edges", ratio[0.9], 0.2), Claim("of nearly empty ones", ratio[0.01], 1, at_least=True)]


def draw(figure: Any) -> None:
    left, right = figure.subplots(1, 2)
    device, fills, n, d = "cuda" if torch.cuda.is_available() else "cpu", [0.02, 0.05, 0.1, 0.2, 0.5, 0.9], 8192, 64
    h = torch.randn(n, d, device=device)
    made = [{"edges": edges(A), "blocks": blocks(A)} for A in (matrix(n, fill) for fill in fills)]
    for name in ("edges", "blocks"):
        left.loglog(fills, [bytes_moved(m[name], d, 4) / 1e6 for m in made], "o-", label=name)
        graphs = [m[name].to(device, torch.float32) for m in made]
        right.loglog(fills, [1e3 * seconds(lambda g=g: propagate(g, h), device) for g in graphs], "o-", label=name)
    left.legend()
    left.set(xlabel="how full a block is", ylabel="MB moved", title="counted")
    right.set(xlabel="how full a block is", ylabel="ms", title=f"timed, {device}")


if __name__ == "__main__":
    main(__file__, claims, draw, (8, 3.2))
