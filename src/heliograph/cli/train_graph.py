"""`heliograph train ... --edges`: options -> GraphTrainConfig -> `heliograph.onegraph.run` -> a table of scores and the report."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel

from heliograph.cli.common import Bar, Quiet, Verbose, guarded, new_app
from heliograph.cli.options import (
    Values,
    build,
    expand_lists,
    named,
    options_of,
    pairs,
    read_toml,
    with_data,
    with_options,
)
from heliograph.errors import HeliographError, UsageError
from heliograph.onegraph.config import (
    GraphDataConfig,
    GraphFitConfig,
    GraphModelConfig,
    GraphSplitConfig,
    GraphTrainConfig,
)

GROUPS: dict[str, type[BaseModel]] = {
    "data": GraphDataConfig, "split": GraphSplitConfig, "model": GraphModelConfig, "fit": GraphFitConfig,
}  # fmt: skip
PANELS = {"data": "Data", "split": "Split", "model": "Model", "fit": "Training"}
TOP = ("output_dir",)
FLAGS = ("--resume", "--overwrite", "--verbose", "-v", "--quiet", "-q", "--help", "-h")
OPTIONS = [
    *options_of(GraphTrainConfig, "Run"),
    *(option for name, group in GROUPS.items() for option in options_of(group, PANELS[name])),
]

app = new_app()


def arguments(args: Sequence[str]) -> list[str]:
    """Let options with several values be written as people know them; see `expand_lists`."""
    return expand_lists(args, OPTIONS, FLAGS, ("-i", "--data-path", "--config", "--resume", "--edges", "-h", "--help"))


@app.command(epilog="A TOML file given with --config holds the same keys; the command line wins.")
@with_options(OPTIONS)
def train_graph(
    nodes: Annotated[str | None, typer.Argument(metavar="NODES", help="table of nodes (links need none)")] = None,
    config: Annotated[Path | None, typer.Option("--config", metavar="FILE", help="options as a TOML file", rich_help_panel="Run")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on with the run in --output-dir", rich_help_panel="Run")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace the run in --output-dir", rich_help_panel="Run")] = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
    **given: Any,
) -> None:
    """Train on one graph given as tables of its nodes and edges: predict columns of nodes, of edges, or missing edges."""
    folder: list[Path] = []

    def interrupted() -> str:
        if not folder or not (folder[0] / "config.toml").is_file():
            return "Interrupted before the training began: there is nothing to go on with. Start it again with the same command."
        return f"Interrupted. Go on with: {shlex.join(['heliograph', 'train', '--resume', '-o', str(folder[0])])}"

    with guarded(verbose, interrupted):
        asked = configure(nodes, config, resume, given)
        folder.append(asked.output_dir)
        with Bar(quiet) as bar:
            from heliograph import manifest
            from heliograph.onegraph import run
            from heliograph.report import NAME
            from heliograph.report.onegraph import write

            result = run(asked, resume=resume, overwrite=overwrite, progress=bar)
            report = write(result, asked.output_dir / NAME)
            manifest.seal(asked.output_dir, [NAME])
        if not quiet:
            from heliograph.cli.graph_table import show

            show(result, asked.output_dir, report)


def configure(nodes: str | None, config: Path | None, resume: bool, given: Values) -> GraphTrainConfig:
    """One GraphTrainConfig from the positional table of nodes, options as text, a TOML file and, when resuming, the run's own."""
    given = with_data(given, nodes)
    origin = named(given)
    if "arch_args" in given:
        given["arch_args"] = pairs(given["arch_args"])
    if "relation_neighbors" in given:
        given["relation_neighbors"] = dict(_number_of(item) for item in given["relation_neighbors"])
    values: Values = {}
    files = [config] if config else []
    if resume and not config:
        out = Path(given.get("output_dir", GraphTrainConfig.model_fields["output_dir"].default))
        saved = out / "config.toml"
        if not saved.is_file():
            raise HeliographError(f"nothing to resume: no config.toml in {out}. Give the folder of an interrupted run with -o.")
        files = [saved]
        given["output_dir"] = out
    for file in files:
        from_file = read_toml(file, GROUPS, TOP)
        values |= from_file
        origin = dict.fromkeys(from_file, str(file)) | origin
    values |= given
    nested = {group: {n: values[n] for n in model.model_fields if n in values} for group, model in GROUPS.items()}
    return build(GraphTrainConfig, nested | {n: values[n] for n in TOP if n in values}, origin)


def _number_of(item: str) -> tuple[str, str]:
    """RELATION=NUMBER; the number is checked by the configuration."""
    name, equals, number = item.rpartition("=")
    if not equals or not name:
        raise UsageError(f"--relation-neighbors wants RELATION=NUMBER, got {item!r}")
    return name, number
