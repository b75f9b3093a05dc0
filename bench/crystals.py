"""Crystals for given formulas, and de novo, on perov_5, beside the ideal-perovskite template.

    python bench/crystals.py split FOLDER                       # train.extxyz, held.extxyz from $HELIOGRAPH_DATA/crystals, by composition
    heliograph generate train FOLDER/train.extxyz --task crystals --d 96 --depth 4 --epochs 60 -o FOLDER/run
    python bench/crystals.py draw FOLDER -k 20                  # candidates for each held crystal, and 1,000 de novo
    python bench/crystals.py score FOLDER [-o FILE.jsonl]       # needs pymatgen; with smact composition validity too

perov_5's validation and test parts are pooled and split anew by composition (the training part is not among the data), so figures are
not comparable with papers. Matches: pymatgen's StructureMatcher (stol .5, ltol .3, angle 10), the share of held crystals matched by
any of the first 1, 2, 5, 20 candidates (METRe), the least RMSD (over (V / N)^(1/3)) of the matched, the mean error of the cell's
edge (V^(1/3), which the matcher scales away) of the best. Template: A at the corner, B in the middle, X on the faces, B / A exchanged
as the second try, of the training crystals' mean volume.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

TRIES = (1, 2, 5, 20)
ANIONS = ("N", "O", "F", "S")  # X of perov_5's ABX3, alone or mixed
SITES = np.array([[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])


def split(options: argparse.Namespace) -> None:
    from common import DATA

    from heliograph.generate.crystals import write
    from heliograph.generate.crystals.data import Crystals
    from heliograph.generate.crystals.read import joined

    each = []
    for part in ("val", "test"):
        data = np.load(DATA / "crystals" / f"perov_5_{part}.npz", allow_pickle=False)
        at = np.concatenate([[0], np.cumsum(data["n_atoms"])])
        lattice, z, frac = data["lattice"], data["Z"], data["frac"].astype(np.float64)
        each += [(z[a:b], frac[a:b], cell) for a, b, cell in zip(at, at[1:], lattice, strict=False)]
    every = joined(each)
    formulas = sorted({every.formula(k) for k in range(len(every))})
    chosen = np.random.default_rng(0).permutation(len(formulas))[: round(0.1 * len(formulas))]
    held = {formulas[k] for k in chosen}
    rng = np.random.default_rng(1)  # the order of atoms must tell nothing
    options.folder.mkdir(parents=True, exist_ok=True)
    for name, wanted in (("train", False), ("held", True)):
        rows = [k for k in range(len(every)) if (every.formula(k) in held) == wanted]
        shuffled = [(rng.permutation(len(each[k][0])), k) for k in rows]
        part: Crystals = joined([(each[k][0][order], each[k][1][order], each[k][2]) for order, k in shuffled])
        (options.folder / f"{name}.extxyz").write_text("".join(write.entries([part], ".extxyz")), encoding="utf-8")
        print(f"{name}: {len(part):,} crystals")


def draw(options: argparse.Namespace) -> None:
    from heliograph.generate import runner
    from heliograph.generate.crystals import write
    from heliograph.generate.crystals.read import crystals
    from heliograph.generate.crystals.sampler import CrystalSampler

    sampler = runner.of_task(options.folder / "run", CrystalSampler, "crystals")
    held, _ = crystals(options.folder / "held.extxyz")
    known = [k for k in range(len(held)) if set(held.formula(k)) <= set(sampler.vocabulary.species)][: options.most]
    rng = np.random.default_rng(0)
    drawn = []
    for start in range(0, len(known), 50):
        rows = known[start : start + 50]
        batch = sampler.draw([rng.permutation(held.z[held.atoms(k)]) for k in rows for _ in range(options.k)], rng)
        drawn.append(batch)
    (options.folder / "drawn.extxyz").write_text("".join(write.entries(drawn, ".extxyz")), encoding="utf-8")
    (options.folder / "drawn.json").write_text(json.dumps({"rows": known, "k": options.k, "held": len(held)}), encoding="utf-8")
    (options.folder / "denovo.extxyz").write_text("".join(write.entries(sampler.sample(1000, seed=0), ".extxyz")), encoding="utf-8")


def score(options: argparse.Namespace) -> None:
    import warnings

    from pymatgen.core import Structure

    try:
        from pymatgen.core.structure_matcher import StructureMatcher
    except ImportError:
        from pymatgen.analysis.structure_matcher import StructureMatcher

    warnings.simplefilter("ignore")
    said = json.loads((options.folder / "drawn.json").read_text())
    held, train, drawn = (_read(options.folder / f"{name}.extxyz", Structure) for name in ("held", "train", "drawn"))
    edge = float(np.mean([s.volume for s in train]) ** (1 / 3))
    matcher = StructureMatcher(stol=0.5, angle_tol=10, ltol=0.3)
    ways: dict[str, list[tuple[object, list[object]]]] = {
        "heliograph": [(held[row], drawn[k * said["k"] : (k + 1) * said["k"]]) for k, row in enumerate(said["rows"])],
        "template": [(held[row], _templates(held[row], edge, Structure)) for row in said["rows"]],
    }
    lines = [{"held": said["held"], "asked": len(said["rows"]), "k": said["k"]}]
    for name, pairs in ways.items():
        lines.append({"way": name, **_figures(pairs, matcher)})
    lines.append({"way": "de novo", **_denovo(_read(options.folder / "denovo.extxyz", Structure), train)})
    for line in lines:
        print(json.dumps(line), flush=True)
    if options.output:
        with options.output.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)


def _figures(pairs, matcher):  # type: ignore[no-untyped-def]
    first, best, edges = [], [], []
    for reference, candidates in pairs:
        distances = [matcher.get_rms_dist(reference, c) for c in candidates]
        hits = [(d[0], k) for k, d in enumerate(distances) if d is not None]
        first.append(min((k for _, k in hits), default=10**9))
        if hits:
            rms, k = min(hits)
            best.append(rms)
            edges.append(abs((candidates[k].volume / reference.volume) ** (1 / 3) - 1))
    n = len(pairs)
    shares = {f"matched_{k}": round(sum(f < k for f in first) / n, 4) for k in TRIES}
    return shares | {"rmsd_of_matched": round(float(np.mean(best)), 4), "edge_error": round(float(np.mean(edges)), 4)}


def _templates(reference, edge, structure):  # type: ignore[no-untyped-def]
    symbols = sorted(str(s.specie) for s in reference)
    anions, metals = [s for s in symbols if s in ANIONS], [s for s in symbols if s not in ANIONS]
    if len(anions) != 3:  # rare: in the order of the symbols
        anions, metals = symbols[2:], symbols[:2]
    return [structure(np.eye(3) * edge, [*pair, *anions], SITES) for pair in (metals, metals[::-1])]


def _denovo(samples, train):  # type: ignore[no-untyped-def]
    from scipy.stats import wasserstein_distance

    def far(s) -> bool:  # type: ignore[no-untyped-def]
        matrix = s.distance_matrix + 10 * np.eye(len(s))
        return bool(matrix.min() > 0.5 and s.volume > 0.1 and min(s.lattice.abc) > 0.5)

    elements = [len(s.composition) for s in train]
    line = {
        "n": len(samples),
        "valid_structure": round(float(np.mean([far(s) for s in samples])), 4),
        "unique_formulas": round(len({s.composition.reduced_formula for s in samples}) / len(samples), 4),
        "wasserstein_density": round(float(wasserstein_distance([s.density for s in samples], [s.density for s in train])), 4),
        "wasserstein_elements": round(float(wasserstein_distance([len(s.composition) for s in samples], elements)), 4),
    }
    try:
        from smact.screening import smact_validity
    except ImportError:
        return line
    for name, part in (("composition_valid", samples), ("composition_valid_of_training", train[:1000])):
        line[name] = round(float(np.mean([smact_validity(s.composition.reduced_formula) for s in part])), 4)
    return line


def _read(path: Path, structure):  # type: ignore[no-untyped-def]
    """Extended XYZ as this package writes it, without this package: the environment of the oracles has none."""
    found, lines = [], path.read_text(encoding="utf-8").splitlines()
    at = 0
    while at < len(lines):
        n = int(lines[at])
        cell = np.array(lines[at + 1].split('"')[1].split(), float).reshape(3, 3)
        rows = [line.split() for line in lines[at + 2 : at + 2 + n]]
        found.append(structure(cell, [r[0] for r in rows], np.array([r[1:4] for r in rows], float), coords_are_cartesian=True))
        at += n + 2
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("split", "draw", "score"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("-k", type=int, default=20)
    parser.add_argument("--most", type=int, default=10**9, help="held crystals that are asked for")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    {"split": split, "draw": draw, "score": score}[options.what](options)


if __name__ == "__main__":
    main()
