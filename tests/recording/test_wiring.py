"""Who replays: objectives in training and evaluation, and the predictor."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from heliograph import recording
from heliograph.blocks import Hadamard
from heliograph.blocks.decoders import ComplEx, Tails
from heliograph.data.sources.triples import Known
from heliograph.data.targets import Target, Targets
from heliograph.generate.data import MoleculeSource, Vocabulary
from heliograph.generate.network import build
from heliograph.generate.objective import Denoise
from heliograph.generate.process import Flow
from heliograph.graph import Graph
from heliograph.learn.objective import Objective
from heliograph.learn.objectives.links import Links
from heliograph.learn.objectives.spread import Spread
from heliograph.learn.objectives.supervised import Supervised
from heliograph.learn.objectives.triples import Triples
from heliograph.model import MPNN
from heliograph.predictor.predictor import raw_outputs
from heliograph.recording import player
from tests.conformance.test_zoo import network
from tests.generate.test_molecules import some
from tests.recording.test_recorded import graphs


def test_objectives_and_the_predictor_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    net, (graph,), seen = network("gcn", False), graphs(0, 1), []

    def play(model: Any, graph: Graph) -> Any:
        seen.append(model)
        return model(graph)

    monkeypatch.setattr(recording, "play", play)
    Supervised({"y": "mse"}).outputs(net, graph, {})
    Spread("mve").outputs(net, graph, {})
    store: Any = SimpleNamespace(batch=lambda rows: graph)
    assert len(list(raw_outputs(net, store, np.arange(2), 2))) == 1
    asking = graph.with_asked(torch.tensor([[0, 1], [0, 2], [1, 2], [0, 3]]))
    labels = {"link": Target(torch.ones(2))}
    Links().outputs(links(), asking, labels)
    assert seen[:3] == [net] * 3 and len(seen) == 4


def links() -> MPNN:
    """A network whose answers are those of pairs."""
    net = network("gcn", False)
    d = net.layers[0].update.W.in_features
    return MPNN(net.embed, net.layers, Hadamard(nn.Linear(d, d), nn.Linear(d, 1)), net.view).double()


def steps(objective: Objective, net: MPNN, batches: list[tuple[Graph, Targets]]) -> int:
    """How many steps of training were replayed, of which each has the answers and gradients of a network that never is."""
    twin = copy.deepcopy(net)
    for k, (graph, targets) in enumerate(batches):
        found: list[list[Any]] = [[], []]
        for model, to, on in ((net, found[0], True), (twin, found[1], False)):
            torch.manual_seed(k)
            with recording.use(on):
                outputs = objective.outputs(model, graph, targets)
                loss = torch.stack([x.sum() for x in objective.losses(outputs, targets).values()]).sum()
                to += [*outputs.values(), *torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)]
        assert all(a is b or torch.equal(a, b) for a, b in zip(*found, strict=True)), k
    return player.known(net).replayed


def test_links_are_replayed_and_other_pairs_get_their_own_answers() -> None:
    random, targets = torch.Generator().manual_seed(0), {"link": Target(torch.ones(2))}
    asking = [(g.with_asked(torch.randint(g.N, (4, 2), generator=random)), targets) for g in graphs(0, 8)]
    assert steps(Links(), links(), asking) >= 3


def test_triples_are_replayed_and_other_questions_get_their_own_answers() -> None:
    R, random = 3, torch.Generator().manual_seed(0)
    plain = network("gcn", False)
    net = MPNN(plain.embed, plain.layers, Tails(ComplEx(), R, plain.layers[0].update.W.in_features), plain.view).double()
    asking = []
    for graph in graphs(0, 8):
        asked = torch.stack([torch.randint(n, (6,), generator=random) for n in (graph.N, R, graph.N)], 1)
        asking.append((graph.with_asked(asked), {"triple": Target(torch.ones(3))}))
    assert steps(Triples(Known(np.zeros((0, 3), np.int64), R), cubes=0.1), net, asking) >= 3


@pytest.mark.slow
def test_denoising_is_replayed_with_the_same_noise() -> None:
    """Once without and once with gradients where the network sees what it said before; molecules of like size, so of one kind."""
    source = MoleculeSource(some(), Vocabulary.of(some(), np.arange(len(some()))))
    net = build(len(source.vocabulary.species), 2, d=16, depth=1, sets=4, pair=8, heads=2).train()
    chosen = np.argsort(source._at(np.arange(len(source)))[0], kind="stable")[23:47].reshape(-1, 2)
    asking = [(source.batch(rows, k), source.targets(rows)) for k, rows in enumerate(chosen)]
    assert steps(Denoise(Flow(), source.vocabulary.masked), net, asking) >= 3
