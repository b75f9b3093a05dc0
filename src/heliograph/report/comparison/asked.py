"""What was asked of a comparison, and how to go on: commands ready to be copied."""

from __future__ import annotations

import shlex
from typing import Any

from heliograph.compare.result import CompareResult
from heliograph.compare.verdict import chosen
from heliograph.report.comparison.scale import short
from heliograph.report.digits import shorten
from heliograph.report.sections import options
from heliograph.train.config import DataConfig

KEY_OPTIONS = ("archs", "cv", "split", "parameters", "epochs", "budget", "rope", "batch_size", "max_lr", "seed", "metrics")


def asked(result: CompareResult) -> dict[str, Any]:
    """The command, the options that matter and all the others, what was noticed on the way."""
    usual = {"split": "random"}
    notes = [shorten(n, 400) for n in result.notes]
    return {"command": shorten(result.command, 2000), "notes": notes, **options(result.config, KEY_OPTIONS, usual)}


def go_on(result: CompareResult) -> dict[str, str]:
    """Add an architecture; train the chosen one."""
    pick, folder = chosen(result), shlex.quote(str(result.config["output_dir"]))
    epochs = result.learner(pick).epochs
    train = ["heliograph train", *_data(result.config["data"]), "--arch", shlex.quote(pick)]
    train += ["--epochs", str(epochs)] if epochs else []
    wide = result.config["compare"]["parameters"]
    return {
        "add": f"heliograph compare --resume -o {folder} --archs NAME",
        "pick": short(pick),
        "train": " ".join([*train, "-o", shlex.quote(f"{short(pick)}-run".replace(" ", "-"))]),
        "again": f"heliograph report {folder}",
        "width": f"Its width was set for about {wide:,} parameters; give --arch-args d=... to have the same." if wide else "",
    }


def _data(config: dict[str, Any]) -> list[str]:
    """The table, and how it is read where that is not as usual."""
    usual = DataConfig.model_fields
    said = [shlex.quote(str(config["data_path"]))]
    for name in ("smiles_columns", "target_columns", "weight_column", "task_type", "units", "geometry"):
        value = config.get(name)
        if value and value != usual[name].default:
            said += [f"--{name.replace('_', '-')}", *(shlex.quote(str(v)) for v in (value if isinstance(value, list | tuple) else [value]))]
    return said
