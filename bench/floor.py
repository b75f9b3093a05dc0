"""What 1-WL allows on three tables, per number of rounds, before any training; the pairs behind it, and replicate noise.

    python bench/floor.py [--sets delaney lipophilicity qm9] [--limit N] -o FILE.jsonl

Needs moleculenet/ and qm9/ in $HELIOGRAPH_DATA or ../shared/data; says so where they are absent. A line each for a set with one list
of features: "five" (atomic number, degree, charge, hydrogens, aromatic; no bond features), "five_hybridization" (that instead of the
degree), and the presets "table10_1" and "chemprop_v2". Floors are of the whole table, and of the test rows of the split random_0 where
there is one. QM9 is taken by its SMILES (112,350 molecules: nearly all with fluorine and the 3,054 uncharacterized ones are absent),
with the HOMO-LUMO gap. Nothing is random.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import DATA, Lines, parser

from heliograph.chem.featurizer import Featurizer, preset
from heliograph.chem.molecule import featurize
from heliograph.compare.floor import Floor, floors, graph_classes, structure_classes
from heliograph.compare.pairs import explain, pairs
from heliograph.data.store import Store
from heliograph.diagnose.depth import connectivity, sentences
from heliograph.errors import StructureError
from heliograph.learn.task import Task
from heliograph.uncertainty.replicates import replicates

SETS = {"delaney": ("measured log solubility in mols per litre", "log mol/L"), "lipophilicity": ("exp", "log D"), "qm9": ("gap", "eV")}
FEATURES = {
    "five": Featurizer(("atomic_number", "chemprop_degree", "charge", "hydrogens", "aromatic"), ()),
    "five_hybridization": Featurizer(("atomic_number", "charge", "hydrogens", "aromatic", "hybridization"), ()),
    "table10_1": preset("table10_1"),
    "chemprop_v2": preset("chemprop_v2"),
}
SHOWN = 5  # pairs, per number of rounds


def present(path: Path) -> Path:
    if not path.is_file():
        raise SystemExit(f"{path} is absent: set HELIOGRAPH_DATA to the folder with moleculenet/ and qm9/. Nothing was run.")
    return path


def table(name: str) -> Iterator[tuple[str, float, str]]:
    """SMILES, label, and the part of the split random_0 ("" where there is none)."""
    if name == "qm9":
        data = np.load(present(DATA / "qm9" / "qm9.npz"))
        gap = dict(zip(data["idx"].tolist(), data["gap"].tolist(), strict=True))
        with gzip.open(present(DATA / "qm9" / "smiles.csv.gz"), "rt") as file:
            yield from ((row["smiles"], gap[int(row["idx"])], "") for row in csv.DictReader(file))
        return
    folder = DATA / "moleculenet"
    with gzip.open(present(folder / f"{name}.csv.gz"), "rt") as file, open(present(folder / "splits" / f"{name}.csv")) as splits:
        for row, part in zip(csv.DictReader(file), csv.DictReader(splits), strict=True):
            yield row["smiles"], float(row[SETS[name][0]]), part["random_0"]


def figures(floor: Floor) -> dict[str, Any]:
    own = floor.metrics["mean"]
    return {"T": floor.rounds, "rmse": round(own["rmse"], 6), "mae": round(own["mae"], 6)} | {
        "classes": floor.classes, "shared_classes": floor.shared, "rows_in_them": floor.rows}  # fmt: skip


def changing(found: list[Floor]) -> list[dict[str, Any]]:
    """Floors until the last that differs from the one before."""
    last = max((k for k in range(1, len(found)) if found[k].classes != found[k - 1].classes), default=0)
    return [figures(floor) for floor in found[: last + 1]]


def measure(name: str, features: str, limit: int | None) -> dict[str, Any]:
    featurizer, left_out = FEATURES[features], 0
    molecules, labels, parts = [], [], []
    start = time.perf_counter()
    for smiles, label, part in islice(table(name), limit):
        try:
            molecules.append(featurize(smiles, featurizer, scaffold=False))
        except StructureError:
            left_out += 1
            continue
        labels.append(label)
        parts.append(part)
    store, y, task = Store.build(molecules, featurizer), np.array(labels), Task("regression", (SETS[name][0],))
    graph = store.batch(np.arange(len(store)))
    featurized = time.perf_counter()
    classes = graph_classes(graph)
    found = floors(classes, task, y[:, None])
    refined = time.perf_counter()
    rounds = changing(found)
    shown = {T: explain(pairs(classes, T, "regression", y, most=SHOWN), classes, store.smiles) for T in range(min(3, len(rounds)))}
    shown[len(classes.number) - 1] = explain(pairs(classes, len(classes.number), "regression", y, most=SHOWN), classes, store.smiles)
    test = np.flatnonzero(np.array(parts) == "test")
    noise = replicates(store.smiles, y)
    of_structure = floors(structure_classes(store.smiles), task, y[:, None])[0]
    about = {
        "set": name, "target": SETS[name][0], "unit": SETS[name][1], "features": features, "atoms": featurizer.atoms,
        "bonds": featurizer.bonds, "rows": len(y), "left_out": left_out, "standard_deviation": round(float(y.std()), 4),
        "mean_deviation_from_median": round(float(np.abs(y - np.median(y)).mean()), 4),
    }  # fmt: skip
    return about | {
        "rounds_until_settled": len(classes.number) - 1, "floors": rounds, "equal_structure": figures(of_structure) | {"T": None},
        "test_rows_of_random_0": len(test), "floors_of_test": changing(floors(classes, task, y[:, None], test)) if len(test) else None,
        "pairs": {str(T): [{"smiles": [store.smiles[p.first], store.smiles[p.second]], "labels": [p.y_first, p.y_second],
                            "share": round(p.share, 4), "cause": p.cause} for p in some] for T, some in shown.items()},
        "replicates": None if noise is None else {k: round(v, 4) for k, v in vars(noise).items()},
        "seconds": {"featurizing": round(featurized - start, 1), "refining_and_floors": round(refined - featurized, 1)},
    }  # fmt: skip


def depth(name: str, limit: int | None) -> dict[str, Any]:
    """How far apart and how well connected the molecules of a set are."""
    store = Store.build(
        (featurize(smiles, FEATURES["five"], scaffold=False) for smiles, *_ in islice(table(name), limit)), FEATURES["five"]
    )
    graph = store.batch(np.arange(len(store)))
    start = time.perf_counter()
    found = connectivity(graph)
    seconds = time.perf_counter() - start
    half = {key: round(float(np.nanmedian(getattr(found, key))), 4) for key in ("diameter", "gap", "resistance", "mean_resistance")}
    reach = [round(float(np.nanmean(found.reach(T))), 4) for T in range(11)]
    return {"set": name, "rows": len(store), "median": half, "mean_share_within_T": reach, "sentences": sentences(found, 4),
            "largest": {"diameter": found.diameter.max(), "resistance": round(float(np.nanmax(found.resistance)), 2)},
            "seconds": {"depth": round(seconds, 1)}}  # fmt: skip


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    made.add_argument("--features", nargs="+", choices=FEATURES, default=list(FEATURES))
    made.add_argument("--limit", type=int, default=None, help="rows of each set (all)")
    options: argparse.Namespace = made.parse_args()
    lines = Lines(options)
    torch.set_grad_enabled(False)
    for name in options.sets:
        for features in options.features:
            lines(measure(name, features, options.limit))
        lines(depth(name, options.limit))


if __name__ == "__main__":
    main()
