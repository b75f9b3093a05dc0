"""What each verb prints and writes, from its command line to its last line; `-q` says nothing."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest

from heliograph.cli import home
from heliograph.predictor import Predictor
from tests.cli.conftest import Run
from tests.train.conftest import MOLECULES

FAST = ("--arch", "gcn", "--arch-args", "d=8", "depth=1", "--epochs", "1", "--no-baselines", "--num-workers", "0", "-q")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `table.csv`, `bad.csv` (one row more, which is none) and the run `run`, with error bars."""
    from heliograph import cli

    folder = tmp_path_factory.mktemp("verbs")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as stopped:
        patch.chdir(folder)
        patch.setenv("HELIOGRAPH_CACHE", str(folder / "cache"))
        rows = [f"{s},{len(s) + 0.1 * (k % 7):.1f},{'ring' if '1' in s else 'chain'}" for k, s in enumerate(MOLECULES)]
        (folder / "table.csv").write_text("\n".join(["smiles,y,kind", *rows, ""]))
        (folder / "bad.csv").write_text("\n".join(["smiles,y,kind", *rows, "nonsense,1,chain", ""]))
        more = ("--target-columns", "y", "--members", "folds", "--ensemble-size", "2", "--domain", "hashes")
        cli.main(["train", "table.csv", "-o", "run", *FAST, *more])
    assert not stopped.value.code
    return folder


def said(run: Run, *args: str | Path) -> list[str]:
    """Lines that a command prints; it must say nothing with `-q`, once its output is out of the way."""
    done = run(*args)
    assert done.returncode == 0, done.stderr
    for flag in ("-o",):
        if flag in args:
            place = args.index(flag) + 1
            args = (*args[:place], f"quiet-{args[place]}", *args[place + 1 :])
    silent = run(*args, "-q")
    assert silent.returncode == 0 and silent.stdout == "", silent.stdout
    return done.stdout.splitlines()


def test_evaluate(run: Run, trained: Path, tmp_path: Path) -> None:
    lines = said(run, "evaluate", trained / "run", trained / "bad.csv", "--num-workers", "0", "-o", "figures.json")
    assert lines[:2] == [f"{len(MOLECULES)} of {len(MOLECULES) + 1} rows usable", "          1  not valid SMILES"]
    found = json.loads((tmp_path / "figures.json").read_text())
    assert lines[2] == "y: " + "  ".join(f"{k} {v:.4g}" for k, v in found["metrics"]["y"].items())
    assert lines[3] == f"error bars of y, {len(MOLECULES)} labels"
    row = found["trust"]["y"]["coverage"][0]
    assert lines[4].startswith(
        f"  {row['claimed']:.0%} interval holds {row['held']:.1%} (95 % range {row['low']:.1%} to {row['high']:.1%}), mean width"
    )
    figures = [line for line in lines if "(if the error bars were right: " in line]
    assert len(figures) == len(found["trust"]["y"]["figures"]) and lines[-1] == "figures.json"
    assert not any("before calibration" in line or "no calibration" in line for line in lines)


def test_evaluate_without_error_bars_and_with_two_targets(run: Run, model_run: Path, tmp_path: Path) -> None:
    (tmp_path / "two.csv").write_text("smiles,a,b\nCCO,1,2\nCCN,2,3\nCCC,3,5\n")
    lines = said(run, "evaluate", model_run, "two.csv", "--num-workers", "0")
    assert lines[-1].startswith("the model has no calibration: heliograph calibrate adds one")
    assert [line.split(":")[0] for line in lines[1:-1]] == ["mean", "a", "b"]


def test_calibrate(run: Run, trained: Path, tmp_path: Path) -> None:
    lines = said(
        run, "calibrate", trained / "run", trained / "table.csv", "--num-workers", "0", "--group-by", "kind", "-o", "new.safetensors"
    )
    groups = [line for line in lines if line.startswith("y: errors of kind ")]
    assert [re.sub(r"[\d.]+ x", "N x", line) for line in groups] == [
        f"y: errors of kind {k} are N x the error bars" for k in ("chain", "ring")
    ]
    assert lines[0].startswith("Calibration of y") and lines[-1] == "new.safetensors"
    assert Predictor.load(tmp_path / "new.safetensors").document.calibration["targets"][0]["n"] == len(MOLECULES)


