"""Splits: a partition, seeded, by the rule that the field's published splits follow."""

from __future__ import annotations

import csv
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.chem import scaffold
from heliograph.data.splits import PARTS, from_column, random_split, scaffold_split
from heliograph.errors import DataError, StructureError, UsageError
from tests.chem.real import moleculenet


def is_partition(parts: dict[str, np.ndarray], n: int) -> bool:
    together = np.concatenate([parts[name] for name in PARTS])
    return (
        tuple(parts) == PARTS and sorted(together.tolist()) == list(range(n)) and all((np.diff(rows) > 0).all() for rows in parts.values())
    )


@given(n=st.integers(10, 500), seed=st.integers(0, 2**31))
def test_random_split_is_a_seeded_partition(n: int, seed: int) -> None:
    parts = random_split(n, (0.8, 0.1, 0.1), seed)
    assert is_partition(parts, n)
    assert all(np.array_equal(rows, random_split(n, (0.8, 0.1, 0.1), seed)[name]) for name, rows in parts.items())
    assert abs(len(parts["train"]) - 0.8 * n) < 1.001


def test_random_split_depends_on_its_seed() -> None:
    assert not np.array_equal(random_split(100, seed=0)["test"], random_split(100, seed=1)["test"])


@given(st.lists(st.sampled_from("abcdefghijklmnopqrstuvwxyz"), min_size=60, max_size=300), st.none() | st.integers(0, 1000))
def test_scaffolds_stay_together(names: list[str], seed: int | None) -> None:
    try:
        parts = scaffold_split(names, (0.5, 0.25, 0.25), seed)
    except DataError as error:
        assert "no rows for" in str(error)
        return
    assert is_partition(parts, len(names))
    where = [{names[row] for row in rows} for rows in parts.values()]
    assert not where[0] & where[1] and not where[0] & where[2] and not where[1] & where[2]


def test_sizes() -> None:
    assert [len(rows) for rows in random_split(10, (0.8, 0.1, 0.1)).values()] == [8, 1, 1]
    assert [len(rows) for rows in random_split(9, (0.8, 0.1, 0.1)).values()] == [7, 1, 1]
    assert [len(rows) for rows in random_split(10, (0.85, 0.15, 0)).values()] == [8, 2, 0]
    assert [len(rows) for rows in random_split(10, (1, 0, 0)).values()] == [10, 0, 0]
    assert [len(rows) for rows in random_split(10, (5, 3, 2)).values()] == [5, 3, 2]


@pytest.mark.parametrize("sizes", [(0.8, 0.1), (0.8, 0.1, 0.2), (-0.1, 1.0, 0.1), (float("nan"), 0.5, 0.5), (5, 3, 3)])
def test_impossible_sizes(sizes: Sequence[float]) -> None:
    with pytest.raises(UsageError, match="split sizes"):
        random_split(10, sizes)


def test_parts_that_would_be_empty() -> None:
    with pytest.raises(DataError, match="of 3 usable rows leave none for val: give more rows"):
        random_split(3, (0.8, 0.1, 0.1))
    with pytest.raises(DataError, match="of 1 usable rows leave none for train"):
        random_split(1, (0.8, 0.1, 0.1))
    with pytest.raises(DataError, match="leave none for train"):
        random_split(5, (0, 0.5, 0.5))
    with pytest.raises(DataError, match="scaffold split: no rows for train out of 100 rows in 1 scaffolds"):
        scaffold_split(["c1ccccc1"] * 100)


def test_from_column() -> None:
    parts = from_column(["train", " Test ", "", "valid", "VAL", "train"])
    assert {name: rows.tolist() for name, rows in parts.items()} == {"train": [0, 5], "val": [3, 4], "test": [1]}
    with pytest.raises(DataError, match="row 2 of the splits column says 'tain'; expected train, val, test, or blank"):
        from_column(["train", "tain"])
    with pytest.raises(DataError, match="names no row for train"):
        from_column(["test", ""])


@pytest.mark.parametrize("name", ["delaney", "freesolv", "lipophilicity", "bbbp"])
def test_scaffold_split_is_the_one_the_field_publishes(name: str) -> None:
    """All of the rows, on four data sets: Bemis-Murcko with chirality, largest groups to train."""
    moleculenet(f"{name}.csv.gz")
    path = moleculenet("splits/" + name + ".csv")
    scaffolds, wanted = [], []
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            try:
                scaffolds.append(scaffold(row["smiles"]))
            except StructureError:
                assert row["scaffold"] == ""
                continue
            wanted.append(row["scaffold"])
    parts, theirs = scaffold_split(scaffolds), from_column(wanted)
    for part in PARTS:
        np.testing.assert_array_equal(parts[part], theirs[part])
