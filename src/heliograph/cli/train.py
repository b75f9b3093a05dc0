"""`heliograph train`: options -> TrainConfig -> `heliograph.train.run` -> a table of test errors and the report."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel

from heliograph import manifest
from heliograph.cli import frames
from heliograph.cli.common import Bar, Quiet, Verbose, guarded, new_app
from heliograph.cli.options import Values, build, expand_lists, named, options_of, pairs, read_toml, with_data, with_options
from heliograph.errors import HeliographError, UsageError
from heliograph.train.config import DataConfig, FitConfig, ModelConfig, SplitConfig, TrainConfig, TrustConfig

GROUPS: dict[str, type[BaseModel]] = {
    "data": DataConfig,
    "split": SplitConfig,
    "model": ModelConfig,
    "fit": FitConfig,
    "trust": TrustConfig,
}
PANELS = {"data": "Data", "split": "Split", "model": "Model", "fit": "Training", "trust": "Error bars"}
TOP = ("output_dir",)
FLAGS = ("--resume", "--overwrite", "--verbose", "-v", "--quiet", "-q", "--help", "-h")

OPTIONS = [
    *options_of(TrainConfig, "Run"),
    *(option for name, group in GROUPS.items() for option in options_of(group, PANELS[name], leave_out=("arch_sha256",))),
    *frames.options(),
]

EPILOG = "A TOML file given with --config holds the same keys, flat or in tables (data, split, model, fit, trust); the command line wins."

app = new_app()


def arguments(args: Sequence[str]) -> list[str]:
    """Let options with several values be written as people know them; see `expand_lists`."""
    args = [frames.SPELLINGS.get(arg.partition("=")[0], arg.partition("=")[0]) + "".join(arg.partition("=")[1:]) for arg in args]
    return expand_lists(args, OPTIONS, FLAGS, ("-i", "--data-path", "--config", "--resume", "--from", "-h", "--help"))


@app.command(epilog=EPILOG)
@with_options(OPTIONS)
def train(
    data: Annotated[str | None, typer.Argument(metavar="DATA", help="table of molecules, frames with forces, or a shipped set")] = None,
    config: Annotated[Path | None, typer.Option("--config", metavar="FILE", help="options as a TOML file", rich_help_panel="Run")] = None,
    from_: Annotated[
        Path | None,
        typer.Option("--from", metavar="FOLDER", help="train what a comparison chose, on all its molecules", rich_help_panel="Run"),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on with the run in --output-dir", rich_help_panel="Run")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace the run in --output-dir", rich_help_panel="Run")] = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
    **given: Any,
) -> None:
    """Train on a table of molecules, or on frames with energies and forces: a run folder with the model, its test errors, a report."""
    begun: list[TrainConfig] = []

    def interrupted() -> str:
        if not begun or not (begun[0].output_dir / "config.toml").is_file():
            return "Interrupted before the training began: there is nothing to go on with. Start it again with the same command."
        own = ["--arch", begun[0].model.arch] if begun[0].model.arch.endswith(".py") else []
        return f"Interrupted. Go on with: {shlex.join(['heliograph', 'train', '--resume', '-o', str(begun[0].output_dir), *own])}"

    with guarded(verbose, interrupted):
        given = with_data(given, data)
        if from_ is None and frames.wanted(given, config, resume):
            frames.train(frames.configure(given, config, resume), resume, overwrite, quiet)
            return
        asked = configure(None, config, resume, given, from_)
        begun.append(asked)
        with Bar(quiet) as bar:
            from heliograph import train as training
            from heliograph.report import NAME, write

            result = training.run(asked, resume=resume, overwrite=overwrite, progress=bar)
            report = write(result, asked.output_dir / NAME)
            manifest.seal(asked.output_dir, [NAME])
        if not quiet:
            from heliograph.cli.tables import show_result

            show_result(result, asked.output_dir, report)


def configure(data: str | None, config: Path | None, resume: bool, given: Values, comparison: Path | None = None) -> TrainConfig:
    """One TrainConfig from positional DATA, options as text, a TOML file, a comparison, and, when resuming, the run's own config.toml."""
    given = with_data(given, data)
    origin = named(given)
    if "arch_args" in given:
        given["arch_args"] = pairs(given["arch_args"])
    values: Values = {}
    if comparison is not None:
        from heliograph.compare.training import training

        chosen = training(comparison, given.get("arch"))
        values |= {k: v for group in GROUPS for k, v in dict(getattr(chosen, group)).items()}
    files = [config] if config else []
    if resume and not config:
        out = Path(given.get("output_dir", TrainConfig.model_fields["output_dir"].default))
        saved = out / "config.toml"
        if not saved.is_file():
            raise HeliographError(f"nothing to resume: no config.toml in {out}. Give the folder of an interrupted run with -o.")
        files = [saved]
        given["output_dir"] = out
    for file in files:
        from_file = read_toml(file, GROUPS, TOP)
        if str(from_file.get("arch", "")).endswith(".py") and "arch" not in given:
            raise UsageError(
                f"{file} names a file of your own, {from_file['arch']}, and no code is run because a file names it. "
                f"Name it again: --arch {from_file['arch']}"
            )
        values |= from_file
        origin = dict.fromkeys(from_file, str(file)) | origin
    values |= given
    if "data_path" not in values:
        example = "heliograph train molecules.csv -o run"
        raise UsageError(f"no data: give a table of molecules, like: {example}\n(heliograph data lists the shipped sets)")
    nested = {group: {n: values[n] for n in model.model_fields if n in values} for group, model in GROUPS.items()}
    return build(TrainConfig, nested | {n: values[n] for n in TOP if n in values}, origin)