def test_explain(run: Run, trained: Path, tmp_path: Path) -> None:
    (tmp_path / "five.csv").write_text("smiles\nCCO\nnonsense\nCCCCN\nnothing\nc1ccccc1O\n")
    lines = said(run, "explain", trained / "run", "five.csv", "-o", "out.html")
    assert lines[1].startswith("2 of 5 rows can't be used, the first: row 2, not valid SMILES")
    assert lines[-1] == "out.html" and len(lines) == 3
    page = (tmp_path / "out.html").read_text()
    assert "CCCCN" in page
    lines = said(run, "explain", trained / "run", trained / "table.csv", "--rationale", "-o", "all.csv")
    assert len(lines) == 2
    with open(tmp_path / "all.csv") as file:
        rows = list(csv.DictReader(file))
    assert sum(bool(row["fragment"]) for row in rows) > len(rows) / 2


def test_split(run: Run, trained: Path, tmp_path: Path) -> None:
    n = len(MOLECULES)
    lines = said(run, "split", trained / "bad.csv", "--split", "size", "--num-workers", "0", "-o", "parts.csv")
    assert lines[1:] == ["1 rows can't be used and are in no part", "parts.csv"]
    with open(tmp_path / "parts.csv") as file:
        parts = [row["split"] for row in csv.DictReader(file)]
    assert lines[0] == ", ".join(f"{parts.count(part)} {part}" for part in ("train", "val", "test")) and parts.count("") == 1
    assert len(parts) == n + 1 and min(map(parts.count, ("train", "val", "test"))) > 0
    lines = said(run, "split", trained / "table.csv", "--split", "random", "--num-workers", "0", "-o", "all.csv")
    assert len(lines) == 2


def test_embed(run: Run, trained: Path, tmp_path: Path) -> None:
    n = len(MOLECULES)
    lines = said(run, "embed", trained / "run", trained / "bad.csv", "-o", "x.npy")
    values = np.load(tmp_path / "x.npy")
    assert lines == [f"{n} of {n + 1} molecules, {values.shape[1]} numbers each", "x.npy"] and len(values) == n + 1


def test_drift(run: Run, trained: Path) -> None:
    lines = said(run, "drift", trained / "run", trained / "table.csv")
    assert lines and all(line.endswith((".", "?", ")")) or " " in line for line in lines)


def test_expand(run: Run, trained: Path, tmp_path: Path) -> None:
    (tmp_path / "hits.csv").write_text("smiles\nCCO\nCCc1ccccc1\nnonsense\n")
    more = (
        "--library",
        trained / "table.csv",
        "--ways",
        "pairs",
        "--table",
        trained / "table.csv",
        "--similar",
        "0.4",
        "--filters",
        "mw<100",
    )
    lines = said(run, "expand", "hits.csv", *more, "-o", "near.csv")
    with open(tmp_path / "near.csv") as file:
        rows = list(csv.DictReader(file))
    counts = {words[1].strip(): int(words[0]) for line in lines[:-1] if (words := line.split(maxsplit=1))}
    assert lines[-1] == "near.csv" and counts["hits that can't be read"] == 1
    assert sum(n for kind, n in counts.items() if "turned away" not in kind and "hits" not in kind) == len(rows) > 0
    assert any(kind.startswith("turned away by mw<100") for kind in counts)
    again = run("expand", "hits.csv", *more, "-o", "near.csv")
    assert again.returncode == 2 and "near.csv exists" in again.stderr
    assert run("expand", "hits.csv", *more, "-o", "near.csv", "--overwrite").returncode == 0


def test_rewire(run: Run, tmp_path: Path) -> None:
    ring = [(f"n{k}", f"n{(k + 1) % 12}") for k in range(12)]
    (tmp_path / "edges.csv").write_text("from,to\n" + "".join(f"{a},{b}\n" for a, b in ring))
    lines = said(run, "rewire", "--edges", "edges.csv", "--method", "fosr", "--add", "3", "-o", "wide.csv")
    table = {line[:20].strip(): line[20:].split("->") for line in lines[:-1]}
    assert [float(x) for x in table["edges"]] == [12.0, 15.0] and lines[-1] == "wide.csv"
    gap, far = ([float(x) for x in table[name]] for name in ("spectral gap", "diameter"))
    assert gap[1] > gap[0] and far[1] < far[0] == 6.0
    with open(tmp_path / "wide.csv") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["from", "to"] and {frozenset(pair) for pair in ring} < {frozenset((r["from"], r["to"])) for r in rows}
    assert len(rows) == 15
    said(run, "rewire", "--edges", "edges.csv", "--method", "digl", "--top", "4", "-o", "near.csv")
    with open(tmp_path / "near.csv") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["from", "to", "weight"] and all(0.0 < float(r["weight"]) <= 1.0 for r in rows)
    assert run("rewire", "--edges", "edges.csv", "--method", "fosr", "-o", "wide.csv").returncode == 2
    assert "did you mean" in run("rewire", "--edges", "edges.csv", "--method", "fossr", "-o", "x.csv").stderr.lower()
    drawn = [(run("rewire", "--edges", "edges.csv", "--method", "sdrf", "--add", "4", "--seed", s, "-o", f"{k}.csv").returncode,
              (tmp_path / f"{k}.csv").read_text()) for k, s in enumerate(("1", "1", "2"))]  # fmt: skip
    assert [code for code, _ in drawn] == [0, 0, 0] and drawn[0] == drawn[1]


