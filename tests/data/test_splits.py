"""Splits: a partition, seeded, by the rule that the field's published splits follow."""

from __future__ import annotations

import csv
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.chem import scaffold
from heliograph.data.splits import PARTS, from_column, moments, random_split, scaffold_split
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


def test_scaffolds_from_the_largest_to_the_smallest() -> None:
    """By hand, DeepChem's rule: 20 rows, 12 to train. Groups a (6 rows), b (4), c (3), d (3), e to h (one each)."""
    names = list("aaaaaabbbbcccdddefgh")
    order = [7, 0, 13, 3, 19, 10, 1, 16, 5, 12, 2, 8, 17, 4, 11, 6, 18, 9, 15, 14]  # the rows stand in any order
    rows = [names[k] for k in order]
    parts = scaffold_split(rows, (12, 4, 4))
    where = {part: "".join(sorted(rows[k] for k in parts[part])) for part in PARTS}
    # a and b fill ten of twelve; of c and d, equally large, the one that begins last in the table goes first, into val; then the
    # other one to test; single rows fill train (two), val (one), test (one), last in the table first
    first = {name: rows.index(name) for name in "abcdefgh"}
    later, sooner = ("c", "d") if first["c"] > first["d"] else ("d", "c")
    singles = sorted("efgh", key=lambda name: -first[name])
    assert where["train"] == "aaaaaabbbb" + "".join(sorted(singles[:2]))
    assert where["val"] == "".join(sorted(3 * later + singles[2])) and where["test"] == "".join(sorted(3 * sooner + singles[3]))


def test_a_seed_shuffles_large_scaffolds_before_small_ones() -> None:
    """chemprop's rule: groups above half of val or of test first, each lot in an order drawn: here a, which alone fills train."""
    rows = list("bcaadaaeaa")
    left = set()
    for seed in range(20):
        parts = scaffold_split(rows, (6, 2, 2), seed)
        where = {part: "".join(rows[k] for k in parts[part]) for part in PARTS}
        assert where["train"] == "aaaaaa" and sorted(where["val"] + where["test"]) == list("bcde")
        left.add(where["val"])
        np.testing.assert_array_equal(parts["val"], scaffold_split(rows, (6, 2, 2), seed)["val"])
    assert len(left) > 3
    rows = list("aaaabbbbcd")
    assert {"".join(rows[k] for k in scaffold_split(rows, (4, 2, 4), seed)["train"]) for seed in range(20)} == {"aaaa", "bbbb"}


def test_scaffolds_of_molecules_have_their_chirality() -> None:
    """Without data beside the checkout: Bemis-Murcko scaffolds of seven molecules, two of them mirror images, and their split."""
    smiles = ["CC", "Cc1ccccc1", "OCc1ccccc1", "C[C@H]1CC[C@@H](C2CC2)O1", "C[C@@H]1CC[C@H](C2CC2)O1", "CCO", "Nc1ccccc1"]
    found = [scaffold(text) for text in smiles]
    assert found[0] == found[5] == "" and found[1] == found[2] == found[6] == "c1ccccc1" and found[3] != found[4]
    assert all("@" in text for text in found[3:5])
    parts = scaffold_split(found, (3, 2, 2))
    assert parts["train"].tolist() == [1, 2, 6] and parts["val"].tolist() == [0, 5] and parts["test"].tolist() == [3, 4]


def test_moments_are_years_and_their_parts() -> None:
    found = moments(["2024", "2024-01", "2024-01-01", "2024-01-01T12:00", "2024-01-01T00:30", "2024-12-31", "7.5", "-3", "x", ""])
    expected = [2024, 2024, 2024, 2024 + 0.5 / 366, 2024 + 0.5 / 24 / 366, 2024 + 365 / 366, 7.5, -3]
    np.testing.assert_allclose(found[:8], expected, rtol=0, atol=1e-12)
    assert np.isnan(found[8:]).all()
