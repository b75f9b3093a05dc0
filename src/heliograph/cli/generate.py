"""`heliograph generate`: train a generator, sample from it, evaluate molecules."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer
from pydantic import BaseModel

from heliograph.cli import wishes
from heliograph.cli.common import Bar, Quiet, Verbose, clock, guarded, new_app
from heliograph.cli.options import build, expand_lists, named, options_of, with_data, with_options
from heliograph.data.writer import check_output
from heliograph.errors import DataError, UsageError
from heliograph.files import atomic
from heliograph.generate.config import GenerateTrainConfig, GeneratorConfig, GeneratorFit

if TYPE_CHECKING:
    from heliograph.generate.metrics import Share

NOT_OURS = ("loss", "metrics", "baselines", "devices")  # of the settings of a training: a generator has its own
GROUPS: dict[str, type[BaseModel]] = {"generator": GeneratorConfig, "fit": GeneratorFit}
OPTIONS = [
    *options_of(GenerateTrainConfig, "Run"),
    *options_of(GeneratorConfig, "Generator"),
    *options_of(GeneratorFit, "Training", leave_out=NOT_OURS),
]
NEXT = {
    "molecules": "sample {} -n 100 -o new.sdf",
    "conformers": "conformers {} molecules.smi -n 20 -o conformers.sdf",
    "crystals": "sample {} -n 100 -o new.cif",
}
SHOWN = 10  # rows with a reason
FLAGS = ("--resume", "--overwrite", "--verbose", "-v", "--quiet", "-q", "--help", "-h")

app = new_app()


def arguments(args: Sequence[str]) -> list[str]:
    """Let options with several values be written as people know them; see `expand_lists`."""
    if not args or args[0] != "train":
        return list(args)
    return [args[0], *expand_lists(args[1:], OPTIONS, FLAGS, ("-i", "--data-path", "-h", "--help"))]


@app.callback()
def generate() -> None:
    """Generate molecules out of noise: train a generator, sample from it, evaluate molecules in space."""


@app.command()
@with_options(OPTIONS)
def train(
    data: Annotated[str | None, typer.Argument(metavar="DATA", help="molecules with hydrogens and positions, or a shipped set")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on with the run in --output-dir", rich_help_panel="Run")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace the run in --output-dir", rich_help_panel="Run")] = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
    **given: Any,
) -> None:
    """Learn to generate molecules like those of a table: leaves a folder with one model file."""
    with guarded(verbose, lambda: "Interrupted. Give the same command with --resume to go on."):
        given = with_data(given, data)
        values: dict[str, Any] = {name: {k: given[k] for k in group.model_fields if k in given} for name, group in GROUPS.items()}
        if "output_dir" in given:
            values["output_dir"] = given["output_dir"]
        config = build(GenerateTrainConfig, values, named(given))
        from heliograph.generate.runner import run

        with Bar(quiet) as bar:
            found = run(config, resume=resume, overwrite=overwrite, progress=bar)
        if not quiet:
            task, folder = config.generator.task, config.output_dir
            print(f"{found.molecules['train']:,} {task} learned in {clock(found.seconds)}, validation loss {found.val_loss:.4g}")
            print(f"model   {found.model}")
            print(f"sample  heliograph generate {NEXT[task].format(folder)}")


@app.command()
def sample(
    model: Annotated[
        Path | None, typer.Argument(metavar="[MODEL_OR_RUN]", help="a generator: its model file or run folder (default: the shipped one)")
    ] = None,
    n: Annotated[int, typer.Option("-n", "--number", min=1, help="molecules or crystals to draw")] = 100,
    output_path: Annotated[Path, typer.Option("-o", "--output", help="where: .sdf, .xyz; crystals: .cif, .extxyz")] = Path("new.sdf"),
    formula: Annotated[str | None, typer.Option(help="exactly this formula, e.g. C7H10O2")] = None,
    elements: Annotated[list[str] | None, typer.Option(help="only these elements; repeat the option or separate by commas")] = None,
    atoms: Annotated[str | None, typer.Option(help="number of atoms, hydrogens included: 15 or 15..18")] = None,
    keep: Annotated[Path | None, typer.Option(help="an SDF entry in 3D that every sample contains as it is (molecules)")] = None,
    where: Annotated[list[str] | None, typer.Option(help="a property to ask for: gap=5.5 or dipole=2..3; repeat the option")] = None,
    guidance: Annotated[float, typer.Option(help="strength with which properties are followed")] = 1.0,
    steps: Annotated[int | None, typer.Option(min=1, help="steps from noise to molecule (default: 50)")] = None,
    process: Annotated[str | None, typer.Option(help="flow, ancestral, sde or ode (default: as trained)")] = None,
    seed: Annotated[int, typer.Option(help="everything random follows from it")] = 0,
    batch_size: Annotated[int, typer.Option(min=1, help="molecules at a time")] = 64,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace an existing output")] = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Draw new molecules with bonds, charges and positions, or crystals; what is exact (formula, elements, atoms) is never violated."""
    with guarded(verbose, lambda: "Interrupted. Nothing was written: a file of samples is whole or not there."):
        from heliograph.generate import draw, runner
        from heliograph.generate.keep import read as read_fragment
        from heliograph.generate.sampler import Wish

        fragment = None if keep is None else read_fragment(keep)
        numbers, symbols, properties = wishes.atoms(atoms), wishes.elements(elements or []), wishes.properties(where or [])
        asked = Wish(numbers, wishes.formula(formula), symbols, properties, guidance, fragment)
        drawing = draw.drawing(*runner.any_task(model), asked, steps, process)
        drawing.check(output_path)
        check_output(output_path, [path for path in (model, keep) if path], overwrite)
        for note in drawing.notes:
            print(f"Note: {note}")
        began = time.monotonic()
        with Bar(quiet) as bar:
            drawing.write(output_path, n, seed, batch_size, overwrite, bar)
        if not quiet:
            print(f"{n:,} {drawing.unit} in {clock(time.monotonic() - began)}: {output_path}")


