"""What verbs print, and how they go on after an interrupt: the sentences, with what does the work replaced."""

from __future__ import annotations

import errno
import io
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer

from heliograph import potential
from heliograph.cli import common, predict, screen, wishes
from heliograph.errors import DataError, UsageError
from heliograph.predictor.stream import PredictConfig, predict_file
from tests.cli.conftest import Run


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (MemoryError(), 1, "Error: out of memory. Give a smaller --batch-size or fewer --num-workers."),
        (OSError(errno.ENOSPC, "x", "a.csv"), 1, "Error: no space left on the disk for a.csv. Free some space"),
        (OSError(errno.EACCES, "Permission denied", "a.csv"), 1, "Error: not allowed to write or read a.csv (Permission denied). Choose"),
        (OSError(errno.EIO, "Input/output error", "a.csv"), 1, "Error: Input/output error: a.csv\n"),
        (RuntimeError("ended: No space left on device (os error 28)"), 1, "Error: no space left on the disk. Free some space"),
        (RuntimeError("first\nsecond"), 1, "Unexpected RuntimeError: first\nThis should not happen."),
        (DataError("no rows"), DataError.exit_code, "Error: no rows\n"),
        (UsageError("no such thing"), UsageError.exit_code, "Error: no such thing\n"),
        (KeyboardInterrupt(), 130, "Stopped.\n"),
    ],
)
def test_errors_are_one_sentence_and_a_code(error: BaseException, code: int, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as stopped, common.guarded(False, lambda: "Stopped."):
        raise error
    said = capsys.readouterr().err
    assert stopped.value.exit_code == code and said.startswith(words) and "Traceback" not in said


def test_verbose_shows_where_it_came_from(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit), common.guarded(True, lambda: ""):
        raise DataError("no rows")
    said = capsys.readouterr().err
    assert "Traceback" in said and said.endswith("Error: no rows\n")


def test_clock() -> None:
    said = ["0s", "59s", "1m 00s", "1m 15s", "59m 59s", "1h 00m", "2h 02m"]
    assert [common.clock(s) for s in (0, 59.4, 59.6, 75, 3599, 3600, 7325)] == said


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "160")
    with common.Bar() as bar:
        bar("reading", 3, 10)
        bar("reading", 7, 10, "loss 0.5")
        bar("writing", 1)
        bar.say("[1, 2] stays")
        assert [task.description for task in bar._rich.tasks] == ["reading", "writing"]  # type: ignore[union-attr]
        assert [(task.completed, task.total) for task in bar._rich.tasks] == [(7, 10), (1, None)]  # type: ignore[union-attr]
        assert "7/10" in bar._rich.tasks[0].fields["count"]  # type: ignore[union-attr]
        assert bar._rich.tasks[0].fields["count"].endswith("  loss 0.5")  # type: ignore[union-attr]
    assert "[1, 2] stays" in terminal.getvalue() and bar._rich.finished is False  # type: ignore[union-attr]


