"""A finished training or comparison as one HTML file for people: the answer first, then what it rests on.

The only room that writes HTML. It reads a typed result and computes nothing that the run did not (but intervals and curves).
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from heliograph import manifest
from heliograph.errors import UsageError

if TYPE_CHECKING:
    from heliograph.compare.potentials import PotentialComparison
    from heliograph.compare.result import CompareResult
    from heliograph.potential.result import PotentialResult
    from heliograph.train.result import TrainResult

NAME = "report.html"


def write(result: TrainResult, path: str | Path) -> Path:
    """Write the report of a training to `path`: one file, no request to anywhere. Raises HeliographError where it can't be written."""
    from heliograph.report.training import write as write_page  # Jinja2 is loaded only now

    return write_page(result, path)


def rewrite(folder: Path, path: str | Path | None = None, overwrite: bool = False) -> Path:
    """Write the report of the finished training or comparison in `folder` to `path`, by default the folder's own `report.html`.

    Raises DataError where there is neither, UsageError where `path` is there, is not the run's own report, and `overwrite` is not given.
    """
    own, path = path is None, Path(path or folder / NAME)
    if os.path.lexists(path) and not overwrite and not (own and manifest.vouched(folder, NAME)):
        raise UsageError(f"{path} exists. Give --overwrite to replace it, or another name with -o.")
    written = _rewrite(folder, path)
    if own:
        manifest.seal(folder, [NAME])
    return written


def _rewrite(folder: Path, path: Path) -> Path:
    from heliograph.compare.potentials import SAVED, PotentialComparison
    from heliograph.potential.result import PotentialResult, is_potential
    from heliograph.train.result import RESULTS, TrainResult

    if (folder / SAVED).is_file():
        return write_potentials(PotentialComparison.load(folder), path)
    if is_potential(folder):
        return write_potential(PotentialResult.load(folder), path)
    try:
        found = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
        compared, one_graph = "learners" in found, "of" in found and found["of"] == "one graph"
    except (OSError, ValueError, TypeError):
        compared = one_graph = False  # what is missing or damaged is said by the reader of trainings
    if one_graph:
        from heliograph.onegraph.result import GraphResult
        from heliograph.report.onegraph import write as write_graph

        return write_graph(GraphResult.load(folder), path)
    if not compared:
        return write(TrainResult.load(folder), path)
    from heliograph.compare.result import CompareResult

    return write_comparison(CompareResult.load(folder), path)


def write_comparison(result: CompareResult, path: str | Path) -> Path:
    """Write the report of a comparison to `path`, as `write` does."""
    from heliograph.report.comparison import write as write_page

    return write_page(result, path)


def write_potential(result: PotentialResult, path: str | Path) -> Path:
    """Write the report of the training of a potential to `path`, as `write` does."""
    from heliograph.report.potential import write as write_page

    return write_page(result, path)


def write_potentials(result: PotentialComparison, path: str | Path) -> Path:
    """Write the report of compared potentials to `path`, as `write` does."""
    from heliograph.report.potentials import write as write_page

    return write_page(result, path)
