"""Objectives that `learn` has never heard of: forces and denoising, with nothing added to it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from heliograph import segment
from heliograph.blocks import AtomWise
from heliograph.data.sets import smallmol
from heliograph.data.sources.graphs import Graphs
from heliograph.data.targets import Target, Targets
from heliograph.edge import Edge
from heliograph.graph import Features, Graph, dense
from heliograph.layer import Layer
from heliograph.learn import FitConfig, Job, Objective, infer, network, train
from heliograph.learn.state import seed_of
from heliograph.model import MPNN


class Embed(nn.Module):
    def __init__(self, d: int):
        super().__init__()
        self.of = nn.Embedding(20, d)

    def forward(self, graph: Graph) -> Graph:
        return graph.with_nodes(h=self.of(dense(graph.nodes["z"])))


class Message(nn.Module):
    """h_j * W exp(-(r_ij - mu)^2)."""

    def __init__(self, d: int):
        super().__init__()
        self.W, self.mu = nn.Linear(8, d, bias=False), torch.linspace(0.5, 4.0, 8)

    def forward(self, e: Edge) -> dict[str, Tensor]:
        r = (e.j["pos"] - e.i["pos"]).square().sum(-1, keepdim=True).sqrt()
        return {"m": e.j["h"] * self.W(torch.exp(-((r - self.mu.to(r.dtype)) ** 2)))}


class Update(nn.Module):
    def __init__(self, d: int):
        super().__init__()
        self.f = nn.Sequential(nn.Linear(d, d), nn.SiLU(), nn.Linear(d, d))

    def forward(self, nodes: Features, messages: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {"h": dense(nodes["h"]) + self.f(messages["m"])}


def distance_network(d: int = 16) -> MPNN:
    return MPNN(Embed(d), [Layer(Message(d), Update(d)), Layer(Message(d), Update(d))], AtomWise(nn.Linear(d, 1)))


class Forces(Objective):
    """Energies and their negative gradients by positions."""

    gradients = True
    weights = {"energy": 0.1}  # noqa: RUF012

    def outputs(self, model: MPNN, graph: Graph, targets: Targets) -> dict[str, Tensor]:
        pos = dense(graph.nodes["pos"]).detach().requires_grad_()
        energy = model(graph.with_nodes(pos=pos))["y"]
        (gradient,) = torch.autograd.grad(energy.sum(), pos, create_graph=torch.is_grad_enabled() and model.training)
        return {"energy": energy, "forces": -gradient}

    def losses(self, outputs: Mapping[str, Tensor], targets: Targets) -> dict[str, Tensor]:
        return {name: (outputs[name] - targets[name].value).square().sum() for name in ("energy", "forces")}

    def counts(self, targets: Targets) -> dict[str, float]:
        return {name: float(targets[name].value.numel()) for name in ("energy", "forces")}


class Denoise(Objective):
    """Moves each atom at random and asks for an invariant of the move: its square length."""

    def outputs(self, model: MPNN, graph: Graph, targets: Targets) -> dict[str, Tensor]:
        pos = dense(graph.nodes["pos"])
        noise = 0.1 * torch.randn_like(pos)
        length = segment.sum(noise.square().sum(-1, keepdim=True), graph.topology.nodes_by_graph)  # [G, 1]
        return {"found": model(graph.with_nodes(pos=pos + noise))["y"], "length": length}

    def losses(self, outputs: Mapping[str, Tensor], targets: Targets) -> dict[str, Tensor]:
        return {"length": (outputs["found"] - outputs["length"]).square().sum()}

    def counts(self, targets: Targets) -> dict[str, float]:
        return {"length": float(len(targets["energy"]))}


@lru_cache(maxsize=1)
def frames() -> Graphs:
    """40 displaced geometries that ship with the package, complete graphs; energies without those of their atoms, eV."""
    molecules = smallmol.load()
    graphs, targets = [], []
    for frame, _ in zip(molecules.frames(), range(40), strict=False):
        n = len(frame.z)
        i, j = (~torch.eye(n, dtype=torch.bool)).nonzero(as_tuple=True)
        nodes = {"z": torch.from_numpy(frame.z.astype(np.int64)), "pos": torch.from_numpy(frame.pos)}
        graphs.append(Graph.build(j, i, [n], [len(i)], nodes=nodes))
        energy = frame.energy - sum(molecules.atom_energy[int(z)] for z in frame.z)
        forces = Target(torch.from_numpy(frame.forces), "node")
        targets.append({"energy": Target(torch.tensor([[energy]], dtype=torch.float64)), "forces": forces})
    return Graphs(graphs, targets)


PARTS = {"train": np.arange(32), "val": np.arange(32, 40)}
FIT = FitConfig(epochs=30, batch_size=8, max_lr=1e-2, final_lr=1e-3, precision="64", warmup_epochs=1.0)


def test_a_force_objective_learns_and_its_forces_are_central_differences() -> None:
    job = Job(frames(), PARTS, distance_network, Forces(), FIT)
    counters, (member,) = train(job)
    losses = [row.val_loss for row in counters.history]
    assert min(losses) < 0.5 * losses[0]
    model = network(job, member)
    found = infer(model, job.source, np.arange(2), job.objective, 1)
    graph = frames().batch(np.arange(2), None)
    pos = dense(graph.nodes["pos"])
    for atom, axis in ((0, 0), (3, 2), (graph.N - 1, 1)):
        step = torch.zeros_like(pos)
        step[atom, axis] = 1e-4
        with torch.no_grad():
            up, down = (float(model(graph.with_nodes(pos=pos + s))["y"].sum()) for s in (step, -step))
        assert float(found["forces"][atom, axis]) == pytest.approx(-(up - down) / 2e-4, abs=1e-6)


def test_noise_follows_from_the_seed() -> None:
    job = Job(frames(), PARTS, distance_network, Denoise(), FIT.model_copy(update={"epochs": 3}))
    one, two = train(job), train(job)
    assert [row[:4] for row in one[0].history] == [row[:4] for row in two[0].history]
    assert one[0].history[-1].val_loss < one[0].history[0].val_loss
    other = train(Job(frames(), PARTS, distance_network, Denoise(), job.fit.model_copy(update={"seed": 1})))
    assert other[0].history[0].train_loss != one[0].history[0].train_loss


def test_terms_are_means_over_their_own_labels() -> None:
    """The loss of a batch is the weighted sum of means, however many forces an energy has."""
    job = Job(frames(), PARTS, distance_network, Forces(), FIT.model_copy(update={"epochs": 1, "batch_size": 32}))
    counters, _ = train(job)
    source, objective = job.source, job.objective
    torch.manual_seed(seed_of("weights", 0, 0))
    model = distance_network().double().train()
    outputs = objective.outputs(model, source.batch(PARTS["train"], 0), {})
    targets = source.targets(PARTS["train"])
    expected = 0.1 * (outputs["energy"] - targets["energy"].value).square().mean()
    expected = expected + (outputs["forces"] - targets["forces"].value).square().mean()
    assert counters.history[0].train_loss == pytest.approx(expected.item(), rel=1e-6)  # Fabric hands the loss over in float32


def test_noise_of_an_evaluation_is_always_the_same() -> None:
    job = Job(frames(), PARTS, distance_network, Denoise(), FIT)
    torch.manual_seed(0)
    model = distance_network()
    one = infer(model, job.source, PARTS["val"], job.objective, 3, seed=5)
    state = torch.get_rng_state()
    two = infer(model, job.source, PARTS["val"], job.objective, 3, seed=5)
    assert torch.equal(one["length"], two["length"]) and torch.equal(state, torch.get_rng_state())
    assert not torch.equal(one["length"], infer(model, job.source, PARTS["val"], job.objective, 3, seed=6)["length"])