def test_diagnose(run: Run, trained: Path, tmp_path: Path) -> None:
    left = [(f"a{i}", f"a{j}") for i in range(8) for j in range(i)]
    right = [(f"b{i}", f"b{j}") for i in range(8) for j in range(i)]
    (tmp_path / "edges.csv").write_text("x,y\n" + "".join(f"{a},{b}\n" for a, b in [*left, *right, ("a0", "b0"), ("a0", "nowhere")]))
    (tmp_path / "nodes.csv").write_text(
        "id,area,part\n" + "".join(f"{s}{k},{s},{'train' if k < 5 else 'test'}\n" for s in "ab" for k in range(8))
    )
    more = ("--target-columns", "area", "--splits-column", "part", "-o", "page")
    lines = said(run, "diagnose", "nodes.csv", "--edges", "edges.csv", *more)
    text = "\n".join(lines)
    assert set(lines[-3:]) == {str(Path("page") / f"diagnosis.{ending}") for ending in ("txt", "json", "html")}
    assert (tmp_path / "page" / "diagnosis.txt").read_text().strip() in text
    found = json.loads((tmp_path / "page" / "diagnosis.json").read_text())
    assert {"title", "facts", "findings", "measures"} == set(found) and any("pairs of nodes are copies" in fact for fact in found["facts"])
    assert any("bottleneck" in one["name"].lower() for one in found["findings"])
    again = run("diagnose", "nodes.csv", "--edges", "edges.csv", *more)
    assert again.returncode == 2 and "has a diagnosis already" in again.stderr
    (tmp_path / "page" / "diagnosis.txt").unlink()
    assert run("diagnose", "nodes.csv", "--edges", "edges.csv", *more).returncode == 2
    assert run("diagnose", "nodes.csv", "--edges", "edges.csv", *more, "--overwrite").returncode == 0
    assert "not in the table of nodes, and are left out: 1." in run("diagnose", "nodes.csv", "--edges", "edges.csv").stdout
    (tmp_path / "none.csv").write_text("source,target\n")
    empty = run("diagnose", "--edges", "none.csv")
    assert empty.returncode == 1 and "no nodes" in empty.stderr
    lonely = run("diagnose", "--edges", "edges.csv", "--target-columns", "area")
    assert lonely.returncode == 2 and "give it as DATA beside --edges" in lonely.stderr
    assert run("diagnose").returncode == 2
    alone = run("diagnose", trained / "table.csv", "--model", trained / "run", "--sample", "20")
    assert alone.returncode == 0 and "20" in alone.stdout and "diagnosis.txt" not in alone.stdout


def test_active(run: Run, trained: Path, tmp_path: Path) -> None:
    quick = ("--start", "6", "--batch", "4", "--rounds", "2", "--learner", "forest")
    many = ("--repeats", "2", "--acquisitions", "random", "greedy")
    lines = said(run, "active", "simulate", trained / "table.csv", "--target", "y", *quick, *many, "-o", "sim")
    found = json.loads((tmp_path / "sim" / "results.json").read_text())
    n = found["curves"][0]["labelled"][-1]
    assert lines[0] == f"Found with {n} labels, of {found['wanted']} wanted molecules (2 repeats, 95 % intervals):"
    curve = found["curves"][0]
    mean, low, high = (100 * curve[part]["found"][-1] for part in ("mean", "low", "high"))
    assert lines[1] == f"  {'random':<18} {mean:5.1f} %  [{low:.1f}, {high:.1f}]" and lines[-1] == str(Path("sim") / "report.html")
    sealed = json.loads((tmp_path / "sim" / "manifest.json").read_text())["files"]
    assert set(sealed) == {"journal.jsonl", "results.json", "curves.csv", "report.html"} and all(sealed.values())
    again = ("active", "simulate", trained / "table.csv", "--target", "y", *quick, *many, "-o", "sim")
    assert run(*again).returncode == 2 and run(*again, "--resume").returncode == 0 and run(*again, "--overwrite").returncode == 0
    lines = said(run, "active", "run", trained / "table.csv", "--oracle", "column:y", *quick, "--acquisition", "greedy", "-o", "bought")
    with open(tmp_path / "bought" / "labelled.csv") as file:
        rows = list(csv.DictReader(file))
    best = max(rows, key=lambda row: float(row["y"]))
    assert lines[0].startswith(f"{len(rows)} molecules bought, 0 without a label; ")
    assert lines[1].startswith(f"best: {float(best['y']):g}, round ") and lines[-1] == str(Path("bought") / "report.html")
    lines = said(run, "active", "run", trained / "table.csv", "--oracle", "column:y", *quick, "--goal", "min", "-o", "least")
    with open(tmp_path / "least" / "labelled.csv") as file:
        assert lines[1].startswith(f"best: {min(float(row['y']) for row in csv.DictReader(file)):g}, ")
    lines = said(run, "active", "suggest", trained / "run", trained / "bad.csv", "--count", "3", "-o", "next.csv")
    assert re.fullmatch(r"3 of \d+ molecules; \d+ known ones left out, 1 that can't be used", lines[0]) and lines[1] == "next.csv"


