"""Model files that a stranger has changed, with the sums of a whole one: none hangs, fills the memory, or ends in a bare exception."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from heliograph import zoo
from heliograph.errors import ModelFileError
from heliograph.predictor import Predictor, guard, modelfile
from tests.cli.conftest import Run, make_run
from tests.predictor.test_modelfile import REFERENCES, make

Text, Tensors = dict[str, Any], dict[str, Tensor]
BIG, HUGE = 10**9, 10**30


def signed(path: Path, text: Mapping[str, Any], tensors: Tensors) -> Path:
    """A model file with right sums, whatever is in it."""
    whole = dict(text)
    whole["sha256"] = {"document": modelfile._sum_of_document(whole), "tensors": modelfile._sum_of_tensors(tensors)}
    save_file(tensors, path, metadata={modelfile.KEY: json.dumps(whole, sort_keys=True)})
    return path


@pytest.fixture
def whole(tmp_path: Path) -> tuple[Text, Tensors]:
    """The document and the tensors of a small file with references."""
    make("gcn", scaling=REFERENCES, d=8, depth=2).save(tmp_path / "whole.safetensors")
    text, tensors = modelfile._open(tmp_path / "whole.safetensors")
    assert len(text["outputs"]["y"]["task"]["targets"]) == 2
    return text, tensors


def put(*path: str | int, value: Any) -> Callable[[Text, Tensors], None]:
    """Set what is at a path of the document."""

    def change(text: Text, tensors: Tensors) -> None:
        place: Any = text
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    return change


def gone(*path: str) -> Callable[[Text, Tensors], None]:
    def change(text: Text, tensors: Tensors) -> None:
        place: Any = text
        for key in path[:-1]:
            place = place[key]
        del place[path[-1]]

    return change


def on_tensors(function: Callable[[Tensors], Any]) -> Callable[[Text, Tensors], None]:
    return lambda text, tensors: function(tensors)


def first(tensors: Tensors) -> str:
    return sorted(tensors)[0]


def part(text: Text, name: str) -> Any:
    """Where `task`, `scaling` and the featurizer are."""
    return text["parts"][name] if name == "featurizer" else text["outputs"]["y"][name]


def of(name: str, *path: str | int, value: Any) -> Callable[[Text, Tensors], None]:
    return lambda text, tensors: put(*path, value=value)(part(text, name), tensors)


TAMPERED: dict[str, Callable[[Text, Tensors], Any]] = {
    "depth 10^9": put("arch_args", "depth", value=BIG),
    "depth 10^30": put("arch_args", "depth", value=HUGE),
    "depth -1": put("arch_args", "depth", value=-1),
    "depth a text": put("arch_args", "depth", value="1000000000"),
    "depth 1e9": put("arch_args", "depth", value=1e9),
    "width 10^9": put("arch_args", "d", value=BIG),
    "width 900": put("arch_args", "d", value=900),
    "width 0": put("arch_args", "d", value=0),
    "width a list": put("arch_args", "d", value=[BIG] * 3),
    "an argument that is none": put("arch_args", "wings", value=2),
    "arguments a list": put("arch_args", value=[1, 2]),
    "another architecture": put("arch", value="gin"),
    "a transformer": put("arch", value="graphormer"),
    "an architecture of a later version": put("arch", value="oracle"),
    "an architecture that is a path": put("arch", value="../../mine.py"),
    "an architecture that is a number": put("arch", value=3),
    "a composition of 10^8 repeats": put(
        "arch_composition", value={"layer": {"repeat": 10**8, "message": "Linear", "update": "Linear", "aggregate": "sum"}}
    ),
    "a composition beside the name of a file": lambda text, tensors: text.update(arch="evil.py", arch_composition={"message": "Linear"}),
    "a composition that is a text": put("arch_composition", value="sgc"),
    "a composition of an import": put("arch_composition", value={"embed": {"part": "os.system"}}),
    "inputs of 10^9 features": put("inputs", "nodes", value=BIG),
    "inputs of one feature fewer": lambda text, tensors: put("inputs", "edges", value=text["inputs"]["edges"] - 1)(text, tensors),
    "inputs with positions": put("inputs", "geometry", value=True),
    "inputs nested": put("inputs", "nodes", value={"nodes": {}}),
    "no inputs": gone("inputs"),
    "a featurizer with a feature of a later version": of("featurizer", "atoms", value=["aura"]),
    "a featurizer with fewer features": lambda text, tensors: part(text, "featurizer")["atoms"].pop(),
    "a featurizer without atoms": of("featurizer", "atoms", value=None),
    "hydrogens nobody knows": of("featurizer", "hydrogens", value=["perhaps"]),
    "a task of a later version": of("task", "kind", value="ranking"),
    "no targets": of("task", "targets", value=[]),
    "10^5 targets": of("task", "targets", value=[f"t{k}" for k in range(100_000)]),
    "one target too few": lambda text, tensors: part(text, "task")["targets"].pop(),
    "targets twice": of("task", "targets", value=["a", "a"]),
    "a target without a name": of("task", "targets", value=["a", None]),
    "units of others": of("task", "units", value=["eV"] * 7),
    "multiclass without classes": of("task", "kind", value="multiclass"),
    "binary without classes": of("task", "kind", value="binary"),
    "10^9 classes in words": of("task", "classes", value=BIG),
    "means of others": of("scaling", "mean", value=[0.0] * 5),
    "a mean that is no number": of("scaling", "mean", value=["high", 0.0]),
    "a mean of NaN": of("scaling", "mean", value=[float("nan"), 0.0]),
    "a std of zero": of("scaling", "std", value=[0.0, 1.0]),
    "a std of infinity": of("scaling", "std", value=[float("inf"), 1.0]),
    "an element 119": of("scaling", "references", value={"119": [0.0, 0.0]}),
    "an element -1": of("scaling", "references", value={"-1": [0.0, 0.0]}),
    "an element in letters": of("scaling", "references", value={"Xx": [0.0, 0.0]}),
    "an element 10^30": of("scaling", "references", value={str(HUGE): [0.0, 0.0]}),
    "references of others": of("scaling", "references", value={"6": [0.0] * 9}),
    "references a list": of("scaling", "references", value=[1.0]),
    "no scaling": lambda text, tensors: text["outputs"]["y"].pop("scaling"),
    "compositions a text": put("outputs", "y", "compositions", value="all"),
    "compositions of numbers": put("outputs", "y", "compositions", value={"basis": [[1e308, "x"]], "elements": [10**9], "rank": -4}),
    "no output y": put("outputs", value={"z": {}}),
    "outputs a list": put("outputs", value=[1]),
    "a kind nobody knows": put("kind", value="horoscopes"),
    "a kind that is a list": put("kind", value=["molecules"]),
    "a key of a later version": put("aura", value=1),
    "a format that is a text": put("format_version", value="2"),
    "a format of a later version, its versions a list": lambda text, tensors: text.update(format_version=99, versions=["x"]),
    "format 1 with a document of format 2": put("format_version", value=1),
    "calibration a list": put("calibration", value=[1, 2]),
    "calibration of others": put("calibration", value={"format": 1, "coverages": ["all"], "targets": [{"kind": "odd"}, None]}),
    "domain of nothing": put("domain", value={"level": "full"}),
    "domain a text": put("domain", value="everywhere"),
    "own source a number": put("arch_source", value=5),
    "own source without a sum": put("arch_source", value={"file": "mine.py"}),
    "weights of NaN": on_tensors(lambda t: t[first(t)].fill_(float("nan"))),
    "weights of whole numbers": on_tensors(lambda t: t.update({first(t): t[first(t)].long()})),
    "weights of another shape": on_tensors(lambda t: t.update({first(t): t[first(t)].new_zeros(3)})),
    "weights of none": on_tensors(lambda t: t.clear()),
    "weights too few": on_tensors(lambda t: t.pop(first(t))),
    "weights too many": on_tensors(lambda t: t.update({f"{first(t)}.more": torch.zeros(2)})),
    "a member that is missing": on_tensors(lambda t: t.update({"member.7.x": torch.zeros(2)})),
    "a tensor with a strange name": on_tensors(lambda t: t.update({"../../x": torch.zeros(2)})),
}  # fmt: skip


@pytest.mark.parametrize("how", TAMPERED)
def test_a_tampered_file_is_refused_at_once(whole: tuple[Text, Tensors], tmp_path: Path, how: str) -> None:
    text, tensors = whole
    TAMPERED[how](text, tensors)
    path = signed(tmp_path / "tampered.safetensors", text, tensors)
    began = time.monotonic()
    with pytest.raises(ModelFileError, match="tampered") as refused:
        Predictor.load(path)
    assert time.monotonic() - began < 20  # far more than it takes, far less than what was asked for
    assert len(str(refused.value)) < 1200


@pytest.mark.parametrize("what", [{"steps": 10**9}, {"of": {"repeat": [3, 10**8]}}, {"d": -(10**6)}, {"k": HUGE}])
def test_numbers_that_no_tensor_explains(what: dict[str, Any]) -> None:
    """Steps with the same weights make no tensor larger: the number itself is held against the file."""
    tensors = [torch.zeros(300, 7), torch.zeros(())]
    with pytest.raises(guard.Refused, match="its largest tensor has 300"):
        guard.sizes(what, tensors)
    guard.sizes({"steps": 1000, "d": 300, "p": 0.5, "tied": True, "of": ["gcn", 1000]}, tensors)


@pytest.mark.parametrize("argument", ["steps", "readout_steps"])
def test_steps_that_share_their_weights(tmp_path: Path, argument: str) -> None:
    made = make("gilmer", d=8, hidden=8)
    made.save(tmp_path / "whole.safetensors")
    text, tensors = modelfile._open(tmp_path / "whole.safetensors")
    assert argument in zoo.resolved(zoo.load("gilmer"), {})
    text["arch_args"][argument] = BIG
    with pytest.raises(ModelFileError, match="its largest tensor"):
        Predictor.load(signed(tmp_path / "tampered.safetensors", text, tensors))


def test_the_command_says_so_in_one_sentence(run: Run, whole: tuple[Text, Tensors], tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("smiles\nC\n")
    text, tensors = whole
    text["inputs"]["edges"] -= 1
    signed(tmp_path / "tampered.safetensors", text, tensors)
    found = run("predict", "tampered.safetensors", "in.csv", "-o", "out.csv", "--num-workers", "0")
    assert found.returncode == 1 and found.stderr.startswith("Error: tampered.safetensors can't be used")
    assert "Unexpected" not in found.stderr and "Traceback" not in found.stderr and not (tmp_path / "out.csv").exists()


def test_documents_nested_without_end(whole: tuple[Text, Tensors], tmp_path: Path) -> None:
    save_file(whole[1], tmp_path / "tampered.safetensors", metadata={modelfile.KEY: "[" * 200_000})
    with pytest.raises(ModelFileError, match="is damaged"):
        Predictor.load(tmp_path / "tampered.safetensors")


def test_a_whole_file_is_read_as_ever(whole: tuple[Text, Tensors], tmp_path: Path) -> None:
    """The frame of the tests above: unchanged, the file that they write is a good one."""
    path = signed(tmp_path / "whole2.safetensors", *whole)
    wanted = Predictor.load(tmp_path / "whole.safetensors").predict(["CCO"])
    np.testing.assert_array_equal(Predictor.load(path).predict(["CCO"]), wanted)


@pytest.mark.parametrize("arch", zoo.names())
def test_no_network_of_the_zoo_is_taken_for_too_large(tmp_path: Path, arch: str) -> None:
    """Small ones are the hard case: what a network makes beside its tensors counts most."""
    from dataclasses import replace

    from heliograph.chem.featurizer import preset
    from heliograph.model import Inputs
    from heliograph.predictor import Document, Scaling, Task

    module = zoo.load(arch)
    featurizer = preset(module.FEATURIZER)
    if module.GEOMETRY == "required":
        featurizer = replace(featurizer, hydrogens="explicit", geometry="given")
    inputs = {"nodes": featurizer.atom_width, "edges": featurizer.bond_width, "geometry": module.GEOMETRY == "required"}
    task = Task("regression", ("a",))
    args = zoo.resolved(module, {})
    described = featurizer.to_dict(), task.to_dict(), Scaling.none(1).to_dict()
    made = Predictor(zoo.build(arch, Inputs(**inputs), 1, args), Document.of_molecules(arch, args, inputs, *described))
    made.save(tmp_path / "m.safetensors")
    assert Predictor.load(tmp_path / "m.safetensors").targets == ("a",)


FORMULAS = ["=1+1", "+1+1", "-1+cmd|' /C calc'!A0", "@SUM(A1)", " =1+1", "\t=1", '=HYPERLINK("http://x")', "＝1+1", "-", "=", "+a", "--1"]
PLAIN = ["-1.5", "+3", "-1e-5", "1=2", "a-b", "C=C", "", " ", "'=1", "-inf", "N/A", "O=C=O"]


def test_cells_that_a_spreadsheet_would_run(run: Run, tmp_path: Path) -> None:
    make_run(tmp_path / "run")
    cells = [cell.replace('"', '""') for cell in [*FORMULAS, *PLAIN]]
    (tmp_path / "in.csv").write_text('smiles,"=name"\n' + "".join(f'C,"{cell}"\n' for cell in cells))
    import csv

    def column(name: str) -> list[str]:
        with open(tmp_path / name, newline="") as file:
            header, *rows = csv.reader(file)
        assert header[0] == "smiles" and all(row[2] and float(row[2]) for row in rows)
        return [header[1], *(row[1] for row in rows)]

    assert run("predict", "run", "in.csv", "-o", "plain.csv", "--num-workers", "0").returncode == 0
    assert run("predict", "run", "in.csv", "-o", "safe.csv", "--num-workers", "0", "--safe-cells").returncode == 0
    assert column("plain.csv") == ["=name", *FORMULAS, *PLAIN]
    assert column("safe.csv") == ["'=name", *(f"'{cell}" for cell in FORMULAS), *PLAIN]
