"""Random edges hold no signal: whoever predicts them better than chance has seen them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from heliograph.data.formats.schema import EdgeType, NodeType, Schema
from heliograph.learn.progress import Lines
from heliograph.onegraph import GraphTrainConfig, run

QUIET = Lines(lambda text: None)
N, M, SEEDS = 200, 900, 20


def random_tables(seed: int, relations: int = 0) -> tuple[pa.Table, pa.Table]:
    """Each pair of nodes is as likely an edge as any other; features are noise."""
    random = np.random.default_rng([seed, 77])
    pairs = random.choice(N * N, M, replace=False)
    a, b = pairs // N, pairs % N
    keep = a != b
    edges = {"source": [f"n{k}" for k in a[keep]], "target": [f"n{k}" for k in b[keep]]}
    if relations:
        edges["relation"] = [f"r{k}" for k in random.integers(0, relations, keep.sum())]
    nodes = pa.table({"id": [f"n{k}" for k in range(N)], **{f"f{k}": random.normal(size=N) for k in range(4)}})
    return nodes, pa.table(edges)


def random_types(seed: int) -> Schema:
    """Users and items; each pair is as likely bought, or rated, as any other."""
    random = np.random.default_rng([seed, 78])
    users, items = (pa.table({"id": [str(k) for k in range(n)], "f": random.normal(size=n)}) for n in (120, 80))
    edges = {}
    for name in ("buys", "rates"):
        pairs = random.choice(120 * 80, 500, replace=False)
        edges[name] = EdgeType(pa.table({"source": [str(p // 80) for p in pairs], "target": [str(p % 80) for p in pairs]}), "user", "item")
    back = pa.table({"source": edges["buys"].table["target"], "target": edges["buys"].table["source"]})
    return Schema({"user": NodeType(users), "item": NodeType(items)}, edges | {"bought_by": EdgeType(back, "item", "user")})


MODES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "undirected": ({}, {}),
    "directed": ({"directed": True}, {}),
    "sampled": ({}, {"num_neighbors": [4, 4]}),
    "ladies": ({}, {"sampler": "ladies", "sample_sizes": [64, 64]}),
    "learned vectors": ({"feature_columns": []}, {"node_vectors": 16}),
}


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_random_links_are_predicted_as_by_chance(tmp_path: Path, mode: str) -> None:
    data, model = MODES[mode]
    areas = []
    for seed in range(SEEDS):
        config = GraphTrainConfig.model_validate({
            "data": {"level": "link", **data},
            "split": {"split_sizes": (0.7, 0.1, 0.2)},
            "model": {"arch": "sage", "arch_args": {"d": 16}, "num_negatives": 5, **model},
            "fit": {"epochs": 15, "baselines": False, "seed": seed},
            "output_dir": tmp_path / str(seed),
        })  # fmt: skip
        areas.append(run(config, tables=random_tables(seed), progress=QUIET).metrics["test"]["mean"]["roc_auc"])
    assert 0.48 <= np.mean(areas) <= 0.52, areas


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["none", "compgcn"])
def test_random_triples_are_ranked_as_by_chance(tmp_path: Path, arch: str) -> None:
    """The mean rank of chance is half the nodes; edges come with inverses, which must leave with them."""
    ranks = []
    for seed in range(SEEDS):
        config = GraphTrainConfig.model_validate({
            "data": {"level": "link", "relation_column": "relation"},
            "split": {"split_sizes": (0.7, 0.1, 0.2)},
            "model": {"arch": arch, "node_vectors": 16, **({"arch_args": {"d": 16}} if arch != "none" else {})},
            "fit": {"epochs": 8, "batch_size": 128, "baselines": False, "seed": seed},
            "output_dir": tmp_path / str(seed),
        })  # fmt: skip
        found = run(config, tables=(None, random_tables(seed, 3)[1]), progress=QUIET)
        ranks.append(found.metrics["test"]["mean"]["mean_rank"] / found.facts.nodes)
    assert 0.48 <= np.mean(ranks) <= 0.52, ranks


@pytest.mark.slow
def test_random_links_between_types_are_ranked_as_by_chance(tmp_path: Path) -> None:
    """A type of edges that is another one the other way would tell everything; each has an inverse besides."""
    ranks = []
    for seed in range(SEEDS):
        config = GraphTrainConfig.model_validate({
            "data": {"level": "link"}, "split": {"split_sizes": (0.7, 0.1, 0.2)},
            "model": {"arch": "compgcn", "arch_args": {"d": 16}},
            "fit": {"epochs": 8, "batch_size": 128, "baselines": False, "seed": seed}, "output_dir": tmp_path / str(seed),
        })  # fmt: skip
        found = run(config, tables=(random_types(seed), None), progress=QUIET)
        assert any("bought_by is buys the other way" in note for note in found.notes)
        ranks.append(found.metrics["test"]["mean"]["mean_rank"] / 100)  # 120 users or 80 items, as often the one as the other
    assert 0.44 <= np.mean(ranks) <= 0.52, ranks  # known answers leave the ranking: somewhat less than a half


def test_a_constant_scorer_earns_what_random_ranks_do() -> None:
    """E[1 / rank] of n candidates is H_n / n; a constant gives the middle rank, 2 / (n + 1): never 1."""
    from heliograph.learn import ranking

    n, queries = 101, 400
    answers = torch.randint(0, n, (queries,), generator=torch.Generator().manual_seed(0))
    constant = ranking.figures(ranking.ranks(torch.zeros(queries, n), answers).numpy())
    drawn = ranking.figures(ranking.ranks(torch.rand(queries, n, generator=torch.Generator().manual_seed(1)), answers).numpy())
    assert constant["mrr"] == pytest.approx(2 / (n + 1)) and constant["mean_rank"] == (n + 1) / 2 and constant["hits@10"] == 0
    assert drawn["mrr"] == pytest.approx(sum(1 / k for k in range(1, n + 1)) / n, rel=0.2)
    assert drawn["mean_rank"] == pytest.approx(constant["mean_rank"], rel=0.1)
