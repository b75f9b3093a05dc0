"""Codes of many SMILES at once (`heliograph.chem.bulk`) against codes of one at a time: equal on real molecules, and how fast.

    python bench/bulk.py [--rows N] [-o FILE.jsonl]

The screening set (288,700 SMILES; --rows takes the first N), on one core, with both lists of features of architectures without
positions. A line for each: rows that were answered, rows that differ in any array, microseconds a row of both ways.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from common import Lines, parser
from predict_chemprop import SCREENING, smiles

from heliograph.chem.bulk import bulk
from heliograph.chem.featurizer import preset
from heliograph.chem.molecule import Molecule, featurize

CHUNK = 200


def equal(a: Molecule, b: Molecule) -> bool:
    pairs = ((a.z, b.z), (a.x, b.x), (a.bonds, b.bonds), (a.e, b.e))
    return a.smiles == b.smiles and all(p.dtype == q.dtype and np.array_equal(p, q) for p, q in pairs)


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--rows", type=int, default=None)
    options = made.parse_args()
    if not SCREENING.is_file():
        print(f"skipped: {SCREENING} is not there (set HELIOGRAPH_DATA)", file=sys.stderr)
        return
    lines, texts = Lines(options), smiles(options.rows)
    for name in ("chemprop_v2", "chemprop_cip", "table10_1"):
        many = bulk(preset(name))
        if many is None:
            print("skipped: cuik_molmaker_pin is not installed, or not of RDKit's version", file=sys.stderr)
            return
        answered, differ, seconds = 0, 0, [0.0, 0.0]
        for start in range(0, len(texts), CHUNK):
            chunk = texts[start : start + CHUNK]
            began = time.perf_counter()
            found = many(chunk)
            halfway = time.perf_counter()
            plain = [featurize(text, preset(name), scaffold=False) for text in chunk]
            seconds = [seconds[0] + halfway - began, seconds[1] + time.perf_counter() - halfway]
            answered += sum(m is not None for m in found)
            differ += sum(m is not None and not equal(m, one) for m, one in zip(found, plain, strict=True))
        lines({"benchmark": f"codes, {name}", "rows": len(texts), "answered": answered, "differ": differ,
               "many_us": round(seconds[0] / len(texts) * 1e6), "one_by_one_us": round(seconds[1] / len(texts) * 1e6)})  # fmt: skip


if __name__ == "__main__":
    main()
