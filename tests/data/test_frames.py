"""Frames: what ASE and MACE write is read, whatever is missing; what can't be used keeps its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ase
import ase.io
import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms

from heliograph.data import properties
from heliograph.data.frames import Frame, read, text_of
from heliograph.data.sources import structures
from heliograph.data.sources.structures import Keys, Structures, find_keys
from heliograph.errors import DataError

FORCES = np.arange(6.0).reshape(2, 3) - 1
STRESS = np.array([0.1, 0.2, 0.3, 0.01, 0.02, 0.03])  # Voigt
FULL = np.array([[0.1, 0.03, 0.02], [0.03, 0.2, 0.01], [0.02, 0.01, 0.3]])


def water(**results: Any) -> ase.Atoms:
    atoms = ase.Atoms("OH", [[0, 0, 0.1], [0, 0.7, 0]], cell=[[4, 0, 0], [0.5, 5, 0], [0, 0, 6]], pbc=True)
    atoms.calc = SinglePointCalculator(atoms, **({"energy": -3.5, "forces": FORCES, "stress": STRESS} | results))
    return atoms


def collected(path: Path, asked: Keys | None = None) -> Structures:
    frames = list(read(path))
    return Structures.collect(frames, find_keys(frames, asked or Keys(), path.name))


@pytest.mark.parametrize("name", ["a.extxyz", "a.traj", "a.db", "a.json"])
def test_what_ase_hides_in_a_calculator_is_found_and_constraints_change_nothing(tmp_path: Path, name: str) -> None:
    atoms = water()
    atoms.set_constraint(FixAtoms([0]))
    ase.io.write(tmp_path / name, [atoms, atoms])
    data = collected(tmp_path / name)
    assert len(data) == 2 and data.columns["energy"].tolist() == [-3.5, -3.5]
    assert np.allclose(data.columns["forces"][:2], FORCES)  # of the fixed atom, too
    assert np.allclose(data.columns["stress"][1], FULL)
    assert np.allclose(data.columns["cell"][0], atoms.cell.array) and data.columns["pbc"].all()


HEAD = 'Lattice="4 0 0 0.5 5 0 0 0 6" pbc="T T T" Properties=species:S:1:pos:R:3:{forces}:R:3 {rest}'
BODY = "O 0 0 0.1 -1 0 1\nH 0 0.7 0 2 3 4\n"
VOLUME = 120.0


@pytest.mark.parametrize(
    ("forces", "rest"),
    [
        ("forces", "energy=-3.5 stress=\"0.1 0.03 0.02 0.03 0.2 0.01 0.02 0.01 0.3\""),  # ASE 3.22 and later
        ("REF_forces", "REF_energy=-3.5 REF_stress=\"0.1 0.2 0.3 0.01 0.02 0.03\""),  # MACE, six numbers
        ("force", f"energy=-3.5 virial=\"{' '.join(str(-VOLUME * v) for v in FULL.ravel())}\""),
    ],
)  # fmt: skip
def test_keys_of_ase_and_mace_and_a_virial_instead_of_a_stress(tmp_path: Path, forces: str, rest: str) -> None:
    (tmp_path / "a.xyz").write_text(f"2\n{HEAD.format(forces=forces, rest=rest)}\n{BODY}")
    data = collected(tmp_path / "a.xyz")
    assert (
        data.columns["energy"][0] == -3.5 and np.allclose(data.columns["forces"], FORCES) and np.allclose(data.columns["stress"][0], FULL)
    )


def test_keys_that_are_asked_for_win_and_one_that_no_frame_has_is_an_error(tmp_path: Path) -> None:
    rest = "energy=-3.5 dft=-7.0 charge=1 spin=2 config_type=hot"
    (tmp_path / "a.xyz").write_text(f"2\n{HEAD.format(forces='forces', rest=rest)}\n{BODY}")
    data = collected(tmp_path / "a.xyz", Keys(energy="dft"))
    assert data.columns["energy"][0] == -7.0 and data.columns["charge"][0] == 1 and data.columns["spin"][0] == 2
    assert data.columns["config_type"][0] == "hot"
    with pytest.raises(DataError, match=r"no frame of a.xyz has 'DFT_energy' for its energy; did you mean|known"):
        collected(tmp_path / "a.xyz", Keys(energy="DFT_energy"))
    with pytest.raises(DataError, match=r"no frame of a.xyz has 'f' for its forces"):
        collected(tmp_path / "a.xyz", Keys(forces="f"))


@pytest.mark.parametrize("late", ["forces", "energy", "stress", "charges"])
def test_labels_that_come_late_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: str) -> None:
    monkeypatch.setattr(structures, "PROBE", 2)
    labels = {"forces": "forces:R:3", "energy": "energy=-3.5", "stress": 'stress="1 2 3 4 5 6"', "charges": "q=1"}
    whole = 'Lattice="4 0 0 0 5 0 0 0 6" Properties=species:S:1:pos:R:3:{forces} {energy} {stress} {charges}'
    text = ["2\n" + whole.format(**labels | change) + "\n" + BODY for change in ({late: "f:R:3" if late == "forces" else ""}, {})]
    (tmp_path / "a.xyz").write_text(text[0] * 5 + text[1])
    assert [p.name for p in properties.find(["q"], read(tmp_path / "a.xyz"), "a.xyz")] == ["q"]
    for asked in (Keys(), Keys(**({late: late} if late != "charges" else {}))):
        keys = find_keys(read(tmp_path / "a.xyz"), asked, "a.xyz")
        assert (keys.energy, keys.forces, keys.stress) == ("energy", "forces", "stress")


def test_gaps_stay_gaps(tmp_path: Path) -> None:
    whole = f"2\n{HEAD.format(forces='forces', rest='energy=-3.5')}\n{BODY}"
    partly = f"2\n{HEAD.format(forces='forces', rest='')}\nO 0 0 0.1 nan nan nan\nH 0 0.7 0 2 3 4\n"
    (tmp_path / "a.xyz").write_text(whole + partly + "1\nProperties=species:S:1:pos:R:3 energy=-1\nH 0 0 0\n")
    data = collected(tmp_path / "a.xyz")
    assert data.has("energy").tolist() == [True, False, True] and data.has("forces").tolist() == [
        True,
        True,
        False,
    ]
    assert not data.has("stress").any() and np.isnan(data.columns["forces"][2]).all()


def test_broken_frames_keep_their_place_with_a_reason(tmp_path: Path) -> None:
    good = f"2\n{HEAD.format(forces='forces', rest='energy=-3.5')}\n{BODY}"
    bad = [
        good.replace("O 0 0 0.1", "O 0 zero 0.1"),
        good.replace("O 0", "Qq 0"),
        good.replace('"4 0 0 0.5 5 0 0 0 6"', '"4 0 0"'),
        good.replace("energy=-3.5", "energy=lots"),
        good.replace("energy=-3.5", 'stress="1 2 3"'),
        good.replace("H 0 0.7 0 2 3 4\n", ""),
    ]
    (tmp_path / "a.xyz").write_text(good + "".join(good + b for b in bad) + good)
    data = collected(tmp_path / "a.xyz")
    assert len(data) == 8 and [n for n, _ in data.bad] == [2, 4, 6, 8, 10, 12]
    wanted = [
        "pos is not a number",
        "unknown element",
        "Lattice is not nine",
        "not a number: 'lots'",
        "stress is 3 numbers",
        "frame is cut",
    ]
    assert all(w in reason for w, (_, reason) in zip(wanted, data.bad, strict=True)), data.bad
    assert data.bad[0][1].endswith("line 9") and data.columns["rows"].tolist() == [
        0,
        1,
        3,
        5,
        7,
        9,
        11,
        13,
    ]


def test_what_is_written_is_read_by_us_and_by_ase(tmp_path: Path) -> None:
    frame = Frame(
        np.array([8, 1], np.uint8), np.array([[0, 0, 1 / 3], [0, 0.7, 0]]), np.diag([4.0, 5, 6]), (True, False, True),
        {"energy": -1.25, "name": "a b", "flag": True, "stress": FULL}, {"forces": FORCES, "tags": np.array([1, 2])},
    )  # fmt: skip
    empty = Frame(reason="cut", info={"reason": "cut"})
    (tmp_path / "a.xyz").write_text(text_of(frame) + text_of(empty) + text_of(frame))
    back = list(read(tmp_path / "a.xyz"))
    assert len(back) == 3 and back[1].reason
    assert np.allclose(back[2].pos, frame.pos, atol=1e-11) and np.allclose(back[2].arrays["forces"], FORCES) and back[2].pbc == frame.pbc
    assert back[2].info["name"] == "a b"
    (tmp_path / "b.xyz").write_text(text_of(frame))
    atoms = ase.io.read(tmp_path / "b.xyz")
    assert (
        atoms.get_potential_energy() == -1.25
        and np.allclose(atoms.get_forces(), FORCES)
        and np.allclose(atoms.get_stress(voigt=False), FULL)
    )
    assert atoms.pbc.tolist() == [True, False, True] and atoms.arrays["tags"].tolist() == [1, 2]


def test_files_that_nobody_can_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read(tmp_path / "none.extxyz")
    (tmp_path / "a.traj").write_text("not a trajectory")
    with pytest.raises(DataError, match=r"ASE can't read|can't tell the format"):
        list(read(tmp_path / "a.traj"))
    (tmp_path / "empty.xyz").write_text("")
    with pytest.raises(DataError, match="no frame can be used"):
        collected(tmp_path / "empty.xyz")


def test_of_a_cif_sites_that_are_shared_are_no_atoms_and_objects_of_its_reader_are_left(tmp_path: Path) -> None:
    ase.io.write(tmp_path / "whole.cif", ase.Atoms("NaCl", [[0, 0, 0], [2, 2, 2]], cell=[4, 4, 4], pbc=True))
    text = (tmp_path / "whole.cif").read_text()
    shared = text.replace("0.0  0.0  0.0  1.0000", "0.0  0.0  0.0  0.6000")
    assert shared != text
    (tmp_path / "shared.cif").write_text(shared)
    (frame,), (other,) = read(tmp_path / "whole.cif"), read(tmp_path / "shared.cif")
    assert not frame.reason and other.reason == "disordered: a site is shared"
    assert not {"spacegroup", "occupancy"} & set(frame.info)
