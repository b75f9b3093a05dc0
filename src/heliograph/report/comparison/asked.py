"""What was asked of a comparison, and how to go on: commands ready to be copied."""

from __future__ import annotations

import shlex
from typing import Any

from heliograph.compare.result import CompareResult
from heliograph.compare.verdict import chosen
from heliograph.report.comparison.scale import short
from heliograph.report.digits import shorten
from heliograph.report.sections import options

KEY_OPTIONS = (
    "archs",
    "cv",
    "split",
    "sample",
    "parameters",
    "tune",
    "epochs",
    "budget",
    "rope",
    "batch_size",
    "max_lr",
    "seed",
    "metrics",
)


def asked(result: CompareResult) -> dict[str, Any]:
    """The command, the options that matter and all the others, what was noticed on the way."""
    usual = {"split": "random"}
    notes = [shorten(n, 400) for n in result.notes]
    return {"command": shorten(result.command, 2000), "notes": notes, **options(result.config, KEY_OPTIONS, usual)}


def go_on(result: CompareResult) -> dict[str, str]:
    """Add an architecture; train the chosen one as it was compared, on everything; write the page again."""
    pick, folder = short(chosen(result)), shlex.quote(str(result.config["output_dir"]))
    run = shlex.quote(f"{pick}-run".replace(" ", "-"))
    own = [shlex.quote(name) for name in (k.name for k in result.learners) if name.endswith(".py")]  # these must be named again
    named = f" --arch {shlex.quote(chosen(result))}" if chosen(result).endswith(".py") else ""
    return {
        "add": f"heliograph compare --resume -o {folder} --archs {' '.join([*own, 'NAME'])}",
        "pick": pick,
        "train": f"heliograph train --from {folder}{named} -o {run}",
        "again": f"heliograph report {folder}",
    }
