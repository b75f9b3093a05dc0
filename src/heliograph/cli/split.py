"""`heliograph split`: options -> DivideConfig -> `heliograph.train.split_file.split_file`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from heliograph.cli.common import Bar, Molecules, Quiet, Verbose, guarded, new_app
from heliograph.cli.options import build, expand_lists, named, options_of, with_data, with_options
from heliograph.train.split_file import DivideConfig

OPTIONS = options_of(DivideConfig, "Split")
FLAGS = ("--verbose", "-v", "--quiet", "-q", "--help", "-h")

app = new_app()


def arguments(args: Sequence[str]) -> list[str]:
    """Let options with several values be written as people know them; see `expand_lists`."""
    return expand_lists(args, OPTIONS, FLAGS, ("-i", "--data-path", "-h", "--help"))


@app.command()
@with_options(OPTIONS)
def split(
    data: Molecules = None,
    verbose: Verbose = False,
    quiet: Quiet = False,
    **given: Any,
) -> None:
    """Divide a table into train, val and test: the same table with a column that says which."""
    with guarded(verbose, lambda: "Interrupted. Nothing was written."):
        given = with_data(given, data)
        config = build(DivideConfig, given, named(given))
        from heliograph.train.split_file import split_file

        with Bar(quiet) as bar:
            counts = split_file(config, bar)
        if not quiet:
            print(", ".join(f"{counts.get(part, 0):,} {part}" for part in ("train", "val", "test")))
            if counts.get(""):
                print(f"{counts['']:,} rows can't be used and are in no part")
            print(config.output_path)
