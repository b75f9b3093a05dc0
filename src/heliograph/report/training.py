"""What the report of a training says: the content of every section."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from heliograph.report import accuracy, groups, page, scores, sections, trust
from heliograph.report.digits import shorten
from heliograph.report.words import PART_WORDS, headline
from heliograph.train.result import TrainResult


def write(result: TrainResult, path: str | Path) -> Path:
    """Draw `result` into one HTML file. Returns the path; HeliographError where it can't be written."""
    with np.errstate(all="ignore"):  # numbers that overflow become infinities, which are left out or shown as such
        return page.write("training.html", _content(result), path)


def _content(result: TrainResult) -> dict[str, Any]:
    part = scores.judged_part(result)
    arch = str(result.config.get("model", {}).get("arch") or "model")
    content: dict[str, Any] = {
        "title": f"{shorten(Path(arch).stem, 40)} on {shorten(Path(result.data.path).name or 'molecules', 60)}",
        "finished": shorten(result.finished.replace("T", " ")[:16], 16),
        "kind": page.KINDS[result.kind],
        "headline": headline(result),
        "part": PART_WORDS.get(part, ""),
        "part_file": f"{part}_predictions.csv",
        "asked": sections.asked(result),
        "data": sections.data(result),
        "split": sections.split(result),
        "training": sections.training(result),
        "diagnostics": sections.diagnostics(result),
        "cost": sections.cost(result),
        "use": sections.use(result),
        "versions": [(shorten(str(k), 40), shorten(str(v), 80)) for k, v in result.versions.items()],
        "scores": accuracy.score_table(result),
        "replicates": accuracy.replicate_table(result),
        "targets": accuracy.target_table(result),
        "panels": accuracy.panels(result),
        "targets_total": len(result.targets),
        "size_plot": None,
        "scaffolds": None,
        "cards": {"worst": [], "best": []},
        "trust": trust.section(result),
        "error_label": "",
        "error_meaning": "",
    }
    if part:
        predictions = result.predictions[part]
        errors = groups.molecule_errors(result, predictions)
        content |= {
            "size_plot": groups.by_size(predictions, errors),
            "scaffolds": groups.by_scaffold(result, predictions, errors),
            "cards": groups.cards(result, predictions, errors),
            "error_meaning": errors.meaning,
            "error_label": f"{errors.label} ({errors.unit})" if errors.unit else errors.label,
        }
    return content
