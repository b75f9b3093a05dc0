"""Contributions of atoms: those of an additive network, sums, symmetry, other writings; the page
and the table.
"""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from heliograph import zoo
from heliograph.active import SuggestConfig, suggest
from heliograph.blocks.readout import AtomWise
from heliograph.chem import featurize
from heliograph.chem.draw import RING, draw_svg
from heliograph.chem.featurizer import preset
from heliograph.data.store import Store
from heliograph.errors import UsageError
from heliograph.explain import METHODS, ExplainConfig, Explained, explain, explain_file
from heliograph.explain.colours import colours, scale_of
from heliograph.explain.rationale import KEPT
from heliograph.explain.value import Value
from heliograph.graph import Graph, dense
from heliograph.model import MPNN, Inputs
from heliograph.predictor import Document, Predictor, Scaling, Task
from heliograph.report.explained import verdict, write
from heliograph.uncertainty.domain import Domain
from tests.cli.conftest import Run, make_run

ASPIRIN, SALT = "CC(=O)Oc1ccccc1C(=O)O", "[Na+].[O-]C(=O)c1ccccc1"
TOLERANCE = {"integrated-gradients": 1e-3, "shapley": 1e-5, "myerson": 1e-5}


class Plain(nn.Module):
    """h_i = x_i: nothing is passed."""

    def forward(self, graph: Graph) -> Graph:
        return graph.with_nodes(h=dense(graph.nodes["x"]))


def predictor(members: int = 2, arch: str = "dmpnn") -> Predictor:
    """Networks with weights drawn at random."""
    featurizer = preset(zoo.load(arch).FEATURIZER)
    inputs = {"nodes": featurizer.atom_width, "edges": featurizer.bond_width, "geometry": False}
    models = []
    for member in range(members):
        torch.manual_seed(member)
        models.append(zoo.build(arch, Inputs(**inputs), 2, {"d": 32}))
    task, scaling = Task("regression", ("a", "b")), Scaling((1.0, 2.0), (0.5, 3.0))
    return Predictor(
        models,
        Document.of_molecules(arch, {"d": 32}, inputs, featurizer.to_dict(), task.to_dict(), scaling.to_dict()),
    )


def additive() -> tuple[Predictor, torch.Tensor]:
    """A network that adds up w . x_i over atoms, and w."""
    base = predictor(1)
    torch.manual_seed(0)
    layer = nn.Linear(base.document.inputs["nodes"], 2, bias=False)
    return Predictor(MPNN(Plain(), [], AtomWise(layer)), base.document), layer.weight.detach()


@pytest.mark.parametrize("method", sorted(set(METHODS) - {"random"}))
def test_all_methods_return_the_terms_of_an_additive_network(method: str) -> None:
    network, w = additive()
    from heliograph.chem import featurize
    from heliograph.data.store import Store

    for text in ("CCO", ASPIRIN, SALT):
        graph = Store.build([featurize(text, network.featurizer, scaffold=False)], network.featurizer).batch([0])
        wanted = (dense(graph.nodes["x"]) @ w[1]).double().numpy() * 3.0
        found = explain(network, [text], method, "b")[0]
        assert found.atoms == pytest.approx(wanted, abs=1e-4)
        assert found.baseline == pytest.approx(2.0) and (np.isnan(found.fidelity) or found.fidelity == pytest.approx(1.0))


@pytest.mark.parametrize("method", sorted(TOLERANCE))
def test_contributions_add_up(method: str) -> None:
    network = predictor()
    for text in ("C", "CCO", ASPIRIN, "CC(C)Cc1ccc(cc1)C(C)C(=O)O"):
        found = explain(network, [text], method, "b")[0]
        assert found.sum == pytest.approx(found.prediction - found.baseline, abs=TOLERANCE[method] * 3.0)
        assert found.prediction == pytest.approx(network.predict([text])[0, 1], abs=1e-5)
        assert found.spread.shape == found.atoms.shape and found.spread.max() > 0


@pytest.mark.parametrize("method", sorted(set(METHODS) - {"random"}))
def test_another_writing_changes_nothing_and_alike_atoms_score_alike(method: str) -> None:
    network = predictor()
    first, second = explain(network, ["OC(=O)c1ccccc1OC(C)=O", ASPIRIN], method)
    assert sorted(first.atoms) == pytest.approx(sorted(second.atoms), abs=2e-6)
    assert first.fidelity == pytest.approx(second.fidelity, abs=1e-5, nan_ok=True)
    ring = explain(network, ["Cc1ccc(C)cc1CC1CCCCC1"], method)[0].atoms
    benzene = explain(network, ["c1ccccc1"], method)[0].atoms
    assert np.ptp(benzene) < 1e-6 and np.ptp(ring) > 1e-3


