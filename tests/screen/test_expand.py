"""Around hits: exact neighbours, matched pairs with their labels' changes, pieces; every molecule valid and with its parent."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rdkit import Chem

from heliograph.chem import matched
from heliograph.chem.kept import parts
from heliograph.chem.parse import canonical
from heliograph.data.sets import smallmol
from heliograph.errors import StructureError, UsageError
from heliograph.screen.expand import ExpandConfig, expand
from heliograph.screen.neighbours import Index

SMILES = [str(text) for text in smallmol.load().smiles[::12]]


def test_neighbours_are_those_of_rdkit() -> None:
    from rdkit import Chem, DataStructs
    from rdkit.Chem import rdFingerprintGenerator

    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=1024)
    prints = [generator.GetFingerprint(Chem.MolFromSmiles(text)) for text in SMILES]
    index = Index.build([*SMILES, SMILES[0], "nonsense"])
    assert len(index.smiles) == len(SMILES)
    for query, bound in ((SMILES[5], 0.2), (SMILES[77], 0.35), ("CCO", 0.5), ("C", 0.9), ("c1ccc2ccccc2c1", 0.1)):
        own = generator.GetFingerprint(Chem.MolFromSmiles(query))
        every = zip(SMILES, DataStructs.BulkTanimotoSimilarity(own, prints), strict=True)
        wanted = sorted((-score, text) for text, score in every if score >= bound)
        found = index.near(query, bound, 10**6)
        assert [text for text, _ in found] == [text for _, text in wanted]
        np.testing.assert_allclose([score for _, score in found], [-score for score, _ in wanted], rtol=1e-12)
        assert index.near(query, bound, 3) == found[:3]


def test_a_pair_is_found_with_the_change_of_its_label() -> None:
    smiles = [canonical(text) for text in ("Fc1ccccc1", "Clc1ccccc1", "c1ccccc1", "FC1CCCCC1", "ClC1CCCCC1", "OCC1CCCCC1")]
    table = matched.Table(smiles, np.array([1.0, 3.0, 0.0, 2.0, 5.0, 9.0]))
    changes = {change.text: change for some in table.changes().values() for change in some}
    swap = changes["F[*:1]>>Cl[*:1]"]
    assert swap.count == 2 and swap.mean == pytest.approx(2.5) and swap.std == pytest.approx(0.5)
    assert changes["Cl[*:1]>>F[*:1]"].mean == pytest.approx(-2.5)
    assert changes["[H][*:1]>>F[*:1]"].mean == pytest.approx(1.0)  # benzene and fluorobenzene
    left = table.changes(frozenset((1,)))
    assert next(c for c in left["F[*:1]"] if c.after == "Cl[*:1]").count == 1
    made = {one.smiles: one for one in matched.changed("Fc1ccncc1", table.changes())}
    assert made["Clc1ccncc1"].change == "F[*:1]>>Cl[*:1]" and made["Clc1ccncc1"].expected == pytest.approx(2.5)
    assert "c1ccncc1" in made and "Fc1ccncc1" not in made


@pytest.mark.parametrize(
    ("stays", "changes", "smiles"),
    [
        ("c1ccc([*:1])cc1", "F[*:1]", "Fc1ccccc1"),
        ("c1ccc([*:1])cc1", matched.HYDROGEN, "c1ccccc1"),
        ("C[C@H](O)[*:1]", "C[*:1]", "CC(C)O"),
        ("c1ccn([*:1])c1", matched.HYDROGEN, "c1cc[nH]c1"),
        ("C[N+](C)(C)[*:1]", "C[*:1]", "C[N+](C)(C)C"),
    ],
)
def test_parts_are_joined(stays: str, changes: str, smiles: str) -> None:
    assert matched.joined(stays, changes) == canonical(smiles)


def test_hydrogens_of_each_kind() -> None:
    assert len(list(matched.hydrogens("Cc1ccccc1"))) == 4
    assert {matched.joined(stays, "F[*:1]") for stays in matched.hydrogens("c1cc[nH]c1")} == {
        canonical(text) for text in ("Fc1cc[nH]c1", "Fc1ccc[nH]1", "Fn1cccc1")
    }


def test_partners_are_proposed_again() -> None:
    """Pairs of the shipped molecules: the partner, left out of the table, is among the analogues."""
    smiles = [canonical(text) for text in smallmol.load().smiles[::6]]
    table = matched.Table(smiles)
    pairs = sorted({(a, b) for a, b, _ in table.pairs() if a < b})
    some = [pairs[k] for k in np.random.default_rng(0).choice(len(pairs), 8, replace=False)]
    by_pairs = 0
    for a, b in some:
        found = {one.smiles for one in matched.changed(smiles[a], table.changes(frozenset((b,))), 10**6)}
        by_pairs += smiles[b] in found
    assert by_pairs >= 4, by_pairs


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    table, hits, library = (tmp_path / name for name in ("table.csv", "hits.csv", "library.smi"))
    table.write_text("smiles,y\n" + "\n".join(f"{text},{len(text)}" for text in SMILES[:300]) + "\nnonsense,1\n")
    hits.write_text("rank,smiles\n1,Cc1ccccc1O\n2,OCCc1ccccn1\n3,nonsense\n")
    library.write_text("\n".join([*SMILES, "Cc1ccccc1N", "Oc1ccccc1O"]) + "\n")
    return {"table": table, "hits": hits, "library": library}


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_expand(files: dict[str, Path], tmp_path: Path) -> None:
    from tests.cli.conftest import make_run

    given: dict[str, Any] = {"data_path": files["hits"], "output_path": tmp_path / "a.csv", "library": (files["library"],), "similar": 0.3}
    given |= {"table": files["table"], "target": "y", "ways": ("pairs", "brics", "substituents"), "filters": ("mw<250",)}
    found = expand(ExpandConfig.model_validate(given))
    rows = rows_of(tmp_path / "a.csv")
    assert found.bad == 1 and set(found.kinds) == {"neighbour", "matched pair", "brics", "substituent"}
    parents = {canonical("Cc1ccccc1O"), canonical("OCCc1ccccn1")}
    assert {row["parent"] for row in rows} == parents
    for row in rows:
        assert canonical(row["smiles"]) == row["smiles"] and row["smiles"] != row["parent"] and row["change"] and int(row["seen"]) >= 1
        assert bool(row["mean_change"]) == (row["kind"] == "matched pair")
    assert any(row["smiles"] == "Cc1ccccc1N" and row["kind"] == "neighbour" for row in rows)
    with pytest.raises(UsageError, match="--overwrite"):
        expand(ExpandConfig.model_validate(given))
    model = make_run(tmp_path / "model", members=2)
    expand(ExpandConfig.model_validate(given | {"model_path": model, "goal": "min"}), overwrite=True)
    values = [float(row["a_pred"]) for row in rows_of(tmp_path / "a.csv")]
    assert values == sorted(values) and len(values) == len(rows)


def test_no_analogue_is_invalid() -> None:
    table = matched.Table([canonical(text) for text in SMILES[:200]])
    pieces = matched.brics_pieces(SMILES[:200])
    for text in ("CC(=O)Nc1ccc(O)cc1", "C[N+](C)(C)CC(=O)[O-]", "C[C@H](N)C(=O)O", "O=C1CCCN1", "[Na+].CC(=O)[O-]"):
        for one in [*matched.changed(text, table.changes()), *matched.recombined(text, pieces)]:
            assert canonical(one.smiles) == one.smiles
    with pytest.raises(StructureError):
        matched.changed("nonsense", {})


@pytest.mark.parametrize("text", ["Cc1ccccc1O", "OCCc1ccccn1", "C[N+](C)(C)CC(=O)[O-]", "C1CC1"])
def test_parts_of_a_molecule_in_space(text: str) -> None:
    found = list(parts(canonical(text)))
    assert {part.smiles for part in found} >= {  # rdMMPA leaves the bond to an anion
        stays for stays, changes in matched.cuts(canonical(text)) if 2 * matched._size(changes) <= matched._size(canonical(text))
    }
    for part in found:
        assert part.whole > len(part.atoms.z) and part.atoms.pos.shape == (len(part.atoms.z), 3)
        capped = Chem.AddHs(Chem.MolFromSmiles(matched.joined(part.smiles, matched.HYDROGEN)))
        assert len(part.atoms.z) == capped.GetNumAtoms() - 1  # all but the hydrogen in place of what was cut off
        assert (np.sort(part.atoms.z) == sorted(a.GetAtomicNum() for a in capped.GetAtoms())[1:]).all()
        ends = part.atoms.pos[part.atoms.bonds]
        assert (np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1) < 1.9).all()


def test_what_a_generator_grows_names_its_parent_and_what_was_kept(files: dict[str, Path], tmp_path: Path) -> None:
    asked: list[tuple[int, tuple[int, int], int]] = []

    def grow(kept: Any, sizes: tuple[int, int], n: int, seed: int) -> list[str]:
        asked.append((len(kept.atoms.z), sizes, n))
        if 7 in kept.atoms.z:
            raise UsageError("never seen that")
        return ["Cc1ccccc1O", "c1ccc(Br)cc1", "c1ccccc1Br"][:n]

    given = {"data_path": files["hits"], "output_path": tmp_path / "a.csv", "ways": ("model",), "most": 5}
    found = expand(ExpandConfig.model_validate(given), grow=grow)
    assert found.kinds == {"generated": 1} and sum(n for _, _, n in asked[:-1]) == 5
    assert all(kept < low <= high for kept, (low, high), _ in asked)
    (row,) = rows_of(tmp_path / "a.csv")
    assert row["smiles"] == canonical("Brc1ccccc1") and row["parent"] == canonical("Cc1ccccc1O") and int(row["seen"]) > 1
    assert row["change"].removeprefix("kept ") in {part.smiles for part in parts(row["parent"])}


@pytest.mark.slow
def test_the_shipped_generator_keeps_the_part(run: Callable[..., Any], files: dict[str, Path], tmp_path: Path) -> None:
    done = run("expand", files["hits"], "--ways", "model", "--most", "24", "-o", "out.csv")
    rows = rows_of(tmp_path / "out.csv")
    assert done.returncode == 0 and len(rows) >= 4, (done.stderr, rows)
    for row in rows:
        assert canonical(row["smiles"]) == row["smiles"] != row["parent"]
        query = Chem.MolFromSmarts(row["change"].removeprefix("kept ").replace("[*:1]", "[*]"))
        assert Chem.AddHs(Chem.MolFromSmiles(row["smiles"])).HasSubstructMatch(query), row  # a hydrogen may stand at the cut


def test_the_command(run: Callable[..., Any], files: dict[str, Path], tmp_path: Path) -> None:
    done = run("expand", files["hits"], "--table", files["table"], "--target", "y", "--filters", "veber", "-o", "out.csv")
    assert done.returncode == 0 and "matched pair" in done.stdout, done.stderr
    assert run("expand", files["hits"], "-o", "x.csv").returncode == 2
    assert rows_of(tmp_path / "out.csv")
