"""`heliograph compare` on frames with energies and forces: options -> `heliograph.compare.potentials.run` -> a verdict and a table."""

from __future__ import annotations

import textwrap
from pathlib import Path

from heliograph.cli import frames
from heliograph.cli.common import Bar
from heliograph.cli.options import Values, build, named
from heliograph.compare.config import CompareOptions
from heliograph.errors import UsageError

OURS = ("archs", "cv", "rope")  # of the options of a comparison, those that frames have, too
DEFAULT = {"archs": ("schnet", "painn", "mace"), "cv": "1x5"}


def compare(given: Values, config: Path | None, resume: bool, overwrite: bool, quiet: bool) -> None:
    """Compare potentials, print the verdict and a row for each."""
    if overwrite:
        raise UsageError("--overwrite: a comparison of potentials is never replaced; choose another --output-dir, or delete it yourself")
    for name in CompareOptions.model_fields:
        if name in given and name not in OURS:
            raise UsageError(f"--{name.replace('_', '-')} is for tables of molecules; these are frames with energies and forces")
    options = build(CompareOptions, DEFAULT | {name: given[name] for name in OURS if name in given}, named(given))
    rest = {name: value for name, value in given.items() if name not in OURS}
    rest.setdefault("output_dir", "comparison")
    asked = frames.configure(rest, config, False)
    with Bar(quiet) as bar:
        from heliograph.compare import potentials

        result = potentials.run(asked, options.archs, (options.repeats, options.folds), options.rope, resume, bar)
    from heliograph import manifest, report
    from heliograph.potential.result import described

    for arch in result.archs:
        for division in range(len(result.values)):
            folder = asked.output_dir / result.folder(arch, division)
            if manifest.vouched(folder, report.NAME):  # one that somebody changed stays
                report.rewrite(folder)
    page = report.write_potentials(result, asked.output_dir / report.NAME)
    if quiet:
        return
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    console.print()
    for sentence in result.verdict():
        console.print(textwrap.fill(sentence, min(console.width, 120)), markup=False)
    words, unit = described(result.metric)
    table = Table()
    for k, head in enumerate(("", f"{words} [{unit}]", "± divisions", "parameters", "train s")):
        table.add_column(head, justify="left" if k == 0 else "right")
    for row in result.rows():
        table.add_row(*row)
    console.print(table)
    console.print(f"report  {page}", markup=False, soft_wrap=True)
    console.print(f"result  {asked.output_dir / potentials.SAVED}", markup=False, soft_wrap=True)
