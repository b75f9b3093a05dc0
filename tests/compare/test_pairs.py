"""The pairs behind a floor: their shares against all pairs by brute force, their causes on molecules; replicates against simulation."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from heliograph.batching import batch
from heliograph.compare.floor import Classes, floors, graph_classes
from heliograph.compare.pairs import explain, pairs
from heliograph.learn.task import Kind, Task
from heliograph.uncertainty.replicates import replicates
from tests.compare.sets import CHIRAL, PLAIN, store, whole


def random_table(kind: Kind, seed: int = 0) -> tuple[Classes, np.ndarray]:
    rng = np.random.default_rng(seed)
    number, n = rng.integers(0, 8, (2, 50)), 50
    y = {"regression": rng.normal(size=n), "binary": rng.integers(0, 2, n), "multiclass": rng.integers(0, 4, n)}[kind].astype(float)
    y[rng.random(n) < 0.2] = np.nan
    return Classes(number, True), y


@pytest.mark.parametrize("kind", ["regression", "binary", "multiclass"])
def test_shares_against_all_pairs(kind: Kind) -> None:
    classes, y = random_table(kind)
    there = np.flatnonzero(np.isfinite(y))
    number, expected = classes.number[0], {}
    for i, j in itertools.combinations(there.tolist(), 2):
        difference = float(y[i] != y[j]) if kind == "multiclass" else (y[i] - y[j]) ** 2
        if number[i] == number[j] and difference:
            expected[frozenset((i, j))] = difference / np.isin(there, np.flatnonzero(number == number[i])).sum()
    total = sum(expected.values())
    found = pairs(classes, 0, kind, y, most=10_000)
    assert {frozenset((p.first, p.second)) for p in found} == set(expected)
    for pair in found:
        assert pair.share == pytest.approx(expected[frozenset((pair.first, pair.second))] / total, rel=1e-9)
        assert (pair.y_first, pair.y_second) == (y[pair.first], y[pair.second]) and pair.difference > 0
        assert pair.apart == (1 if classes.number[1, pair.first] != classes.number[1, pair.second] else None)
    shares = [pair.share for pair in found]
    assert shares == sorted(shares, reverse=True) and sum(shares) == pytest.approx(1, rel=1e-9)
    assert [pair.share for pair in pairs(classes, 0, kind, y, most=7)] == shares[:7]


def test_what_the_shares_are_shares_of() -> None:
    classes, y = random_table("regression")
    rows = np.arange(0, 50, 2)
    (floor, _) = floors(classes, Task("regression", ("y",)), y[:, None], rows)
    largest = pairs(classes, 0, "regression", y, rows)[0]
    there = rows[np.isfinite(y[rows])]
    class_size = (classes.number[0, there] == classes.number[0, largest.first]).sum()
    assert largest.difference**2 / class_size == pytest.approx(largest.share * floor.metrics["y"]["mse"] * len(there), rel=1e-9)
    assert {largest.first, largest.second} <= set(rows.tolist())
    nothing = Classes(np.arange(50)[None], True)
    assert pairs(nothing, 0, "regression", y) == [] and pairs(classes, 0, "regression", np.full(50, np.nan)) == []


CASES = [
    ("OCC", "CCO", "the same structure twice; with these features no number of rounds tells them apart"),
    ("C[C@H](N)O", "C[C@@H](N)O", "they differ in stereochemistry only; with these features no number of rounds tells them apart"),
    ("F/C=C/F", "F/C=C\\F", "they differ in stereochemistry only; with these features no number of rounds tells them apart"),
    ("C1CCCCC1.C1CCCCC1", "C1CCCCCCCCCCC1", "two different structures; with these features no number of rounds tells them apart"),
    ("CCCCOC", "CCCOCC", "two different structures; 1 round tells them apart"),
    ("CCCCCOCC", "CCCCOCCC", "two different structures; 2 rounds tell them apart"),
]


@pytest.mark.parametrize(("first", "second", "cause"), CASES, ids=[f"{a}-{b}" for a, b, _ in CASES])
def test_causes(first: str, second: str, cause: str) -> None:
    molecules = store([first, "CS", second], replace(PLAIN, atoms=("element", "aromatic")))
    classes, y = graph_classes(whole(molecules)), np.array([1.0, 5.0, 2.0])
    (pair,) = explain(pairs(classes, 0, "regression", y), classes, molecules.smiles)
    assert (pair.first, pair.second, pair.cause) == (0, 2, cause)


def test_causes_with_chirality_with_positions_and_with_few_rounds() -> None:
    hands = store(["C[C@H](N)O", "C[C@@H](N)O"], CHIRAL)
    assert pairs(graph_classes(whole(hands)), 0, "regression", np.array([0.0, 1.0])) == []
    few = graph_classes(whole(store(["CCCCCOCC", "CCCCOCCC"], replace(PLAIN, atoms=("element",)))), rounds=1)
    (pair,) = explain(pairs(few, 1, "regression", np.array([0.0, 1.0])), few, ["CCCCCOCC", "CCCCOCCC"])
    assert pair.cause == "two different structures; with these features nothing within T = 1 tells them apart"
    space = replace(PLAIN, hydrogens="explicit", geometry="embed")
    molecules = store(["CCCCO"], space), store(["CCCCO"], replace(space, seed=3))
    for other, said in ((molecules[0], "twice"), (molecules[1], "in two geometries (conformers)")):
        both = batch([whole(molecules[0]), whole(other)])
        classes = graph_classes(both)
        (pair,) = explain(pairs(classes, 2, "regression", np.array([0.0, 1.0])), classes, ["CCCCO", "CCCCO"], both)
        assert pair.cause.startswith(f"the same structure {said};")


def test_replicates_by_hand() -> None:
    found = replicates(["a", "b", "a", "c", "b", "b", "d", "d"], np.array([1.0, 2, 3, 9, 2, 5, 4, np.nan]))
    assert found is not None and (found.groups, found.rows, found.equal) == (2, 5, 0)
    assert found.sd == pytest.approx(np.sqrt((2 + 6) / 3), rel=1e-12)  # 1 3 and 2 2 5: squares 2 and 6, 1 + 2 degrees of freedom
    copied = replicates(["a", "a", "b", "b"], np.array([0.1, 0.1, 1.0, 2.0]))
    assert copied is not None and copied.equal == 1
    assert replicates(["a", "b"], np.array([1.0, 2.0])) is None and replicates([], np.array([])) is None


def test_the_interval_of_the_noise_holds_as_often_as_it_says() -> None:
    rng = np.random.default_rng(4)
    keys = [f"{k}" for k in range(8) for _ in range(2 + k % 2)]
    inside = 0
    for _ in range(1000):
        found = replicates(keys, rng.normal(size=len(keys)) * 0.7 + np.array([float(k) for k in keys]), level=0.9)
        assert found is not None
        inside += found.low < 0.7 < found.high
    assert 870 <= inside <= 930  # 900 +- 3 standard deviations