def test_shapley_of_few_atoms_is_exact_and_of_many_is_near(monkeypatch: pytest.MonkeyPatch) -> None:
    from heliograph.explain import methods

    network, text = predictor(1), "CC(=O)Nc1ccco1"
    exact = explain(network, [text], "shapley")[0].atoms
    monkeypatch.setattr(methods, "EXACT", 0)
    monkeypatch.setattr(methods, "ORDERS", 200)
    drawn = explain(network, [text], "shapley")[0].atoms
    assert np.abs(drawn - exact).max() < 0.1 * np.abs(exact).max()


def test_a_page_with_one_scale_and_a_table(tmp_path: Path, run: Run) -> None:
    folder = make_run(tmp_path / "run", members=2)
    data = tmp_path / "in.csv"
    data.write_text(f"smiles\n{ASPIRIN}\nnot a molecule\nCCO\nc1ccccc1CCN\nCCCCCCO\n")
    done = run("explain", folder, data, "-o", tmp_path / "out.html", "--target", "b")
    assert done.returncode == 0 and "row 2" in done.stdout
    assert "dealt at random" in done.stdout
    page = (tmp_path / "out.html").read_text()
    assert page.count("data:image/svg+xml") == 4 and "not valid SMILES" in page
    assert run("explain", folder, data, "-o", tmp_path / "out.html").returncode == 2
    config = ExplainConfig(model_path=folder, data_path=data, output_path=tmp_path / "out.csv", method="myerson")
    found, _ = explain_file(config)
    write(found, {"model": "", "method": "myerson", "target": "a", "unit": ""}, config.output_path)
    with config.output_path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows[0]["atom_scores"].split()) == 13 and rows[1]["reason"] and not rows[1]["atom_scores"]
    assert sum(map(float, rows[0]["atom_scores"].split())) == pytest.approx(float(rows[0]["sum"]), abs=1e-4)


def test_colours_share_a_scale_and_a_method_without_reason_is_called_so() -> None:
    def one(atoms: list[float], fidelity: float, chance: float) -> Explained:
        values = np.array(atoms)
        return Explained("CCO", 0, values, values, 1.0, 0.0, fidelity, chance)

    found = [
        one([1.0, -0.5, 0.0], 0.9, 0.1),
        one([0.1, 0.0, 0.0], 0.8, 0.0),
        one([0.2, 0.1, 0.1], 0.7, -0.1),
    ]
    scale = scale_of(found)
    marks = colours(found[0], scale)
    assert set(marks) == {0, 1} and marks[0][0] > marks[0][2] and marks[1][2] > marks[1][0]
    assert min(colours(found[1], scale)[0]) > 0.8  # pale beside the first
    assert "explain nothing" not in verdict(found, "occlusion")
    same = [replace(e, fidelity=e.by_chance) for e in found]
    assert "explain nothing" in verdict(same, "occlusion")


def test_what_cannot_be_explained() -> None:
    network = predictor(1)
    with pytest.raises(UsageError, match="did you mean 'shapley'"):
        explain(network, ["CCO"], "shaply")
    with pytest.raises(UsageError, match="does not predict"):
        explain(network, ["CCO"], target="c")


def connected(p: Predictor, text: str, atoms: tuple[int, ...]) -> bool:
    from rdkit import Chem

    mol = Chem.MolFromSmiles(text)
    return len(Chem.GetMolFrags(Chem.MolFromSmiles(Chem.MolFragmentToSmiles(mol, list(atoms)), sanitize=False))) == 1


def test_the_fragment_keeps_the_prediction_and_no_atom_of_it_is_spare() -> None:
    p = predictor()
    for text in (ASPIRIN, SALT, "CCCCCCN"):
        (one,) = explain(p, [text], fragment=True)
        f = Value(p, Store.build([featurize(text, p.featurizer, scaffold=False)], p.featurizer), 0)
        allowed = KEPT * abs(one.prediction - one.baseline)

        def lost(atoms: set[int], f: Value = f, one: Explained = one) -> float:
            return abs(float(f(np.array([[k in atoms for k in range(f.n)]])).mean()) - one.prediction)

        if one.fragment:
            mine = set(one.fragment)
            assert lost(mine) <= allowed and connected(p, text, one.fragment)
            for k in one.fragment:
                rest = mine - {k}
                assert not rest or lost(rest) > allowed or not connected(p, text, tuple(rest))
        else:
            assert text == SALT


