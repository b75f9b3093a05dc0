"""Who replays: objectives in training and evaluation, and the predictor."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from heliograph import recording
from heliograph.graph import Graph
from heliograph.learn.objectives.spread import Spread
from heliograph.learn.objectives.supervised import Supervised
from heliograph.predictor.predictor import raw_outputs
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
    assert seen == [net] * 3
