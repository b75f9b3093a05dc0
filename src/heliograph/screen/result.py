"""What a screening comes to, and its files: `top.csv`, `diverse.csv`, `results.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from heliograph.data.writer import open_writer
from heliograph.files import atomic
from heliograph.screen.best import DIGITS, Hit
from heliograph.screen.enrichment import Enrichment

TOP, DIVERSE, RESULTS = "top.csv", "diverse.csv", "results.json"


@dataclass(eq=False)
class Result:
    """Of one screening. `hits`, `diverse`: best first. `reasons`: kind of reason -> rows without an answer.

    `rejected`: filter -> molecules that it turned away.

    `seconds`: stage -> time, with the filters' CPU time under their names. `sample`: scores from all parts of the library.
    `known`: candidates left out as known already. `validation`: how the prediction agrees with the physics of the best, and `validated`:
    canonical SMILES -> (value or None, reason).
    `most_similar`: the largest similarity of any two of `diverse`, every pair looked at.
    """

    hits: list[Hit]
    columns: tuple[str, ...]
    ranking: str
    rows: int = 0
    ranked: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    left_out: int = 0
    filtered: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    sample: list[float] = field(default_factory=list)
    diverse: list[Hit] | None = None
    most_similar: float | None = None
    enrichment: Enrichment | None = None
    known: int = 0
    validated: dict[str, tuple[float | None, str]] = field(default_factory=dict)
    validation: dict[str, float] | None = None
    about: dict[str, Any] = field(default_factory=dict)

    def save(self, folder: Path) -> None:
        """Write the tables and `results.json` into `folder`."""
        write_hits(folder / TOP, self.hits, self.columns, self.validated)
        if self.diverse is not None:
            write_hits(folder / DIVERSE, self.diverse, self.columns, self.validated)
        data = {k: v for k, v in vars(self).items() if k not in ("hits", "diverse", "columns", "sample", "enrichment", "validated")}
        data |= {"hits": len(self.hits), "diverse": None if self.diverse is None else len(self.diverse)}
        data["enrichment"] = None if self.enrichment is None else asdict(self.enrichment)
        data["scores"] = {f"{q:g}": float(v) for q, v in _quantiles(self.sample)}
        with atomic(folder / RESULTS) as temporary:
            temporary.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")


def _quantiles(sample: Sequence[float]) -> list[tuple[float, float]]:
    if not sample:
        return []
    wanted = (0.0, 0.01, 0.1, 0.5, 0.9, 0.99, 1.0)
    return list(zip(wanted, np.quantile(sample, wanted).tolist(), strict=True))


def write_hits(
    path: Path, hits: Sequence[Hit], columns: Sequence[str], validated: Mapping[str, tuple[float | None, str]] | None = None
) -> None:
    """A table with rank, score, canonical SMILES, and the row's own columns with the answers; `validated` values where there are any."""
    own = [name for name in ("rank", "score", "canonical_smiles") if name not in columns]
    renamed = ["rank", "score", "canonical_smiles"] if len(own) == 3 else ["screen_rank", "screen_score", "screen_smiles"]
    more = [name if name not in columns else f"screen_{name}" for name in ("validated", "validated_reason")] if validated else []
    with atomic(path) as temporary, open_writer(temporary, path.name, [*renamed, *columns, *more], set()) as writer:
        for rank, hit in enumerate(hits, 1):
            cells = [_cell(hit.cells.get(name)) for name in columns]
            if validated:
                value, reason = validated.get(hit.smiles, (None, ""))
                cells += [_cell(value), reason]
            writer.row([str(rank), f"{hit.score:.{DIGITS}g}", hit.smiles, *cells[:-1]], [], cells[-1] if cells else "")


def _cell(value: Any) -> str:
    if value is None or value != value:
        return ""
    return f"{value:.{DIGITS}g}" if isinstance(value, float) else str(value)