@app.command()
def conformers(
    model: Annotated[Path, typer.Argument(metavar="MODEL_OR_RUN", help="a generator of conformers: its model file or run folder")],
    molecules: Annotated[str, typer.Argument(metavar="MOLECULES", help="SMILES or an SDF; hydrogens are added")],
    n: Annotated[int, typer.Option("-n", "--number", min=1, max=10_000, help="conformers of each molecule")] = 20,
    output_path: Annotated[Path, typer.Option("-o", "--output", help="where to write: .sdf")] = Path("conformers.sdf"),
    reasons_path: Annotated[Path | None, typer.Option("--reasons", help="also write rows without all conformers, and why, as CSV")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="steps from noise to conformer (default: 25)")] = None,
    seed: Annotated[int, typer.Option(help="everything random follows from it")] = 0,
    batch_size: Annotated[int, typer.Option(min=1, help="conformers at a time")] = 64,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace an existing output")] = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Draw conformers of given molecules; stereo that is specified is checked, and what is wrong is not written."""
    with guarded(verbose, lambda: "Interrupted. Nothing was written: a file of conformers is whole or not there."):
        from heliograph.generate.conformers.write import check, stream
        from heliograph.generate.runner import folder as load

        for path in (output_path, *([reasons_path] if reasons_path else [])):
            check_output(path, [model, Path(molecules)], overwrite)
        check(output_path)
        sampler, began, written = load(model, steps), time.monotonic(), 0
        reasons: list[tuple[str, str]] = []
        with Bar(quiet) as bar, atomic(output_path, replace=overwrite) as temporary, open(temporary, "w", encoding="utf-8") as file:
            for done, row in enumerate(stream(sampler, molecules, n, seed, batch_size), 1):
                file.writelines(row.entries)
                written += len(row.entries)
                reasons += [(row.id, row.reason)] if row.reason else []
                bar("sampling", done)
            if not written:
                raise DataError(f"no conformer was drawn: {reasons[0][1] if reasons else f'{molecules} has no rows'}")
        for name, reason in reasons[:SHOWN]:
            print(f"  {name}: {reason}")
        if len(reasons) > SHOWN:
            print(f"  ... and {len(reasons) - SHOWN:,} more rows" + ("" if reasons_path else "; --reasons FILE.csv has them all"))
        if reasons_path is not None:
            with atomic(reasons_path, replace=overwrite) as temporary, open(temporary, "w", encoding="utf-8", newline="") as table:
                csv.writer(table).writerows([("row", "reason"), *reasons])
        if not quiet:
            print(f"{written:,} conformers in {clock(time.monotonic() - began)}: {output_path}")


