"""Molecules in and out: arrays, the source, samples that keep what is exact, files, figures."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch

from heliograph.chem.atoms import Atoms, atoms_of, judge, mol_of
from heliograph.cli import main
from heliograph.data.record import MolBlock
from heliograph.data.sets import smallmol
from heliograph.errors import DataError, ModelFileError, StructureError, UsageError
from heliograph.generate import metrics, network, read, runner, write
from heliograph.generate.config import GenerateTrainConfig, GeneratorConfig, GeneratorFit
from heliograph.generate.data import Molecules, MoleculeSource, Vocabulary, complete, matched, pair_places
from heliograph.generate.metrics import Share, lookup_orders, stable_by_bonds, stable_by_lookup
from heliograph.generate.objective import Denoise
from heliograph.generate.process import Flow
from heliograph.generate.sampler import Sampler, Wish
from heliograph.graph import dense
from heliograph.learn.progress import silent


@lru_cache(maxsize=1)
def some() -> Molecules:
    """60 of the shipped molecules with their gaps."""
    shipped = smallmol.load()
    rows = range(0, 600, 10)
    found = [atoms_of(shipped.block(k)) for k in rows]
    return read.joined(found, {"gap": np.array([float(shipped.gap[k]) for k in rows])})


@lru_cache(maxsize=1)
def untrained() -> Sampler:
    known = Vocabulary.of(some(), np.arange(len(some())))
    torch.manual_seed(0)
    return Sampler(network.build(len(known.species), 2, d=16, depth=2, sets=4, pair=8, heads=2), known, Flow(), steps=6)


def test_arrays_are_the_molecules() -> None:
    shipped, found = smallmol.load(), some()
    for k in (0, 7, 59):
        at, part = found.atoms(k), found.bonds_of(k)
        verdict = judge(Atoms(found.z[at], found.charge[at], found.pos[at], found.bonds[part], found.order[part]))
        assert verdict.smiles == shipped.smiles[10 * k]
        assert verdict.connected and not verdict.radicals


def test_complete_graphs_and_the_places_of_pairs() -> None:
    sizes = np.array([3, 1, 0, 4])
    t = complete(sizes)
    assert (t.N, t.E, t.G) == (8, 6 + 0 + 0 + 12, 4)
    assert (t.receivers.diff() >= 0).all() and (t.senders != t.receivers).all() and t.symmetric
    pairs, graph = np.array([[0, 2], [3, 1]]), np.array([0, 3])
    places = pair_places(sizes, pairs, graph)
    offsets = np.array([0, 3, 4, 4])
    for place, (a, b), g in zip(places, pairs, graph, strict=True):
        assert (int(t.senders[place]), int(t.receivers[place])) == (a + offsets[g], b + offsets[g])


def test_a_batch_holds_what_it_learns() -> None:
    molecules, known = some(), untrained().vocabulary
    source, rows = MoleculeSource(molecules, known), np.array([3, 40, 17])
    graph, targets = source.batch(rows, 5), source.targets(rows)
    pos, start = dense(graph.nodes["pos"]), dense(graph.nodes["start"])
    of_graph = graph.topology.nodes_by_graph.index
    assert torch.zeros(3, 3).index_add(0, of_graph, pos).abs().max() < 1e-4
    assert torch.zeros(3, 3).index_add(0, of_graph, start).abs().max() < 1e-4
    assert torch.equal(dense(graph.nodes["species"]), targets["species"].value)
    order = targets["order"].value
    assert torch.equal(order, order[graph.topology.reverse]) and int(order.sum()) == 2 * sum(
        int(molecules.order[molecules.bonds_of(k)].sum()) for k in rows
    )
    bonded = order > 0  # bonds are short, whatever order the atoms were shuffled into
    apart = (pos[graph.topology.senders] - pos[graph.topology.receivers]).norm(dim=1) * known.scale
    assert apart[bonded].max() < 2.2 < 10 * apart[bonded].min()
    again = source.batch(rows, 5)
    assert torch.equal(dense(again.nodes["start"]), start)
    assert not torch.equal(dense(source.batch(rows, 6).nodes["start"]), start)
    assert torch.equal(dense(source.batch(rows, None).nodes["start"]), dense(source.batch(rows, None).nodes["start"]))
    alone = source.targets(np.array([17]))["order"].value
    assert torch.equal(alone, order[graph.topology.edges_by_graph.index == 2])


def test_matched_noise_is_nearer_and_not_reflected() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        x = rng.standard_normal((9, 3))
        x -= x.mean(0)
        noise = rng.standard_normal((9, 3))
        noise -= noise.mean(0)
        found = matched(noise, x)
        assert np.square(found - x).sum() < np.square(noise - x).sum()
        np.testing.assert_allclose(np.sort(np.linalg.norm(found, axis=1)), np.sort(np.linalg.norm(noise, axis=1)))
        place = np.array([np.argmin(np.abs(np.linalg.norm(noise, axis=1) - np.linalg.norm(f))) for f in found])
        turn = np.linalg.lstsq(noise[place], found, rcond=None)[0]
        assert np.linalg.det(turn) == pytest.approx(1.0, abs=1e-6)


def test_noise_that_is_a_mirror_image_is_turned_and_not_reflected() -> None:
    x = np.random.default_rng(0).standard_normal((6, 3)) * [3.0, 2.0, 0.2]  # nearly flat, so that atoms keep their partners
    x -= x.mean(0)
    found = matched(x * [1.0, 1.0, -1.0], x)
    assert np.linalg.det(np.linalg.lstsq(x * [1.0, 1.0, -1.0], found, rcond=None)[0]) == pytest.approx(1.0, abs=1e-6)
    assert np.abs(found - x).max() > 0.01


def test_answers_turn_with_the_noise_and_do_not_mind_the_order_of_atoms() -> None:
    sampler = untrained()
    model = network.build(len(sampler.vocabulary.species), 2, d=16, depth=2, sets=4, pair=8, heads=2).double()
    source = MoleculeSource(some(), sampler.vocabulary)
    graph = source.batch(np.array([3, 40]), 0).to(dtype=torch.float64).with_globals(t=torch.tensor([[0.3], [0.8]], dtype=torch.float64))
    rng = torch.Generator().manual_seed(0)
    turn = torch.linalg.qr(torch.randn(3, 3, generator=rng, dtype=torch.float64))[0]
    if torch.linalg.det(turn) > 0:
        turn[:, 0] *= -1  # a reflection
    pos = dense(graph.nodes["pos"])
    with torch.no_grad():
        one, two = model(graph), model(graph.with_nodes(pos=pos @ turn + 3.0))
    torch.testing.assert_close(two["move"], one["move"] @ turn, rtol=1e-9, atol=1e-9)
    for name in ("species", "charge", "order"):
        torch.testing.assert_close(two[name], one[name], rtol=1e-9, atol=1e-9)
    n = int(graph.topology.n_node[0])
    order = torch.cat([torch.randperm(n, generator=rng), torch.arange(n, graph.N)])
    with torch.no_grad():
        shuffled = model(graph.with_nodes(pos=pos[order], species=dense(graph.nodes["species"])[order]))
    torch.testing.assert_close(shuffled["move"], one["move"][order], rtol=1e-9, atol=1e-9)


def test_what_is_exact_is_kept() -> None:
    sampler = untrained()
    z = {"C": 6, "H": 1, "O": 8}
    batches = list(sampler.sample(7, Wish(formula={z["C"]: 2, z["H"]: 6, z["O"]: 1}), seed=1, batch_size=4))
    assert [len(b.molecules) for b in batches] == [4, 3]
    for batch in batches:
        for k in range(len(batch.molecules)):
            assert sorted(batch.molecules.z[batch.molecules.atoms(k)].tolist()) == [1] * 6 + [6, 6, 8]
    (drawn,) = sampler.sample(20, Wish(elements=(1, 6), sizes=(9, 11)), seed=2)
    assert set(drawn.molecules.z.tolist()) <= {1, 6} and set(drawn.molecules.n_atoms.tolist()) <= {9, 10, 11}
    (asked,) = sampler.sample(5, Wish(properties={"gap": (3.0, 4.0)}, guidance=2.0), seed=3)
    assert ((asked.asked["gap"] >= 3) & (asked.asked["gap"] <= 4)).all()
    (same,) = sampler.sample(5, Wish(properties={"gap": (3.0, 4.0)}, guidance=2.0), seed=3)
    np.testing.assert_array_equal(asked.molecules.pos, same.molecules.pos)
    (free,) = sampler.sample(5, Wish(properties={"gap": (3.0, 4.0)}, guidance=1.0), seed=3)
    assert not np.array_equal(asked.molecules.pos, free.molecules.pos)


def test_a_low_temperature_draws_the_likely_types() -> None:
    often = [np.bincount(next(replace(untrained(), temperature=t).sample(20, seed=4)).molecules.z).max() for t in (1e-3, 1e3)]
    assert often[0] > 1.5 * often[1]


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        (Wish(formula={79: 1, 1: 1}), "never seen the element with atomic number 79"),
        (Wish(elements=(92,)), "never seen the element"),
        (Wish(properties={"gapp": (1, 2)}), "knows no property 'gapp'"),
        (Wish(formula={1: 4, 6: 1}, sizes=(9, 9)), "--formula has 5 atoms and --atoms asks for 9 to 9"),
        (Wish(formula={1: 4, 6: 1}, elements=(1,)), "--elements leaves out"),
    ],
)
def test_wishes_that_cannot_be(wish: Wish, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        next(untrained().sample(1, wish))


def test_wishes_outside_the_data_are_said() -> None:
    known = untrained().vocabulary
    assert "lies outside the training data" in Wish(properties={"gap": (90, 91)}).check(known)[0]
    assert "expect poor samples" in Wish(sizes=(150, 160)).check(known)[0]
    assert Wish().check(known) == []


def test_figures_of_real_and_of_spoiled_molecules() -> None:
    good = metrics.molecules([some()])
    assert good.shares["valid"].value == 1.0 and good.shares["molecules stable, bonds"].value > 0.95
    assert good.shares["molecules stable, lookup"].value > 0.5
    shipped = smallmol.load()
    ethanol = next(k for k in range(len(shipped.smiles)) if shipped.smiles[k] == "CCO")
    one = atoms_of(shipped.block(ethanol))
    cases = {
        "a valence too much": one._replace(order=one.order + (np.arange(len(one.order)) == 0)),
        "a hydrogen is missing": Atoms(one.z[:-1], one.charge[:-1], one.pos[:-1], one.bonds[(one.bonds < len(one.z) - 1).all(1)],
                                       one.order[(one.bonds < len(one.z) - 1).all(1)]),
        "in pieces": one._replace(bonds=one.bonds[1:], order=one.order[1:]),
        "a charge": one._replace(charge=np.where(one.z == 8, -1, 0)),
    }  # fmt: skip
    for name, case in cases.items():
        found = metrics.molecules([read.joined([case])])
        assert found.shares["molecules stable, bonds"].value == 0.0, name
    missing = metrics.molecules([read.joined([cases["a hydrogen is missing"]])])
    assert missing.shares["valid"].value == 0 or missing.shares["with radicals, of the valid"].value == 1  # never an implicit hydrogen
    assert metrics.molecules([read.joined([cases["in pieces"]])]).shares["valid"].value == 0
    assert metrics.molecules([some()], training=good.smiles).shares["novel of the unique"].hits == 0


def test_the_table_of_lengths() -> None:
    z = np.array([6, 6])
    for length, order in ((1.13, 3), (1.22, 3), (1.24, 2), (1.38, 2), (1.40, 1), (1.63, 1), (1.65, 0)):
        assert lookup_orders(z, np.array([[0.0, 0, 0], [length, 0, 0]]))[0, 1] == order
    assert lookup_orders(np.array([6, 53]), np.array([[0.0, 0, 0], [1.0, 0, 0]])).sum() == 0
    methane = np.array([[0, 0, 0], [1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) * 1.09 / np.sqrt(3)
    assert stable_by_lookup(np.array([6, 1, 1, 1, 1]), methane).all()
    assert stable_by_lookup(np.array([6, 1, 1, 1]), methane[:4]).tolist() == [False, True, True, True]
    ammonium = np.array([[0, k] for k in (1, 2, 3, 4)])
    assert stable_by_bonds(np.array([7, 1, 1, 1, 1]), np.array([1, 0, 0, 0, 0]), ammonium, np.ones(4, int)).all()


def test_shares_have_wilsons_interval() -> None:
    from scipy.stats import binomtest

    for hits, n in ((0, 10), (7, 10), (500, 1000)):
        np.testing.assert_allclose(Share(hits, n).interval, binomtest(hits, n).proportion_ci(method="wilson"), rtol=1e-6, atol=1e-9)


def test_structures_that_teach_nothing() -> None:
    from rdkit import Chem

    with pytest.raises(StructureError, match="no 3D coordinates"):
        atoms_of("CCO")
    flat = Chem.MolFromSmiles("CCO")
    from rdkit.Chem import AllChem

    AllChem.Compute2DCoords(flat)
    with pytest.raises(StructureError, match="no 3D coordinates"):
        atoms_of(MolBlock(Chem.MolToMolBlock(flat)))
    solid = Chem.AddHs(Chem.MolFromSmiles("CCO"))
    AllChem.EmbedMolecule(solid, randomSeed=0)
    with pytest.raises(StructureError, match="hydrogens without coordinates"):
        atoms_of(MolBlock(Chem.MolToMolBlock(Chem.RemoveHs(solid))))
    assert mol_of(atoms_of(MolBlock(Chem.MolToMolBlock(solid)))).GetNumAtoms() == 9


def table(folder: Path, n: int = 40) -> Path:
    shipped = smallmol.load()
    path = folder / "some.sdf"
    path.write_text("".join(f"{shipped.block(k).text}\n>  <gap>\n{shipped.gap[k]}\n\n$$$$\n" for k in range(100, 100 + n)))
    return path


def config(folder: Path, **changes: object) -> GenerateTrainConfig:
    g = GeneratorConfig(data_path=table(folder), properties=("gap",), d=16, depth=1, sets=4, pair=8)
    fit = GeneratorFit(epochs=3, batch_size=8, **changes)  # type: ignore[arg-type]
    return GenerateTrainConfig(generator=g, fit=fit, output_dir=folder / "run")


def test_from_a_table_to_a_file_of_samples(tmp_path: Path) -> None:
    found = runner.run(config(tmp_path), progress=silent())
    assert found.molecules == {"train": 38, "val": 2} and np.isfinite(found.val_loss)
    sampler = runner.load(tmp_path / "run")
    text = "".join(write.entries(sampler.sample(6, Wish(properties={"gap": (5.0, 6.0)}), batch_size=4), ".sdf"))
    (tmp_path / "new.sdf").write_text(text)
    back, reasons = read.as_written(tmp_path / "new.sdf")
    assert len(back) == 6 and not reasons
    drawn = list(sampler.sample(6, Wish(properties={"gap": (5.0, 6.0)}), batch_size=4))
    np.testing.assert_allclose(back.pos, np.concatenate([d.molecules.pos for d in drawn]), atol=1e-4)
    np.testing.assert_array_equal(back.charge, np.concatenate([d.molecules.charge for d in drawn]))
    np.testing.assert_array_equal(np.sort(back.order), np.sort(np.concatenate([d.molecules.order for d in drawn])))
    assert text.count("<asked_gap>") == 6
    with pytest.raises(UsageError, match="holds a run already"):
        runner.run(config(tmp_path), progress=silent())
    with pytest.raises(UsageError, match="--epochs was 3, is 4"):
        runner.run(config(tmp_path).model_copy(update={"fit": GeneratorFit(epochs=4, batch_size=8)}), resume=True, progress=silent())
    (tmp_path / "run" / "mine.txt").write_text("precious")
    runner.run(config(tmp_path), overwrite=True, progress=silent())
    assert (tmp_path / "run" / "mine.txt").read_text() == "precious"


def test_properties_keep_their_places_in_a_model_file(tmp_path: Path) -> None:
    """A file's keys are sorted; the network's inputs are in the order in which the properties were named."""
    from heliograph.learn.state import tensors_of
    from heliograph.predictor import modelfile

    gap = some().properties["gap"]
    two = Molecules(**{**some().__dict__, "properties": {"gap": gap, "dipole": 2 * gap}})
    known = Vocabulary.of(two, np.arange(len(two)))
    torch.manual_seed(0)
    model = network.build(len(known.species), 4, d=16, depth=1, sets=4, pair=8)
    parts = {"task": "molecules", "vocabulary": known.to_dict(), "process": "flow"}
    sizes = {"d": 16, "depth": 1, "sets": 4, "pair": 8}
    modelfile.write(tmp_path / "m.safetensors", modelfile.Document("generator", "semla", sizes, {}, {}, parts), [tensors_of(model)])
    loaded = runner.load(tmp_path / "m.safetensors")
    assert list(loaded.vocabulary.properties) == ["gap", "dipole"]
    before = Sampler(model, known, Flow(), steps=4)
    wish = Wish(properties={"dipole": (20.0, 20.0)})
    first, second = (next(s.sample(3, wish, seed=2)).molecules for s in (before, replace(loaded, steps=4)))
    np.testing.assert_array_equal(first.pos, second.pos)


def test_a_killed_training_goes_on_to_the_same_file(tmp_path: Path) -> None:
    from heliograph.learn.loop import Member

    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    runner.run(config(tmp_path / "a"), progress=silent())
    original, left = Member.step, [7]

    def step(self: Member, *args: object) -> object:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return original(self, *args)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Member, "step", step)
        with pytest.raises(KeyboardInterrupt):
            runner.run(config(tmp_path / "b"), progress=silent())
    runner.run(config(tmp_path / "b"), resume=True, progress=silent())
    one, two = (runner.load(tmp_path / d / "run").model.state_dict() for d in "ab")
    assert all(torch.equal(one[k], two[k]) for k in one)


def test_what_was_said_before_is_seen_and_only_through_invariants() -> None:
    sampler = untrained()
    graph = MoleculeSource(some(), sampler.vocabulary).batch(np.array([3, 8]), 1)
    graph = graph.with_globals(t=torch.full((2, 1), 0.4))
    model = sampler.model.eval()
    with torch.no_grad():
        first = model(graph)
        said = network.told(graph, first)
        second = model(said)
        turn, _ = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(0)))
        turned = said.with_nodes(pos=dense(said.nodes["pos"]) @ turn, end=dense(said.nodes["end"]) @ turn)
        third = model(turned)
    for name in ("move", "species", "order"):
        assert (second[name] - first[name]).abs().max() > 1e-4
    torch.testing.assert_close(third["move"], second["move"] @ turn, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(third["order"], second["order"], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(dense(said.nodes["end"]), dense(graph.nodes["pos"]) + 0.6 * first["move"])


def test_a_gap_in_training_leads_to_lower_loss() -> None:
    """The objective falls by learning: a network trained on a few molecules beats the one that it began as."""
    from heliograph.learn import Job, train
    from heliograph.learn.config import FitConfig

    known = untrained().vocabulary
    job = Job(
        MoleculeSource(some(), known), {"train": np.arange(50), "val": np.arange(50, 60)},
        lambda: network.build(len(known.species), 2, d=32, depth=1, sets=4, pair=8, heads=2), Denoise(Flow(), known.masked),
        FitConfig(epochs=8, batch_size=10, max_lr=3e-3),
    )  # fmt: skip
    history = train(job)[0].history
    assert history[-1].val_loss < 0.75 * history[0].val_loss


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "no molecule"), ("CCO\n", "can't|no molecule|nothing"), ("3\n\nC 0 0 0\nH 0 0\n", "no molecule")],
)
def test_tables_that_teach_nothing(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.xyz"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read.molecules(path)


def test_another_kind_of_model_is_named(tmp_path: Path) -> None:
    from tests.predictor.test_modelfile import make

    make(d=8).save(tmp_path / "m.safetensors")
    with pytest.raises(ModelFileError, match="is a model of molecules, not a generator"):
        runner.load(tmp_path / "m.safetensors")


@pytest.mark.parametrize(
    "change",
    [
        {"arch_args": {"d": 10**9, "depth": 5, "sets": 8, "pair": 32}},
        {"arch_args": {"d": 24, "depth": 10**8, "sets": 4, "pair": 8}},
        {"arch_args": {"d": "wide"}},
        {"parts": {"vocabulary": {}, "process": "flow"}},
        {"parts": {}},
    ],
    ids=str,
)
def test_a_strangers_file_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    from heliograph.learn.state import tensors_of
    from heliograph.predictor import modelfile

    sampler = untrained()
    parts = {"vocabulary": sampler.vocabulary.to_dict(), "process": "flow"}
    whole = modelfile.Document("generator", "semla", {"d": 16, "depth": 2, "sets": 4, "pair": 8}, {}, {}, parts)
    modelfile.write(tmp_path / "m.safetensors", replace(whole, **change), [tensors_of(sampler.model)])  # type: ignore[arg-type]
    with pytest.raises(ModelFileError, match=r"m\.safetensors"):
        runner.load(tmp_path / "m.safetensors")


def test_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    trained = config(tmp_path)

    def command(*args: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["generate", *args])
        return (int(ended.value.code or 0), *capsys.readouterr())

    g, fit = trained.generator, trained.fit
    sizes = [f"--{k}={getattr(g, k)}" for k in ("d", "depth", "sets", "pair")]
    code, out, _ = command("train", "some.sdf", "--properties", "gap", *sizes, f"--epochs={fit.epochs}", "--batch-size=8", "-o", "run")
    assert code == 0 and "38 molecules learned" in out
    done = command("sample", "run", "-n", "5", "-o", "new.sdf", "--formula", "C2H6O", "--where", "gap=5..6", "-q")
    assert done[0] == 0, done
    assert (tmp_path / "new.sdf").read_text().count("C2H6O") == 5
    again = command("sample", "run", "-o", "new.sdf")
    assert again[0] == 2 and "exists. Give --overwrite" in again[2]
    scored = command("evaluate", "new.sdf", "--against", "some.sdf", "-o", "figures.json")
    assert scored[0] == 0 and "molecules stable, bonds" in scored[1], scored
    assert json.loads((tmp_path / "figures.json").read_text())["valid"]["n"] == 5
    for wrong, message in (("C1H9x", "expected element symbols"), ("C2Xx", "not the symbol"), ("H", "it has 1 atoms")):
        bad = command("sample", "run", "-o", "other.sdf", "--formula", wrong)
        assert bad[0] == 2 and message in bad[2]