def test_lines_of_progress_elsewhere(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    moments = iter([0.0, 5.0, 20.0, 25.0, 31.0, 40.0])
    monkeypatch.setattr(common, "time", SimpleNamespace(monotonic=lambda: next(moments)))
    with common.Bar() as bar:
        for done in (0, 50, 200, 250, 310):
            bar("reading", done, 1000)
    assert capsys.readouterr().err == "reading: 200/1,000  10/s, 1m 20s left\nreading: 310/1,000  10/s, 1m 09s left\n"
    with common.Bar(quiet=True) as bar:
        bar("reading", 1)
        bar.say("nothing")
    assert capsys.readouterr().err == ""


def test_a_prediction_knows_how_much_is_left(model_run: Path, tmp_path: Path) -> None:
    calls: list[tuple[str, int, int | None]] = []

    class Seen:
        def __call__(self, stage: str, done: int, total: int | None = None, note: str = "") -> None:
            calls.append((stage, done, total))

        def say(self, text: str) -> None:
            pass

    (tmp_path / "t.csv").write_text("smiles\nC\nnone\nCCO\n")
    config = PredictConfig(model_path=model_run, data_path=tmp_path / "t.csv", output_path=tmp_path / "o.csv", num_workers=0)
    summary = predict_file(config, progress=Seen())
    assert ("predicting", 3, 3) in calls and (summary.rows, summary.predicted) == (3, 2)


class Stop:
    """Stands for the work of a verb: leaves a file in the folder, or not, and is interrupted."""

    def __init__(self, name: str | None):
        self.name = name

    def __call__(self, asked: Any, *args: Any, **more: Any) -> None:
        if self.name:
            asked.output_dir.mkdir(parents=True)
            (asked.output_dir / self.name).write_text("")
        raise KeyboardInterrupt


@pytest.mark.parametrize("begun", [True, False])
@pytest.mark.parametrize(
    ("verb", "work", "file", "more", "words"),
    [
        ("train", "heliograph.train.run", "config.toml", (), "Interrupted. Go on with: heliograph train --resume -o 'my run'"),
        ("train", "heliograph.train.run", "config.toml", ("--arch", "own.py"),
         "Interrupted. Go on with: heliograph train --resume -o 'my run' --arch own.py"),
        ("compare", "heliograph.compare.run", "config.json", ("--archs", "gcn", "own.py"),
         "Interrupted. Go on with: heliograph compare --resume -o 'my run' --archs own.py"),
        ("compare", "heliograph.compare.run", "config.json", ("--archs", "gcn", "--ray", "auto"),
         "Interrupted. Go on with: heliograph compare --resume -o 'my run' --ray auto"),
    ],
)  # fmt: skip
def test_an_interrupt_says_how_to_go_on(
    verb: str,
    work: str,
    file: str,
    more: tuple[str, ...],
    words: str,
    begun: bool,
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "t.csv").write_text("smiles,y\nC,1\n")
    (tmp_path / "own.py").write_text("")
    monkeypatch.setattr(work, Stop(file if begun else None))
    done = run(verb, "t.csv", "-o", "my run", *more)
    assert done.returncode == 130
    assert done.stderr.strip() == words if begun else done.stderr.startswith("Interrupted before")


def test_an_interrupted_training_on_a_graph(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "n.csv").write_text("id,y\na,1\n")
    (tmp_path / "e.csv").write_text("source,target\na,a\n")
    monkeypatch.setattr("heliograph.onegraph.run", Stop("config.toml"))
    done = run("train", "n.csv", "--edges", "e.csv", "--target-columns", "y", "-o", "g")
    assert done.returncode == 130 and done.stderr.strip() == "Interrupted. Go on with: heliograph train --resume -o g"


def working(monkeypatch: pytest.MonkeyPatch, verb: str, **found: Any) -> None:
    monkeypatch.setattr(potential.Potential, "load", lambda *args: None)
    monkeypatch.setattr(f"heliograph.potential.use.{verb}", lambda *args: SimpleNamespace(**found))


@pytest.mark.parametrize(("more", "third"), [((), "drift of the total energy: -0.25 meV/atom/ps"), (("--ensemble", "nvt"), None)])
def test_md_says_what_it_ran(more: tuple[str, ...], third: str | None, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    working(monkeypatch, "md", steps=12_000, seconds=75.0, temperature=299.7, drift=-0.25)
    done = run("md", "m.safetensors", "s.xyz", "--timestep", "0.5", "-o", "md", *more)
    lines = ["12,000 steps of 0.5 fs in 1m 15s", "mean temperature: 300 K", *([third] if third else []), "md/trajectory.extxyz"]
    assert done.stdout.splitlines() == lines, done.stderr
    assert run("md", "m.safetensors", "s.xyz", "-o", "md", "-q", *more).stdout == ""


def test_relax_says_what_it_did_not_do(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    working(monkeypatch, "relax", done=9, frames=12, seconds=3.0, reasons={"not converged": 3})
    done = run("relax", "m.safetensors", "s.xyz", "-o", "r.xyz")
    assert done.stdout.splitlines() == ["9 of 12 structures relaxed in 3s", "          3  not converged", "r.xyz"], done.stderr


def test_label_counts_what_has_none(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    summary = SimpleNamespace(rows=1200, seconds=61.0, reasons={"more than one fragment": 150, "took too long": 50})
    monkeypatch.setattr("heliograph.data.labelling.label_file", lambda config, overwrite, progress: summary)
    done = run("label", "t.csv", "-o", "l.csv")
    first = "1,000 of 1,200 molecules labelled with GFN2-xTB in 1m 01s"
    assert done.stdout.splitlines() == [first, "        150  more than one fragment", "         50  took too long", "l.csv"], done.stderr


def test_predict_counts_reasons_doubts_and_new_names(capsys: pytest.CaptureFixture[str]) -> None:
    summary: Any = SimpleNamespace(predicted=8, rows=10, seconds=2.0, reasons={"empty": 2}, doubts={"odd": 1}, renamed={"y": "y_2"})
    config: Any = SimpleNamespace(output_path=Path("o.csv"))
    predict._show(summary, config)
    assert capsys.readouterr().out.splitlines() == [
        "8 of 10 rows predicted in 2s (5 rows/s)",
        "          2  empty",
        "          1  predicted, but odd: see the column `reason`",
        "the table has a column 'y' already: the answers are in 'y_2'",
        "o.csv",
    ]


def shown(capsys: pytest.CaptureFixture[str], show: Callable[..., None], result: dict[str, Any], config: dict[str, Any]) -> list[str]:
    show(SimpleNamespace(**result), SimpleNamespace(**config))
    return capsys.readouterr().out.splitlines()


def test_screen_says_what_was_left_out_and_how_good_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    figure = SimpleNamespace(value=5.0, lower=4.0, upper=6.0, best=10.0)
    whole: dict[str, Any] = {
        "seconds": {"screening": 10.0, "filtering": 2.0, "filter qed": 1.5}, "ranked": 900, "rows": 1000, "ranking": "y", "left_out": 40,
        "reasons": {"bad": 60}, "filtered": 20, "rejected": {"qed": 3}, "known": 4, "hits": [0] * 7, "diverse": [0] * 3,
        "most_similar": 0.41,
        "validation": {"values": 6, "asked": 7, "mae": 0.5, "mean_error": -0.25, "spearman": 0.75},
        "enrichment": SimpleNamespace(actives=12, n=900, figures={"ef1": figure}),
    }  # fmt: skip
    config = {"filters": ("qed", "rings"), "known": "k.csv", "validate_by": "xtb", "output_dir": Path("s")}
    assert shown(capsys, screen._show, whole, config) == [
        "900 of 1,000 rows ranked by y in 10s (100 rows/s)",
        "         40  left out by --where",
        "         60  bad",
        "20 of the best filtered in 2s:",
        "          3  turned away by qed (1.5 s of CPU)",
        "          0  turned away by rings (0.0 s of CPU)",
        "          4  of the best left out as known already",
        "6 of the best 7 computed by xtb: the prediction is off by 0.5 on average (mean error -0.25), rank correlation 0.75",
        "12 actives among 900:",
        "  ef1           5.000  [4.000, 6.000], at best 10.000",
        "7 in s/top.csv",
        "3 in s/diverse.csv, the most similar two at 0.41",
        "s/report.html",
    ]
    bare = whole | {"left_out": 0, "reasons": {}, "validation": None, "enrichment": None, "diverse": None}
    none = {"filters": (), "known": None, "validate_by": None, "output_dir": Path("s")}
    lines = ["900 of 1,000 rows ranked by y in 10s (100 rows/s)", "7 in s/top.csv", "s/report.html"]
    assert shown(capsys, screen._show, bare, none) == lines


def test_wishes_in_words() -> None:
    assert wishes.atoms(None) is None and wishes.atoms("15..18") == (15, 18)
    assert wishes.atoms(" 2 ") == (2, 2) and wishes.atoms("200") == (200, 200)
    for text in ("1", "201", "9..8", "1..5", "5..", "x"):
        with pytest.raises(UsageError, match="--atoms"):
            wishes.atoms(text)
    assert wishes.formula(None) == {} and wishes.formula("CH3CH2OH") == {6: 2, 1: 6, 8: 1}
    assert wishes.formula("C100H100") == {6: 100, 1: 100}
    for text in ("C", "c2", "C0H4", "C101H100", "C-H", "Xx2"):
        with pytest.raises(UsageError):
            wishes.formula(text)
    assert wishes.elements(["C,H", "O C"]) == (6, 1, 8)