@app.command()
def evaluate(
    samples: Annotated[Path, typer.Argument(metavar="SAMPLES", help="molecules: sdf, xyz; crystals: cif, extxyz, a folder")],
    against: Annotated[str | None, typer.Option(help="what the generator learned from: for novelty, and scored beside")] = None,
    oracle: Annotated[bool, typer.Option("--oracle", help="compute what was asked by GFN2-xTB, nothing relaxed (molecules)")] = False,
    output_path: Annotated[Path | None, typer.Option("-o", "--output", help="also write the figures as JSON")] = None,
    report_path: Annotated[Path | None, typer.Option("--report", help="also write a report: one HTML file (molecules)")] = None,
    model: Annotated[Path | None, typer.Option(help="for the report: draw 100 with 5 to 100 steps from this generator")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace an existing output")] = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Score molecules in space or crystals, whoever made them: stability, validity, uniqueness, novelty, with intervals."""
    with guarded(verbose):
        for path in (output_path, report_path):
            if path is not None:
                check_output(path, [samples], overwrite)
        of_crystals = samples.is_dir() or samples.suffix.lower() not in (".sdf", ".sd", ".mol", ".xyz", ".gz")
        if of_crystals and (oracle or report_path):
            raise UsageError("--oracle and --report are for molecules")
        with Bar(quiet) as bar:
            if of_crystals:
                found = _crystals(samples, against, bar)
            else:
                found = _molecules(samples, against, oracle, report_path, model, overwrite, bar)
        for reason, count in found.reasons.items():
            print(f"  {count:>9,}  {reason}")
        print(_table(found.shares, found.reference))
        for name, value in found.numbers.items():
            print(f"{name:44s} {value:10.4g}")
        if output_path is not None:
            document: dict[str, Any] = {name: {"value": s.value, "interval": s.interval, "n": s.n} for name, s in found.shares.items()}
            with atomic(output_path, replace=overwrite) as temporary:
                temporary.write_text(json.dumps(document | dict(found.numbers), indent=1), encoding="utf-8")


class Found(NamedTuple):
    """What a score says: shares, those of the reference, other numbers by name, rows that could not be read by reason."""

    shares: Mapping[str, Share]
    reference: Mapping[str, Share]
    numbers: Mapping[str, float]
    reasons: Mapping[str, int]


def _molecules(
    samples: Path, against: str | None, oracle: bool, report_path: Path | None, model: Path | None, overwrite: bool, bar: Bar
) -> Found:
    from heliograph.generate import metrics, read, runner
    from heliograph.generate import oracle as xtb
    from heliograph.generate.sampler import quality

    drawn, reasons = read.as_written(samples, bar)
    known = None if against is None else read.molecules(Path(against), progress=bar)[0]
    reference = None if known is None else metrics.molecules([known])
    found = metrics.molecules([drawn], reference.smiles if reference else ())
    asked, failures = xtb.check(drawn, drawn.properties, bar) if oracle else ([], {})
    numbers: dict[str, float] = {}
    for a in asked:
        numbers |= {f"{a.name}: mean error, {a.unit}": a.mae, f"{a.name}: of shuffled targets, {a.unit}": a.shuffled}
        numbers |= {f"{a.name}: not computed": float(a.failures)}
    if report_path is not None:
        from heliograph.report import generation

        curve = None if model is None else quality(runner.load(model))
        content = generation.Content(samples.name, drawn, found, known, reference, asked, curve)
        with atomic(report_path, replace=overwrite) as temporary:
            generation.write(content, temporary)
    return Found(found.shares, reference.shares if reference else {}, numbers, reasons | failures)


def _crystals(samples: Path, against: str | None, bar: Bar) -> Found:
    from heliograph.generate.crystals import metrics, read

    drawn, reasons = read.crystals(samples, bar)
    reference = None if against is None else read.crystals(Path(against), bar)[0]
    found = metrics.crystals(drawn, reference)
    numbers = {f"distance to the reference: {name}": value for name, value in found.distances.items()}
    return Found(found.shares, metrics.crystals(reference).shares if reference else {}, numbers, reasons)


def _table(shares: Mapping[str, Share], reference: Mapping[str, Share]) -> str:
    width = max(map(len, shares)) + 2
    lines = [f"{'':{width}s} {'samples':>8s}  {'95 % interval':>15s}" + (f"  {'reference':>9s}" if reference else "")]
    for name, share in shares.items():
        low, high = share.interval
        line = f"{name:{width}s} {100 * share.value:7.1f}%  [{100 * low:5.1f}, {100 * high:5.1f}]"
        lines.append(line + (f"   {100 * reference[name].value:8.1f}%" if name in reference else ""))
    return "\n".join(lines)
