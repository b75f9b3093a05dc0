"""Who replays: objectives in training and evaluation, and the predictor."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from heliograph import recording
from heliograph.blocks import Hadamard
from heliograph.data.targets import Target
from heliograph.graph import Graph
from heliograph.learn.objectives.links import Links
from heliograph.learn.objectives.spread import Spread
from heliograph.learn.objectives.supervised import Supervised
from heliograph.model import MPNN
from heliograph.predictor.predictor import raw_outputs
from heliograph.recording import player
from tests.conformance.test_zoo import network
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


def test_links_are_replayed_and_other_pairs_get_their_own_answers() -> None:
    net, twin, objective, labels = links(), links(), Links(), {"link": Target(torch.ones(2))}
    twin.load_state_dict(net.state_dict())
    random = torch.Generator().manual_seed(0)
    for k, graph in enumerate(graphs(0, 8)):
        asking = graph.with_asked(torch.randint(graph.N, (4, 2), generator=random))
        found, wanted = [], []
        for model, to, on in ((net, found, True), (twin, wanted, False)):
            with recording.use(on):
                outputs = objective.outputs(model, asking, labels)
                loss = objective.losses(outputs, labels)["link"]
                to += [*outputs.values(), *torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)]
        assert all(a is b or torch.equal(a, b) for a, b in zip(found, wanted, strict=True)), k
    assert player.known(net).replayed >= 3
