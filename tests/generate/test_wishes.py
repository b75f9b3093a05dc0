"""What is asked exactly is never violated: formula, elements, number of atoms, a fragment; one after the other and together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from heliograph.errors import DataError, UsageError
from heliograph.generate import keep
from heliograph.generate.data import Molecules
from heliograph.generate.draw import drawing
from heliograph.generate.process import VP
from heliograph.generate.sampler import Wish
from tests.generate.test_molecules import untrained


def fragment_file(folder: Path, smiles: str = "C(=O)O", drop: int = 1) -> Path:
    """Formic acid without the hydrogen at its carbon: where the rest may grow."""
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    rdDistGeom.EmbedMolecule(mol, randomSeed=3)
    mol = Chem.RWMol(mol)
    for _ in range(drop):
        mol.RemoveAtom(next(a.GetIdx() for a in mol.GetAtoms() if a.GetAtomicNum() == 1))
    for atom in mol.GetAtoms():
        atom.SetNoImplicit(True)
    path = folder / "fragment.sdf"
    path.write_text(Chem.MolToMolBlock(mol, kekulize=False) + "$$$$\n")
    return path


def bonds_within(m: Molecules, k: int, size: int) -> set[tuple[int, int, int]]:
    part = m.bonds_of(k)
    inside = (m.bonds[part] < size).all(1)
    return {(*sorted(pair), int(o)) for pair, o in zip(m.bonds[part][inside].tolist(), m.order[part][inside].tolist(), strict=True)}  # type: ignore[misc]


@pytest.mark.parametrize("n", [40, pytest.param(1000, marks=pytest.mark.slow)])
def test_samples_violate_nothing(tmp_path: Path, n: int) -> None:
    sampler, fragment = untrained(), keep.read(fragment_file(tmp_path))
    wanted = {(*sorted(pair), o) for pair, o in zip(fragment.bonds.tolist(), fragment.order.tolist(), strict=True)}
    wishes = [
        Wish(formula={6: 3, 1: 6, 8: 2}),
        Wish(elements=(1, 6, 8)),
        Wish(sizes=(12, 15)),
        Wish(keep=fragment),
        Wish(formula={6: 4, 1: 6, 8: 2}, keep=fragment),
        Wish(elements=(1, 6, 8), sizes=(13, 14), keep=fragment),
        Wish(sizes=(9, 9), elements=(1, 6, 7, 8), properties={"gap": (5.0, 6.0)}, guidance=1.5),
    ]
    numbers = {z: k for k, z in enumerate(sampler.vocabulary.species)}
    for number, wish in enumerate(wishes):
        seen = 0
        for drawn in sampler.sample(n, wish, seed=number):
            m = drawn.molecules
            for k in range(len(m)):
                at = m.atoms(k)
                z, seen = m.z[at], seen + 1
                assert all(int(e) in numbers for e in z)
                assert not wish.formula or dict(zip(*np.unique(z, return_counts=True), strict=True)) == wish.formula
                assert not wish.elements or set(z.tolist()) <= set(wish.elements)
                assert wish.sizes is None or wish.sizes[0] <= len(z) <= wish.sizes[1]
                assert all((drawn.asked[name] >= 5.0).all() and (drawn.asked[name] <= 6.0).all() for name in wish.properties)
                if wish.keep is not None:
                    size = len(fragment)
                    np.testing.assert_array_equal(z[:size], fragment.z)
                    np.testing.assert_array_equal(m.pos[at][:size], fragment.pos)
                    np.testing.assert_array_equal(m.charge[at][:size], fragment.charge)
                    assert bonds_within(m, k, size) == wanted
        assert seen == n


def test_the_rest_grows_around_the_fragment_in_one_frame(tmp_path: Path) -> None:
    """What is written is the sample as it was drawn, turned as a whole: distances across the fragment's border stay."""
    sampler, fragment = untrained(), keep.read(fragment_file(tmp_path))
    rng = np.random.default_rng(0)
    end = torch.from_numpy(rng.standard_normal((2 * 9, 3)))
    at = torch.tensor([[0, 1, 2, 3], [9, 10, 11, 12]])
    shape = torch.from_numpy(fragment.pos / sampler.vocabulary.scale)
    found = keep.placed(end, at, shape)
    for rows in at.tolist():
        own = (shape[:, None] - shape[None]).norm(dim=-1)
        there = (found[rows][:, None] - found[rows][None]).norm(dim=-1)
        torch.testing.assert_close(there, own, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(found[rows].mean(0), end[rows].mean(0))
        volume = torch.linalg.det(found[rows][1:] - found[rows][:1]) * torch.linalg.det(shape[1:] - shape[:1])
        assert float(volume) >= -1e-12  # not reflected
    torch.testing.assert_close(found[4:9], end[4:9])
    turn = torch.linalg.qr(torch.from_numpy(rng.standard_normal((3, 3)))).Q
    turn = turn * torch.linalg.det(turn)
    torch.testing.assert_close(keep.placed(end @ turn, at, shape), found @ turn)
    (drawn,) = sampler.sample(3, Wish(sizes=(12, 12), keep=fragment))
    assert np.isfinite(drawn.molecules.pos).all()
    (again,) = replace(sampler, process=VP(method="sde")).sample(3, Wish(sizes=(12, 12), keep=fragment))
    np.testing.assert_array_equal(again.molecules.pos[:4], fragment.pos)


def test_an_open_atom_has_one_single_bond_to_the_rest_and_noise_is_in_order(tmp_path: Path) -> None:
    sampler, fragment = untrained(), replace(keep.read(fragment_file(tmp_path)), open=0)
    k, seen = len(fragment), 0
    for drawn in sampler.sample(30, Wish(sizes=(10, 14), keep=fragment)):
        for m in range(len(drawn.molecules)):
            part = drawn.molecules.bonds_of(m)
            across = (drawn.molecules.bonds[part] >= k).sum(1) == 1
            assert (drawn.molecules.bonds[part][across] == 0).any(1).all() and (drawn.molecules.order[part][across] == 1).all()
            assert across.sum() <= 1
            seen += int(across.sum())
    assert seen > 0
    sizes, scale = np.array([9, 12]), sampler.vocabulary.scale
    noise = torch.randn(21, 3, generator=torch.Generator().manual_seed(0))
    begun = keep.begun(noise, sizes, fragment, scale)
    own = torch.from_numpy((fragment.pos - fragment.pos.mean(0)) / scale).float()
    for start, n in ((0, 9), (9, 12)):
        before, after = noise[start : start + n], begun[start : start + n]
        torch.testing.assert_close(before.norm(dim=1).sort().values, after.norm(dim=1).sort().values)  # permuted and turned
        assert (after[:k] * own).sum() > (before[:k] * own).sum()
        assert (after[k:].mean(0) - after[:k].mean(0)) @ own[0] > 0  # the rest lies out from the open atom


def test_fragments_and_wishes_that_can_not_be(tmp_path: Path) -> None:
    sampler, path = untrained(), fragment_file(tmp_path)
    fragment = keep.read(path)
    for wish, message in (
        (Wish(formula={6: 1, 1: 3, 8: 1}, keep=fragment), "fewer atoms of an element"),
        (Wish(elements=(1, 6), keep=fragment), "never seen or --elements"),
        (Wish(sizes=(2, 3), keep=fragment), "allows 3 at most"),
        (Wish(formula={6: 1, 1: 9}, sizes=(3, 4)), "has 10 atoms"),
    ):
        with pytest.raises(UsageError, match=message):
            next(sampler.sample(1, wish))
    two = tmp_path / "two.sdf"
    two.write_text(path.read_text() * 2)
    flat = tmp_path / "flat.sdf"
    flat.write_text(Chem.MolToMolBlock(Chem.MolFromSmiles("CCO")) + "$$$$\n")
    for bad, message in ((two, "this has 2 rows"), (flat, "drawing in 2D")):
        with pytest.raises(UsageError, match=message):
            keep.read(bad)
    with pytest.raises(DataError):
        keep.read(tmp_path / "absent.sdf")
    with pytest.raises(UsageError, match="draws conformers"):
        drawing("conformers", object(), Wish())
