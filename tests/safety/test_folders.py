"""Nothing of the user's is deleted or written over: folders full of strangers' files, compared byte for byte."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from heliograph import manifest
from heliograph.chem.featurizer import preset
from heliograph.chem.molecule import featurize
from heliograph.data.store import Store
from heliograph.errors import UsageError
from heliograph.files import atomic
from heliograph.train.folder import TRAINING
from tests.cli.conftest import Run, make_run
from tests.safety.conftest import COMPARE, TRAIN, snapshot

OURS = (
    "config.toml", "config.json", "splits.json", "journal.jsonl", "model.safetensors", "model_0.safetensors", "metrics.csv",
    "scores.csv", "test_predictions.csv", "my_predictions.csv", "results.json", "report.html", "train.log",
    "resume/state.safetensors", "resume/notes.txt", "replicate_1/results.json", "replicate_of_march/thesis.tex",
    "answers/gcn-1.1.npz", "answers/own.txt",
)  # fmt: skip


def write(folder: Path, names: dict[str, str] | tuple[str, ...]) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(names[name] if isinstance(names, dict) else f"{name} is mine\n")


def another_tools_run(folder: Path) -> None:
    write(folder, OURS)


def one_file_with_a_name_of_ours(folder: Path) -> None:
    write(folder, ("report.html",))


def only_a_hidden_file(folder: Path) -> None:
    write(folder, (".gitkeep",))


def only_an_empty_folder(folder: Path) -> None:
    (folder / "resume").mkdir(parents=True)


def another_programs_manifest(folder: Path) -> None:
    write(folder, {"manifest.json": '{"name": "an app", "files": ["results.json"]}', "results.json": "mine"})


def a_manifest_that_is_a_list(folder: Path) -> None:
    write(folder, {"manifest.json": "[1, 2]", "results.json": "mine"})


def a_manifest_nested_deeply(folder: Path) -> None:
    write(folder, {"manifest.json": "[" * 100_000, "results.json": "mine"})


def said(kind: str, *names: str) -> str:
    return json.dumps({"heliograph": 1, "kind": kind, "files": dict.fromkeys(names)})


def a_manifest_that_names_the_outside(folder: Path) -> None:
    write(folder, {"../outside/results.json": "mine", "manifest.json": said("a training", "../outside/results.json")})


def a_manifest_that_names_a_thesis(folder: Path) -> None:
    write(folder, {"thesis.tex": "mine", "manifest.json": said("a training", "thesis.tex")})


def a_manifest_with_an_absolute_name(folder: Path) -> None:
    path = folder.parent / "outside" / "results.json"
    write(folder, {"../outside/results.json": "mine", "manifest.json": said("a comparison", str(path))})


def a_link_that_leads_outside(folder: Path) -> None:
    outside = folder.parent / "outside"
    write(outside, ("state.safetensors", "gcn-1.1.npz", "results.json"))
    folder.mkdir()
    for name in ("resume", "replicate_1", "answers"):
        (folder / name).symlink_to(outside)
    names = ("resume/state.safetensors", "replicate_1/results.json", "results.json")
    (folder / "manifest.json").write_text(said("a training", *names))
    (folder / "results.json").symlink_to(outside / "results.json")


def a_run_of_the_other_kind(folder: Path) -> None:
    write(folder, {"results.json": "{}", "manifest.json": said("an excursion", "results.json")})


HOSTILE = [
    another_tools_run, one_file_with_a_name_of_ours, only_a_hidden_file, only_an_empty_folder, another_programs_manifest,
    a_manifest_that_is_a_list, a_manifest_nested_deeply, a_manifest_that_names_the_outside, a_manifest_that_names_a_thesis,
    a_manifest_with_an_absolute_name, a_link_that_leads_outside, a_run_of_the_other_kind,
]  # fmt: skip


@pytest.mark.parametrize("fill", HOSTILE, ids=lambda f: f.__name__)
@pytest.mark.parametrize("verb", ["train", "compare"])
def test_a_folder_of_somebody_elses_is_refused_as_it_is(
    run: Run, table: Path, tmp_path: Path, verb: str, fill: Callable[[Path], None]
) -> None:
    fill(tmp_path / "theirs")
    before = snapshot(tmp_path)
    for more in ((), ("--overwrite",), ("--resume",)):
        found = run(verb, table, "-o", "theirs", *(TRAIN if verb == "train" else COMPARE), *more)
        assert found.returncode in (1, 2) and "theirs" in found.stderr and "Unexpected" not in found.stderr
        assert snapshot(tmp_path) == before
    assert found.stdout == ""


@pytest.mark.parametrize("what", ["simulate", "run"])
def test_active_refuses_folders_of_somebody_elses(table: Path, tmp_path: Path, what: str) -> None:
    from heliograph.active import CampaignConfig, SimulateConfig, run, simulate

    folder = tmp_path / "theirs"
    common = {"data_path": table, "output_dir": folder, "start": 5, "batch": 3, "rounds": 1, "learner": "forest"}

    def begin(**flags: bool) -> None:
        if what == "simulate":
            simulate(SimulateConfig.model_validate(common | {"target": "y", "repeats": 1, "acquisitions": ("random",)}), **flags)
        else:
            run(CampaignConfig.model_validate(common | {"oracle": "column:y"}), **flags)

    for fill in HOSTILE:
        fill(folder)
        before = snapshot(tmp_path)
        for flags in ({}, {"overwrite": True}, {"resume": True}):
            with pytest.raises(UsageError, match="theirs"):
                begin(**flags)
            assert snapshot(tmp_path) == before, (fill.__name__, flags)
        shutil.rmtree(folder)
        shutil.rmtree(tmp_path / "outside", ignore_errors=True)
    begin()
    (folder / "notes.txt").write_text("mine")
    (folder / "results.json").write_text("{}")  # changed by hand: it is the user's from now on
    with pytest.raises(UsageError, match=r"holds results\.json, which a run of heliograph did not write or which was changed since"):
        begin(overwrite=True)
    (folder / "results.json").unlink()
    begin(overwrite=True)
    assert (folder / "notes.txt").read_text() == "mine" and json.loads((folder / "results.json").read_text())


def test_no_output_is_the_input_itself(run: Run, table: Path, tmp_path: Path) -> None:
    (tmp_path / "edges.csv").write_text("a,b\n" + "".join(f"{k},{(k + 1) % 9}\n" for k in range(9)))
    (tmp_path / "xyz.xyz").write_text("3\n\nO 0 0 0\nH 0.96 0 0\nH -0.24 0.93 0\n")
    before = snapshot(tmp_path)
    for command in (
        ("rewire", "--edges", "edges.csv", "--method", "fosr", "--add", "2", "-o", "edges.csv"),
        ("expand", table.name, "--table", table.name, "-o", table.name),
        ("generate", "evaluate", "xyz.xyz", "-o", "xyz.xyz"),
    ):
        done = run(*command, "--overwrite")
        assert done.returncode == 2 and "is the input itself" in done.stderr, (command, done.stderr)
        assert snapshot(tmp_path) == before


@pytest.mark.parametrize("verb", ["train", "compare"])
def test_a_table_that_cant_be_used_changes_nothing(run: Run, table: Path, tmp_path: Path, verb: str) -> None:
    quick = TRAIN if verb == "train" else COMPARE
    assert run(verb, table, "-o", "run", *quick).returncode == 0
    (tmp_path / "bad.csv").write_text("smiles,y\nC,a word\nCC,another\n")
    before = snapshot(tmp_path)
    for data, options in (("missing.csv", ()), (table, ("--target-columns", "nothing")), ("bad.csv", ("--target-columns", "y"))):
        for place in ("run", "new"):
            found = run(verb, data, "-o", place, *quick, *options, "--overwrite")
            assert found.returncode in (1, 2) and found.stderr
            assert snapshot(tmp_path) == before


@pytest.mark.parametrize("verb", ["train", "compare"])
def test_overwrite_replaces_what_the_manifest_names_and_no_more(run: Run, table: Path, tmp_path: Path, verb: str) -> None:
    folder, quick = tmp_path / "run", TRAIN if verb == "train" else COMPARE
    more = ("--ensemble-size", "2") if verb == "train" else ("--archs", "sgc", "gcn")
    assert run(verb, table, "-o", "run", *quick, *more).returncode == 0
    named = json.loads((folder / "manifest.json").read_text())["files"]
    written = {name for name, content in snapshot(folder).items() if content is not None} - {"manifest.json"}
    assert written <= set(named) and all(named[name] is not None for name in written)  # all that a run writes is named, and summed up
    within = "resume" if verb == "train" else "answers"
    mine = {"notes.txt": "mine", "my_predictions.csv": "mine", f"{within}/own.npz": "mine", "replicate_7/results.json": "mine"}
    write(folder, mine)
    assert run(verb, table, "-o", "run", *quick).returncode == 2  # not without a word
    assert run(verb, table, "-o", "run", *quick, "--overwrite").returncode == 0
    assert {name: (folder / name).read_text() for name in mine} == mine
    gone = "resume/member_1.safetensors" if verb == "train" else "answers/gcn-1.1.npz"
    assert gone in written and not (folder / gone).exists()


def test_a_file_that_was_changed_since_is_the_users(run: Run, table: Path, tmp_path: Path) -> None:
    assert run("train", table, "-o", "run", *TRAIN).returncode == 0
    report = tmp_path / "run" / "report.html"
    report.write_text(report.read_text() + "<p>What I found in it</p>")
    before = snapshot(tmp_path)
    found = run("train", table, "-o", "run", *TRAIN, "--overwrite")
    assert found.returncode == 2 and "report.html" in found.stderr and "changed since" in found.stderr
    assert run("report", "run").returncode == 2 and snapshot(tmp_path) == before
    assert run("report", "run", "--overwrite").returncode == 0 and report.read_bytes() != before["run/report.html"]
    report.unlink()
    assert run("report", "run").returncode == 0 and run("report", "run").returncode == 0
    assert run("train", table, "-o", "run", *TRAIN, "--overwrite").returncode == 0


def test_a_name_that_the_new_run_needs_is_taken(run: Run, table: Path, tmp_path: Path) -> None:
    """`resume/member_1.safetensors` was put there by the user: an ensemble would write over it."""
    assert run("train", table, "-o", "run", *TRAIN).returncode == 0
    write(tmp_path / "run", ("resume/member_1.safetensors",))
    before = snapshot(tmp_path)
    found = run("train", table, "-o", "run", *TRAIN, "--overwrite", "--ensemble-size", "2")
    assert found.returncode == 2 and "resume/member_1.safetensors" in found.stderr and snapshot(tmp_path) == before
    assert run("train", table, "-o", "run", *TRAIN, "--overwrite").returncode == 0
    assert (tmp_path / "run" / "resume/member_1.safetensors").read_text() == "resume/member_1.safetensors is mine\n"


@pytest.mark.parametrize("verb", ["train", "compare"])
def test_what_a_run_reads_it_does_not_replace(run: Run, table: Path, tmp_path: Path, verb: str) -> None:
    quick = TRAIN if verb == "train" else COMPARE
    assert run(verb, table, "-o", "run", *quick).returncode == 0
    before = snapshot(tmp_path)
    name = "val_predictions.csv" if verb == "train" else "scores.csv"
    found = run(verb, tmp_path / "run" / name, "-o", "run", *quick, "--overwrite", "--target-columns", "y")
    assert found.returncode == 2 and "read by this run" in found.stderr and snapshot(tmp_path) == before


@pytest.mark.parametrize("packed", [False, True])
def test_a_screening_replaces_what_it_wrote_and_no_more(run: Run, tmp_path: Path, packed: bool) -> None:
    make_run(tmp_path / "model", members=1)
    library = tmp_path / ("library.smi.gz" if packed else "library.smi")
    text = "".join(f"{'C' * k}O m{k}\n" for k in range(1, 30)).encode()
    library.write_bytes(gzip.compress(text) if packed else text)
    for fill in HOSTILE:
        fill(tmp_path / fill.__name__ / "theirs")
    before = snapshot(tmp_path)
    for fill in HOSTILE:
        for more in ((), ("--overwrite",), ("--resume",)):
            found = run("screen", "model", library, "-o", f"{fill.__name__}/theirs", "--jobs", "0", *more)
            assert found.returncode in (1, 2) and "theirs" in found.stderr and snapshot(tmp_path) == before
    assert run("screen", "model", library, "-o", "hits", "--top", "5", "--jobs", "0").returncode == 0
    write(tmp_path / "hits", ("notes.txt", "unpacked/own.smi"))
    before = snapshot(tmp_path)
    for more in ((), ("--resume", "--top", "6"), ("--overwrite", "--score", "nothing + 1"), ("--overwrite", "--filters", "none")):
        assert run("screen", "model", library, "-o", "hits", "--jobs", "0", *more).returncode in (1, 2)
        after = snapshot(tmp_path)
        changed = {name for name in before if after.get(name) != before[name]}
        assert changed <= ({"hits/manifest.json"} if packed else set())
    assert run("screen", "model", library, "-o", "hits", "--top", "4", "--jobs", "0", "--overwrite").returncode == 0
    assert (tmp_path / "hits" / "notes.txt").exists() and (tmp_path / "hits" / "unpacked" / "own.smi").exists()
    top = tmp_path / "hits" / "top.csv"
    top.write_text(top.read_text() + "my own line\n")
    before = snapshot(tmp_path)
    for more in (("--overwrite",), ("--resume", "--top", "4")):
        assert run("screen", "model", library, "-o", "hits", "--jobs", "0", *more).returncode == 2 and snapshot(tmp_path) == before


def test_an_architecture_that_is_none_changes_nothing(run: Run, table: Path, tmp_path: Path) -> None:
    assert run("train", table, "-o", "run", *TRAIN).returncode == 0
    before = snapshot(tmp_path)
    for more in (("--arch-args", "width=3"), ("--arch", "painnn"), ("--metrics", "r3"), ("--accelerator", "cuda", "--devices", "64")):
        assert run("train", table, "-o", "run", *TRAIN, "--overwrite", *more).returncode in (1, 2)
        assert snapshot(tmp_path) == before


def test_a_file_is_no_folder(run: Run, table: Path, tmp_path: Path) -> None:
    before = snapshot(tmp_path)
    assert run("train", table, "-o", table, *TRAIN, "--overwrite").returncode == 2
    assert run("compare", table, "-o", table, *COMPARE, "--overwrite").returncode == 2
    assert snapshot(tmp_path) == before


def test_predict_replaces_nothing_unasked(run: Run, tmp_path: Path) -> None:
    make_run(tmp_path / "run", members=1)
    (tmp_path / "in.csv").write_text("smiles\nC\nCC\n")
    write(tmp_path, ("out.csv",))
    (tmp_path / "link.csv").symlink_to("nowhere.csv")
    before = snapshot(tmp_path)
    for out in ("out.csv", "in.csv", "run", "link.csv"):
        for more in ((), ("--overwrite",)) if out in ("in.csv", "run") else ((),):
            found = run("predict", "run", "in.csv", "-o", out, "--num-workers", "0", *more)
            assert found.returncode == 2 and out in found.stderr and snapshot(tmp_path) == before
    os.link(tmp_path / "in.csv", tmp_path / "same.csv")
    assert run("predict", "run", "in.csv", "-o", "same.csv", "--overwrite").returncode == 2
    assert run("predict", "run", "in.csv", "-o", "out.csv", "--num-workers", "0", "--overwrite").returncode == 0
    assert (tmp_path / "in.csv").read_text() == "smiles\nC\nCC\n"


def test_label_replaces_nothing_unasked(run: Run, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("smiles\nC\n")
    write(tmp_path, ("out.csv",))
    before = snapshot(tmp_path)
    for out, more in (("out.csv", ()), ("in.csv", ()), ("in.csv", ("--overwrite",)), (".", ("--overwrite",))):
        assert run("label", "in.csv", "-o", out, *more).returncode == 2 and snapshot(tmp_path) == before


def test_a_report_replaces_nothing_unasked(run: Run, table: Path, tmp_path: Path) -> None:
    assert run("train", table, "-o", "run", *TRAIN).returncode == 0
    write(tmp_path, ("page.html",))
    found = run("report", "run", "-o", "page.html")
    assert found.returncode == 2 and "--overwrite" in found.stderr and (tmp_path / "page.html").read_text() == "page.html is mine\n"
    assert run("report", "run", "-o", "page.html", "--overwrite").returncode == 0
    assert (tmp_path / "page.html").read_text().startswith("<!")


def test_a_store_replaces_a_store_only(tmp_path: Path) -> None:
    featurizer = preset("chemprop_v2")
    store = Store.build([featurize("CC", featurizer)], featurizer)
    for names in (("thesis.tex",), ("z.npy",), ("store.json", "z.npy")):
        folder = tmp_path / names[-1].replace(".", "-") / str(len(names))
        write(folder, names)
        before = snapshot(tmp_path)
        with pytest.raises(UsageError, match="which is no store's"):
            store.save(folder)
        assert snapshot(tmp_path) == before
    store.save(tmp_path / "store")
    store.save(tmp_path / "store")
    np.save(tmp_path / "store" / "own.npy", np.ones(3))
    with pytest.raises(UsageError, match=r"own\.npy"):
        store.save(tmp_path / "store")
    assert Store.open(tmp_path / "store").smiles == ("CC",) or list(Store.open(tmp_path / "store").smiles) == ["CC"]


def test_temporary_files_are_made_and_not_found(tmp_path: Path) -> None:
    """A link under the name that a temporary file had (the file's and the process's number) was followed."""
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / f".a.csv.{os.getpid()}.part").symlink_to(victim)
    names = set()
    for _ in range(3):
        with atomic(tmp_path / "a.csv") as temporary:
            assert temporary.stat().st_mode & 0o777 == 0o600 and temporary.stat().st_size == 0
            names.add(temporary.name)
            temporary.write_text("new")
    assert len(names) == 3 and victim.read_text() == "mine" and (tmp_path / "a.csv").read_text() == "new"
    with atomic(tmp_path / ("x" * 250 + ".csv")) as temporary:
        temporary.write_text("a name that is as long as names may be")
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".part") and not path.is_symlink()]


def test_a_temporary_name_that_is_taken_is_not_written_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heliograph.files.secrets.token_hex", lambda n: "0" * 16)
    (tmp_path / "victim").write_text("mine")
    (tmp_path / f".a.csv.{'0' * 16}.part").symlink_to(tmp_path / "victim")
    before = snapshot(tmp_path)
    with pytest.raises(Exception, match="File exists"), atomic(tmp_path / "a.csv") as temporary:
        temporary.write_text("new")
    assert snapshot(tmp_path) == before


def test_what_came_meanwhile_stays(tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    with pytest.raises(UsageError, match="exists since this began"), atomic(out, replace=False) as temporary:
        temporary.write_text("new")
        out.write_text("mine")
    assert snapshot(tmp_path) == {"out.csv": b"mine"}
    with atomic(out) as temporary:
        temporary.write_text("new")
    assert snapshot(tmp_path) == {"out.csv": b"new"}


def test_a_claim_asks_again(tmp_path: Path) -> None:
    """Between the check and the first change a table is read: what came into the folder meanwhile stays."""
    folder = tmp_path / "run"
    manifest.refuse(folder, TRAINING, ["results.json"], replace=True)
    write(folder, ("results.json",))
    with pytest.raises(UsageError, match="is not empty"):
        manifest.claim(folder, TRAINING, ["results.json"], replace=True)
    assert snapshot(folder) == {"results.json": b"results.json is mine\n"}


@pytest.mark.parametrize("name", ["long.csv", "long.csv.gz", "long.smi", "long.sdf"])
def test_a_line_without_an_end_does_not_fill_the_memory(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """By bytes as by rows: the limit is a line. (Made small here; a file of hundreds of megabytes takes no more.)"""
    monkeypatch.setattr("heliograph.data.formats.text.MAX_LINE", 1000)
    make_run(tmp_path / "run", members=1)
    text = b"smiles\nC\n" + b"C" * 5000
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    found = run("predict", "run", name, "-o", "out.csv", "--num-workers", "0")
    assert found.returncode == 1 and "more than 1,000 characters without an end of line" in found.stderr
    assert not (tmp_path / "out.csv").exists()
