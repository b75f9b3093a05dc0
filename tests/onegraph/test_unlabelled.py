"""Without labels: clusters, blank cells, cells that look wrong."""

from __future__ import annotations

import csv
from pathlib import Path

import networkx
import numpy as np
import pytest
import torch

from heliograph.cli import main
from heliograph.data.graph_store import GraphStore
from heliograph.data.targets import Target
from heliograph.errors import UsageError
from heliograph.learn.objectives.masked import Cells, Masked, hide
from heliograph.learn.objectives.modularity import Modularity
from heliograph.learn.progress import Lines
from heliograph.onegraph.cluster import ClusterConfig, cluster, modularity
from heliograph.onegraph.impute import ImputeConfig, impute
from tests.onegraph.test_run import config, table_of, tables

QUIET = Lines(lambda text: None)
N = 150


def blocks(folder: Path, seed: int = 0) -> tuple[Path, Path, np.ndarray]:
    """Three groups; age and town follow the group, and some cells are blank. Rows of no use stand among them."""
    random = np.random.default_rng(seed)
    group = random.integers(0, 3, N)
    a, b = random.integers(0, N, (2, 14 * N))
    keep = (a != b) & ((group[a] == group[b]) | (random.random(14 * N) < 0.05))
    age = np.round(20 + 15 * group + random.normal(size=N), 1).astype(str)
    town = np.array(["north", "south", "west"])[group]
    member = (group == 1).astype(int).astype(str)
    for column in (age, town, member):
        column[random.choice(N, 15, replace=False)] = ""
    with open(folder / "n.csv", "w", newline="") as file:
        rows = [[f"p{k}", f"g{group[k]}", age[k], town[k], member[k]] for k in range(N)]
        csv.writer(file).writerows([["id", "group", "age", "town", "member"], *rows, ["", "g0", "1", "north", "0"]])
    with open(folder / "e.csv", "w", newline="") as file:
        csv.writer(file).writerows([["source", "target"], *([f"p{i}", f"p{j}"] for i, j in zip(a[keep], b[keep], strict=True))])
    return folder / "n.csv", folder / "e.csv", group


def test_modularity_is_networkxs_and_the_loss_is_its_negative() -> None:
    random = np.random.default_rng(0)
    ends = np.unique(np.sort(random.integers(0, 25, (70, 2)), axis=1), axis=0)
    ends = ends[ends[:, 0] != ends[:, 1]]
    store, c = GraphStore.build(ends, 25, x=np.zeros((25, 1), np.float32)), random.integers(0, 3, 25)
    graph = networkx.Graph(ends.tolist())
    graph.add_nodes_from(range(25))
    wanted = networkx.community.modularity(graph, [set(np.flatnonzero(c == k).tolist()) for k in range(3)])
    assert modularity(store, c) == pytest.approx(wanted)

    class Sure(torch.nn.Module):
        def forward(self, graph: object) -> dict[str, torch.Tensor]:
            return {"y": 1e3 * torch.eye(3)[torch.from_numpy(c)]}

    targets = {"node": Target(torch.zeros(25, 1))}
    objective = Modularity()
    losses = objective.losses(objective.outputs(Sure(), store.graph(), targets), targets)  # type: ignore[arg-type]
    assert losses["modularity"].item() / 25 == pytest.approx(-wanted, abs=1e-6)
    sizes = np.bincount(c, minlength=3)
    assert losses["collapse"].item() / 25 == pytest.approx(3**0.5 * np.linalg.norm(sizes) / 25 - 1, abs=1e-6)


