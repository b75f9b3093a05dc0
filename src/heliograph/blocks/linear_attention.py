"""Attention of every node to all nodes of its graph in O(n): a sum over keys comes first, each query is a product with it."""

from __future__ import annotations

from math import sqrt
from typing import final

import torch
from torch import Tensor, nn

from heliograph import segment
from heliograph.errors import UsageError
from heliograph.graph import Graph, dense
from heliograph.topology import Segments


def summed(k: Tensor, v: Tensor, graphs: Segments) -> Tensor:
    """sum_j k_j v_j^T over each graph, [G, ..., a, b] for k [N, ..., a] and v [N, ..., b]."""
    if graphs.n == 1:
        return torch.einsum("n...a,n...b->...ab", k, v)[None]
    return segment.sum(k.unsqueeze(-1) * v.unsqueeze(-2), graphs)


def applied(q: Tensor, total: Tensor, graphs: Segments) -> Tensor:
    """q_i^T total of its graph, [N, ..., b] for q [N, ..., a] and total [G, ..., a, b]."""
    if graphs.n == 1:
        return torch.einsum("n...a,...ab->n...b", q, total[0])
    return (q.unsqueeze(-2) @ total.index_select(0, graphs.index)).squeeze(-2)


@final
class Performer(nn.Module):
    """`attended` [N, d]: softmax attention to all nodes by positive random features (Choromanski et al. 2021, arXiv:2009.14794).

        phi(x) = exp(W x - |x|^2 / 2) / sqrt(m)                   lemma 1, for x = q / (d / H)^(1/4), and k alike
        a_i    = phi(q_i) . sum_j phi(k_j) v_j^T / phi(q_i) . sum_j phi(k_j)        eq. 4 without the matrix of all pairs

    W [m, d / H] has orthogonal rows of random lengths (sec. 2.4), drawn once. It is right on average over W, not for one.
    """

    looks_at_all = True

    def __init__(self, d: int, heads: int, m: int = 64):
        super().__init__()
        if d % heads:
            raise UsageError(f"a width of {d} does not split into {heads} heads: give a multiple of {heads}")
        self.Q, self.K, self.V = nn.Linear(d, d), nn.Linear(d, d, bias=False), nn.Linear(d, d)
        self.heads = heads
        self.register_buffer("W", orthogonal(m, d // heads))

    W: Tensor

    def forward(self, graph: Graph) -> Graph:
        graph.topology.need_whole("attention to all nodes")
        h, graphs = dense(graph.nodes["h"]), graph.topology.nodes_by_graph
        q, k, v = (f(h).unflatten(-1, (self.heads, -1)) for f in (self.Q, self.K, self.V))  # [N, H, d / H]
        phi_q, phi_k = (self._exponents(x) for x in (q, k))  # [N, H, m]
        phi_q = (phi_q - phi_q.amax(-1, keepdim=True).detach()).exp() + 1e-6  # any factor of a query or of a graph cancels
        largest = segment.max(phi_k.detach().amax(-1), graphs)  # [G, H]
        phi_k = (phi_k - largest[graphs.index].unsqueeze(-1)).exp() + 1e-6
        norm = (phi_q * segment.sum(phi_k, graphs)[graphs.index]).sum(-1, keepdim=True)  # [N, H, 1]
        return graph.with_nodes(attended=(applied(phi_q, summed(phi_k, v, graphs), graphs) / norm).flatten(1))

    def _exponents(self, x: Tensor) -> Tensor:
        x = x / sqrt(sqrt(x.shape[-1]))
        return x @ self.W.T - 0.5 * x.square().sum(-1, keepdim=True)


def orthogonal(m: int, d: int) -> Tensor:
    """m random rows of width d, each as long as a normal vector is, orthogonal within blocks of d."""
    blocks = []
    for _ in range(-(-m // d)):
        Q, R = torch.linalg.qr(torch.randn(d, d))
        blocks.append(Q * R.diagonal().sign())  # without the signs, not each rotation would be as likely (Mezzadri 2007)
    return torch.cat(blocks)[:m] * torch.randn(m, d).norm(dim=1, keepdim=True)
