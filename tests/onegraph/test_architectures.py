"""What `--arch` names on one graph: the paper's GCN for nodes, and compositions."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from heliograph import zoo
from heliograph.errors import UsageError
from heliograph.model import Inputs
from heliograph.onegraph import run
from heliograph.onegraph.predictor import GraphPredictor
from tests.onegraph.test_run import QUIET, config, tables
from tests.onegraph.test_sampling import store

PARTS = """
embed = "Embed(nodes, d)"
readout = "Pool(Linear(d, out), mean)"
[arguments]
d = 8
depth = 2
[[layers]]
repeat = "depth"
before = ["OnStates(LayerNorm(d))"]
message = "Neighbour()"
aggregate = "mean"
update = "Residual(Linear(d, d))"
"""


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_gcn_of_nodes_is_the_papers(depth: int) -> None:
    s = store(20, 40)
    graph = s.graph()
    model = zoo.build("gcn", Inputs(5, 1), 3, {"d": 4, "depth": depth, "dropout": 0.5, "aggregate": "mean"}, level="node").double().eval()
    A = torch.eye(20, dtype=torch.float64)
    A.index_put_((graph.topology.receivers, graph.topology.senders), torch.ones(s.E, dtype=torch.float64), accumulate=True)
    S = A / (A.sum(1)[:, None] * A.sum(1)).sqrt()
    linear = [m for m in model.modules() if isinstance(m, torch.nn.Linear)]
    assert len(linear) == max(depth, 2)  # eq. 9 has two steps and two weights
    h = graph.nodes["x"].double()  # type: ignore[union-attr]
    h = linear[0](h)
    for k in range(1, depth):
        h = (S @ h).relu() if k == 1 else linear[k - 1](S @ h).relu()
    assert torch.allclose(model(graph)["y"], linear[-1](S @ h), atol=1e-12)


def test_a_composition_is_trained_and_kept_in_the_model_file(tmp_path: Path) -> None:
    file = tmp_path / "parts.toml"
    file.write_text(PARTS)
    result = run(
        config(tmp_path / "run", model={"arch": str(file), "arch_args": {"d": 12}, "ensemble_size": 1}, fit={"epochs": 60}),
        tables=tables(), progress=QUIET,
    )  # fmt: skip
    assert result.metrics["test"]["mean"]["accuracy"] > 0.6
    file.unlink()  # the model file is enough
    network = GraphPredictor.load(tmp_path / "run").models[0]
    assert network.embed.W.weight.shape[0] == 12 and len(network.layers) == 4  # type: ignore[union-attr]


def test_code_of_ones_own_is_refused_on_one_graph(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a composition"):
        run(config(tmp_path / "run", model={"arch": "mine.py"}), tables=tables(), progress=QUIET)
