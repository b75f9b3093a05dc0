"""Whether a prediction depends on how a molecule is written: random writings of real molecules through every featurizer.

    python bench/writings.py [--rows 2000] [--stereo 500] [--writings 10] [--embedded 150] [--only NAME ...] [-o FILE.jsonl]

Molecules of the screening set, `--rows` drawn from all of it and `--stereo` from those with stereocentres or double bonds of known
geometry, each as it stands and in random writings (other orders of the atoms; every other one with its hydrogens written out), one at a
time and through the bulk reader. A network that learned Crippen's logP for `--learned` steps on the molecules as they stand answers for
all of them (weights as they are drawn may answer nearly the same for all molecules, and what rounding does looks large beside that).
A line for each featurizer and precision: the largest difference between the answers for two writings of one molecule, as a share of
the target's standard deviation. Conformers are made for `--embedded` molecules only: they take the time. `chemprop_v2` is
there for comparison: its chirality tags are known to depend on the writing.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from common import Lines, parser
from predict_chemprop import SCREENING, smiles
from rdkit import Chem, rdBase
from rdkit.Chem import Crippen

from heliograph import zoo
from heliograph.chem.featurizer import Featurizer, preset, presets
from heliograph.chem.pool import featurize_table
from heliograph.data.record import Record
from heliograph.data.store import Store
from heliograph.graph import Graph, dense
from heliograph.model import MPNN, Inputs

BATCH = 256


def writings(text: str, many: int) -> list[str]:
    """The text and `many` random writings of the molecule, every other one with all hydrogens written out."""
    mol = Chem.MolFromSmiles(text)
    whole = Chem.AddHs(mol)
    return [text, *(Chem.MolToSmiles((mol, whole)[k % 2], doRandom=True, canonical=False) for k in range(many))]


def network(featurizer: Featurizer, arch: str | None) -> tuple[str, MPNN]:
    arch = arch or ("schnet" if not featurizer.bonds else "gilmer" if featurizer.geometry != "none" else "dmpnn")
    torch.manual_seed(0)
    return arch, zoo.build(arch, Inputs(featurizer.atom_width, featurizer.bond_width, featurizer.geometry != "none"), 1)


def trained(model: MPNN, store: Store, rows: np.ndarray, y: np.ndarray, steps: int) -> MPNN:
    """The network after `steps` of Adam on standardised labels `y` of the molecules `rows`."""
    target, rng = torch.tensor(y, dtype=torch.float32)[:, None], np.random.default_rng(0)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(steps):
        some = rng.choice(len(rows), min(BATCH, len(rows)), replace=False)
        optimizer.zero_grad()
        (model(store.batch(rows[some]))["y"] - target[some]).square().mean().backward()
        optimizer.step()
    return model.eval()


def double(graph: Graph) -> Graph:
    graph = graph.with_nodes(**{name: dense(x).double() for name, x in graph.nodes.items() if dense(x).is_floating_point()})
    return graph.with_edges(**{name: dense(x).double() for name, x in graph.edges.items() if dense(x).is_floating_point()})


@torch.no_grad()
def answers(model: MPNN, store: Store, precise: bool) -> np.ndarray:
    model = model.double() if precise else model.float()
    found = []
    for start in range(0, len(store), BATCH):
        graph = store.batch(np.arange(start, min(start + BATCH, len(store))))
        found.append(model(double(graph) if precise else graph)["y"].double().numpy())
    return np.concatenate(found)


def difference(
    model: MPNN, featurizer: Featurizer, texts: Sequence[Sequence[str]], precise: Sequence[bool], steps: int
) -> dict[str, object]:
    records = [Record(f"{m} {w}", text) for m, those in enumerate(texts) for w, text in enumerate(those)]
    molecules, owner, failed = [], [], {}
    for record, molecule, reason in featurize_table(records, featurizer, 2, scaffold=False):
        m = int(record.id.split()[0])
        if molecule is None:
            failed.setdefault(m, reason)
        else:
            molecules.append(molecule)
            owner.append(m)
    store, group = Store.build(molecules, featurizer), np.array(owner)
    partly = sum(0 < int((group == m).sum()) < len(texts[m]) for m in failed)
    line: dict[str, object] = {"molecules": len(texts), "answered": len(molecules), "without": len(failed), "some_writings_only": partly}
    first = np.unique(group, return_index=True)[1]
    label = np.array([Crippen.MolLogP(Chem.MolFromSmiles(texts[m][0])) for m in group[first]])
    model = trained(model, store, first, (label - label.mean()) / label.std(), steps)
    for exact in precise:
        y = answers(model, store, exact)
        relative = (np.maximum.reduceat(y, first) - np.minimum.reduceat(y, first)).max(1)  # [molecules]
        if not exact:
            line["r2"] = round(float(np.corrcoef(y[first, 0], label)[0, 1] ** 2), 3)
        worst = int(relative.argmax())
        line |= {"float64" if exact else "float32": float(relative.max()), f"over_{1e-9 if exact else 1e-5:g}":
                 int((relative > (1e-9 if exact else 1e-5)).sum()), "worst": texts[int(group[first][worst])][0]}  # fmt: skip
    return line


def main() -> None:
    made = parser(__doc__)
    for name, default in (("rows", 2000), ("stereo", 500), ("writings", 10), ("embedded", 150), ("learned", 100)):
        made.add_argument(f"--{name}", type=int, default=default)
    made.add_argument("--only", nargs="+", help="features with these names")
    made.add_argument("--flat", action="store_true", help="without conformers")
    made.add_argument("--arch", help="another architecture")
    options = made.parse_args()
    if not SCREENING.is_file():
        print(f"skipped: {SCREENING} is not there (set HELIOGRAPH_DATA)", file=sys.stderr)
        return
    lines, everything = Lines(options), smiles(None)
    rng = random.Random(0)
    chosen = rng.sample(everything, options.rows)
    chosen += rng.sample([text for text in everything if "@" in text or "/" in text], options.stereo)
    with rdBase.BlockLogs():
        texts = [writings(text, options.writings) for text in chosen]
    some = texts[-options.embedded // 2 :] + texts[: options.embedded // 2]
    for name in options.only or presets():
        flat = preset(name)
        kinds = [replace(flat, hydrogens="explicit", geometry="embed")]
        if flat.bonds:
            kinds = [flat, replace(flat, hydrogens="explicit"), *kinds]
        for featurizer in kinds[: -1 if options.flat else None]:
            began = time.perf_counter()
            solid = featurizer.geometry != "none"
            arch, model = network(featurizer, options.arch)
            found = difference(model, featurizer, some if solid else texts, (False, True), options.learned)
            lines({"benchmark": "writings", "featurizer": name, "hydrogens": featurizer.hydrogens, "geometry": featurizer.geometry,
                   "arch": arch, "writings": options.writings, "learned": options.learned, **found,
                   "seconds": round(time.perf_counter() - began)})  # fmt: skip


if __name__ == "__main__":
    main()
