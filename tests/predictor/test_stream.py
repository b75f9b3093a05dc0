"""How rows are counted and put into batches."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from heliograph.predictor import stream
from heliograph.predictor.stream import USUAL_NODES, batches, count_rows


def test_rows_are_lines_without_the_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = b"smiles\nC\nCC\nCCC\n"
    for name, content, n in (("a.csv", text, 3), ("a.tsv", text, 3), ("a.smi", text, 4), ("a.csv.gz", gzip.compress(text), 3)):
        (tmp_path / name).write_bytes(content)
        assert count_rows(tmp_path / name) == n
    many = b"smiles\n" + b"CCCCCCCCCCCCCCC\n" * 200_000  # blocks of 2^20 bytes
    (tmp_path / "many.csv").write_bytes(many)
    assert count_rows(tmp_path / "many.csv") == 200_000
    (tmp_path / "a.sdf").write_bytes(text)
    assert count_rows(tmp_path / "a.sdf") is None and count_rows(tmp_path / "nothing.csv") is None
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(text)[:-9])
    assert count_rows(tmp_path / "cut.csv.gz") is None
    monkeypatch.setattr(stream, "COUNT_LIMIT", len(text))
    assert count_rows(tmp_path / "a.csv") == 3 and count_rows(tmp_path / "many.csv") is None


@pytest.mark.parametrize(
    ("nodes", "size", "lengths"),
    [
        ([USUAL_NODES] * 10, 4, [3, 4, 3]),  # a batch ends where the next molecule would make it full
        ([USUAL_NODES // 2] * 10, 4, [7, 3]),
        ([2 * USUAL_NODES] * 5, 9, [2, 2, 1]),  # four times the cost
        ([3 * USUAL_NODES, USUAL_NODES], 4, [1, 1]),
        ([0, 0, 1], 1000, [3]),
    ],
)
def test_batches_cost_alike(nodes: list[int], size: int, lengths: list[int]) -> None:
    found = list(batches(np.array(nodes), size))
    assert [len(rows) for rows in found] == lengths and sorted(np.concatenate(found).tolist()) == list(range(len(nodes)))
    sizes = np.array(nodes)[np.concatenate(found)]
    assert (np.diff(sizes) >= 0).all()
