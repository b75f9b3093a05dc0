"""Questions of two hops to a knowledge graph."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from heliograph.data.sources.triples import Known
from heliograph.learn import ranking
from heliograph.onegraph import GraphTrainConfig, paths, run
from heliograph.onegraph.paths import Questions
from heliograph.onegraph.predict import GraphPredictConfig, predict, read_graph
from heliograph.onegraph.predictor import GraphPredictor
from tests.onegraph.test_run import QUIET, table_of

TOWNS, LANDS, HELD = 40, 5, 6


def facts(folder: Path) -> Path:
    """Towns lie in lands, lands are on continents; the lands of a few towns are not told, only whom they trade with."""
    path = folder / "facts.csv"
    with open(path, "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["head", "relation", "tail", "part"])
        for k in range(TOWNS):
            for step in (LANDS, 2 * LANDS):
                table.writerow([f"town{k}", "trades with", f"town{(k + step) % TOWNS}", "train"])
            table.writerow([f"town{k}", "lies in", f"land{k % LANDS}", "train" if k >= HELD else ("val", "test")[k % 2]])
        for k in range(LANDS):
            table.writerow([f"land{k}", "is on", f"continent{k % 3}", "train"])
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("paths")
    config = GraphTrainConfig.model_validate({
        "data": {"edges": facts(folder), "level": "link", "relation_column": "relation", "splits_column": "part"},
        "model": {"decoder": "complex", "node_vectors": 32, "cubes": 0.01}, "output_dir": folder / "run",
        "fit": {"epochs": 60, "baselines": False, "weight_decay": 0.0, "batch_size": 32, "init_lr": 0.03, "max_lr": 0.03},
    })  # fmt: skip
    run(config, progress=QUIET)
    return folder / "run"


def test_two_hops_are_the_sum_over_what_lies_between(trained: Path) -> None:
    predictor = GraphPredictor.load(trained)
    graph = read_graph(GraphPredictConfig(model_path=trained), predictor)
    h, r, r_2 = np.array([3, 8, 8]), np.array([1, 0, 1]), np.array([0, 1, 2])
    all_ = torch.arange(graph.N).numpy()
    p = Questions(h, (r,)).scores(predictor, graph, np.arange(3)).softmax(1)
    expected = []
    for row in range(3):
        each = Questions(all_, (np.full(graph.N, r_2[row]),)).scores(predictor, graph, all_).softmax(1)
        expected.append(p[row] @ each)
    old, paths.BEAM = paths.BEAM, graph.N
    try:
        found = Questions(h, (r, r_2)).scores(predictor, graph, np.arange(3))
    finally:
        paths.BEAM = old
    assert torch.allclose(found.exp(), torch.stack(expected), atol=1e-5)
    assert torch.allclose(found.exp().sum(1), torch.ones(3), atol=1e-4)


def test_known_answers_are_those_that_known_triples_lead_to() -> None:
    triples = np.array([[0, 0, 1], [0, 0, 2], [1, 1, 3], [2, 1, 3], [2, 1, 4], [5, 1, 6]])
    query, node = Questions(np.array([0, 5]), (np.array([0, 0]), np.array([1, 1]))).answers(Known(triples, 2), np.arange(2))
    assert set(zip(query.tolist(), node.tolist(), strict=True)) == {(0, 3), (0, 4)}


def test_untold_facts_are_found_two_hops_away(trained: Path, tmp_path: Path) -> None:
    asked = tmp_path / "asked.csv"
    rows = [f"town{k},lies in,is on,continent{k % LANDS % 3}" for k in range(HELD)] + ["nowhere,lies in,is on,continent0"]
    asked.write_text("head,relation,relation_2,tail\n" + "\n".join(rows) + "\n")
    predict(GraphPredictConfig(model_path=trained, pairs=asked, output_path=tmp_path / "ranked.csv"), progress=QUIET)
    found = table_of(tmp_path / "ranked.csv")
    assert found[-1]["reason"] == "head is not in the graph" and found[-1]["rank"] == ""
    mrr = ranking.figures(np.array([float(row["rank"]) for row in found[:-1]]))["mrr"]
    assert mrr > 0.6  # one of three continents, if one knows that much: .61
    predict(GraphPredictConfig(model_path=trained, for_=asked, top_k=2, output_path=tmp_path / "best.csv"), progress=QUIET)
    assert list(table_of(tmp_path / "best.csv")[0]) == ["head", "relation", "relation_2", "rank", "tail", "score"]


def test_the_relation_names_reach_the_table(trained: Path) -> None:
    assert pa.array(GraphPredictor.load(trained).encoders.relations).to_pylist() == ["is on", "lies in", "trades with"]
