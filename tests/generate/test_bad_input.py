"""What people give by mistake: a clear word each, nothing written, nothing lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from heliograph.cli import main
from heliograph.data.sets import smallmol
from heliograph.errors import DataError
from heliograph.generate import read, runner, write
from heliograph.generate.config import GenerateTrainConfig, GeneratorConfig, GeneratorFit
from heliograph.generate.crystals import write as crystal
from heliograph.generate.metrics import unbound
from heliograph.learn.progress import silent
from heliograph.learn.state import tensors_of
from heliograph.predictor import modelfile
from tests.generate.test_molecules import untrained


def sdf(rows: range, change: Callable[[str], str] = lambda text: text, fields: str = "") -> str:
    shipped = smallmol.load()
    return "".join(f"{change(shipped.block(k).text)}\n{fields}$$$$\n" for k in rows)


def xyz(n: int, symbol: str = "C", spread: float = 1.5, frames: int = 5) -> str:
    lines = [f"{symbol} {spread * k:.3f} 0 0" for k in range(n)]
    return "".join(f"{n}\nframe\n" + "\n".join(lines) + "\n" for _ in range(frames))


def no_hydrogens(text: str) -> str:
    from rdkit import Chem

    return str(Chem.MolToMolBlock(Chem.RemoveHs(Chem.MolFromMolBlock(text, removeHs=False))))


def alkane(n: int) -> str:
    from rdkit import Chem

    mol = Chem.AddHs(Chem.MolFromSmiles("C" * n))
    conformer = Chem.Conformer(mol.GetNumAtoms())
    conformer.SetPositions(np.random.default_rng(0).uniform(0, 40, (mol.GetNumAtoms(), 3)))
    conformer.Set3D(True)
    mol.AddConformer(conformer)
    return f"{Chem.MolToMolBlock(mol)}\n$$$$\n"


def flat(text: str) -> str:
    from rdkit import Chem
    from rdkit.Chem import AllChem

    mol = Chem.MolFromMolBlock(text, removeHs=False)
    AllChem.Compute2DCoords(mol)
    return str(Chem.MolToMolBlock(mol))


CELL = crystal.cif(np.array([11, 17]), np.array([[0.0, 0, 0], [0.5, 0.5, 0.5]]), np.eye(3) * 4, "salt")
FILES: dict[str, Callable[[], str]] = {
    "one.sdf": lambda: sdf(range(100, 101)),
    "two.sdf": lambda: sdf(range(100, 102)),
    "bare.sdf": lambda: sdf(range(100, 106), no_hydrogens),
    "flat.sdf": lambda: sdf(range(100, 104), flat),
    "words.smi": lambda: "CCO\nCCC\nCCN\n",
    "huge.sdf": lambda: alkane(67),
    "nan.xyz": lambda: "3\nx\nH nan 0 0\nH 0 0 0.7\nH 0 0 1.5\n",
    "odd.xyz": lambda: "2\nx\nXx 0 0 0\nH 0 0 1\n",
    "atom.xyz": lambda: xyz(1),
    "empty.sdf": lambda: "",
    "cut.sdf": lambda: sdf(range(100, 101))[:200],
    "good.sdf": lambda: sdf(range(100, 110)),
    "shared.cif": lambda: CELL.replace("0.50000000 1", "0.50000000 0.5"),
    "cut.cif": lambda: CELL[:120],
    "salt.cif": lambda: CELL,
    "water.extxyz": lambda: "3\nProperties=species:S:1:pos:R:3\nO 0 0 0\nH 0 0 1\nH 0 1 0\n",
    "x.pdf": lambda: "x",
    "damaged.safetensors": lambda: "not a model",
    "pieces.smi": lambda: "CC.O\n",
}
TRAIN, SAMPLE = ("train", "-o", "run", "--d", "16", "--depth", "1", "--epochs", "1"), ("sample", "model.safetensors", "-o", "new.sdf")
CASES = [
    ((*TRAIN, "one.sdf"), "too few"),
    ((*TRAIN, "two.sdf"), "too few"),
    ((*TRAIN, "bare.sdf"), "hydrogens without coordinates"),
    ((*TRAIN, "flat.sdf"), "no 3D coordinates"),
    ((*TRAIN, "words.smi"), "no 3D coordinates"),
    ((*TRAIN, "huge.sdf"), "more than 200 atoms"),
    ((*TRAIN, "nan.xyz"), "not finite"),
    ((*TRAIN, "odd.xyz"), "Xx|element"),
    ((*TRAIN, "atom.xyz"), "one atom alone"),
    ((*TRAIN, "empty.sdf"), "no rows|empty|no molecule"),
    ((*TRAIN, "cut.sdf"), "no molecule"),
    ((*TRAIN, "absent.sdf"), "absent.sdf"),
    ((*TRAIN, "x.pdf"), "format"),
    ((*TRAIN, "good.sdf", "--properties", "price"), "price"),
    ((*TRAIN, "good.sdf", "--d", "12"), "multiple of 8|8"),
    ((*TRAIN, "good.sdf", "--validation", "0"), "validation"),
    ((*TRAIN, "good.sdf", "--process", "flwo"), "flwo|process"),
    ((*TRAIN, "good.sdf", "--task", "proteins"), "proteins|task"),
    ((*TRAIN, "words.smi", "--task", "conformers"), "no 3D coordinates"),
    ((*TRAIN, "good.sdf", "--task", "conformers", "--properties", "gap"), "without --properties|gap"),
    ((*TRAIN, "shared.cif", "--task", "crystals"), "disordered"),
    ((*TRAIN, "cut.cif", "--task", "crystals"), "can't read|no crystal"),
    ((*TRAIN, "salt.cif", "--task", "crystals"), "too few"),
    ((*TRAIN, "water.extxyz", "--task", "crystals"), "no cell"),
    ((*SAMPLE, "--formula", "C1H9x"), "expected element symbols"),
    ((*SAMPLE, "--formula", "UO2"), "never seen"),
    ((*SAMPLE, "--elements", "C,Xx"), "not the symbol"),
    ((*SAMPLE, "--atoms", "18..15"), "expected a number"),
    ((*SAMPLE, "--atoms", "300"), "expected a number"),
    ((*SAMPLE, "--where", "price=3"), "no property"),
    ((*SAMPLE, "--where", "gap=cheap"), "expected NAME=VALUE"),
    ((*SAMPLE, "--process", "warp"), "warp"),
    ((*SAMPLE, "--keep", "good.sdf"), "this has 10 rows"),
    ((*SAMPLE, "--formula", "CH4", "--elements", "O"), "leaves out"),
    (("sample", "model.safetensors", "-o", "new.pdf"), "written as"),
    (("sample", "damaged.safetensors", "-o", "new.sdf"), "damaged"),
    (("sample", "absent", "-o", "new.sdf"), "absent"),
    (("conformers", "model.safetensors", "words.smi", "-o", "new.sdf"), "not conformers"),
    (("evaluate", "empty.sdf"), "no molecule|no rows|empty"),
    (("evaluate", "absent.cif"), "no such file"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    here = tmp_path_factory.mktemp("bad")
    for name, text in FILES.items():
        (here / name).write_text(text())
    s = untrained()
    sizes = {"d": 16, "depth": 2, "sets": 4, "pair": 8}
    parts = {"task": "molecules", "vocabulary": s.vocabulary.to_dict(), "process": "flow"}
    from heliograph.generate import network

    model = network.build(len(s.vocabulary.species), 2, **sizes)
    modelfile.write(here / "model.safetensors", modelfile.Document("generator", "semla", sizes, {}, {}, parts), [tensors_of(model)])
    return here


@pytest.mark.parametrize(("args", "message"), CASES, ids=[" ".join(a[-3:]) for a, _ in CASES])
def test_a_clear_word(
    args: tuple[str, ...], message: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import re

    monkeypatch.chdir(folder)
    before = sorted(p.name for p in folder.iterdir())
    with pytest.raises(SystemExit) as ended:
        main(["generate", *args])
    said = capsys.readouterr()
    assert ended.value.code in (1, 2), said
    assert re.search(message, said.err), said
    assert "Traceback" not in said.err + said.out
    assert sorted(p.name for p in folder.iterdir()) == before


def test_odd_data_that_can_be_learned_from(tmp_path: Path) -> None:
    """One element alone, a property that is NaN or missing: trained, and drawn from."""
    (tmp_path / "one.xyz").write_text(xyz(2, "H", 0.74, 8))
    (tmp_path / "over.xyz").write_text("".join(f"3\nx\nH 0 0 0\nH 0 0 0\nH 0 0 {k}\n" for k in range(1, 9)))
    gaps = ["nan", "", "3", "4", "5", "6", "7", "8"]
    rows = [sdf(range(k, k + 1), fields=f">  <gap>\n{value}\n\n") for k, value in enumerate(gaps, 100)]
    (tmp_path / "gaps.sdf").write_text("".join(rows))
    with pytest.raises(DataError, match="no molecule"):
        read.molecules(tmp_path / "over.xyz")
    for name, properties in (("one.xyz", ()), ("gaps.sdf", ("gap",))):
        g = GeneratorConfig(data_path=tmp_path / name, properties=properties, d=16, depth=1, sets=4, pair=8)
        config = GenerateTrainConfig(generator=g, fit=GeneratorFit(epochs=1, batch_size=4), output_dir=tmp_path / f"run_{name}")
        found = runner.run(config, progress=silent())
        assert np.isfinite(found.val_loss)
        drawn = next(runner.load(config.output_dir).sample(3, seed=1))
        assert np.isfinite(drawn.molecules.pos).all()
        assert len(list(write.entries([drawn], ".sdf"))) == 3


def test_formulas_that_no_molecule_has_are_said() -> None:
    assert "in one piece" in unbound({6: 1, 1: 9})[0]
    assert "radicals" in unbound({6: 1, 1: 3})[0]
    for fine in ({6: 1, 1: 4}, {6: 6, 1: 6}, {16: 1, 9: 6}, {7: 1, 1: 3}, {6: 2, 17: 6}):
        assert not unbound(fine)
    assert not unbound({79: 3})
