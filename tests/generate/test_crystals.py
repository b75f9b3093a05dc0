"""Crystals: cells as six numbers, the torus, symmetries of trajectories, files that read back equal, figures, the command line."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch

from heliograph.cli import main
from heliograph.data import frames
from heliograph.errors import DataError, UsageError
from heliograph.generate.crystals import metrics, network, read, write
from heliograph.generate.crystals.data import Crystals, CrystalSource, Vocabulary, cells_of, logs, near, wrapped
from heliograph.generate.crystals.objective import Crystallise, along
from heliograph.generate.crystals.sampler import CrystalSampler
from heliograph.generate.sampler import Wish
from heliograph.graph import Graph, dense

PEROVSKITE = np.array([[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])


def turn(seed: int = 0) -> np.ndarray:
    q, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((3, 3)))
    return q * np.sign(np.linalg.det(q))


@lru_cache(maxsize=1)
def perovskites() -> Crystals:
    """60 of ABO3 and ABN3 with a few elements, lattice constants by a rule, slightly skewed and shifted."""
    rng, each = np.random.default_rng(0), []
    for k in range(60):
        z = np.array([[38, 56, 20][k % 3], [22, 40][k % 2], *[[8, 7][k % 5 == 0]] * 3])
        cell = np.diag([3.6 + 0.01 * z[0] / 2] * 3) + 0.1 * rng.standard_normal((3, 3))
        each.append((z, PEROVSKITE + 0.01 * rng.standard_normal((5, 3)), cell @ turn(k)))
    return read.joined(each)


@lru_cache(maxsize=1)
def untrained() -> CrystalSampler:
    known = Vocabulary.of(perovskites(), np.arange(60))
    torch.manual_seed(0)
    return CrystalSampler(network.build(len(known.species), 16, 2), known, steps=5)


def test_six_numbers_are_a_cell_but_for_how_it_is_turned() -> None:
    rng = np.random.default_rng(0)
    cells = 4 * np.eye(3) + rng.standard_normal((50, 3, 3))
    cells[np.linalg.det(cells) < 0] *= -1
    six = logs(cells)
    np.testing.assert_allclose(logs(cells @ turn(3)), six, atol=1e-9)
    back = cells_of(six)
    np.testing.assert_allclose(back @ np.swapaxes(back, 1, 2), cells @ np.swapaxes(cells, 1, 2), atol=1e-8)
    np.testing.assert_allclose(six[:, :3].sum(1), np.log(np.linalg.det(cells)), atol=1e-9)  # the trace is the volume's logarithm
    known = Vocabulary.of(perovskites(), np.arange(60))
    again = known.unscaled(known.scaled(perovskites().cells, perovskites().n_atoms), perovskites().n_atoms)
    np.testing.assert_allclose(logs(again), logs(perovskites().cells), atol=1e-9)
    assert Vocabulary.from_dict(known.to_dict()) == known


def test_the_way_on_the_torus_is_the_short_one_and_moves_no_centre() -> None:
    rng = np.random.default_rng(1)
    start, frac = rng.random((10, 3)), rng.random((10, 3))
    graph = Graph(CrystalSource(perovskites(), untrained().vocabulary).batch(np.array([0, 1]), 1).topology)
    by_graph = graph.topology.nodes_by_graph
    way = along(torch.from_numpy(start), torch.from_numpy(frac), by_graph).numpy()
    np.testing.assert_allclose(way.reshape(2, 5, 3).mean(1), 0, atol=1e-12)
    apart = wrapped(start + way - frac).reshape(2, 5, 3)  # the end is the crystal, moved as a whole
    np.testing.assert_allclose(wrapped(apart - apart[:, :1]), 0, atol=1e-12)
    z = np.array([8, 8, 8, 22, 38])
    found = near(start[:5], frac[:5], z)
    assert np.square(wrapped(found - frac[:5])).sum() <= np.square(wrapped(start[:5] - frac[:5])).sum()
    np.testing.assert_array_equal(found[3:], start[3:5])
    np.testing.assert_allclose(np.sort(found[:3], 0), np.sort(start[:3], 0))


def test_trajectories_move_with_the_crystal() -> None:
    """All atoms moved by one vector, renumbered, or a lattice turned: the same crystal after 50 steps, in float64."""
    sampler = untrained()
    model = network.build(len(sampler.vocabulary.species), 16, 2).double()
    rng = np.random.default_rng(0)
    graph = CrystalSource(perovskites(), sampler.vocabulary).batch(np.array([4]), 1)
    start = torch.from_numpy(rng.random((5, 3)))
    species, lattice = dense(graph.nodes["species"]), torch.from_numpy(rng.standard_normal((1, 6)))

    def end(frac: torch.Tensor, species: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        cell = lattice
        for k in range(50):
            t = torch.full((1, 1), k / 50, dtype=torch.float64)
            with torch.no_grad():
                found = model(Graph(graph.topology, {"frac": frac, "species": species}, globals={"lattice": cell, "t": t}))
            frac, cell = frac + found["move"] / 50, cell + found["lattice"] / 50
        return frac, cell

    usual, cell = end(start, species)
    shift = torch.tensor([0.3, -2.7, 0.45], dtype=torch.float64)
    moved, same = end(start + shift, species)
    torch.testing.assert_close(moved, usual + shift, rtol=0, atol=1e-9)
    torch.testing.assert_close(same, cell, rtol=0, atol=1e-9)
    wound, _ = end(start + torch.tensor([[1.0, 0, 0], [0, 2, 0], [0, 0, 0], [0, 0, -1], [0, 0, 0]]).double(), species)
    torch.testing.assert_close(torch.remainder(wound - usual + 0.5, 1.0), torch.full_like(usual, 0.5), rtol=0, atol=1e-9)
    order = torch.tensor([3, 0, 4, 1, 2])
    other, _ = end(start[order], species[order])
    torch.testing.assert_close(other, usual[order], rtol=0, atol=1e-9)


def test_batches_follow_from_the_step_and_hold_what_is_learned() -> None:
    source, rows = CrystalSource(perovskites(), untrained().vocabulary), np.array([7, 3])
    one, two = source.batch(rows, 5), source.batch(rows, 5)
    for name in ("frac", "start"):
        assert torch.equal(dense(one.nodes[name]), dense(two.nodes[name]))
        assert not torch.equal(dense(one.nodes[name]), dense(source.batch(rows, 6).nodes[name]))
    species = source.targets(rows)["species"].value
    assert torch.equal(species, dense(one.nodes["species"]))
    objective, model = Crystallise(untrained().vocabulary.masked), untrained().model
    torch.manual_seed(0)
    sums = objective.losses(objective.outputs(model, one, source.targets(rows)), source.targets(rows))
    assert set(sums) == set(objective.counts(source.targets(rows))) and all(torch.isfinite(x) for x in sums.values())


def test_formulas_elements_and_sizes_are_kept() -> None:
    sampler = untrained()
    for wish in (Wish(formula={38: 1, 22: 1, 8: 3}), Wish(elements=(8, 20)), Wish(sizes=(5, 5), elements=(7,)), Wish(sizes=(7, 9))):
        for batch in sampler.sample(40, wish, seed=3, batch_size=16):
            for k in range(len(batch)):
                z = batch.formula(k)
                assert not wish.formula or z == (8, 8, 8, 22, 38)
                assert not wish.elements or set(z) <= set(wish.elements)
                assert wish.sizes is None or wish.sizes[0] <= len(z) <= wish.sizes[1]
    assert wish.check(sampler.vocabulary) == ["Nothing in the training data has 7 to 9 atoms (there are 5 to 5): expect poor samples."]
    for bad, message in ((Wish(formula={92: 1, 8: 2}), "never seen"), (Wish(properties={"gap": (1, 2)}), "no property")):
        with pytest.raises(UsageError, match=message):
            next(sampler.sample(1, bad))
    first, second = (next(sampler.sample(3, seed=9)) for _ in range(2))
    np.testing.assert_array_equal(first.frac, second.frac)


@pytest.mark.parametrize("ending", [".cif", ".extxyz", ""])
def test_files_read_back_equal(tmp_path: Path, ending: str) -> None:
    some = perovskites()
    entries = list(write.entries([some], ending))
    if ending:
        (tmp_path / f"new{ending}").write_text("".join(entries))
        back, reasons = read.crystals(tmp_path / f"new{ending}")
    else:
        for k, entry in enumerate(entries):
            (tmp_path / f"POSCAR_{k:03d}").write_text(entry)
        back, reasons = read.crystals(tmp_path)
    assert not reasons and len(back) == len(some)
    for k in range(len(some)):
        a, b = some.atoms(k), back.atoms(k)
        order = np.argsort(some.z[a], kind="stable") if not ending else np.arange(5)
        np.testing.assert_array_equal(back.z[b], some.z[a][order])
        np.testing.assert_allclose(wrapped(back.frac[b] - some.frac[a][order]), 0, atol=2e-8)
    np.testing.assert_allclose(logs(back.cells), logs(some.cells), atol=1e-7)


def test_structures_that_are_none() -> None:
    cell = np.eye(3) * 4
    assert metrics.valid_structure(PEROVSKITE, cell)
    assert not metrics.valid_structure(PEROVSKITE, cell * 0.1)
    assert not metrics.valid_structure(np.array([[0.01, 0, 0], [0.99, 0, 0]]), cell)  # near one another across the border
    assert metrics.shortest(np.zeros((1, 3)), np.diag([0.4, 5, 5])) == pytest.approx(0.4)  # its own image
    assert metrics.density(np.array([11, 17] * 4), np.eye(3) * 5.64) == pytest.approx(2.164, abs=0.003)  # rock salt
    some = perovskites()
    found = metrics.crystals(some, some)
    assert found.shares["valid structure"].value == 1 and found.shares["formulas that are new, of those"].value == 0
    assert all(value == 0 for value in found.distances.values())


def test_what_can_not_be_learned_from(tmp_path: Path) -> None:
    (tmp_path / "molecule.extxyz").write_text("2\nProperties=species:S:1:pos:R:3\nH 0 0 0\nH 0 0 0.7\n")
    (tmp_path / "flat.extxyz").write_text('1\nLattice="4 0 0 4 0 0 0 0 4" Properties=species:S:1:pos:R:3 pbc="T T T"\nNa 0 0 0\n')
    (tmp_path / "shared.cif").write_text(
        write.cif(np.array([11, 17]), np.array([[0, 0, 0], [0.5, 0.5, 0.5]]), np.eye(3) * 4, "x").replace("0.50000000 1", "0.50000000 0.5")
    )
    (tmp_path / "empty.cif").write_text("")
    for name, message in (("molecule.extxyz", "no cell that is periodic"), ("flat.extxyz", "without volume"), ("shared.cif", "disordered")):
        with pytest.raises(DataError, match=message):
            read.crystals(tmp_path / name)
    for name in ("empty.cif", "absent.cif"):
        with pytest.raises(DataError):
            read.crystals(tmp_path / name)


def test_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "some.extxyz").write_text("".join(write.entries([perovskites()], ".extxyz")))

    def command(*args: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["generate", *args])
        return (int(ended.value.code or 0), *capsys.readouterr())

    small = ("--d", "16", "--depth", "1", "--epochs", "2", "-o", "run")
    code, out, err = command("train", "some.extxyz", "--task", "crystals", *small)
    assert code == 0 and "crystals learned" in out, (out, err)
    for name in ("new.cif", "new.extxyz"):
        assert command("sample", "run", "-n", "4", "--formula", "SrTiO3", "--steps", "3", "-o", name)[0] == 0
        read_back = list(frames.read(tmp_path / name))
        assert [sorted(f.z.tolist()) for f in read_back] == [[8, 8, 8, 22, 38]] * 4
    assert command("sample", "run", "-n", "3", "--steps", "3", "-o", "poscars")[0] == 0
    assert len(list((tmp_path / "poscars").iterdir())) == 3
    scored = command("evaluate", "new.cif", "--against", "some.extxyz", "-o", "figures.json")
    assert scored[0] == 0 and "valid structure" in scored[1] and "density" in scored[1], scored
    assert command("evaluate", "poscars")[0] == 0
    for args, message in (
        (("--process", "sde", "-o", "a.cif"), "crystals are drawn by flow"),
        (("-o", "a.sdf"), "crystals are written as"),
        (("-o", "a.cif", "--where", "gap=1"), "no property"),
        (("-o", "a.cif", "--formula", "UO2"), "never seen"),
    ):
        bad = command("sample", "run", *args)
        assert bad[0] == 2 and message in bad[2]
    wrong = command("train", "some.extxyz", "--task", "crystals", "--properties", "gap", "-o", "other")
    assert wrong[0] == 2 and "without --properties" in wrong[2]
    assert command("conformers", "run", "x.smi")[0] == 1
