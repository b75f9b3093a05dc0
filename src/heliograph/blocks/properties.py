"""Properties of a structure beside its energy, read from the states of its atoms: charges, dipoles, polarizabilities, any number.

`h` [N, d] are scalars and, for networks that have them, `v` [N, 3, d] vectors that turn with the structure. Charges add up to the
structure's `charge` [G] (zero where it has none). Positions are measured from the mean position of the atoms, so a dipole of a charged
molecule is about that point.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import final

import torch
from torch import Tensor, nn

from heliograph import kernels, segment
from heliograph.blocks.basic import MLP
from heliograph.blocks.readout import AtomWise
from heliograph.blocks.vectors import Polarizability, _Moments
from heliograph.graph import Graph, dense
from heliograph.segment import Aggregate


def neutral(q: Tensor, graph: Graph) -> Tensor:
    """Return charges q [N, 1] shifted alike in each structure, so that they add up to its `charge`."""
    by_graph = graph.topology.nodes_by_graph
    shift = segment.mean(q, by_graph)  # [G, 1]
    if "charge" in graph.globals:
        total = dense(graph.globals["charge"]).to(q.dtype).view(-1, 1)
        shift = shift - total / graph.topology.n_node.clamp(min=1).to(q.dtype)[:, None]
    return q - kernels.gather(shift, by_graph.index)


def centred(graph: Graph, dtype: torch.dtype) -> Tensor:
    """Return positions [N, 3] from the mean position of each structure."""
    pos, by_graph = dense(graph.nodes["pos"]), graph.topology.nodes_by_graph
    return (pos - kernels.gather(segment.mean(pos, by_graph), by_graph.index)).to(dtype)


@final
class OfAtoms(nn.Module):
    """mlp(h_i), [N, 1]; `charges`: shifted so that they add up to the structure's charge."""

    def __init__(self, d: int, charges: bool = False):
        super().__init__()
        self.mlp, self.charges = MLP(d, d, 1, act=nn.SiLU), charges

    def forward(self, graph: Graph) -> Tensor:
        values: Tensor = self.mlp(dense(graph.nodes["h"]))
        return neutral(values, graph) if self.charges else values


@final
class OfStructures(nn.Module):
    """The mean, or the sum, of mlp(h_i) over a structure's atoms, [G, 1]."""

    def __init__(self, d: int, aggregate: Aggregate):
        super().__init__()
        self.of, self.aggregate = OfAtoms(d), aggregate

    def forward(self, graph: Graph) -> Tensor:
        found: Tensor = self.aggregate(self.of(graph), graph.topology.nodes_by_graph)
        return found


@final
class ChargeDipole(nn.Module):
    """sum_i q_i r_i, [G, 3], of charges alone. What they add up to does not matter, since r_i are from the mean position."""

    def __init__(self, d: int):
        super().__init__()
        self.q = OfAtoms(d)

    def forward(self, graph: Graph) -> Tensor:
        q = self.q(graph)
        return segment.sum(q * centred(graph, q.dtype), graph.topology.nodes_by_graph)


@final
class VectorDipole(nn.Module):
    """sum_i mu_i + q_i r_i, [G, 3], from scalars and vectors (Schuett, Unke & Gastegger 2021, arXiv:2102.03150)."""

    def __init__(self, d: int):
        super().__init__()
        self.moments = _Moments(d, 1)

    def forward(self, graph: Graph) -> Tensor:
        q, mu, _ = self.moments(graph)
        return segment.sum(mu[:, :, 0] + q * centred(graph, q.dtype), graph.topology.nodes_by_graph)


@final
class Tensors(nn.Module):
    """A symmetric tensor, [G, 3, 3], as `Polarizability`."""

    def __init__(self, d: int):
        super().__init__()
        self.alpha = Polarizability(d)

    def forward(self, graph: Graph) -> Tensor:
        found: Tensor = self.alpha(graph)["polarizability"]
        return found


@final
class Extent(nn.Module):
    """sum_i q_i |r_i|^2, [G, 1]: the spatial extent of a density that the q_i stand for."""

    def __init__(self, d: int):
        super().__init__()
        self.q = OfAtoms(d)

    def forward(self, graph: Graph) -> Tensor:
        q = self.q(graph)
        return segment.sum(q * centred(graph, q.dtype).square().sum(1, keepdim=True), graph.topology.nodes_by_graph)


@final
class WithProperties(nn.Module):
    """An energy's readout with `heads` beside it: name -> a module from states to the property."""

    def __init__(self, energy: AtomWise, heads: Mapping[str, nn.Module]):
        super().__init__()
        self.energy = energy
        self.names = tuple(heads)
        self.heads = nn.ModuleList(heads.values())

    def properties(self, graph: Graph) -> dict[str, Tensor]:
        """Return name -> property."""
        return {name: head(graph) for name, head in zip(self.names, self.heads, strict=True)}

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        return self.energy(graph) | self.properties(graph)


KINDS: dict[str, Callable[[int, bool], nn.Module]] = {  # kind -> its head of states [N, d], with vectors or without
    "mean": lambda d, vectors: OfStructures(d, segment.mean),
    "sum": lambda d, vectors: OfStructures(d, segment.sum),
    "atom": lambda d, vectors: OfAtoms(d),
    "charges": lambda d, vectors: OfAtoms(d, charges=True),
    "dipole": lambda d, vectors: VectorDipole(d) if vectors else ChargeDipole(d),
    "polarizability": lambda d, vectors: Tensors(d),
    "extent": lambda d, vectors: Extent(d),
}
