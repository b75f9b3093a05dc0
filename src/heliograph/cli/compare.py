"""`heliograph compare`: options -> CompareConfig -> `heliograph.compare.run` -> a verdict and a table."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel

from heliograph import manifest
from heliograph.cli import frames, potentials
from heliograph.cli.common import Bar, Quiet, Verbose, guarded, new_app
from heliograph.cli.options import Values, build, expand_lists, named, options_of, read_toml, with_data, with_options
from heliograph.compare.config import CompareConfig, CompareOptions, refuse_files, saved
from heliograph.errors import HeliographError, UsageError
from heliograph.train.config import DataConfig, FitConfig

GROUPS: dict[str, type[BaseModel]] = {"data": DataConfig, "compare": CompareOptions, "fit": FitConfig}
PANELS = {"data": "Data", "compare": "Comparison", "fit": "Training"}
TOP = ("output_dir",)
FLAGS = ("--resume", "--overwrite", "--verbose", "-v", "--quiet", "-q", "--help", "-h")
NOT_HERE = ("devices", "baselines")

OPTIONS = [
    *options_of(CompareConfig, "Run"),
    *(option for name, group in GROUPS.items() for option in options_of(group, PANELS[name], leave_out=NOT_HERE)),
    *frames.options(),
]

app = new_app()


def arguments(args: Sequence[str]) -> list[str]:
    """Let options with several values be written as people know them; see `expand_lists`."""
    args = [frames.SPELLINGS.get(arg.partition("=")[0], arg.partition("=")[0]) + "".join(arg.partition("=")[1:]) for arg in args]
    return expand_lists(args, OPTIONS, FLAGS, ("-i", "--data-path", "--config", "--resume", "-h", "--help"))


@app.command()
@with_options(OPTIONS)
def compare(
    data: Annotated[str | None, typer.Argument(metavar="DATA", help="table of molecules, frames with forces, or a shipped set")] = None,
    config: Annotated[Path | None, typer.Option("--config", metavar="FILE", help="options as a TOML file", rich_help_panel="Run")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="go on with the comparison in --output-dir; new architectures are added", rich_help_panel="Run")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace the comparison in --output-dir", rich_help_panel="Run")] = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
    **given: Any,
) -> None:
    """Compare architectures on a table of molecules, or on frames with forces: the same folds for all, statistics that hold, a verdict."""
    begun: list[CompareConfig] = []

    def interrupted() -> str:
        if not begun or not (begun[0].output_dir / "config.json").is_file():
            return "Interrupted before anything was done."
        own = [arch for arch in begun[0].compare.archs if arch.endswith(".py")]
        words = ["heliograph", "compare", "--resume", "-o", str(begun[0].output_dir), *(["--archs", *own] if own else [])]
        words += ["--ray", begun[0].compare.ray] if begun[0].compare.ray else []
        return f"Interrupted. Go on with: {shlex.join(words)}"

    with guarded(verbose, interrupted):
        if frames.wanted(with_data(given, data), config, resume=False):
            potentials.compare(with_data(given, data), config, resume, overwrite, quiet)
            return
        asked = configure(data, config, resume, given)
        begun.append(asked)
        with Bar(quiet) as bar:
            from heliograph import compare as comparing
            from heliograph.report import NAME, write_comparison

            result = comparing.run(asked, resume=resume, overwrite=overwrite, progress=bar)
            report = write_comparison(result, asked.output_dir / NAME)
            manifest.seal(asked.output_dir, [NAME])
        if not quiet:
            from heliograph.cli.comparison import show_comparison

            show_comparison(result, asked.output_dir, report)


def configure(data: str | None, config: Path | None, resume: bool, given: Values) -> CompareConfig:
    """The configuration out of a saved one (to resume), a TOML file and options; the later win."""
    given = with_data(given, data)
    values: Values = {}
    origin: dict[str, str] = {}
    if resume:
        folder = Path(given.get("output_dir", CompareConfig.model_fields["output_dir"].default))
        if not (folder / "config.json").is_file():
            raise HeliographError(f"nothing to resume: there is no comparison in {folder}. Give the folder of one with -o.")
        old = saved(folder / "config.json")
        values |= {k: v for group in GROUPS for k, v in getattr(old, group).model_dump().items()} | {"output_dir": folder}
        values["archs"] = tuple(arch for arch in old.compare.archs if not arch.endswith(".py"))
        if not values["archs"] and "archs" not in given:
            refuse_files(old.compare.archs, ())
    if config is not None:
        found = read_toml(config, GROUPS, TOP)
        own = [arch for arch in found.get("archs", ()) if str(arch).endswith(".py")]
        if own and "archs" not in given:
            raise UsageError(
                f"{config} names files of your own, and no code is run because a file names it. Name them again: --archs {' '.join(own)}"
            )
        values |= found
        origin |= dict.fromkeys(found, str(config))
    values |= given
    origin |= named(given)
    if "data_path" not in values:
        raise UsageError("no data: give a table of molecules, as in heliograph compare DATA, or --resume -o FOLDER")
    nested: dict[str, Any] = {g: {k: values.pop(k) for k in list(values) if k in model.model_fields} for g, model in GROUPS.items()}
    return build(CompareConfig, nested | values, origin)
