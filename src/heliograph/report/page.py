"""One HTML file from a result: every section's content, then the template, which escapes all texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from heliograph.files import atomic
from heliograph.report import accuracy, groups, scores, sections
from heliograph.report.digits import shorten
from heliograph.report.words import PART_WORDS, headline
from heliograph.train.result import TrainResult


def write(result: TrainResult, path: str | Path) -> Path:
    """Draw `result` into one HTML file that asks nothing of any network. Returns the path; HeliographError where it can't be written."""
    page = render(result)
    target = Path(path)
    with atomic(target) as temporary:
        temporary.write_text(page, encoding="utf-8", errors="replace")
    return target


def render(result: TrainResult) -> str:
    environment = Environment(
        loader=PackageLoader("heliograph.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    source = environment.loader.get_source  # type: ignore[union-attr]
    style, script = (Markup(source(environment, name)[0]) for name in ("style.css", "tips.js"))  # ours, not the user's
    with np.errstate(all="ignore"):  # numbers that overflow become infinities, which are left out or shown as such
        return environment.get_template("report.html").render(style=style, script=script, **_content(result))


def _content(result: TrainResult) -> dict[str, Any]:
    part = scores.judged_part(result)
    arch = str(result.config.get("model", {}).get("arch") or "model")
    content: dict[str, Any] = {
        "title": f"{shorten(Path(arch).stem, 40)} on {shorten(Path(result.data.path).name or 'molecules', 60)}",
        "finished": shorten(result.finished.replace("T", " ")[:16], 16),
        "kind": {"regression": "regression", "binary": "binary classification", "multiclass": "multi-class classification"}[result.kind],
        "headline": headline(result),
        "part": PART_WORDS.get(part, ""),
        "part_file": f"{part}_predictions.csv",
        "asked": sections.asked(result),
        "data": sections.data(result),
        "split": sections.split(result),
        "training": sections.training(result),
        "signals": sections.signals(result),
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
