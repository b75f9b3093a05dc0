"""What a generator of crystals learns: to see the crystal behind its noise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor
from torch.nn import functional as F

from heliograph import kernels, segment
from heliograph.data.targets import Targets
from heliograph.generate import discrete
from heliograph.graph import Graph, dense
from heliograph.learn.objective import Objective
from heliograph.model import MPNN
from heliograph.topology import Segments

GIVEN = 0.5  # share of crystals whose elements are shown throughout: the formula is given
COORDINATES = 12.0  # 1 / the variance of a uniform fractional coordinate


def along(start: Tensor, frac: Tensor, by_graph: Segments) -> Tensor:
    """[N, 3] the way from `start` to `frac` on the torus, the short way for each atom, less the mean of its crystal."""
    way = torch.remainder(frac - start + 0.5, 1.0) - 0.5
    return way - kernels.gather(segment.mean(way, by_graph), by_graph.index)


@final
class Crystallise(Objective):
    """Draws a time for each crystal, t ~ Beta(2, 1), and asks for displacements of atoms and cell and for masked elements.

    Flow matching on the torus for atoms (the linear path the short way round), on a line for the cell, discrete for elements. Terms: "move"
    mean square per atom on the scale of uniform noise, "lattice" per crystal, "species" over masked atoms (per atom).
    """

    def __init__(self, masked: int):
        super().__init__()
        self.masked = masked
        self.weights = {"move": 1.0, "lattice": 0.3, "species": 0.3}

    def outputs(self, model: MPNN, graph: Graph, targets: Targets) -> dict[str, Tensor]:
        by_graph = graph.topology.nodes_by_graph
        t = torch.rand(graph.G, 1).sqrt().clamp(max=1 - 1e-3)
        given = torch.rand(graph.G, 1) < GIVEN
        at = kernels.gather(t, by_graph.index)  # [N, 1]
        way = along(dense(graph.nodes["start"]), dense(graph.nodes["frac"]), by_graph)
        first, lattice, species = dense(graph.globals["first"]), dense(graph.globals["lattice"]), dense(graph.nodes["species"])
        shown = discrete.mask(species, torch.where(given, 1.0, t)[by_graph.index].squeeze(1), self.masked)
        found = model(
            graph.with_nodes(frac=torch.remainder(dense(graph.nodes["start"]) + at * way, 1.0), species=shown).with_globals(
                t=t, lattice=(1 - t) * first + t * lattice
            )
        )
        return {**found, "way": way, "far": lattice - first, "open": (shown == self.masked).to(way.dtype)}

    def losses(self, outputs: Mapping[str, Tensor], targets: Targets) -> dict[str, Tensor]:
        entropy = F.cross_entropy(outputs["species"], targets["species"].value, reduction="none")
        return {
            "move": COORDINATES * (outputs["move"] - outputs["way"]).square().sum(),
            "lattice": (outputs["lattice"] - outputs["far"]).square().sum(),
            "species": (entropy * outputs["open"]).sum(),
        }

    def counts(self, targets: Targets) -> dict[str, float]:
        atoms = float(len(targets["species"]))
        return {"move": atoms, "species": atoms, "lattice": float(len(targets["cell"]))}
