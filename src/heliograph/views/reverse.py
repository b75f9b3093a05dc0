"""Edges in both directions."""

from __future__ import annotations

from typing import final

import torch
from torch import nn

from heliograph.graph import Feature, Graph, Indexed, take


@final
class WithReverse(nn.Module):
    """Each edge once more, the other way, with the same features; `inverse` [E, 1] is one where an edge runs against a given one.

    A graph that has `inverse` already (one with relations and their inverses) stays as it is. Raises DataError in a part of a graph, where
    not all nodes receive, and where edges come from periodic images.
    """

    def forward(self, graph: Graph) -> Graph:
        t = graph.topology
        if "inverse" in graph.edges:
            return graph
        t.need_whole("edges against their direction")
        t.need_no_images("edges against their direction")
        topology, rows = t.rewired(torch.cat([t.senders, t.receivers]), torch.cat([t.receivers, t.senders]))
        edges: dict[str, Feature] = {name: take(f, rows % max(t.E, 1)) for name, f in graph.edges.items()}
        floating = [f.dtype for f in map(_plain, graph.edges.values()) if f.is_floating_point()]
        inverse = (rows >= t.E).to(floating[0] if floating else torch.get_default_dtype())[:, None]
        return graph.with_topology(topology, edges | {"inverse": inverse})


def _plain(feature: Feature) -> torch.Tensor:
    return feature.table if isinstance(feature, Indexed) else feature
