"""A finished training or comparison as one HTML file for people: the answer first, then what it rests on.

The only room that writes HTML. It reads a typed result and computes nothing that the run did not (but intervals and curves).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heliograph.compare.result import CompareResult
    from heliograph.train.result import TrainResult


def write(result: TrainResult, path: str | Path) -> Path:
    """Write the report of a training to `path`: one file, no request to anywhere. Raises HeliographError where it can't be written."""
    from heliograph.report.training import write as write_page  # Jinja2 is loaded only now

    return write_page(result, path)


def rewrite(folder: Path, path: str | Path) -> Path:
    """Write the report of the finished training or comparison in `folder` to `path`. Raises DataError where there is neither."""
    from heliograph.train.result import RESULTS, TrainResult

    try:
        compared = "learners" in json.loads((folder / RESULTS).read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        compared = False  # what is missing or damaged is said by the reader of trainings
    if not compared:
        return write(TrainResult.load(folder), path)
    from heliograph.compare.result import CompareResult

    return write_comparison(CompareResult.load(folder), path)


def write_comparison(result: CompareResult, path: str | Path) -> Path:
    """Write the report of a comparison to `path`, as `write` does."""
    from heliograph.report.comparison import write as write_page

    return write_page(result, path)
