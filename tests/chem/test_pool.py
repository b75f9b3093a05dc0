"""The pool: order, reasons, a crash or a hang costs its row, an interruption ends cleanly."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from heliograph.chem import pool
from heliograph.chem.featurizer import preset
from heliograph.chem.pool import featurize_table
from heliograph.data.record import Record
from heliograph.errors import HeliographError

FLAT = preset("table10_1")
MISCHIEF = """
import heliograph.chem.worker as worker, os, time
well = worker.attempt
def attempt(structure, featurizer, scaffold):
    if structure == 'crash': os.abort()
    if structure == 'hang': time.sleep(60)
    return well(structure, featurizer, scaffold)
worker.attempt = attempt
worker.main()
"""


def records(structures: list[str | None]) -> Iterator[Record]:
    for k, structure in enumerate(structures):
        yield Record(str(k), structure, reason="" if structure is not None else "blank line: line 7")


def many(n: int) -> list[str | None]:
    return ["C" * (k % 7 + 1) if k % 10 else "C(" for k in range(n)]


def test_the_pool_gives_what_the_process_itself_gives() -> None:
    rows: list[str | None] = [*many(700), None]
    alone = list(featurize_table(records(rows), FLAT, workers=0))
    seen: list[int] = []
    together = list(featurize_table(records(rows), FLAT, workers=2, progress=seen.append))
    assert [record.id for record, _, _ in together] == [str(k) for k in range(701)]
    for (_, one, why), (_, other, why_other) in zip(alone, together, strict=True):
        assert why == why_other and (one is None) == (other is None)
        if one is not None and other is not None:
            assert one.smiles == other.smiles
            np.testing.assert_array_equal(one.x, other.x)
            np.testing.assert_array_equal(one.bonds, other.bonds)
    assert together[-1][2] == "blank line: line 7"
    assert together[0][2] == "not valid SMILES: syntax error at position 2"
    assert seen[-1] == 701 and seen == sorted(seen)


def test_a_crash_and_a_hang_cost_their_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_PROGRAM", ("-c", MISCHIEF))
    rows = many(600)
    rows[250], rows[255], rows[599] = "crash", "hang", "crash"
    out = list(featurize_table(records(rows), FLAT, workers=1, limit=1.0))
    assert [record.id for record, _, _ in out] == [str(k) for k in range(600)]
    assert out[250][2].startswith("crashed RDKit: ") and out[599][2].startswith("crashed RDKit: ")
    assert out[255][2] == "took too long: more than 1 s"
    assert all((molecule is not None) == bool(k % 10) for k, (_, molecule, _) in enumerate(out) if k not in (250, 255, 599))


def test_a_worker_that_can_not_start_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_PROGRAM", ("-c", "raise SystemExit('no chemistry here')"))
    with pytest.raises(HeliographError, match="a process for featurization did not start: no chemistry here"):
        list(featurize_table(records(many(600)), FLAT, workers=1))


def test_records_are_drawn_as_they_are_needed() -> None:
    drawn = 0

    def endless() -> Iterator[Record]:
        nonlocal drawn
        while True:
            drawn += 1
            yield Record(str(drawn), "CC")

    rows = featurize_table(endless(), FLAT, workers=1)
    for _ in range(1500):
        next(rows)
    rows.close()  # type: ignore[attr-defined]
    assert drawn < 1500 + 2000


def test_unexpected_failures_are_reasons(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("Pre-condition Violation\nmore lines")

    monkeypatch.setattr("heliograph.chem.molecule.from_mol", broken)
    ((_, molecule, why),) = featurize_table(records(["CC"]), FLAT, workers=0)
    assert molecule is None and why == "could not be featurized: Pre-condition Violation"


SCRIPT = """
import sys, time
from heliograph.chem.featurizer import preset
from heliograph.chem.pool import featurize_table
from heliograph.data.record import Record
n = int(sys.argv[1])
rows = (Record(str(k), "C" * (k % 9 + 1)) for k in range(n))
try:
    for k, (record, molecule, why) in enumerate(featurize_table(rows, preset("table10_1"), workers=2)):
        if k == 700:
            print("under way", flush=True)
            time.sleep(0 if n < 1e6 else 0.2)
    print(k + 1, "torch" in sys.modules)
except KeyboardInterrupt:
    sys.exit(130)
"""


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def test_a_plain_script_without_a_main_guard_works(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    for command in ([str(script), "900"], ["-c", SCRIPT, "900"]):
        done = subprocess.run([sys.executable, *command], env=environment(), capture_output=True, text=True, timeout=60)
        assert done.stdout.splitlines() == ["under way", "900 False"] and done.stderr == ""


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_ends_without_tracebacks_and_leaves_no_process(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, "100000000"], env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "under way\n"
    children = _children(process.pid)
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130 and errors == ""
    deadline = time.monotonic() + 5
    while any(Path(f"/proc/{child}").exists() for child in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{child}").exists() for child in children)


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task")
    if not tasks.exists():
        return []
    return [int(child) for task in tasks.iterdir() for child in (task / "children").read_text().split()]
