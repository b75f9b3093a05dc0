"""Entity linking: which row of one table is which of another, from pairs that are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from heliograph.cli import main
from heliograph.onegraph.result import GraphResult
from tests.onegraph.test_run import table_of

N, NEW = 150, 10


def directories(folder: Path) -> Path:
    """People in two directories that describe them in different ways; `NEW` of them have no known partner."""
    random = np.random.default_rng(0)
    one = random.normal(size=(N, 8))
    two = one @ np.linalg.qr(random.normal(size=(8, 8)))[0] + 0.1 * random.normal(size=(N, 8))
    order = random.permutation(N)
    for name, x, ids in (("staff", one, np.arange(N)), ("members", two[order], order)):
        pq.write_table(pa.table({"id": [f"{name[0]}{k}" for k in ids], "profile": list(x.astype(np.float32))}), folder / f"{name}.parquet")
    pairs = "\n".join(f"s{k},m{k}" for k in range(N - NEW))
    (folder / "known.csv").write_text(f"staff,member\n{pairs}\n")
    (folder / "match.toml").write_text(
        '[nodes.staff]\npath = "staff.parquet"\n[nodes.member]\npath = "members.parquet"\n'
        '[edges.same]\npath = "known.csv"\nfrom = "staff"\nto = "member"\n'
    )
    return folder / "match.toml"


def test_rows_of_two_tables_are_matched(tmp_path: Path) -> None:
    schema, out = directories(tmp_path), tmp_path / "run"
    with pytest.raises(SystemExit) as end:
        main(["train", str(schema), "--level", "link", "--arch", "none", "--epochs", "50", "-o", str(out), "-q"])
    assert end.value.code == 0
    result = GraphResult.load(out)
    assert result.metrics["test"]["mean"]["mrr"] > 0.5 > 10 * result.baselines["frequency of the tail"].metrics["test"]["mean"]["mrr"]
    asked = tmp_path / "asked.csv"
    asked.write_text("head,relation\n" + "\n".join(f"s{k},same" for k in range(N - NEW, N)) + "\n")
    with pytest.raises(SystemExit) as end:
        main(["predict", str(out), "--top-k", "5", "--for", str(asked), "-o", str(tmp_path / "matched.csv"), "-q"])
    assert end.value.code == 0
    found = table_of(tmp_path / "matched.csv")
    assert len(found) == 5 * NEW and sum(row["head"][1:] == row["tail"][1:] for row in found) >= 6