def test_the_fragment_of_an_additive_network_is_where_the_weight_is() -> None:
    p, _ = additive()
    layer = p.models[0].readout.mlp
    store = Store.build([featurize("CCCCO", p.featurizer, scaffold=False)], p.featurizer)
    x = dense(store.batch(np.array([0])).nodes["x"])
    only = int(((x[4] > 0) & (x[:4] == 0).all(0)).nonzero()[0])
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[:, only] = 1.0  # of a column that only the oxygen has
    (one,) = explain(p, ["CCCCO"], fragment=True)
    assert one.fragment == (4,)
    again = explain(p, ["OCCCC"], fragment=True)[0]
    assert again.fragment == (0,)
    with torch.no_grad():
        layer.weight.zero_()
    assert explain(p, ["CCCCO"], fragment=True)[0].fragment == ()


def test_fidelity_follows_the_unit() -> None:
    p = predictor()
    small = replace(p.document, outputs={"y": p.document.outputs["y"] | {"scaling": Scaling((1e-20, 2e-20), (0.5e-20, 3e-20)).to_dict()}})
    plain, tiny = (explain(q, [ASPIRIN])[0] for q in (p, Predictor(p.models, small)))
    assert tiny.fidelity == pytest.approx(plain.fidelity, abs=1e-6) and np.isfinite(plain.fidelity)
    np.testing.assert_allclose(tiny.atoms / 1e-20, plain.atoms, rtol=1e-6, atol=1e-9)


def test_new_atoms_are_ringed_and_fragments_are_thick(tmp_path: Path) -> None:
    p = predictor()
    learned = Store.build([featurize(s, p.featurizer, scaffold=False) for s in ("CCO", "CCCO", "CCCCO")], p.featurizer)
    domain, _ = Domain.fit(learned, np.arange(3), np.zeros(3, dtype=np.int64), "hashes")
    q = p.with_trust({}, domain.to_dict())
    (one,) = explain(q, ["CCCBr"], fragment=True)
    assert one.new == (2, 3)  # the bromine, and the carbon beside it
    assert explain(q, ["CCCCO"])[0].new == () and explain(p, ["CCCBr"])[0].new == ()
    svg = draw_svg("CCCBr", ringed=one.new, fragment=(0, 1, 2))
    assert svg.count("<circle") == 2 and RING in svg and svg.endswith("</svg>") and svg.count("</svg>") == 1
    plain = draw_svg("CCCBr")
    assert "<circle" not in plain and len(draw_svg("CCCBr", fragment=(0, 1, 2))) > len(plain)
    about = {"model": "m", "method": "occlusion", "target": "a", "unit": ""}
    write([one], about, tmp_path / "a.csv")
    with open(tmp_path / "a.csv") as file:
        (row,) = csv.DictReader(file)
    assert row["new_atoms"] == "3 4" and row["fragment"] == " ".join(str(k + 1) for k in one.fragment)
    page = write([one], about, tmp_path / "a.html").read_text()
    assert "<dt>new atoms</dt><dd>2</dd>" in page and f"{len(one.fragment)} of 4 atoms" in page


def test_structures_are_read_from_the_column_of_training(tmp_path: Path) -> None:
    p = predictor()
    Predictor(p.models, replace(p.document, training={"structure_column": "molecule"})).save(tmp_path / "m.safetensors")
    data = tmp_path / "in.csv"
    data.write_text("smiles,molecule\nnot one,CCCO\nnor this,CCN\n")
    found, _ = explain_file(ExplainConfig(model_path=tmp_path / "m.safetensors", data_path=data, output_path=tmp_path / "a.csv"))
    assert [one.text for one in found] == ["CCCO", "CCN"] and not any(one.reason for one in found)
    chosen = suggest(SuggestConfig(model_path=tmp_path / "m.safetensors", data_path=data, output_path=tmp_path / "b.csv", count=2))
    assert chosen.chosen == 2 and chosen.bad == 0
