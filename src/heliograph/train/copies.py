"""Rows of equal structure in one table: how many, and how far their labels are apart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from heliograph.train.targets import Labels


def groups(smiles: Sequence[str]) -> list[np.ndarray]:
    """Rows of each structure that is there more than once."""
    found: dict[str, list[int]] = defaultdict(list)
    for row, text in enumerate(smiles):
        if text:
            found[text].append(row)
    return [np.array(rows) for rows in found.values() if len(rows) > 1]


def sentences(smiles: Sequence[str], labels: Labels, together: bool = False) -> list[str]:
    """Say how many structures are there more than once, and how far their labels are apart; nothing where there are none.

    `together`: the split keeps copies in one part.
    """
    found = groups(smiles)
    if not found:
        return []
    kept = "; the split keeps copies together" if together else ""
    notes = [f"{len(found):,} structures are there more than once ({sum(map(len, found)):,} rows){kept}."]
    for t, name in enumerate(labels.task.targets):
        unlike, squares, free = 0, 0.0, 0
        for rows in found:
            y = labels.known[rows, t]
            y = y[np.isfinite(y)]
            if len(y) > 1 and np.ptp(y) > 0:
                unlike += 1
            if len(y) > 1:
                squares += float(np.square(y - y.mean()).sum())
                free += len(y) - 1
        if unlike and len(notes) < 6:
            spread = f", spread {np.sqrt(squares / free):.3g}" if labels.task.kind == "regression" else ""
            notes.append(f"{unlike:,} of them have unlike labels of {name!r}{spread}: no model of the structure is right on all of these.")
    return notes


def shared(smiles: Sequence[str], parts: Mapping[str, np.ndarray]) -> list[str]:
    """How many molecules of the other parts are in the training part too, by structure."""
    seen = {smiles[k] for k in parts["train"]} - {""}
    notes = []
    for part in ("val", "test"):
        rows = parts.get(part, ())
        both = sum(smiles[k] in seen for k in rows)
        if both:
            notes.append(f"{both:,} of {len(rows):,} {part} molecules are among the training molecules, too: scores of them say less.")
    return notes
