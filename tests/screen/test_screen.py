"""Screening: exact, each molecule once, the same for any cut, order, number of processes and after any interruption."""

from __future__ import annotations

import csv
import gzip
import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heliograph.chem.parse import canonical
from heliograph.data.sets import smallmol
from heliograph.errors import DataError, HeliographError, UsageError
from heliograph.predictor.stream import PredictConfig, predict_file
from heliograph.screen import ScreenConfig, run
from heliograph.screen.best import Best, Hit
from heliograph.screen.library import content, open_file, shards
from tests.cli.conftest import Run, command, environment

Screen = Callable[..., Any]


@pytest.fixture
def screen(model: Path, library: Path, tmp_path: Path) -> Screen:
    """screen(top=10, ...): a screening of the library into tmp_path / "out"."""

    def call(resume: bool = False, overwrite: bool = False, **changes: Any) -> Any:
        given = {"model_path": model, "library": (library,), "output_dir": tmp_path / "out", "jobs": 0, "top": 50} | changes
        return run(ScreenConfig.model_validate(given), resume=resume, overwrite=overwrite)

    return call


def table(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def expected(model: Path, library: Path, tmp_path: Path, sign: float = 1.0) -> list[tuple[float, str]]:
    """The whole library by predict, sorted: score to six digits, then canonical SMILES, each molecule once with its best score."""
    out = tmp_path / "all.csv"
    if not out.exists():
        predict_file(PredictConfig(model_path=model, data_path=library, output_path=out, num_workers=0))
    best: dict[str, float] = {}
    for row in table(out):
        if not row["reason"]:
            score = float(f"{sign * float(row['a_pred']):.6g}")
            text = canonical(row["smiles"])
            best[text] = max(score, best.get(text, -np.inf))
    return sorted(((score, text) for text, score in best.items()), key=lambda pair: (-pair[0], pair[1]))


def agrees(hits: list[tuple[float, str]], wanted: list[tuple[float, str]]) -> None:
    """The same ranking but for scores that differ by rounding in the sixth digit."""
    np.testing.assert_allclose([score for score, _ in hits], [score for score, _ in wanted], rtol=3e-6)
    scores = dict((text, score) for score, text in wanted)
    edge = wanted[-1][0]
    for score, text in hits:
        assert text in scores or abs(score - edge) <= 3e-6 * abs(edge)


@pytest.mark.parametrize(("goal", "sign"), [("max", 1.0), ("min", -1.0)])
def test_equals_a_sorted_prediction(screen: Screen, model: Path, library: Path, tmp_path: Path, goal: str, sign: float) -> None:
    result = screen(top=300, goal=goal, shard_size=7_000)
    agrees([(hit.score, hit.smiles) for hit in result.hits], expected(model, library, tmp_path, sign)[:300])
    assert len({hit.smiles for hit in result.hits}) == 300
    assert result.rows == 1203 and result.ranked == 1199 and sum(result.reasons.values()) == 4
    rows = table(tmp_path / "out" / "top.csv")
    assert [row["rank"] for row in rows] == [str(k) for k in range(1, 301)]
    assert all(row["name"].startswith("m") and row["a_pred"] and row["b_pred"] for row in rows)
    assert json.loads((tmp_path / "out" / "results.json").read_text())["rows"] == 1203


def test_more_than_there_is(screen: Screen) -> None:
    assert len(screen(top=5000).hits) == 1000  # each molecule once, however often it is there


def test_bytes_do_not_depend_on_processes(screen: Screen, tmp_path: Path) -> None:
    screen(shard_size=5_000, diverse=10, jobs=2)
    screen(shard_size=5_000, diverse=10, output_dir=tmp_path / "two")
    for name in ("top.csv", "diverse.csv"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_order_of_what_comes_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    pairs = zip(rng.integers(0, 9, 400), rng.integers(0, 99, 400), strict=True)
    hits = [Hit(float(score), f"m{name}", (0, k)) for k, (score, name) in enumerate(pairs)]
    orders = []
    for _ in range(5):
        best = Best(30)
        rng.shuffle(hits)  # type: ignore[arg-type]
        for k in range(0, 400, 7):
            best.add([hit for hit in hits[k : k + 7] if best.floor is None or hit.score >= best.floor])
        orders.append(best.ranked())
    assert all(order == orders[0] for order in orders)
    each: dict[str, tuple[float, tuple[int, int]]] = {}
    for hit in hits:
        each[hit.smiles] = min((-hit.score, hit.place), each.get(hit.smiles, (0.0, (9, 9))))
    wanted = sorted((score, text, place) for text, (score, place) in each.items())[:30]
    assert [(-hit.score, hit.smiles, hit.place) for hit in orders[0]] == wanted


def test_score_where_and_library_columns(screen: Screen) -> None:
    result = screen(score="a_pred - 2 * abs(b_pred)", where="active == 1", top=1000)
    assert 0 < len(result.hits) < 1000 and all("F" in hit.smiles for hit in result.hits)
    assert result.left_out > 0
    for hit in result.hits:
        assert hit.score == pytest.approx(hit.cells["a_pred"] - 2 * abs(hit.cells["b_pred"]), rel=1e-5)
    late = screen(where="a_pred > 1.0 and active == 1", top=1000, overwrite=True)
    assert all(hit.cells["a_pred"] > 1.0 for hit in late.hits) and late.ranked + late.left_out == 1199
    assert screen(where="active == 7", overwrite=True).hits == []
    with pytest.raises(UsageError, match=r"--score: there is no column 'c_pred'"):
        screen(score="c_pred", overwrite=True)
    with pytest.raises(UsageError, match="does not predict 'gap'"):
        screen(target="gap", overwrite=True)


def test_filters_are_asked_from_the_best_down(screen: Screen, model: Path, library: Path, tmp_path: Path) -> None:
    from rdkit import Chem

    alerts = tmp_path / "own.smarts"
    alerts.write_text("# of our own\nC#N nitrile\n")
    result = screen(top=200, filters=("rings>=1", "veber", "qed>0.3", str(alerts)), shard_size=9_000)
    nitrile = Chem.MolFromSmarts("C#N")
    wanted = []
    from heliograph.chem.filters import Filters

    filters = Filters(("rings>=1", "veber", "qed>0.3", str(alerts)))
    for score, text in expected(model, library, tmp_path):
        if not filters.rejects(text):
            wanted.append((score, text))
    agrees([(hit.score, hit.smiles) for hit in result.hits], wanted[:200])
    for hit in result.hits:
        mol = Chem.MolFromSmiles(hit.smiles)
        assert mol.GetRingInfo().NumRings() and not mol.HasSubstructMatch(nitrile)
    assert 200 < result.filtered < 1000 and set(result.rejected) <= {"rings>=1", "veber", "qed>0.3", str(alerts)}
    assert all(result.seconds[f"filter {name}"] >= 0 for name in filters.names)


def test_deeper_where_filters_leave_too_few(screen: Screen) -> None:
    deep = screen(top=3, filters=("fsp3>0.9",))
    assert len(deep.hits) == 3 and deep.filtered > 12  # the first look was at 4 x 3 candidates


@pytest.mark.parametrize(
    ("name", "said"), [("pians", "did you mean 'pains'"), ("qed", "expected qed, one of <"), ("none.smarts", "can't read the filter")]
)
def test_unknown_filters(screen: Screen, name: str, said: str) -> None:
    with pytest.raises(HeliographError, match=said):
        screen(filters=(name,))


def test_diverse_and_scaffolds(screen: Screen) -> None:
    from rdkit import Chem, DataStructs
    from rdkit.Chem import rdFingerprintGenerator
    from rdkit.Chem.Scaffolds import MurckoScaffold

    result = screen(top=400, diverse=60, similarity=0.4, per_scaffold=2)
    mols = [Chem.MolFromSmiles(hit.smiles) for hit in result.diverse]
    prints = [rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048).GetFingerprint(mol) for mol in mols]
    pairs = [DataStructs.TanimotoSimilarity(prints[i], prints[j]) for i in range(len(mols)) for j in range(i)]
    assert max(pairs) <= 0.4 and result.most_similar == pytest.approx(max(pairs))
    scaffolds = [MurckoScaffold.MurckoScaffoldSmiles(mol=mol, includeChirality=True) for mol in mols]
    rings = [scaffold for scaffold in scaffolds if scaffold]
    assert max(rings.count(scaffold) for scaffold in rings) <= 2
    assert result.diverse[0] == result.hits[0]
    left = [hit for hit in result.hits if hit not in result.diverse]  # each is too near to something better, or the scaffold was full
    assert left and len(mols) <= 60


def test_enrichment_equals_rdkit(screen: Screen, model: Path, library: Path, tmp_path: Path) -> None:
    from rdkit.ML.Scoring import Scoring

    from heliograph.screen.enrichment import auc, bedroc, enrichment, enrichment_factor, ranks

    rng = np.random.default_rng(1)
    for n, a in ((1000, 30), (5000, 7), (400, 200), (10_000, 1)):
        active = np.zeros(n, bool)
        active[rng.choice(n, a, replace=False)] = True
        scores = rng.normal(size=n) + active
        order = np.argsort(-scores, kind="stable")
        listed = [[float(scores[k]), bool(active[k])] for k in order]
        r = ranks(scores, active)
        for fraction in (0.001, 0.005, 0.01, 0.05):
            assert enrichment_factor(r, n, fraction) == pytest.approx(Scoring.CalcEnrichment(listed, 1, [fraction])[0], rel=1e-12)
        assert bedroc(r, n) == pytest.approx(Scoring.CalcBEDROC(listed, 1, 20.0), rel=1e-12)
        assert auc(r, n) == pytest.approx(Scoring.CalcAUC(listed, 1), rel=1e-12)
    assert enrichment(scores, np.zeros(n, bool)) is None
    found = screen(truth="active == 1", shard_size=5_000).enrichment
    assert found.n == 1199 and set(found.figures) == {"EF 0.1 %", "EF 0.5 %", "EF 1 %", "EF 5 %", "BEDROC 20", "AUC"}
    assert all(figure.lower <= figure.value <= figure.upper <= figure.best for figure in found.figures.values())


def test_formats_give_the_same(screen: Screen, library: Path, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = table(library)[:400]
    forms = {}
    forms["csv.gz"] = tmp_path / "l.csv.gz"
    lines = [f'"{row["name"]}\nof two lines",{row["smiles"]}' for row in rows if '"' not in row["smiles"]]
    forms["csv.gz"].write_bytes(gzip.compress("\n".join(["name,smiles", *lines, ""]).encode()))
    forms["smi"] = tmp_path / "l.smi"
    forms["smi"].write_text("\n".join(f"{row['smiles'] or '-'} {row['name']}" for row in rows if " " not in row["smiles"]))
    forms["parquet"] = tmp_path / "l.parquet"
    pq.write_table(pa.table({"smiles": [row["smiles"] for row in rows]}), forms["parquet"], row_group_size=50)
    results = [screen(library=(path,), output_dir=tmp_path / kind, shard_size=3_000) for kind, path in forms.items()]
    found = [[(hit.score, hit.smiles) for hit in result.hits] for result in results]
    assert found[0] == found[1] == found[2] and len(found[0]) == 50
    assert not list((tmp_path / "csv.gz" / "unpacked").iterdir())
    with pytest.raises(DataError, match="XYZ"):
        (tmp_path / "l.xyz").write_text("1\n\nH 0 0 0\n")
        screen(library=(tmp_path / "l.xyz",), output_dir=tmp_path / "xyz")


def test_sdf(screen: Screen, tmp_path: Path) -> None:
    from rdkit import Chem

    smiles = [str(text) for text in smallmol.load().smiles[:60]]
    with Chem.SDWriter(str(tmp_path / "l.sdf")) as writer:
        for text in smiles:
            writer.write(Chem.MolFromSmiles(text))
    result = screen(library=(tmp_path / "l.sdf",), shard_size=20_000, top=60)
    assert {hit.smiles for hit in result.hits} == {canonical(text) for text in smiles}


@pytest.mark.parametrize("size", [1, 20, 333, 10**6])
def test_shards_end_where_rows_end(tmp_path: Path, size: int) -> None:
    from heliograph.data.formats import read

    three = ('C,"a\nb,""c"""', "CC,plain", '"CCC","x"')
    lines = ["smiles,note", *(three[k % 3] for k in range(60)), 'CC,"open', "CCCC,last"]
    path = tmp_path / "quoted.csv"
    path.write_text("\n".join(lines) + "\n")
    file = open_file(path, tmp_path)
    cut = shards([file], size)
    assert [one.start for one in cut][1:] == [one.end for one in cut][:-1] and cut[-1].end == path.stat().st_size
    seen = []
    for one in cut:
        (tmp_path / "piece.csv").write_bytes(content(file, one))
        seen += [dict(record.meta) for record in read(tmp_path / "piece.csv", target_columns=())]
    assert seen == [dict(record.meta) for record in read(path, target_columns=())]


def test_resume_needs_the_same_question(screen: Screen, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing to resume"):
        screen(resume=True)
    screen()
    with pytest.raises(UsageError, match="--resume, replace it by --overwrite"):
        screen()
    with pytest.raises(UsageError, match="top was 50, is 51"):
        screen(top=51, resume=True)
    before = (tmp_path / "out" / "top.csv").read_bytes()
    screen(resume=True)
    assert (tmp_path / "out" / "top.csv").read_bytes() == before


def test_nothing_usable(screen: Screen, tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("smiles\nnonsense\n\n")
    with pytest.raises(DataError, match="none of 2 rows could be ranked"):
        screen(library=(path,))


def test_a_process_that_is_killed_costs_nothing(screen: Screen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from heliograph.screen import pool

    screen(output_dir=tmp_path / "plain", shard_size=5_000)
    ask, killed = pool._Worker.ask, []

    def dying(self: Any, request: dict[str, Any], data: bytes) -> Any:
        if request.get("number") == 2 and not killed:
            killed.append(request)
            self.child.running().kill()
        return ask(self, request, data)

    monkeypatch.setattr(pool._Worker, "ask", dying)
    screen(shard_size=5_000, jobs=1)
    assert killed and (tmp_path / "out" / "top.csv").read_bytes() == (tmp_path / "plain" / "top.csv").read_bytes()


def test_kill_and_resume_gives_the_same_bytes(model: Path, library: Path, screen: Screen, tmp_path: Path) -> None:
    """kill -9 of the parent once some shards are in the journal, and a journal cut in the middle of a line."""
    screen(output_dir=tmp_path / "plain", shard_size=4_000, top=100)
    args = ["screen", model, library, "-o", "killed", "--top", "100", "--shard-size", "4000", "--jobs", "2", "-q"]
    journal = tmp_path / "killed" / "journal.jsonl"
    with subprocess.Popen(command(*map(str, args)), cwd=tmp_path, env=environment()) as process:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and (not journal.exists() or journal.read_bytes().count(b"\n") < 4):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
    raw = journal.read_bytes()
    assert raw.count(b"\n") >= 4
    journal.write_bytes(raw[:-20])
    kept = journal.read_bytes().count(b"\n")
    result = screen(output_dir=tmp_path / "killed", shard_size=4_000, top=100, resume=True)
    assert (tmp_path / "killed" / "top.csv").read_bytes() == (tmp_path / "plain" / "top.csv").read_bytes()
    assert result.rows == 1203 and kept >= 3


def test_the_command(run: Run, model: Path, library: Path, tmp_path: Path) -> None:
    done = run("screen", model, library, "-o", "hits", "--top", "20", "--filters", "veber", "lipinski", "--diverse", "5", "--jobs", "0")
    assert done.returncode == 0 and "1,199 of 1,203 rows ranked by a_pred" in done.stdout and "turned away by veber" in done.stdout
    assert len(table(tmp_path / "hits" / "diverse.csv")) == 5
    page = (tmp_path / "hits" / "report.html").read_text()
    assert "Ranked by a_pred" in page and page.count("data:image/svg+xml") == 5 and "turned away" in page
    again = run("screen", model, library, "-o", "hits")
    assert again.returncode == 2 and "--resume" in again.stderr
    assert run("screen", model, library, "-o", "x", "--goal", "most").returncode == 2
