"""The command line. It is thin: a verb parses its options into what the Python function takes, calls it, prints.

A verb lives in `heliograph.cli.VERB`, imported when it is called: `heliograph --help` needs none of the heavy libraries.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from heliograph.cli.examples import with_example
from heliograph.errors import HeliographError

VERBS = {
    "train": "Train on a table of molecules: a model, its errors, a report",
    "compare": "Compare architectures on a table: the same folds, statistics that hold, a verdict",
    "predict": "Predict for a table of any length, every row kept",
    "screen": "Find the best of a library of any length, filtered and diverse",
    "explain": "Show which atoms a prediction rests on, drawn on the molecules",
    "evaluate": "Judge a model on data with truths: errors, and whether error bars hold",
    "calibrate": "Calibrate a model's error bars on your own table",
    "expand": "Find neighbours and analogues of hits, each with its parent and its change",
    "active": "Choose what to measure next: simulate, suggest, or run with an oracle",
    "serve": "Serve models over HTTP, with a page to draw molecules",
    "relax": "Relax structures, and their cells, with a trained potential",
    "md": "Run molecular dynamics with a trained potential",
    "diagnose": "Say what a graph, a set of molecules or a trained model suffers from",
    "drift": "Say whether new molecules have moved away from what a model learned",
    "split": "Divide a table into train, val and test",
    "embed": "Write a vector for each molecule, for other programs",
    "generate": "Generate molecules out of noise: train, sample, evaluate",
    "rewire": "Add and take away edges of a graph so that far nodes hear each other",
    "cluster": "Cluster the nodes of a graph, by a model or without labels",
    "impute": "Fill in blank cells of a table of nodes, and name those that look wrong",
    "models": "List the architectures, or show one",
    "data": "List the data sets, show one, or fetch a public one",
    "label": "Compute GFN2-xTB labels for molecules that have none",
    "report": "Write the report of a finished run again",
    "doctor": "Say what this machine offers: cores, GPU, versions",
}

# PyTorch and the kernels have a pool of OpenMP threads each; by default the one that is idle spins for milliseconds on the other's cores.
# Read when PyTorch is loaded, which is later.
ENVIRONMENT = {"GOMP_SPINCOUNT": "1000"}


# Options that only one graph, given as tables, has: its verbs have modules of their own.
GRAPHS = {
    "train": ("train_graph", ("--edges", "--level")),
    "predict": ("predict_graph", ("--edges", "--pairs", "--top-k")),
    "explain": ("explain_graph", ("--edges", "--do")),
}
PLAIN = ("-i", "--data-path", "--resume", "--overwrite", "-v", "--verbose", "-q", "--quiet")  # before a table or a schema


def home(verb: str, args: Sequence[str]) -> str:
    """The module of a verb, which depends on what it is about: one of the options above, or the folder of such a run."""
    module, marks = GRAPHS.get(verb, ("", ()))
    for before, arg in zip(("", *args), args, strict=False):
        if not module or (arg.startswith("-") and arg.split("=")[0] not in marks):
            continue
        schema = arg.endswith(".toml") and (not before.startswith("-") or before in PLAIN)
        if schema or arg.split("=")[0] in marks or _of_graph(arg):
            return module
    return verb


def _of_graph(folder: str) -> bool:
    """Whether a folder holds a run on one graph."""
    try:
        with open(os.path.join(folder, "config.toml"), encoding="utf-8") as file:
            return any(line.startswith("bipartite = ") for line in file)
    except (OSError, UnicodeDecodeError):
        return False


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command line; always ends in SystemExit (0 fine, 1 data or run-time, 2 usage, 130 interrupted)."""
    args = list(sys.argv[1:] if argv is None else argv)
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        if args and args[0] in VERBS:
            name = home(args[0], args[1:])
            module = import_module(f"heliograph.cli.{name}")
            arguments = getattr(module, "arguments", list)  # a verb may read its arguments before typer does
            with_example(module.app, name)(args=arguments(args[1:]), prog_name=f"heliograph {args[0]}")
        else:
            import_module("heliograph.cli.top").app(args=args or ["--help"], prog_name="heliograph")
    except HeliographError as error:
        print(f"Error: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        raise SystemExit(130) from None