def test_lists(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELIOGRAPH_CACHE", str(tmp_path / "cache"))
    shown = run("data", "show", "smallmol").stdout
    assert "molecules   6,373, with geometry" in shown and "gap [eV]" in shown and "licence     MIT" in shown and "source      " in shown
    shown = run("data", "show", "qm8").stdout
    assert "note        " in shown and "file        not on this machine yet: heliograph data fetch qm8" in shown and "f1-CC2," in shown
    listed = run("data").stdout
    assert re.search(r"smallmol +6,373 +shipped", listed) and re.search(r"esol +1,128 +to fetch", listed) and "data show NAME" in listed
    plan = run("models", "plan", "gcn", "--molecules", "3", "--arch-args", "d=8", "depth=1")
    assert plan.returncode == 0 and "layer 1" in plan.stdout and "layer 2" not in plan.stdout
    assert "[3D]" in run("models").stdout and "arXiv" in run("models", "show", "gin").stdout


def test_doctor(run: Run) -> None:
    shown, found = run("doctor").stdout, json.loads(run("doctor", "--json").stdout)
    assert set(found) == {"machine", "compute", "versions"}
    for group, lines in found.items():
        assert group in shown.splitlines()
        for name, value in lines.items():
            assert name in ("memory", "cache folder") or f"  {name:<18} {value}" in shown
    assert re.match(r"cpu \(numba, \w+\), (compiled|\d+ of \d+ compiled)|reference", found["compute"]["kernels"])


@pytest.mark.parametrize(
    ("line", "module"),
    [
        ("train a.csv -o run", "train"),
        ("train a.csv --edges b.csv", "train_graph"),
        ("train a.csv --edges=b.csv", "train_graph"),
        ("train schema.toml", "train_graph"),
        ("train -v schema.toml", "train_graph"),
        ("train -i schema.toml -o run", "train_graph"),
        ("train a.csv --config settings.toml", "train"),
        ("train a.csv --arch parts.toml", "train"),
        ("predict run --top-k 3", "predict_graph"),
        ("predict run --pairs p.csv", "predict_graph"),
        ("explain run a.csv --pairs p.csv", "explain"),
        ("explain run --do 3", "explain_graph"),
        ("train molecules", "train"),
        ("train -o graph-run --resume", "train_graph"),
        ("predict graph-run new.csv", "predict_graph"),
        ("predict molecule-run new.csv", "predict"),
        ("screen graph-run --edges b.csv", "screen"),
    ],
)
def test_what_a_verb_is_about(line: str, module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in (("graph-run", "[data]\nbipartite = false\n"), ("molecule-run", "[data]\ndata_path = 'x'\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.toml").write_text(text)
    verb, *args = line.split()
    assert home(verb, args) == module


def test_what_a_training_prints(run: Run, trained: Path) -> None:
    n = len(MOLECULES)
    quick = [word for word in FAST if word not in ("-q", "--no-baselines")]
    done = run("train", trained / "bad.csv", "-o", "one", *quick, "--target-columns", "y")
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and f"Test: {n - int(0.8 * n) - int(0.1 * n)} molecules, y" in lines
    assert f"1 of {n + 1} rows can't be used: 1 not valid SMILES" in lines
    assert lines[-2:] == [f"model   {Path('one') / 'model.safetensors'}", f"report  {Path('one') / 'report.html'}"]
    table = [line for line in lines if line.startswith("│")]
    assert table[0].split("│")[1].strip() == "gcn" and len(table) > 2
    silent = run("train", trained / "table.csv", "-o", "none", *quick, "--target-columns", "y", "--split-sizes", "0.8", "0.2", "0")
    assert f"Validation (there is no test part): {n - int(0.8 * n)} molecules, y" in silent.stdout and "can't be used" not in silent.stdout
    two = run("train", trained / "table.csv", "-o", "two", *quick, "--no-baselines", "--target-columns", "y", "--num-replicates", "2")
    assert "mean ± spread of 2 replicates, y" in two.stdout
