"""Make the data set that ships with the package: small molecules, relaxed and labelled with GFN2-xTB.

    python scripts/make_smallmol.py label --folder DIR [--jobs 2]     # about 25 minutes on one core; goes on where it stopped
    python scripts/make_smallmol.py curvature --folder DIR            # how many of a sample are minima, for the provenance
    python scripts/make_smallmol.py pack --folder DIR                 # DIR -> src/heliograph/data/sets/smallmol.npz

Needs the extra [xtb]. The molecules are a function of the seed (smallmol_molecules.py), and so is each molecule's conformer.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy and tblite: one molecule is far too small for threads

import argparse
import json
import multiprocessing
import random
import time
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import smallmol_molecules
import smallmol_pack

from heliograph.chem import xtb
from heliograph.errors import StructureError

SEED = 20240
FRAMES_EVERY = 20  # every 20th molecule also gets displaced geometries
AMPLITUDES = (0.01, 0.02, 0.04, 0.07)  # angstrom, standard deviation per coordinate: medians 0.05 to 2.6 eV above the relaxed geometry
FRAMES_PER_AMPLITUDE = 3


def one(job: tuple[str, bool]) -> dict[str, Any]:
    """Relax and label one SMILES; `reason` instead of labels where that fails."""
    smiles, with_frames = job
    seed = zlib.crc32(f"{SEED} {smiles}".encode()) % 2**31
    try:
        labels = xtb.label(smiles, seed=seed)
    except StructureError as error:
        return {"query": smiles, "reason": str(error)}
    row: dict[str, Any] = {"query": smiles, "reason": ""}
    for name in ("smiles", "energy", "atomization_energy", "homo", "lumo", "gap", "dipole", "max_force", "steps"):
        row[name] = getattr(labels, name)
    for name in ("z", "pos", "dipole_vector", "charges", "wiberg"):
        row[name] = getattr(labels, name).tolist()
    if with_frames:
        row["frames"] = _frames(labels, seed)
    return row


def _frames(labels: xtb.Labels, seed: int) -> list[dict[str, Any]]:
    """Geometries with Gaussian displacements, and their energies and forces; one whose SCC fails is left out."""
    random_, evaluate, frames = np.random.default_rng(seed), xtb.XTB(labels.z), []
    for amplitude in AMPLITUDES:
        for _ in range(FRAMES_PER_AMPLITUDE):
            pos = (labels.pos + amplitude * random_.standard_normal(labels.pos.shape)).astype(np.float32).astype(np.float64)
            try:
                energy, forces = evaluate(pos)
            except StructureError:
                continue
            frames.append({"amplitude": amplitude, "energy": energy, "pos": pos.tolist(), "forces": forces.tolist()})
    return frames


def jobs_of(folder: Path) -> list[tuple[str, bool]]:
    """All molecules in an order drawn once (so that a part is a fair sample); kept in `molecules.smi`."""
    path = folder / "molecules.smi"
    if not path.exists():
        texts = smallmol_molecules.molecules(SEED)
        random.Random(SEED).shuffle(texts)
        path.write_text("\n".join(texts) + "\n")
    return [(text, k % FRAMES_EVERY == 0) for k, text in enumerate(path.read_text().split())]


def results(folder: Path) -> Iterator[dict[str, Any]]:
    """What has been computed; a last line that a kill cut off is passed over."""
    path = folder / "results.jsonl"
    for line in path.open() if path.exists() else ():
        if line.endswith("\n"):
            yield json.loads(line)


def label(folder: Path, jobs: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    todo, done = jobs_of(folder), {row["query"] for row in results(folder)}
    rest = [job for job in todo if job[0] not in done]
    print(f"{len(todo)} molecules, {len(done)} done before", flush=True)
    path = folder / "results.jsonl"
    if path.exists():  # cut off a line that a kill left half-written
        whole = path.read_bytes().rpartition(b"\n")
        os.truncate(path, len(whole[0]) + len(whole[1]))
    with path.open("a") as out:
        if jobs == 1:
            _collect(map(one, rest), out, len(rest))
        else:
            with multiprocessing.get_context("spawn").Pool(jobs) as pool:
                _collect(pool.imap(one, rest, chunksize=4), out, len(rest))


def _collect(rows: Iterable[dict[str, Any]], out: Any, total: int) -> None:
    start, dropped = time.monotonic(), 0
    for k, row in enumerate(rows, 1):
        out.write(json.dumps(row) + "\n")
        dropped += bool(row["reason"])
        if k % 50 == 0 or k == total:
            out.flush()
            rate = k / (time.monotonic() - start)
            print(f"{k}/{total}  {rate:.2f}/s  {(total - k) / rate / 60:.1f} min left  {dropped} dropped", flush=True)


def curvature(folder: Path, sample: int = 400) -> None:
    """Lowest vibrational frequency, by finite differences of forces, of the first `sample` molecules; counts to `curvature.json`."""
    from ase.data import atomic_masses

    lowest = []
    rows = [row for row in results(folder) if not row["reason"]]
    for done, row in enumerate(rows[:sample], 1):
        z, pos, h = np.array(row["z"]), np.array(row["pos"]), 5e-3
        evaluate, n = xtb.XTB(z), len(z)
        hessian = np.empty((3 * n, 3 * n))
        for k in range(3 * n):
            step = np.zeros(3 * n)
            step[k] = h
            forces = [evaluate(pos + sign * step.reshape(n, 3))[1].ravel() for sign in (1, -1)]
            hessian[k] = (forces[1] - forces[0]) / (2 * h)
        root = np.repeat(np.sqrt(atomic_masses[z]), 3)
        values = np.linalg.eigvalsh((hessian + hessian.T) / 2 / np.outer(root, root))
        lowest.append(float(np.sign(values[0]) * np.sqrt(abs(values[0])) * 521.47))  # sqrt(eV/angstrom^2/u) in 1/cm
        if done % 50 == 0:
            print(f"{done}/{sample}  {sum(v < -30 for v in lowest)} not minima", flush=True)
    text = f"{sum(v < -30 for v in lowest)} of a sample of {len(lowest)} have a vibration below -30 i/cm (saddle points)"
    (folder / "curvature.json").write_text(json.dumps({"text": text, "lowest": lowest}))
    print(text)


def _method(folder: Path) -> dict[str, Any]:
    checked = folder / "curvature.json"
    return {
        "made_by": "scripts/make_smallmol.py",
        "seed": SEED,
        "method": "GFN2-xTB (doi:10.1021/acs.jctc.8b01176), tblite defaults: gas phase, 300 K electronic temperature, no spin polarisation",
        "scc_accuracy": xtb.ACCURACY,
        "geometry": "lowest of five ETKDGv3 conformers after MMFF94, then relaxed with GFN2-xTB; one conformer and one stereoisomer each",
        "stationary": f"largest force component below {xtb.FORCE_THRESHOLD} eV/angstrom, checked for each",
        "curvature": json.loads(checked.read_text())["text"] if checked.exists() else "not checked",
        "bonds_checked": f"pairs with a Wiberg bond order above {xtb.BONDED} are the bonds of the SMILES, else dropped",
        "atomization_energy": "E(molecule) - sum of E(free neutral atom in its ground-state multiplicity): negative where bound",
        "frames": f"every {FRAMES_EVERY}th molecule, {FRAMES_PER_AMPLITUDE} for each Gaussian amplitude of {AMPLITUDES} angstrom",
        "hartree_in_ev": xtb.HARTREE,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=["label", "curvature", "pack"])
    parser.add_argument("--folder", type=Path, required=True, help="where results are collected; keep it to resume")
    parser.add_argument("--jobs", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.step == "label":
        label(arguments.folder, arguments.jobs)
    elif arguments.step == "curvature":
        curvature(arguments.folder)
    else:
        by_query = {row["query"]: row for row in results(arguments.folder)}
        smallmol_pack.pack([by_query[query] for query, _ in jobs_of(arguments.folder) if query in by_query], _method(arguments.folder))


if __name__ == "__main__":
    main()
