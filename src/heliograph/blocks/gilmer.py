"""Towers and a master node, for any message and update (Gilmer et al. 2017, arXiv:1704.01212, secs. 5.4 and 5.2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, final

import torch
from torch import Tensor, nn

from heliograph import kernels, segment
from heliograph.edge import Edge
from heliograph.graph import Feature, Features, Graph, dense
from heliograph.layer import Layer


@final
class Towers(nn.Module):
    """k messages, each from its own d / k channels of h. It goes with `Mix`; a step costs k (d / k)^2 where it was d^2."""

    def __init__(self, messages: Iterable[nn.Module]):
        super().__init__()
        self.messages = nn.ModuleList(messages)

    def forward(self, e: Edge) -> dict[str, Any]:
        parts = dense(e.graph.nodes["h"]).chunk(len(self.messages), -1)
        return {
            f"m{t}": message(Edge(e.graph.with_nodes(h=part)))["m"]
            for t, (message, part) in enumerate(zip(self.messages, parts, strict=True))
        }


@final
class Mix(nn.Module):
    """h_i' = g [update_1(h_i1, m_i1), ..., update_k(h_ik, m_ik)]: each tower's own update, then one `g` [N, d] -> [N, d] of them all."""

    def __init__(self, updates: Iterable[nn.Module], g: nn.Module):
        super().__init__()
        self.updates, self.g = nn.ModuleList(updates), g

    def forward(self, nodes: Features, messages: dict[str, Tensor]) -> dict[str, Tensor]:
        parts = dense(nodes["h"]).chunk(len(self.updates), -1)
        new = [
            update(_with(nodes, h=part), {"m": messages[f"m{t}"]})["h"]
            for t, (update, part) in enumerate(zip(self.updates, parts, strict=True))
        ]
        return {"h": self.g(torch.cat(new, -1))}


@final
class WithMaster(nn.Module):
    """One step of a layer and of a master node, which has a width and a GRU of its own: both from the states before.

        m_i = sum_j message + R z_g,   h_i' = update(h_i, m_i),   z_g' = GRU(z_g, sum_i W h_i)

    z [G, d_master] is the graph's feature `master`, zero in the beginning.
    """

    def __init__(self, message: nn.Module, update: nn.Module, d: int, d_master: int):
        super().__init__()
        self.layer = Layer(message, Reading(update))
        self.R, self.W = nn.Linear(d_master, d, bias=False), nn.Linear(d, d_master, bias=False)
        self.cell = nn.GRUCell(d_master, d_master)

    def forward(self, graph: Graph) -> Graph:
        by_graph, h = graph.topology.nodes_by_graph, dense(graph.nodes["h"])
        z = dense(graph.globals["master"]) if "master" in graph.globals else h.new_zeros(graph.G, self.cell.hidden_size)
        written = segment.sum(self.W(h), by_graph)  # [G, d_master]
        graph = self.layer(graph.with_nodes(read=kernels.gather(self.R(z), by_graph.index)))  # [N, d]
        return graph.with_globals(master=self.cell(written, z))


@final
class Reading(nn.Module):
    """update(h_i, m_i + read_i)."""

    def __init__(self, update: nn.Module):
        super().__init__()
        self.update = update

    def forward(self, nodes: Features, messages: dict[str, Tensor]) -> dict[str, Tensor]:
        result: dict[str, Tensor] = self.update(nodes, {**messages, "m": messages["m"] + dense(nodes["read"])})
        return result


def _with(nodes: Mapping[str, Feature], **features: Feature) -> Features:
    return Features({**nodes, **features}, "node")
