"""`heliograph train` on frames with energies and forces: options -> TrainPotential -> `heliograph.potential.runner.run`."""

from __future__ import annotations

import tomllib
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel

from heliograph.cli.common import Bar
from heliograph.cli.options import Option, Values, build, named, options_of, pairs, read_toml
from heliograph.errors import HeliographError, UsageError
from heliograph.potential.config import FrameFit, FramesConfig, PotentialConfig, TrainPotential

if TYPE_CHECKING:
    from heliograph.potential.result import PotentialResult

GROUPS: dict[str, type[BaseModel]] = {
    "frames": FramesConfig,
    "potential": PotentialConfig,
    "fit": FrameFit,
}
OWN = (
    "energy_key",
    "forces_key",
    "stress_key",
    "virial_key",
    "forces",
    "r_max",
    "E0s",
    "energy_weight",
    "forces_weight",
    "stress_weight",
    "properties",
    "properties_weight",
    "start_stage_two",
    "stage_two_energy_weight",
)
MOLECULES = ("smiles_columns", "target_columns", "weight_column", "task_type", "units", "geometry", "splits_column",
             "references", "num_replicates", "missing", "censored", "copies")  # fmt: skip
TABLES = (
    ".csv",
    ".tsv",
    ".tab",
    ".txt",
    ".smi",
    ".smiles",
    ".ism",
    ".can",
    ".parquet",
    ".xlsx",
    ".xlsm",
    ".pq",
    ".sdf",
    ".sd",
    ".mol",
    ".npz",
)
PACKED = (".gz", ".bgz", ".gzip", ".bz2", ".xz", ".zip")
PROBE = 20  # frames that are looked at
SPELLINGS = {f"--{name}": "--" + name.replace("_", "-") for name in OWN if "_" in name} | {"--virials_key": "--virial-key"}


def options() -> list[Option]:
    """The options that only frames have."""
    every = [o for name, group in GROUPS.items() if name != "fit" for o in options_of(group, "Forces and crystals")]
    return [option for option in every if option.name in OWN]


def wanted(given: Values, config: Path | None, resume: bool) -> bool:
    """Whether this is a training of a potential: by its options, its TOML file, or what its file of frames holds."""
    if any(name in given for name in OWN):
        return True
    saved = Path(given.get("output_dir", "run")) / "config.toml"
    for file in [config] if config else [saved] if resume else []:
        try:
            return "frames" in tomllib.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False  # whoever reads it next says so
    if "data_path" not in given or any(name in given for name in MOLECULES):
        return False
    path = Path(given["data_path"])
    name = path.name.lower()
    for packed in PACKED:
        name = name.removesuffix(packed)
    if not path.is_file() or name.endswith(TABLES):
        return False
    return not name.endswith((".xyz", ".extxyz")) or _has_forces(path)


def _has_forces(path: Path) -> bool:
    """Whether the first frames of an extended XYZ have forces, or energies of periodic structures."""
    from heliograph.data.frames import read
    from heliograph.data.sources.structures import CANDIDATES

    return any(
        any(key in frame.arrays for key in CANDIDATES["forces"])
        or (any(frame.pbc) and any(key in frame.info for key in CANDIDATES["energy"]))
        for frame in islice(read(path), PROBE)
    )


def configure(given: Values, config: Path | None, resume: bool) -> TrainPotential:
    """One TrainPotential from options as text, a TOML file and, when resuming, the run's own config.toml."""
    for name in MOLECULES:
        if name in given:
            raise UsageError(f"--{name.replace('_', '-')} is for tables of molecules; these are frames with energies and forces")
    origin = named(given)
    if "arch_args" in given:
        given = given | {"arch_args": pairs(given["arch_args"])}
    files, top = [config] if config else [], ("output_dir",)
    if resume and not config:
        out = Path(given.get("output_dir", TrainPotential.model_fields["output_dir"].default))
        if not (out / "config.toml").is_file():
            raise HeliographError(f"nothing to resume: no config.toml in {out}. Give the folder of an interrupted run with -o.")
        files, given = [out / "config.toml"], given | {"output_dir": out}
    values: Values = {}
    for file in files:
        from_file = read_toml(file, GROUPS, top)
        own = str(from_file.get("arch", ""))
        if own.endswith(".py") and "arch" not in given:
            raise UsageError(
                f"{file} names a file of your own, {own}, and no code is run because a file names it. Name it again: --arch {own}"
            )
        values |= from_file
        origin = dict.fromkeys(from_file, str(file)) | origin
    values |= given
    if "data_path" not in values:
        raise UsageError("no data: give a file of frames, like: heliograph train frames.extxyz -o run")
    nested = {group: {n: values[n] for n in model.model_fields if n in values} for group, model in GROUPS.items()}
    return build(TrainPotential, nested | {n: values[n] for n in top if n in values}, origin)


def train(asked: TrainPotential, resume: bool, overwrite: bool, quiet: bool) -> None:
    """Train, write the report, print the errors."""
    with Bar(quiet) as bar:
        from heliograph import manifest
        from heliograph.potential import runner
        from heliograph.report import NAME, write_potential

        result = runner.run(asked, resume=resume, overwrite=overwrite, progress=bar)
        report = write_potential(result, asked.output_dir / NAME)
        manifest.seal(asked.output_dir, [NAME])
    if not quiet:
        show(result, asked.output_dir, report)


def show(result: PotentialResult, folder: Path, report: Path) -> None:
    """Print the errors of each part, beside those of no model at all, and where everything is."""
    from rich.console import Console
    from rich.table import Table

    from heliograph.potential.result import described

    console = Console(highlight=False)
    part = "test" if "test" in result.metrics else "val"
    if part in result.metrics:
        what = {"test": "Test", "val": "Validation (there is no test part)"}[part]
        console.print(f"\n{what}: {result.sizes[part]:,} frames", style="bold")
        table = Table()
        for heading in (
            "",
            "unit",
            str(result.config["potential"]["arch"]),
            "no forces, mean energy",
        ):
            table.add_column(heading, justify="left" if heading in ("", "unit") else "right")
        for name, value in result.metrics[part].items():
            words, unit = described(name)
            table.add_row(words, unit, f"{value:.4g}", f"{result.zero[part][name]:.4g}")
        console.print(table)
    if result.bad:
        number, reason = result.bad[0]
        first = f"the first is frame {number + 1}: {reason}"
        console.print(f"{len(result.bad):,} of {result.frames:,} frames can't be used; {first}", markup=False)
    console.print(f"model   {folder / result.model_file}", markup=False, soft_wrap=True)
    console.print(f"report  {report}", markup=False, soft_wrap=True)
