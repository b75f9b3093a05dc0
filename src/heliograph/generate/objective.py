"""What a generator learns: to see the molecule behind its noise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor
from torch.nn import functional as F

from heliograph import kernels, recording
from heliograph.data.targets import Targets
from heliograph.generate import discrete, network
from heliograph.generate.process import Process
from heliograph.graph import Graph, dense
from heliograph.learn.objective import Objective
from heliograph.model import MPNN

SAID = 0.5  # share of steps in which the network sees what it said just before (self-conditioning)
UNCONDITIONAL = 0.15  # share of molecules whose conditions are hidden, for guidance without a classifier (Ho & Salimans 2022)


@final
class Denoise(Objective):
    """Draws a time for each molecule, t ~ Beta(2, 1), adds noise and masks, and asks for displacements, types, charges and bonds.

    Terms: "move" mean square per atom, "species" over the masked atoms (per atom), "charge" per atom, "order" per pair.
    """

    def __init__(self, process: Process, masked: int):
        super().__init__()
        self.process, self.masked = process, masked
        self.weights = {"move": 1.0, "species": 0.4, "charge": 0.2, "order": 0.5}

    def outputs(self, model: MPNN, graph: Graph, targets: Targets) -> dict[str, Tensor]:
        by_graph = graph.topology.nodes_by_graph
        t = torch.rand(graph.G, 1).sqrt().clamp(max=1 - 1e-3)  # Beta(2, 1)
        at = kernels.gather(t, by_graph.index)  # [N, 1]
        state, move = self.process.noise(dense(graph.nodes["pos"]), dense(graph.nodes["start"]), at)
        species = dense(graph.nodes["species"])
        shown = discrete.mask(species, at.squeeze(1), self.masked)
        condition = dense(graph.globals["condition"])
        if model.training:
            condition = condition * (torch.rand(graph.G, 1) >= UNCONDITIONAL)
        noisy = graph.with_nodes(pos=state, species=shown).with_globals(t=t, condition=condition)
        if not model.training or float(torch.rand(())) < SAID:
            with torch.no_grad():
                noisy = network.told(noisy, recording.play(model, noisy))
        found = recording.play(model, noisy)
        return {**found, "wanted": move, "open": (shown == self.masked).to(move.dtype)}

    def losses(self, outputs: Mapping[str, Tensor], targets: Targets) -> dict[str, Tensor]:
        def entropy(name: str) -> Tensor:
            return F.cross_entropy(outputs[name], targets[name].value, reduction="none")

        return {
            "move": (outputs["move"] - outputs["wanted"]).square().sum(),
            "species": (entropy("species") * outputs["open"]).sum(),
            "charge": entropy("charge").sum(),
            "order": entropy("order").sum(),
        }

    def counts(self, targets: Targets) -> dict[str, float]:
        atoms, pairs = float(len(targets["species"])), float(len(targets["order"]))
        return {"move": atoms, "species": atoms, "charge": atoms, "order": pairs}
