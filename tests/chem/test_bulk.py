"""Codes of many SMILES at once: equal to those of one at a time, or not given."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.chem import bulk as module
from heliograph.chem.featurizer import Featurizer, preset
from heliograph.chem.molecule import featurize
from heliograph.chem.pool import featurize_table
from heliograph.chem.worker import attempts
from heliograph.data.record import Record
from heliograph.errors import StructureError
from tests.chem.real import moleculenet

FEATURIZERS = ["chemprop_v2", "chemprop_cip", "table10_1"]
_TEXT = """C CC CC=CC#C c1ccccc1 F/C=C\\F F/C=C/F N[C@@H](C)C(=O)O N[C@H](C)C(=O)O C1CC[C@H]2CCCC[C@@H]2C1 C[N+](=O)[O-] CC(=O)[O-].[Na+]
[Cu+2].[O-]S(=O)(=O)[O-] OB(O)c1ccccc1 [BH4-] [NH4+] FP(F)(F)(F)F FS(F)(F)(F)(F)F [O-][Cl+3]([O-])([O-])[O-]
C[CH-][N+]#N c1cc[nH]c1 c1ccoc1
O=S(=O)(N)c1ccccc1 NC(=O)C CS CSC [S-]C CN=O NO C[N+](C)(C)[O-] n1c[nH]c2c1cccc2 *C [Fe] O=[Os](=O)(=O)=O [CH2] [CH3] C[NH] [H]O [Xe] I
C[Si@@](F)(Cl)Br OC(=O)c1ccncc1 CC(=O)NC(=S)OC OO c1ccs[n+]1C O=C1CCCN1 NC1=NCCS1 CP(=O)(O)OC [SeH]C c1cc[se]c1 [O-]c1cc[n+](C)cc1"""
USUAL = _TEXT.split()
UNUSUAL = {  # usable, by the careful way alone
    "[2H]C", "[13CH4]", "[H][H]", "C~C", "[Re]$[Re]", "[Na]<-O", "[Fe]->N", "C:C", "[Pt@SP1](F)(Cl)(Br)I", "CC |$;R1$|", "CCO ethanol",
}  # fmt: skip
BAD = ["", "xx", "C(C", "c1cccc1", "CC(C)(C)(C)C", "C\0C", "C\udce9", "C" * 10_000]

if module.library() is None:
    pytest.skip("needs cuik_molmaker_pin of the version that RDKit has: pip install 'heliograph[fast]'", allow_module_level=True)


def check(texts: Sequence[str], featurizer: Featurizer) -> list[bool]:
    """Whether each text was answered; asserts that answers are those of `featurize`."""
    bulk = module.bulk(featurizer)
    assert bulk is not None
    found = bulk(texts)
    assert len(found) == len(texts)
    for text, molecule in zip(texts, found, strict=True):
        if molecule is None:
            continue
        plain = featurize(text, featurizer, scaffold=False)
        for name in ("z", "x", "bonds", "e"):
            a, b = getattr(molecule, name), getattr(plain, name)
            assert a.dtype == b.dtype and a.shape == b.shape and (a == b).all(), (text, name)
        assert (molecule.pos, molecule.smiles, molecule.scaffold) == (None, plain.smiles, "")
    return [molecule is not None for molecule in found]


@pytest.mark.parametrize("name", FEATURIZERS)
def test_equal_to_one_at_a_time(name: str) -> None:
    assert all(check(USUAL, preset(name)))
    assert not any(check([*UNUSUAL, *BAD], preset(name)))
    mixed = [text for pair in zip(USUAL, BAD * 10, strict=False) for text in pair]  # bad ones spoil the call for their neighbours
    assert check(mixed, preset(name)) == [True, False] * (len(mixed) // 2)


@pytest.mark.parametrize("name", FEATURIZERS)
@given(st.lists(st.text(alphabet="CNOScnos()[]=#1234@+-/\\.%*HFPF \0\udc80>", max_size=14), max_size=8))
@settings(deadline=None, max_examples=150)
def test_any_texts(name: str, texts: list[str]) -> None:
    for text, answered in zip(texts, check(texts, preset(name)), strict=True):
        if answered:
            featurize(text, preset(name), scaffold=False)


@pytest.mark.parametrize("name", FEATURIZERS)
@pytest.mark.parametrize("table", ["lipophilicity", "bbbp"])
def test_real_molecules(table: str, name: str) -> None:
    with gzip.open(moleculenet(f"{table}.csv.gz"), "rt") as file:
        texts = [row["smiles"] for row in csv.DictReader(file)][:1500]
    assert sum(check(texts, preset(name))) > 0.97 * len(texts)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_table_is_the_same_without_it(workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [*USUAL, *UNUSUAL, *BAD] * 8
    records = [Record(str(k), text) for k, text in enumerate(texts)]
    featurizer = preset("table10_1")
    fast = list(featurize_table(records, featurizer, workers, scaffold=False))
    monkeypatch.setattr("heliograph.chem.bulk.bulk", lambda featurizer: None)
    for (record, molecule, reason), structure in zip(fast, attempts(texts, featurizer, scaffold=False), strict=True):
        assert record.structure == texts[int(record.id)]
        assert reason == (structure if isinstance(structure, str) else "")
        assert molecule is None or (not isinstance(structure, str) and structure is not None and np.array_equal(molecule.x, structure.x))


def test_featurizers_that_it_can_not_serve() -> None:
    assert module.bulk(preset("elements")) is None
    with pytest.raises(StructureError):
        featurize("xx", preset("table10_1"))


def test_another_version_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    module.library.cache_clear()
    monkeypatch.setattr(module, "version", lambda name: {"rdkit": "2026.3.6"}.get(name, "2024.9.1"))
    assert module.library() is None
    module.library.cache_clear()
