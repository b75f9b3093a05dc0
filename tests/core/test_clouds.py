"""Pairs of surroundings that agree in distances, angles or triples of neighbours: that they do, and which networks see the difference."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from heliograph import cards, zoo

PAGE = Path(__file__).parents[2] / "docs" / "space.md"
CLOUDS = [tuple(np.array(points, float) for points in pair) for pair in cards.CLOUDS.values()]


def sorted_rows(rows: list[list[float]]) -> np.ndarray:
    return np.array(sorted(tuple(np.round(row, 9)) for row in rows))


def invariants(x: np.ndarray, order: int) -> np.ndarray:
    """Of every subset of so many neighbours, up to three: sorted lengths, then sorted distances to one another."""
    rows = []
    for some in itertools.combinations(range(len(x)), order):
        part = x[list(some)]
        rows.append(sorted(np.linalg.norm(part, axis=1)) + sorted(np.linalg.norm(p - q) for p, q in itertools.combinations(part, 2)))
    return sorted_rows(rows)


def congruent(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether a rotation or mirror image takes one set of points to the other."""
    first = a[:3] if np.linalg.matrix_rank(a) > 2 else a[:2]
    for some in itertools.permutations(range(len(b)), len(first)):
        other = b[list(some)]
        if np.allclose(first @ first.T, other @ other.T):
            if len(first) == 2:
                return True  # two points with the same lengths and angle
            Q = np.linalg.solve(first, other)
            if all(np.linalg.norm(b - point, axis=1).min() < 1e-9 for point in a @ Q):
                return True
    return False


@pytest.mark.parametrize("k", range(3))
def test_they_agree_up_to_their_order_and_are_not_the_same(k: int) -> None:
    a, b = CLOUDS[k]
    for order in range(1, k + 2):
        np.testing.assert_allclose(invariants(a, order), invariants(b, order), atol=1e-8)
    assert not congruent(a, b)
    assert congruent(a, a[::-1] @ np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0])
    if k < 2:
        assert np.abs(invariants(a, k + 2) - invariants(b, k + 2)).max() > 1e-3


def test_the_order_of_products_decides() -> None:
    """One step of `mace` with products of nu neighbours sees surroundings that differ in subsets of nu."""
    found = {nu: cards.clouds(cards._network("mace", "required", depth=1, L=0, correlation=nu)) for nu in (1, 2, 3)}
    assert found == {1: (False, False, False), 2: (True, False, False), 3: (True, True, False)}
    assert cards.clouds(cards._network("mace", "required")) == (True, True, True)


def test_the_page_says_what_is_found() -> None:
    lines = [line.split("|")[1:-1] for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    said = {cells[0].strip(" `"): tuple(c.strip() for c in cells[-3:]) for cells in lines if cells[-1].strip() in ("yes", "no")}
    spatial = {name for name in zoo.names() if zoo.load(name).GEOMETRY == "required"}
    assert set(said) == spatial
    for name in spatial - {"semla"}:
        assert said[name] == tuple("yes" if apart else "no" for apart in cards.clouds(cards._network(name, "required"))), name
