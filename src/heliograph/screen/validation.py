"""Physics on the best: an oracle's value beside the prediction, a few molecules at a time, kept as they come."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

import numpy as np
from scipy.stats import spearmanr

from heliograph.errors import UsageError, suggest
from heliograph.files import JsonLines
from heliograph.screen.config import ScreenConfig
from heliograph.screen.oracle import PROPERTIES, oracle

if TYPE_CHECKING:
    from heliograph.screen.result import Result

PIECE = 8  # molecules computed before they stand in the journal
PATIENCE = 3600.0  # seconds that a command may take for a piece


class Progress(Protocol):
    """How far it is."""

    def __call__(self, stage: str, done: int, total: int | None = None) -> None: ...


def asked_of(config: ScreenConfig, first: str) -> str:
    """The oracle's name in full: "xtb" is GFN2-xTB's value of the target, `first` where none is named. Raises UsageError."""
    text = config.validate_by or ""
    if text == "xtb":
        target = config.target or first
        if target not in PROPERTIES:
            near = suggest(target, PROPERTIES)
            raise UsageError(f"--validate-by xtb: GFN2-xTB has no {target!r}; say label:PROPERTY, one of: {near}")
        text = f"label:{target}"
    if text.startswith("column:"):
        raise UsageError(f"--validate-by {text}: a column is no physics; say xtb, label:PROPERTY or a command")
    if text:
        oracle(text, (), (), PATIENCE, "--validate-by")
    return text


def validate(result: Result, config: ScreenConfig, column: str, journal: JsonLines, progress: Progress | None) -> None:
    """Compute the best `validate_top` and say how the prediction `column` agrees: `validated` and `validation` of the result.

    What stands in the journal for the same oracle is not computed again. Raises UsageError, DataError (a command that fails).
    """
    if not config.validate_by:
        return
    text, started = asked_of(config, column.removesuffix("_pred")), time.monotonic()
    best = (result.hits if result.diverse is None else result.diverse)[: config.validate_top]
    found: dict[str, tuple[float | None, str]] = {}
    for line in journal.read():
        if line.get("validated") == text:
            found |= {smiles: (value, why) for smiles, value, why in line["values"]}
    waiting = [hit.smiles for hit in best if hit.smiles not in found]
    ask = oracle(text, waiting, [], PATIENCE, "--validate-by")
    for k in range(0, len(waiting), PIECE):
        rows = range(k, min(k + PIECE, len(waiting)))
        labels = [(waiting[row], *label) for row, label in zip(rows, ask(rows), strict=True)]
        journal.append({"validated": text, "values": labels})
        found |= {smiles: (value, why) for smiles, value, why in labels}
        if progress is not None:
            progress(f"computing the best by {text}", len(best) - len(waiting) + rows.stop, len(best))
    result.validated = {hit.smiles: found[hit.smiles] for hit in best}
    pairs = [(hit.cells.get(column), found[hit.smiles][0]) for hit in best]
    result.validation = agreement([(float(p), v) for p, v in pairs if isinstance(p, float) and v is not None])
    result.validation["asked"] = float(len(best))
    result.seconds["validation"] = time.monotonic() - started


def agreement(pairs: list[tuple[float, float]]) -> dict[str, float]:
    """Of predictions and values: how many there are, the mean absolute error, the mean error, and Spearman's rank correlation."""
    both = np.array(pairs).reshape(-1, 2)
    figures = {"values": float(len(both))}
    if len(both):
        error = both[:, 0] - both[:, 1]
        figures |= {"mae": float(np.abs(error).mean()), "mean_error": float(error.mean())}
    if len(both) > 2 and np.ptp(both[:, 0]) > 0 and np.ptp(both[:, 1]) > 0:
        figures["spearman"] = float(spearmanr(both[:, 0], both[:, 1]).statistic)
    return figures
