"""A model file loads anywhere and predicts the same, or says plainly why not."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from heliograph import predictor, zoo
from heliograph.chem.featurizer import preset
from heliograph.data.record import Geometry
from heliograph.errors import ModelFileError, UsageError
from heliograph.model import Inputs
from heliograph.predictor import Document, Predictor, Scaling, Task, combine, composition, modelfile

HERE = Path(__file__).parent
SMILES = ["CCO", "c1ccccc1", "not a molecule", "C[N+](C)(C)CC(=O)[O-]", "", "F/C=C/Cl", "[Na+].[Cl-]", "C"]


def make(arch: str = "gcn", task: Task | None = None, scaling: Scaling | None = None, seed: int = 0, **args: Any) -> Predictor:
    """An untrained predictor."""
    task = task or Task("regression", ("a", "b"), ("eV", ""))
    featurizer = preset(zoo.load(arch).FEATURIZER)
    if arch == "schnet":
        featurizer = replace(featurizer, hydrogens="explicit", geometry="given")
    inputs = {"nodes": featurizer.atom_width, "edges": featurizer.bond_width, "geometry": arch == "schnet"}
    torch.manual_seed(seed)
    model = zoo.build(arch, Inputs(**inputs), task.out, args)
    scaling = scaling or Scaling.none(len(task.targets))
    described = featurizer.to_dict(), task.to_dict(), scaling.to_dict()
    document = Document.of_molecules(arch, args, inputs, *described, versions={"heliograph": "0.1.0"})
    return Predictor(model, document)


REFERENCES = Scaling((1.5, -2.0), (0.5, 3.0), {1: (-13.6, 0.0), 6: (-1029.123456789012, 0.0), 8: (0.1, 0.0)})


@pytest.mark.parametrize("arch", ["gcn", "dmpnn", "gin", "gilmer"])
def test_the_file_gives_the_same_predictor(tmp_path: Path, arch: str) -> None:
    before = make(arch, scaling=REFERENCES, d=8)
    before.save(tmp_path / "m.safetensors")
    after = Predictor.load(tmp_path / "m.safetensors")
    assert after.document == before.document
    np.testing.assert_array_equal(after.predict(SMILES), before.predict(SMILES))
    after.save(tmp_path / "n.safetensors")
    assert (tmp_path / "n.safetensors").read_bytes() == (tmp_path / "m.safetensors").read_bytes()


def test_rows_keep_their_place(tmp_path: Path) -> None:
    found = make(d=8).predict_records(SMILES)
    assert found.y.shape == (8, 2)
    assert np.isnan(found.y).any(1).tolist() == [False, False, True, False, True, False, False, False]
    assert found.reasons[2].startswith("not valid SMILES")
    assert [bool(r) for r in found.reasons] == np.isnan(found.y).any(1).tolist()
    assert make(d=8).predict([]).shape == (0, 2)
    assert np.isnan(make(d=8).predict(["?"])).all()
    assert make(d=8).predict_records([None]).reasons == ("empty structure",)


def test_references_count_hydrogens_that_are_not_nodes() -> None:
    plain, referenced = make(d=8), make(d=8, scaling=REFERENCES)
    y = plain.predict(["CCO"])[0] * [0.5, 3.0] + [1.5 + 6 * -13.6 + 2 * -1029.123456789012 + 0.1, -2.0]
    np.testing.assert_allclose(referenced.predict(["CCO"])[0], y, rtol=1e-12)
    np.testing.assert_allclose(
        referenced.predict(["[2H]C([2H])O"]) - plain.predict(["[2H]C([2H])O"]) * [0.5, 3.0],
        [[1.5 + 4 * -13.6 - 1029.123456789012 + 0.1, -2.0]],
        rtol=1e-12,
    )


def test_positions() -> None:
    water = Geometry(np.array([8, 1, 1], np.uint8), np.array([[0.0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]]))
    found = make("schnet", d=8, depth=1).predict_records([water, "O"])
    assert np.isfinite(found.y[0]).all()
    assert found.reasons[1].startswith("no 3D coordinates")


def test_classes() -> None:
    task = Task("multiclass", ("a", "b"), classes=(("x", "y", "z"), ("no", "yes")))
    found = make(task=task, d=8).predict_records(SMILES)
    assert found.probabilities is not None
    assert found.probabilities.shape == (8, 2, 3)
    good = [not r for r in found.reasons]
    np.testing.assert_allclose(found.probabilities[good].sum(-1), 1.0)
    assert (found.probabilities[good][:, 1, 2] == 0.0).all()
    np.testing.assert_array_equal(found.y[good], found.probabilities[good].argmax(-1))
    binary = make(task=Task("binary", ("a",), classes=(("0", "1"),)), d=8).predict(["CCO"])
    assert 0.0 < binary[0, 0] < 1.0


def test_ensemble() -> None:
    members = [make(seed=k, d=8) for k in range(3)]
    found = Predictor([m.model for m in members], members[0].document).predict_records(SMILES)
    each = np.stack([m.predict(SMILES) for m in members])
    assert found.std is not None
    np.testing.assert_allclose(found.y, each.mean(0))
    np.testing.assert_allclose(found.std, each.std(0), atol=1e-12)
    task = Task("multiclass", ("a",), classes=(("x", "y", "z"),))
    both = combine([make(task=task, seed=k, d=8).predict_records(["CCO", "CC"]) for k in range(2)])
    assert both.probabilities is not None
    np.testing.assert_array_equal(both.y, both.probabilities.argmax(-1))


def test_an_ensemble_is_one_file(tmp_path: Path) -> None:
    members = [make(seed=k, d=8, scaling=REFERENCES) for k in range(3)]
    document = replace(members[0].document, members=[{"member": k} for k in range(3)])
    Predictor([m.model for m in members], document).save(tmp_path / "m.safetensors")
    after = Predictor.load(tmp_path / "m.safetensors")
    assert after.document == document and len(after.members) == 3
    for before, one in zip(members, after.members, strict=True):
        np.testing.assert_array_equal(one.predict(SMILES), before.predict(SMILES))
    found, each = after.predict_records(SMILES), np.stack([m.predict(SMILES) for m in members])
    assert found.std is not None
    np.testing.assert_allclose(found.y, each.mean(0), rtol=1e-12)
    np.testing.assert_allclose(found.std, each.std(0), atol=1e-9)


@pytest.mark.parametrize("names", [{"weight": 0}, {"member.0.a": 0, "member.2.a": 0}, {"member.x.a": 0}])
def test_tensors_of_no_member(tmp_path: Path, names: dict[str, int]) -> None:
    made = make(d=8)
    tensors = {name: torch.zeros(1) for name in names}
    modelfile.write(tmp_path / "m.safetensors", made.document, [])
    known = document(tmp_path / "m.safetensors")
    known["sha256"]["tensors"] = modelfile._sum_of_tensors(tensors)
    save_file(tensors, tmp_path / "m.safetensors", metadata={"heliograph": json.dumps(known)})
    with pytest.raises(ModelFileError, match="does not fit format 2"):
        Predictor.load(tmp_path / "m.safetensors")


def test_files_of_a_run_folder(tmp_path: Path) -> None:
    for k in (0, 1, 10, 2):
        make(d=4, seed=k).save(tmp_path / f"model_{k}.safetensors")
    assert [f.stem for f in predictor.files(tmp_path)] == ["model_0", "model_1", "model_2", "model_10"]
    assert len(predictor.open(tmp_path).models) == 4
    make("dmpnn", d=4).save(tmp_path / "model_3.safetensors")
    with pytest.raises(UsageError, match="different features or targets"):
        predictor.open(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelFileError, match=r"no model.safetensors in the folder .*empty"):
        predictor.open(tmp_path / "empty")
    (tmp_path / "empty" / "config.toml").touch()
    with pytest.raises(ModelFileError, match=r"unfinished\? go on with --resume"):
        predictor.open(tmp_path / "empty")


def test_a_store_of_another_featurizer() -> None:
    from heliograph.chem import featurize
    from heliograph.data.store import Store

    other = preset("chemprop_v2")
    store = Store.build([featurize("CCO", other)], other)
    assert composition(store)[0, [1, 6, 8]].tolist() == [6, 2, 1]
    with pytest.raises(UsageError, match="another featurizer"):
        make(d=4).predict_store(store)


def document(path: Path) -> dict[str, Any]:
    with safe_open(path, "pt") as file:
        return json.loads(file.metadata()["heliograph"])  # type: ignore[no-any-return]


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def truncated_header(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:300])


def nearly_nothing(path: Path) -> None:
    path.write_bytes(b"abc")


def flipped_weight(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-50] ^= 1
    path.write_bytes(data)


def changed_document(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'\\"GIVEN\\"', b'\\"TAKEN\\"').replace(b"gcn", b"gin", 1))


def foreign(path: Path) -> None:
    save_file({"weight": torch.zeros(3)}, path, metadata={"format": "pt"})


def pickled(path: Path) -> None:
    torch.save({"weight": torch.zeros(3)}, path)


def text(path: Path) -> None:
    path.write_text("smiles,y\n" * 10)


def rewritten(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    """The document changed, its sums put right again."""

    def damage(path: Path) -> None:
        known, tensors = document(path), load_file(path)
        change(known)
        known["sha256"]["document"] = modelfile._sum_of_document(known)
        save_file(tensors, path, metadata={"heliograph": json.dumps(known)})

    damage.__name__ = change.__name__
    return damage


def future(known: dict[str, Any]) -> None:
    known["format_version"], known["versions"] = 99, {"heliograph": "9.9"}


def no_version(known: dict[str, Any]) -> None:
    del known["format_version"]


def unknown_arch(known: dict[str, Any]) -> None:
    known["arch"] = "transformer"


def path_as_arch(known: dict[str, Any]) -> None:
    known["arch"] = "/tmp/evil.py"


def import_as_arch(known: dict[str, Any]) -> None:
    known["arch"] = "os.path"


def other_arguments(known: dict[str, Any]) -> None:
    known["arch_args"] = {"d": 5}


def unknown_argument(known: dict[str, Any]) -> None:
    known["arch_args"] = {"width": 5}


def unknown_feature(known: dict[str, Any]) -> None:
    known["parts"]["featurizer"]["atoms"] = ["smell"]


def surplus(known: dict[str, Any]) -> None:
    known["colour"] = "red"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (truncated, "is truncated or damaged"),
        (truncated_header, "is truncated or damaged"),
        (nearly_nothing, "is truncated: it has 3 bytes"),
        (flipped_weight, "is damaged: SHA-256 of its tensors"),
        (changed_document, "is damaged: SHA-256 of its document"),
        (foreign, "not one of heliograph's"),
        (pickled, r"a zip archive, as torch.save writes \(pickle is never loaded\)"),
        (text, "not a safetensors file"),
        (
            rewritten(future),
            r"has format 99, written by heliograph 9.9; this version reads up to format 2. Update with: pip install -U heliograph",
        ),
        (rewritten(no_version), "no format version"),
        (rewritten(unknown_arch), "architecture 'transformer', which this version has not"),
        (rewritten(path_as_arch), "which this version has not"),
        (rewritten(import_as_arch), "which this version has not"),
        (rewritten(other_arguments), "don't fit the architecture"),
        (rewritten(unknown_argument), "can't be used by this version"),
        (rewritten(unknown_feature), "can't be used by this version"),
        (rewritten(surplus), "does not fit format 2"),
        (Path.unlink, "no such file"),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, damage: Callable[[Path], None], message: str) -> None:
    path = tmp_path / "model.safetensors"
    make(d=8).save(path)
    damage(path)
    with pytest.raises(ModelFileError, match=message):
        Predictor.load(path)


def test_tied_layers_are_stored_once(tmp_path: Path) -> None:
    made = make("gilmer", d=4, steps=5)
    made.save(tmp_path / "m.safetensors")
    with safe_open(tmp_path / "m.safetensors", "pt") as file:
        assert len([name for name in file.keys() if name.startswith("member.0.layers.")]) == len(list(made.model.layers[0].parameters()))  # noqa: SIM118


@pytest.mark.parametrize("path", sorted((HERE / "files").glob("*.safetensors")), ids=lambda p: p.stem)
def test_released_files_keep_loading(path: Path) -> None:
    """A file of each format version, and the predictions that it made on the day it was written."""
    expected = json.loads(path.with_suffix(".json").read_text())
    y = Predictor.load(path).predict(expected["smiles"])
    np.testing.assert_allclose(y, np.array(expected["y"], dtype=np.float64), rtol=1e-5, atol=1e-6)


def test_loading_needs_no_rdkit() -> None:
    """Training and the file itself need the store and numpy; structures alone need RDKit."""
    path = next((HERE / "files").glob("*.safetensors"))
    code = f"import sys; from heliograph.predictor import Predictor; Predictor.load({str(path)!r}); sys.exit('rdkit' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("arch", ["dmpnn", "gcn"])
def test_single_molecules_after_many_with_what_was_kept(arch: str) -> None:
    """Graphs too small to have all their colours found give the same answers as alone."""
    from heliograph.chem import featurize
    from heliograph.data.sets import smallmol
    from heliograph.data.store import Store
    from heliograph.predictor.environments import Environments
    from heliograph.predictor.stream import check

    one, kept = make(arch, d=128), Environments()
    smiles = [str(text) for text in smallmol.load().smiles[:90]]
    molecules = [featurize(text, one.featurizer, scaffold=False) for text in smiles]
    check(kept, one.model, Store.build(molecules[:64], one.featurizer, kept.codes))
    for text, molecule in zip(smiles, molecules, strict=True):
        answer = one.predict_store(Store.build([molecule], one.featurizer, kept.codes), environments=[kept])
        np.testing.assert_allclose(answer.y, one.predict([text]), rtol=1e-5, atol=1e-6)


def test_what_a_file_that_is_none_is(tmp_path: Path) -> None:
    """Truncated where it begins as one of ours does, something else where it doesn't."""
    whole = b'{"__metadata__":{"heliograph":"1"}'
    header = len(whole).to_bytes(8, "little")
    for content, words in [
        (b"", "is truncated: it has 0 bytes"),
        (b"12345678", "is truncated: it has 8 bytes"),
        (header + whole, "is truncated or damaged"),
        ((9000).to_bytes(8, "little") + b'{"a":1}', "is truncated or damaged"),
        ((2).to_bytes(8, "little") + b"{}xx" + b"0" * 50, "not a safetensors file"),
        (b"PK\x03\x04" + b"0" * 40, "a zip archive, as torch.save writes"),
        (b"hello world, no model", "not a safetensors file"),
    ]:
        (tmp_path / "m.safetensors").write_bytes(content)
        with pytest.raises(ModelFileError) as error:
            Predictor.load(tmp_path / "m.safetensors")
        assert words in str(error.value), (content, str(error.value))
