"""`heliograph active simulate|suggest|run`: options -> a configuration -> `heliograph.active`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from heliograph import manifest
from heliograph.active.config import CampaignConfig, SimulateConfig, SuggestConfig
from heliograph.cli.common import Bar, Model, Quiet, Verbose, guarded, new_app
from heliograph.cli.options import build, expand_lists, named, options_of, with_options

SIMULATE = options_of(SimulateConfig, "Simulation", leave_out=("data_path",))
SUGGEST = options_of(SuggestConfig, "Choice", leave_out=("model_path", "data_path"))
RUN = options_of(CampaignConfig, "Campaign", leave_out=("data_path",))
FLAGS = ("--resume", "--overwrite", "--verbose", "-v", "--quiet", "-q", "--help", "-h")

Resume = Annotated[bool, typer.Option("--resume", help="go on with what is in --output-dir", rich_help_panel="Run")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="replace what is there", rich_help_panel="Run")]

app = new_app()


def arguments(args: Sequence[str]) -> list[str]:
    """Let options with several values be written as people know them; see `expand_lists`."""
    return [*args[:1], *expand_lists(args[1:], [*SIMULATE, *SUGGEST, *RUN], FLAGS, ("-h", "--help"))]


@app.command()
@with_options(SIMULATE)
def simulate(
    table: Annotated[Path, typer.Argument(metavar="TABLE", help="molecules with their labels, or the name of a shipped set")],
    resume: Resume = False,
    overwrite: Overwrite = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
    **given: Any,
) -> None:
    """Hide labels that are known and buy them, to see which way of choosing finds the best with the fewest."""
    with guarded(verbose, lambda: "Interrupted. Give the same command with --resume to go on."):
        config = build(SimulateConfig, given | {"data_path": table}, named(given))
        from heliograph.active import simulate as simulating
        from heliograph.report.active import write_simulation

        with Bar(quiet) as bar:
            result = simulating(config, resume=resume, overwrite=overwrite, progress=bar)
        report = write_simulation(result, config.output_dir / "report.html")
        manifest.seal(config.output_dir)
        if not quiet:
            n = result.curves[0].labelled[-1]
            print(f"Found with {n:,} labels, of {result.wanted:,} wanted molecules ({result.repeats} repeats, 95 % intervals):")
            for curve in result.curves:
                low, high = curve.low["found"][-1], curve.high["found"][-1]
                print(f"  {curve.acquisition:<18} {100 * curve.mean['found'][-1]:5.1f} %  [{100 * low:.1f}, {100 * high:.1f}]")
            print(report)


@app.command()
@with_options(SUGGEST)
def suggest(
    model: Model,
    pool: Annotated[Path, typer.Argument(metavar="POOL", help="table of molecules to choose from")],
    overwrite: Overwrite = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
    **given: Any,
) -> None:
    """Choose what to measure next out of a pool, by a model that is there."""
    with guarded(verbose, lambda: "Interrupted. Nothing was written."):
        config = build(SuggestConfig, given | {"model_path": model, "data_path": pool}, named(given))
        from heliograph.active import suggest as suggesting

        with Bar(quiet) as bar:
            found = suggesting(config, overwrite=overwrite, progress=bar)
        if not quiet:
            print(f"{found.chosen:,} of {found.pool:,} molecules; {found.known:,} known ones left out, {found.bad:,} that can't be used")
            print(config.output_path)


@app.command()
@with_options(RUN)
def run(
    pool: Annotated[Path, typer.Argument(metavar="POOL", help="table of molecules to buy from")],
    resume: Resume = False,
    overwrite: Overwrite = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
    **given: Any,
) -> None:
    """Buy labels from an oracle round after round: GFN2-xTB, a column, or a command of your own."""
    with guarded(verbose, lambda: "Interrupted. What was bought is kept: give the same command with --resume to go on."):
        config = build(CampaignConfig, given | {"data_path": pool}, named(given))
        from heliograph.active import run as running
        from heliograph.report.active import write_campaign

        with Bar(quiet) as bar:
            found = running(config, resume=resume, overwrite=overwrite, progress=bar)
        report = write_campaign(found, config.output_dir / "report.html")
        manifest.seal(config.output_dir)
        if not quiet:
            failed = sum(row["y"] is None for row in found.bought)
            print(f"{len(found.bought):,} molecules bought, {failed:,} without a label; {found.stopped}")
            best = max((row for row in found.bought if row["y"] is not None), key=lambda row: row["y"] * (1 if found.goal == "max" else -1))
            print(f"best: {best['y']:g}, round {best['round']}, {best['smiles']}")
            print(report)