def test_groups_are_found_without_labels_and_from_a_models_states(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nodes, edges, group = blocks(tmp_path)
    with pytest.raises(SystemExit) as end:
        main(["cluster", str(nodes), "--edges", str(edges), "--clusters", "3", "--compare-column", "group", "--epochs", "150",
              "-o", str(tmp_path / "c.csv")])  # fmt: skip
    said = capsys.readouterr()
    assert end.value.code == 0, said.err
    assert "3 clusters by dmon" in said.out and "k-means on features" in said.out
    rows = table_of(tmp_path / "c.csv")
    assert len(rows) == N + 1 and rows[-1]["cluster"] == ""
    found = np.array([int(r["cluster"]) for r in rows[:N]])
    assert sum(np.bincount(group[found == k]).max() for k in range(3) if (found == k).any()) > 0.9 * N
    free = cluster(ClusterConfig(edges=edges, clusters=3, epochs=100, output_path=tmp_path / "d.csv"), progress=QUIET)
    assert free.method == "dmon" and free.figures["dmon"]["modularity"] > 0.3  # no table of nodes
    with pytest.raises(UsageError, match="needs a model"):
        cluster(ClusterConfig(edges=edges, method="kmeans", output_path=tmp_path / "x.csv"), progress=QUIET)
    with pytest.raises(UsageError, match="--overwrite"):
        cluster(ClusterConfig(edges=edges, output_path=tmp_path / "d.csv"), progress=QUIET)


def test_a_models_states_are_clustered(tmp_path: Path) -> None:
    import pyarrow.csv as pc

    from heliograph.onegraph import run

    for table, name in zip(tables(), ("n.csv", "e.csv"), strict=True):
        pc.write_csv(table, tmp_path / name)
    data = {"data_path": tmp_path / "n.csv", "edges": tmp_path / "e.csv"}
    run(config(tmp_path / "run", data=data, fit={"epochs": 30, "baselines": False}), progress=QUIET)
    asked = ClusterConfig(model_path=tmp_path / "run", clusters=3, compare_column="team", output_path=tmp_path / "c.csv")
    found = cluster(asked, progress=QUIET)
    assert found.method == "k-means on states" and found.figures[found.method]["nmi"] > 0.3


def test_what_is_hidden_is_not_seen_and_alone_is_judged() -> None:
    cells = (Cells("a", 0, 1, "number"), Cells("b", 1, 3, "category"))
    x = torch.tensor([[0.5, 0, 1, 0, 1, 1], [2.0, 0, 0, 1, 1, 1], [0.0, 0, 0, 0, 0, 0]])
    graph = GraphStore.build(np.array([[0, 1]]), 3, x=x.numpy()).graph()
    seen = hide(graph, torch.tensor([[True, False], [False, True], [False, False]]), cells).nodes["x"]
    assert seen.tolist() == [[0, 0, 1, 0, 0, 1], [2, 0, 0, 0, 1, 0], [0] * 6]  # type: ignore[union-attr]
    objective = Masked(cells, share=1.0)

    class Guess(torch.nn.Module):
        def forward(self, graph: object) -> dict[str, torch.Tensor]:
            return {"y": torch.tensor([[1.5, 0.0, 0.0, 0.0]]).expand(3, 4)}

    targets = {"cells": Target(torch.tensor([[1.0, 1], [1, 1], [0, 0]]))}
    outputs = objective.outputs(Guess(), graph, targets)  # type: ignore[arg-type]
    assert outputs["hidden"].tolist() == [[1, 1], [1, 1], [0, 0]]
    assert objective.losses(outputs, targets)["cells"].item() == pytest.approx(1 + 0.25 + 2 * np.log(3))
    assert objective.counts(targets) == {"cells": 4}


def test_blanks_are_filled_and_planted_errors_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nodes, edges, group = blocks(tmp_path)
    rows = table_of(nodes)
    planted = [k for k in range(N) if all(rows[k][c] for c in ("age", "town", "member"))][:6]
    for k in planted[:3]:
        rows[k]["age"] = str(200 + k)
    for k in planted[3:]:
        rows[k]["town"] = ["south", "west", "north"][group[k]]
    with open(nodes, "w", newline="") as file:
        table = csv.DictWriter(file, rows[0].keys())
        table.writeheader(), table.writerows(rows)
    options = ["--columns", "age", "town", "member", "--epochs", "150", "-o", str(tmp_path / "f.csv")]
    with pytest.raises(SystemExit) as end:
        main(["impute", str(nodes), "--edges", str(edges), *options])
    assert end.value.code == 0, capsys.readouterr().err
    filled = table_of(tmp_path / "f.csv")
    assert len(filled) == N + 1
    blank = [k for k in range(N) if not rows[k]["town"]]
    assert np.mean([filled[k]["town"] == ["north", "south", "west"][group[k]] for k in blank]) > 0.8
    assert all("town" in filled[k]["imputed"] for k in blank)
    ages = [k for k in range(N) if not rows[k]["age"]]
    assert np.mean([abs(float(filled[k]["age"]) - 20 - 15 * group[k]) for k in ages]) < 8
    assert all("age" in filled[k]["suspect"] for k in planted[:3])
    assert sum("town" in filled[k]["suspect"] for k in planted[3:]) >= 2
    clean = [k for k in range(N) if k not in planted]
    assert np.mean([bool(filled[k]["suspect"]) for k in clean]) < 0.1
    assert all(filled[k]["age"] == rows[k]["age"] for k in clean if rows[k]["age"])
    said = capsys.readouterr().out
    assert "neighbours" in said and "accuracy" in said
    with pytest.raises(UsageError, match="did you mean 'sage'"):
        impute(ImputeConfig(data_path=nodes, edges=edges, arch="sag", output_path=tmp_path / "g.csv"), progress=QUIET)
