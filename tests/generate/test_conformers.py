"""Conformers of given molecules: hands, cis and trans, the prior, equivariance with mirror images told apart, files and reasons."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from heliograph.chem.alike import rmsds
from heliograph.chem.given import CIS, TRANS, Given, given, positions, stereo_kept
from heliograph.cli import main
from heliograph.data.record import Geometry, MolBlock
from heliograph.data.sets import smallmol
from heliograph.errors import DataError, ModelFileError, StructureError, UsageError
from heliograph.generate import runner
from heliograph.generate.config import GenerateTrainConfig, GeneratorConfig, GeneratorFit
from heliograph.generate.conformers import metrics, network
from heliograph.generate.conformers.data import ConformerSource, Prior, graph_of
from heliograph.generate.conformers.sampler import Folder
from heliograph.generate.data import turned
from heliograph.graph import Graph, dense
from heliograph.learn.progress import silent

BUTENE, BUTENE_Z = "C/C=C/C", "C/C=C\\C"


@lru_cache(maxsize=1)
def some() -> list[Given]:
    shipped = smallmol.load()
    return [given(shipped.block(k)) for k in range(5, 2000, 40)]


def embedded(molecule: Given, seed: int = 7) -> np.ndarray:
    mol = Chem.Mol(molecule.mol)
    assert rdDistGeom.EmbedMolecule(mol, randomSeed=seed) == 0
    return np.asarray(mol.GetConformer().GetPositions())


def signs(molecule: Given, pos: np.ndarray) -> np.ndarray:
    return np.array([np.sign(np.linalg.det(pos[near] - pos[i])) for i, *near in molecule.around])


def test_hands_are_those_of_the_positions_whichever_way_a_molecule_came() -> None:
    shipped, centres = smallmol.load(), 0
    for k in range(0, 6000, 60):
        block = given(shipped.block(k))
        np.testing.assert_array_equal(signs(block, positions(block)), block.hand)
        assert stereo_kept(block, positions(block))
        centres += len(block.hand)
    assert centres > 30
    for smiles in ("C[C@H](O)F", "C[C@@H](O)F", "O[C@H]1C[C@@H]1F", "C[S@](=O)CC"):
        molecule = given(smiles)
        pos = embedded(molecule)
        np.testing.assert_array_equal(signs(molecule, pos), molecule.hand)
        assert stereo_kept(molecule, pos) and not stereo_kept(molecule, pos * [1, 1, -1])
    assert stereo_kept(given("CC(O)F"), embedded(given("C[C@H](O)F")))  # what was left open may be anything


def test_cis_and_trans_are_pairs_across_a_double_bond() -> None:
    for smiles, kind in ((BUTENE, TRANS), (BUTENE_Z, CIS)):
        molecule = given(smiles)
        assert molecule.kinds[0, 3] == molecule.kinds[3, 0] == kind
        assert (molecule.kinds == TRANS).sum() == (molecule.kinds == CIS).sum() == 4  # two pairs each, both ways
        assert stereo_kept(molecule, embedded(molecule))
    assert not stereo_kept(given(BUTENE), embedded(given(BUTENE_Z)))
    assert not (given("CC=CC").kinds >= CIS).any()


def test_what_can_not_be_given() -> None:
    for text, message in (("CO.CO", "in pieces"), ("[He]", "one atom alone"), ("C->[Fe]", "neither single, double"), ("xyz", "not")):
        with pytest.raises(StructureError, match=message):
            given(text)
    with pytest.raises(StructureError, match="no bonds"):
        given(Geometry(np.array([1, 1]), np.zeros((2, 3))))
    with pytest.raises(StructureError, match="no 3D"):
        positions(given("CO"))


def test_the_prior_has_the_covariance_of_springs() -> None:
    molecule = given("CCO")
    prior, rng = Prior(molecule.kinds), np.random.default_rng(0)
    drawn = np.stack([prior.draw(rng) for _ in range(20_000)])
    bonded = ((molecule.kinds >= 1) & (molecule.kinds <= 4)).astype(float)
    expected = np.linalg.pinv(np.diag(bonded.sum(1)) - bonded) / 2.5
    np.testing.assert_allclose(np.einsum("sik,sjk->ij", drawn, drawn) / 60_000, expected, atol=0.03)
    np.testing.assert_allclose(drawn.mean(1), 0, atol=1e-9)


def test_noise_is_turned_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    for _ in range(10):
        x, noise = rng.standard_normal((8, 3)), rng.standard_normal((8, 3))
        found = turned(noise, x)
        rotation = np.linalg.lstsq(noise, found, rcond=None)[0]
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-9)
        assert np.linalg.det(rotation) == pytest.approx(1)
        assert np.square(found - x).sum() <= np.square(noise - x).sum() + 1e-9


def untrained(depth: int = 2) -> Folder:
    torch.manual_seed(0)
    return Folder(network.build(7, d=16, depth=depth, sets=4, pair=8), (1, 6, 7, 8, 9, 16, 17), 1.5, steps=6)


def test_reflected_noise_and_hands_give_the_reflected_conformer() -> None:
    """Rotation, reflection with hands changed, and renumbering, over a whole trajectory in float64."""
    folder = untrained()
    model = folder.model.double()
    molecule = given("C[C@H](O)[C@@H](F)/C=C/Cl")
    start = Prior(molecule.kinds).draw(np.random.default_rng(1))

    def end(m: Given, x: np.ndarray) -> np.ndarray:
        graph = as_double(graph_of([m], folder.species, pos=x), x)
        with torch.no_grad():
            for k in range(50):
                graph = graph.with_globals(t=torch.full((1, 1), k / 50, dtype=torch.float64))
                pos = dense(graph.nodes["pos"])
                move = model(graph)["move"]
                graph = graph.with_nodes(pos=pos + move / 50, end=pos + (1 - k / 50) * move)
        return dense(graph.nodes["pos"]).numpy()

    usual = end(molecule, start)
    turn, _ = np.linalg.qr(np.random.default_rng(2).standard_normal((3, 3)))
    turn *= np.sign(np.linalg.det(turn))
    np.testing.assert_allclose(end(molecule, start @ turn), usual @ turn, atol=1e-9)
    mirror = np.array([1.0, 1.0, -1.0])
    np.testing.assert_allclose(end(molecule._replace(hand=-molecule.hand), start * mirror), usual * mirror, atol=1e-9)
    assert np.abs(end(molecule, start * mirror) - usual * mirror).max() > 1e-4  # mirror images are told apart
    order = np.random.default_rng(3).permutation(len(start))
    place = np.argsort(order)
    other = molecule._replace(
        z=molecule.z[order], charge=molecule.charge[order], kinds=molecule.kinds[np.ix_(order, order)], around=place[molecule.around]
    )
    np.testing.assert_allclose(end(other, start[order]), usual[order], atol=1e-9)


def as_double(graph: Graph, pos: np.ndarray) -> Graph:
    return graph.with_nodes(pos=torch.from_numpy(pos), hand=dense(graph.nodes["hand"]).double())


def test_a_batch_is_its_molecules_one_by_one_and_noise_follows_from_the_step() -> None:
    molecules = some()[:6]
    source = ConformerSource(molecules, [positions(m) for m in molecules], (1, 6, 7, 8, 9, 16, 17), 1.5)
    rows = np.array([4, 1, 3])
    graph = source.batch(rows, 3)
    assert torch.equal(dense(source.batch(rows, 3).nodes["start"]), dense(graph.nodes["start"]))
    assert not torch.equal(dense(source.batch(rows, 4).nodes["start"]), dense(graph.nodes["start"]))
    assert len(source.targets(rows)["atom"]) == graph.topology.N
    model = untrained().model.eval()
    both = model(graph.with_globals(t=torch.full((3, 1), 0.3)))["move"]
    alone = model(
        source.batch(rows[:1], 3).with_globals(t=torch.full((1, 1), 0.3)).with_nodes(pos=dense(graph.nodes["pos"])[: len(molecules[4].z)])
    )
    torch.testing.assert_close(alone["move"], both[: len(molecules[4].z)], rtol=1e-4, atol=1e-5)


def table(folder: Path) -> Path:
    shipped = smallmol.load()
    (folder / "conformers.sdf").write_text("".join(f"{shipped.block(k).text}\n$$$$\n" for k in range(0, 400, 10)))
    return folder / "conformers.sdf"


def test_from_a_table_to_conformers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    g = GeneratorConfig(data_path=table(tmp_path), task="conformers", d=16, depth=1, sets=4, pair=8)
    config = GenerateTrainConfig(generator=g, fit=GeneratorFit(epochs=2, batch_size=8), output_dir=tmp_path / "run")
    found = runner.run(config, progress=silent())
    assert found.molecules["train"] == 38 and np.isfinite(found.val_loss)
    (tmp_path / "some.smi").write_text("CCO\nC/C=C/C\nCCO.CCO\nC[Si](C)C\nnonsense\nC[C@H](O)F\n")

    def command(*args: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["generate", "conformers", *args])
        return (int(ended.value.code or 0), *capsys.readouterr())

    code, out, _ = command("run", "some.smi", "-n", "4", "--steps", "3", "-o", "new.sdf", "--reasons", "why.csv")
    assert code == 0 and "conformers in" in out
    reasons = (tmp_path / "why.csv").read_text()
    assert "in pieces" in reasons and "never seen: Si" in reasons and "not" in reasons
    blocks = [block for block in (tmp_path / "new.sdf").read_text().split("$$$$\n") if block]
    assert 4 <= len(blocks) <= 12
    for block in blocks:  # whatever was written has the stereo that was asked for
        molecule = given(MolBlock(block))
        smiles = block.split("<smiles>\n")[1].splitlines()[0]
        assert stereo_kept(given(smiles), np.zeros((len(molecule.z), 3))) or molecule.smiles == smiles
    again = command("run", "some.smi", "-n", "4", "--steps", "3", "-o", "again.sdf", "-q")
    assert again[0] == 0 and (tmp_path / "again.sdf").read_bytes() == (tmp_path / "new.sdf").read_bytes()
    (tmp_path / "bad.smi").write_text("nonsense\n")
    for args, message in (
        (("run", "some.smi", "-o", "new.sdf"), "exists. Give --overwrite"),
        (("run", "some.smi", "-o", "new.xyz"), "written as .sdf"),
        (("run", "bad.smi", "-o", "none.sdf"), "no conformer was drawn"),
    ):
        bad = command(*args)
        assert bad[0] in (1, 2) and message in bad[2]
    assert not (tmp_path / "none.sdf").exists()
    with pytest.raises(ModelFileError, match="generates conformers, not molecules"):
        runner.load(tmp_path / "run")
    with pytest.raises(UsageError, match="without --properties"):
        runner.run(config.model_copy(update={"generator": g.model_copy(update={"properties": ("gap",)}), "output_dir": tmp_path / "b"}))


def test_ensembles_against_hand_made_matrices() -> None:
    one = np.array([[0.1, 0.9], [0.6, 0.7], [2.0, 0.4]])  # three references, two drawn
    found = metrics.ensembles([one, np.array([[0.2]])])
    assert found.coverage_recall == pytest.approx((2 / 3 + 1) / 2)
    assert found.coverage_precision == pytest.approx(1)
    assert found.matching_recall == pytest.approx(((0.1 + 0.6 + 0.4) / 3 + 0.2) / 2)
    assert found.matching_precision == pytest.approx(((0.1 + 0.4) / 2 + 0.2) / 2)
    nothing = metrics.ensembles([one, np.zeros((2, 0))])
    assert nothing.coverage_recall == pytest.approx(1 / 3) and nothing.nothing_drawn == 1
    with pytest.raises(ValueError, match="without references"):
        metrics.ensembles([np.zeros((0, 2))])


def test_distances_between_conformers_know_symmetry_and_not_reflection() -> None:
    molecule = given("C[C@H](O)F")
    pos = embedded(molecule)
    swapped = pos.copy()
    hydrogens = [n.GetIdx() for n in molecule.mol.GetAtomWithIdx(0).GetNeighbors() if n.GetAtomicNum() == 1]
    swapped[hydrogens] = pos[np.roll(hydrogens, 1)]
    found = rmsds(molecule, [pos], [pos @ turned_by(1) + 3, swapped, pos * [1, 1, -1]])
    np.testing.assert_allclose(found[0, :2], 0, atol=1e-4)
    assert found[0, 2] > 0.2
    benzene = given("c1ccccc1O")
    ring = embedded(benzene)
    flipped = ring.copy()  # the two sides of phenol's ring exchanged
    for a, b in ((0, 4), (1, 3)):
        flipped[[a, b]] = ring[[b, a]]
    assert rmsds(benzene, [ring], [flipped])[0, 0] < 0.1
    water = given("O")
    assert rmsds(water, [embedded(water)], [embedded(water, 9)])[0, 0] < 0.05  # fewer than three heavy atoms: hydrogens count


def turned_by(seed: int) -> np.ndarray:
    q, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((3, 3)))
    return np.asarray(q * np.sign(np.linalg.det(q)))


def test_a_table_without_conformers(tmp_path: Path) -> None:
    (tmp_path / "flat.smi").write_text("CCO\nCCC\n")
    g = GeneratorConfig(data_path=tmp_path / "flat.smi", task="conformers")
    with pytest.raises(DataError, match="no conformer to learn from: 2 no 3D coordinates"):
        runner.run(GenerateTrainConfig(generator=g, output_dir=tmp_path / "run"), progress=silent())
