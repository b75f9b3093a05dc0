"""A verb that is given a model of another kind names the verbs for it: all pairs of a verb and a kind."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from heliograph.data import frames
from heliograph.errors import DataError
from heliograph.predictor import modelfile
from heliograph.predictor.kinds import KINDS
from tests.cli.conftest import Run

MOLECULES = "smiles,y\nCCO,1.0\nCCC,2.0\n"
VERBS = {  # what each asks of a model; M is the model
    "predict M mols.csv -o out.csv": "molecules structures",  # it sees by itself which of the two
    "predict M --edges edges.csv -o out.csv": "graph",
    "evaluate M mols.csv": "molecules structures",
    "calibrate M mols.csv -o out.safetensors": "molecules",
    "explain M mols.csv -o out.html": "molecules",
    "explain M --do a -o out.csv": "graph",
    "embed M mols.csv -o out.npz": "molecules",
    "drift M mols.csv": "molecules",
    "screen M mols.csv --jobs 0 -o out": "molecules",
    "active suggest M mols.csv --count 1 -o out.csv": "molecules",
    "serve M --port 1": "molecules",
    "diagnose mols.csv --model M": "molecules",
    "relax M start.xyz -o out.xyz": "structures",
    "md M start.xyz -o out": "structures",
    "generate sample M -o out.sdf": "generator",
    "generate conformers M mols.csv -o out.sdf": "generator",
}
NAMES = {"molecules": "heliograph predict MODEL molecules.csv", "structures": "relax and md",
         "graph": "--edges edges.csv", "generator": "heliograph generate sample"}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mols.csv").write_text(MOLECULES)
    (tmp_path / "edges.csv").write_text("source,target\na,b\nb,c\n")
    (tmp_path / "start.xyz").write_text("2\n\nH 0 0 0\nH 0 0 0.74\n")
    for kind in KINDS:
        document = modelfile.Document(kind, "gcn", {}, {}, {}, {})
        modelfile.write(tmp_path / f"{kind}.safetensors", document, [{"w": torch.zeros(1)}])
    return tmp_path


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("verb", VERBS)
def test_the_right_verb_is_named(verb: str, kind: str, folder: Path, run: Run) -> None:
    before = sorted(path.name for path in folder.iterdir())
    done = run(*verb.replace("M", f"{kind}.safetensors").split())
    assert done.returncode in (1, 2)
    if kind not in VERBS[verb]:
        assert f"is {KINDS[kind].name}, not " in done.stderr and NAMES[kind] in done.stderr, done.stderr
    assert sorted(path.name for path in folder.iterdir()) == before


TABLES = ("train edges.csv -o out", "compare edges.csv -o out", "split edges.csv -o out.csv", "label edges.csv -o out.csv")


@pytest.mark.parametrize("verb", TABLES)
def test_a_table_of_edges_is_no_table_of_molecules(verb: str, folder: Path, run: Run) -> None:
    done = run(*verb.split())
    assert done.returncode == 1 and "heliograph train nodes.csv --edges edges.csv" in done.stderr and not (folder / "out").exists()


def test_columns_of_such_names_beside_molecules_are_ordinary(folder: Path, run: Run) -> None:
    (folder / "edges.csv").write_text("smiles,source,target\n" + "".join(f"{'C' * k},lab,{k}.5\n" for k in range(1, 20)))
    assert run("split", "edges.csv", "-o", "out.csv").returncode == 0


@pytest.mark.parametrize("name", ["mols.csv", "mols.smi.gz", "mols.parquet"])
def test_a_table_of_molecules_is_no_file_of_frames(name: str, folder: Path) -> None:
    (folder / name).touch()
    with pytest.raises(DataError, match="`heliograph predict` with a model of molecules"):
        list(frames.read(folder / name))
