"""Triangles as a neighbourhood."""

from __future__ import annotations

from typing import final

import torch
from jaxtyping import Int
from torch import Tensor, nn

from heliograph.graph import Graph, Indexed, take
from heliograph.topology import Segments, Topology
from heliograph.views.matrices import precision


@final
class SharedTriangles(nn.Module):
    """Only edges whose ends share a triangle stay; `triangles` [E, 1] says how many: (A^2 * A)_ij, * entry by entry.

    The motif adjacency of Benson, Gleich & Leskovec 2016, arXiv:1612.08447. A is undirected, without loops and parallel edges; an
    edge keeps its direction and its features. A node and its periodic images count as one.
    """

    def forward(self, graph: Graph) -> Graph:
        t, count = graph.topology, triangles(graph.topology)
        kept = count.nonzero().squeeze(1)
        shift = None if t.shift is None else t.shift[kept]
        topology, _ = t.rewired(t.senders[kept], t.receivers[kept], shift=shift)
        number, index = count[kept].unique(return_inverse=True)
        edges = {name: take(feature, kept) for name, feature in graph.edges.items()}
        edges["triangles"] = Indexed(number[:, None].to(precision(graph)), index)
        return graph.with_topology(topology, edges)


def triangles(t: Topology) -> Int[Tensor, " E"]:
    """Count the triangles that have both ends of each edge among their corners.

    Each triangle is found once, from its corner of fewest edges, by asking whether two neighbours that have more are joined: at most
    O(E^1.5) questions, asked all at once.
    """
    t.need_whole("triangles")
    rank = t.incoming.count.argsort(stable=True).argsort()  # [N] nodes of many edges last
    ends = torch.stack([rank[t.senders], rank[t.receivers]])
    proper = (t.senders != t.receivers).nonzero().squeeze(1)
    key, pair = (ends.amin(0) * t.N + ends.amax(0))[proper].unique(return_inverse=True)  # [P] pairs u < v, in order
    u, v = key // max(t.N, 1), key % max(t.N, 1)
    after = Segments(u, t.N).pointer[u + 1] - torch.arange(1, len(key) + 1, device=key.device)  # [P] pairs of u that come later
    uv = torch.repeat_interleave(torch.arange(len(key), device=key.device), after)  # [W]
    uw = uv + 1 + torch.arange(len(uv), device=key.device) - (after.cumsum(0) - after)[uv]
    wanted = v[uv] * t.N + v[uw]
    vw = torch.searchsorted(key, wanted).clamp(max=len(key) - 1)
    found = key[vw] == wanted
    sides = torch.cat([side[found] for side in (uv, uw, vw)])
    return torch.zeros_like(t.senders).index_copy(0, proper, sides.bincount(minlength=len(key))[pair])
