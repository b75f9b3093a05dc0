"""Ranks are PyKEEN's, curvatures GraphRicciCurvature's: their numbers are in graphs.json (scripts/graph_oracles.py made them)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from heliograph.learn import ranking
from heliograph.views import curvature

KEPT = json.loads(Path(__file__).with_name("graphs.json").read_text(encoding="utf-8"))


def test_ranks_and_figures_are_pykeens() -> None:
    kept = KEPT["ranking"]
    known = torch.tensor(kept["known"]).T
    found = ranking.ranks(torch.tensor(kept["scores"]), torch.tensor(kept["answers"]), (known[0], known[1]))
    assert found.tolist() == kept["ranks"]
    figures = ranking.figures(found.numpy())
    assert {name: figures[name] for name in kept["figures"]} == pytest.approx(kept["figures"], abs=1e-6)


@pytest.mark.parametrize("name", KEPT["curvature"])
def test_curvatures_are_graph_ricci_curvatures(name: str) -> None:
    kept = KEPT["curvature"][name]
    edges = np.array(kept["edges"])
    A = curvature.simple(edges[:, 0], edges[:, 1], int(edges.max()) + 1)
    assert np.allclose(curvature.ollivier(A, edges), kept["ollivier"], atol=1e-6)
    assert np.allclose(curvature.forman(A, edges), kept["forman"])
