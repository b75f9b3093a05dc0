"""do(node) on a trained model: nodes out of hearing do not change by a bit, others as the network says."""

from __future__ import annotations

import csv
from pathlib import Path

import networkx
import numpy as np
import pytest
import torch

from heliograph.cli import main
from heliograph.errors import UsageError
from heliograph.onegraph import run
from heliograph.onegraph.asked import GraphPredictConfig
from heliograph.onegraph.intervene import intervene
from heliograph.onegraph.predict import read_graph
from heliograph.onegraph.predictor import GraphPredictor

from .test_run import QUIET, config, link_config, written


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("do")
    nodes, edges = written(folder)
    with open(edges, "a", newline="") as file:  # a chain that leaves the communities
        csv.writer(file).writerows([["node-1", "node-2", 1], ["node-2", "node-3", 1]])
    arch = {"arch": "sage", "arch_args": {"d": 8, "depth": 2}}  # a message does not depend on degrees
    tables = {"data_path": nodes, "edges": edges}
    run(config(folder / "run", data=tables, fit={"epochs": 2}, model=arch), progress=QUIET)
    return folder


def test_nodes_out_of_hearing_do_not_change_and_the_node_itself_does(trained: Path) -> None:
    predictor = GraphPredictor.load(trained / "run")
    graph = read_graph(GraphPredictConfig(model_path=trained / "run"), predictor)
    effects = intervene(predictor, graph, "node-1")
    names = graph.names.to_pylist()
    store = graph.store.graph().topology
    walk = networkx.DiGraph(list(zip(store.senders.tolist(), store.receivers.tolist(), strict=True)))
    near = networkx.single_source_shortest_path_length(walk, names.index("node-1"), cutoff=1)
    hears = np.array([k in near for k in range(len(names))])  # it changes after step 1, its neighbours after 2
    assert hears.sum() < len(names)
    assert (effects.state[hears] > 0).all() and (effects.state[~hears] == 0).all()
    assert effects.changed == hears.sum()
    assert (effects.change[~hears] == 0).all() and effects.change.max() > 0


def test_the_answer_is_that_of_a_graph_without_these_edges(trained: Path) -> None:
    predictor = GraphPredictor.load(trained / "run")
    graph = read_graph(GraphPredictConfig(model_path=trained / "run"), predictor)
    place = graph.names.to_pylist().index("node-7")
    whole = predictor.placed(graph)[0].graph()
    t = whole.topology
    kept = (t.receivers != place).nonzero().squeeze(1)
    topology, rows = t.rewired(t.senders[kept], t.receivers[kept])
    edges = {name: feature[kept[rows]] for name, feature in whole.edges.items() if isinstance(feature, torch.Tensor)}
    other = type(whole)(topology, whole.nodes, edges, whole.globals)
    with torch.no_grad():
        ys = [predictor.combine([m(g)["y"] for m in predictor.models])[1] for g in (whole, other)]
    assert ys[0] is not None and ys[1] is not None
    wanted = np.abs(ys[1] - ys[0]).reshape(len(ys[0]), -1).max(1)
    np.testing.assert_allclose(intervene(predictor, graph, "node-7").change, wanted, atol=1e-12)


def test_the_command_writes_the_largest_first_and_says_what_is_wrong(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "effects.csv"
    with pytest.raises(SystemExit) as done:
        main(["explain", str(trained / "run"), "--do", "node-1", "-o", str(out)])
    assert done.value.code == 0 and "nodes change" in capsys.readouterr().out
    with open(out, newline="") as file:
        rows = list(csv.DictReader(file))
    change = [float(row["change"]) for row in rows]
    assert change == sorted(change, reverse=True) and len(rows) == 120
    for args, words in (
        (["--do", "node-1", "-o", str(out)], "--overwrite"),
        (["--do", "nod-1", "-o", str(tmp_path / "x.csv")], "no such node"),
        (["--edges", "nowhere.csv", "-o", str(tmp_path / "x.csv")], "--do"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["explain", str(trained / "run"), *args])
        assert ended.value.code == 2
        assert words in capsys.readouterr().err


def test_a_model_of_links_is_refused(trained: Path, tmp_path: Path) -> None:
    nodes, edges = trained / "nodes.csv", trained / "edges.csv"
    run(link_config(tmp_path / "run", data={"data_path": nodes, "edges": edges}, fit={"epochs": 1}), progress=QUIET)
    predictor = GraphPredictor.load(tmp_path / "run")
    graph = read_graph(GraphPredictConfig(model_path=tmp_path / "run"), predictor)
    with pytest.raises(UsageError, match="answers for nodes"):
        intervene(predictor, graph, "node-1")
