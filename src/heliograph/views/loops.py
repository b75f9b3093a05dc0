"""Self-loops."""

from __future__ import annotations

from typing import final

import torch
from torch import nn

from heliograph.graph import Feature, Graph, Indexed


@final
class SelfLoops(nn.Module):
    """Every node that receives becomes its own neighbour, once.

    Loops have zeros as edge features; those that were there before are replaced.
    """

    def forward(self, graph: Graph) -> Graph:
        t = graph.topology
        loop = t.senders == t.receivers
        if t.shift is not None:
            loop &= (t.shift == 0).all(-1)  # a node's own periodic image is another node
        kept, node = (~loop).nonzero().squeeze(1), torch.arange(t.R, device=loop.device)
        take = torch.cat([kept + 1, torch.zeros_like(node)])  # row of [zeros, old edges]
        shift = None if t.shift is None else torch.cat([t.shift.new_zeros(1, 3), t.shift])[take]
        topology, rows = t.rewired(torch.cat([t.senders[kept], node]), torch.cat([t.receivers[kept], node]), shift=shift)
        take = take[rows]
        edges: dict[str, Feature] = {}
        for name, feature in graph.edges.items():
            table = feature.table if isinstance(feature, Indexed) else feature
            table = torch.cat([table.new_zeros(1, *table.shape[1:]), table])
            index = torch.cat([take.new_zeros(1), feature.index + 1])[take] if isinstance(feature, Indexed) else take
            edges[name] = Indexed(table, index)
        return graph.with_topology(topology, edges)
