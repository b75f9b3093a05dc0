"""Readers of SDF, XYZ and extended XYZ."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rdkit import Chem

from heliograph.chem.featurizer import preset
from heliograph.chem.molecule import featurize
from heliograph.data.formats import read
from heliograph.data.record import Geometry, MolBlock


def sdf_entry(smiles: str, title: str, **properties: object) -> str:
    mol = Chem.MolFromSmiles(smiles)
    mol.SetProp("_Name", title)
    return Chem.MolToMolBlock(mol) + "".join(f"> <{name}>\n{value}\n\n" for name, value in properties.items()) + "$$$$\n"


def save(tmp_path: Path, name: str, text: str, compressed: bool) -> Path:
    path = tmp_path / (name + (".gz" if compressed else ""))
    path.write_bytes(gzip.compress(text.encode("utf-8", "surrogateescape")) if compressed else text.encode("utf-8", "surrogateescape"))
    return path


@pytest.mark.parametrize("compressed", [False, True])
def test_sdf(tmp_path: Path, compressed: bool) -> None:
    text = sdf_entry("CCO", "ethanol", logS=-0.5, note="two\nlines") + sdf_entry("C", "methane", logS="", other=3)
    table = read(save(tmp_path, "a.sdf", text, compressed))
    assert (table.kind, table.smiles_column) == ("sdf", None)
    assert table.columns == ("name", "logS", "note", "other") and table.targets == ("logS", "other")
    first, second = table
    assert first.meta == {"name": "ethanol", "logS": "-0.5", "note": "two\nlines", "other": ""}
    assert dict(second.targets) == {"other": "3"} and isinstance(first.structure, MolBlock)
    assert [featurize(row.structure, preset("table10_1")).smiles for row in table if row.structure is not None] == ["CCO", "C"]


def test_damaged_sdf_entries_keep_their_place(tmp_path: Path) -> None:
    whole = sdf_entry("CCO", "", y=1)
    cut = whole.replace("M  END\n", "")
    text = whole + "$$$$\n" + cut + whole + "trailing\n junk \udcff without an end\n"
    rows = list(read(save(tmp_path, "a.sdf", text, False)))
    assert [row.reason.partition(":")[0] for row in rows] == ["", "empty structure", "MDL block has no end", "", "MDL block has no end"]
    assert all(", line " in row.reason or ": line " in row.reason for row in rows if row.reason)
    assert rows[2].meta["y"] == "1" and rows[4].meta["name"] == "trailing"
    assert "name" not in read(save(tmp_path, "b.sdf", whole, False)).columns


WATER = "O 0 0 0.12\nH 0 0.76 -0.48\nH 0 -0.76 -0.48\n"


@pytest.mark.parametrize("compressed", [False, True])
def test_xyz(tmp_path: Path, compressed: bool) -> None:
    table = read(save(tmp_path, "a.xyz", f"3\nwater\n{WATER}1\n\nHe 0 0 0\n", compressed))
    assert table.kind == "xyz" and table.columns == ("comment",) and table.targets == ()
    water, helium = table
    assert isinstance(water.structure, Geometry) and water.meta["comment"] == "water"
    assert water.structure.z.tolist() == [8, 1, 1] and water.structure.z.dtype == np.uint8
    np.testing.assert_allclose(water.structure.pos[1], [0, 0.76, -0.48])
    assert isinstance(helium.structure, Geometry) and helium.structure.z.tolist() == [2]


def test_extended_xyz(tmp_path: Path) -> None:
    first = 'Lattice="5 0 0 0 5 0 0 0 5" Properties=id:I:1:species:S:1:pos:R:3:forces:R:3 energy=-1.5 charge=-1 name="a b" pbc="T T F"'
    second = 'Properties=species:S:1:pos:R:3 energy=2 dipole={0 0 1} pbc="F F F"'
    text = f"2\n{first}\n7 C 0 0 0 1 1 1\n8 cl 0 0 1.5e0 1 1 1\n1\n{second}\n6 0 0 0\n"
    table = read(save(tmp_path, "a.extxyz", text, False))
    assert table.columns == ("energy", "charge", "name", "dipole") and table.targets == ("energy",)
    one, two = table
    assert isinstance(one.structure, Geometry) and isinstance(two.structure, Geometry)
    assert one.structure.z.tolist() == [6, 17] and one.structure.charge == -1 and one.structure.pbc == (True, True, False)
    assert one.structure.cell is not None and one.structure.cell[2, 2] == 5.0 and one.meta["name"] == "a b"
    assert two.structure.z.tolist() == [6] and two.structure.cell is None and two.meta["dipole"] == "0 0 1"


def test_damaged_frames_keep_their_place(tmp_path: Path) -> None:
    text = (
        f"3\nfine\n{WATER}3\ncut\nO 0 0 0\n3\nno number\nO 0 0 zero\nH 0 0 0\nH 0 0 0\nrubbish\nmore\n"
        "1\nwhat\nQq 0 0 0\n1\nnan\nH nan 0 0\n0\nnone\n\n1\nlast\nHe 0 0 0\n9\nends\nH 0 0 0\n"
    )
    rows = list(read(save(tmp_path, "a.xyz", text, False)))
    assert [row.reason for row in rows] == [
        "",
        "frame is cut: 1 atom lines, 3 announced, line 6",
        "atom 1 can't be read: 'O 0 0 zero', line 9",
        "not a frame: expected the number of atoms alone on its line, line 14",
        "unknown element: 'Qq', line 16",
        "positions are not finite: line 19",
        "no atoms: line 22",
        "",
        "frame is cut: 1 atom lines, 9 announced, line 28",
    ]


@given(st.lists(st.text(max_size=12), max_size=15))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_text_is_frames_with_reasons(tmp_path: Path, lines: list[str]) -> None:
    path = tmp_path / "h.xyz"
    path.write_bytes("\n".join(lines).encode("utf-8", "surrogatepass"))
    for row in read(path):
        assert (row.structure is None) == bool(row.reason)
    sdf = tmp_path / "h.sdf"
    sdf.write_bytes("\n".join(lines).encode("utf-8", "surrogatepass"))
    for row in read(sdf):
        assert (row.structure is None) == bool(row.reason)


def test_frames_that_ase_writes(tmp_path: Path) -> None:
    io, build = pytest.importorskip("ase.io"), pytest.importorskip("ase.build")
    atoms = [build.molecule(name) for name in ("CH3CH2OH", "C6H6")]
    for k, one in enumerate(atoms):
        one.info["energy_label"] = -1.25 * k
    io.write(tmp_path / "a.extxyz", atoms)
    for row, one in zip(read(tmp_path / "a.extxyz"), atoms, strict=True):
        assert isinstance(row.structure, Geometry)
        assert row.structure.z.tolist() == one.get_atomic_numbers().tolist()
        np.testing.assert_allclose(row.structure.pos, one.positions, atol=1e-7)
        assert float(row.targets["energy_label"]) == one.info["energy_label"]
