"""`heliograph rewire`: other edges for the same nodes, with what that did to gap and resistance."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from heliograph.cli.common import Quiet, Verbose, guarded, new_app
from heliograph.data.writer import check_output
from heliograph.errors import DataError, UsageError, suggest

if TYPE_CHECKING:
    from heliograph.diagnose.read import Tables

METHODS = ("fosr", "sdrf", "borf", "digl", "expander")

app = new_app()


@app.command()
def rewire(
    edges: Annotated[Path, typer.Option("--edges", help="table of edges: one graph, CSV, TSV or Parquet")],
    output_path: Annotated[Path, typer.Option("--output-path", "-o", help="the new table of edges, CSV: each undirected edge once")],
    method: Annotated[str, typer.Option("--method", help=", ".join(METHODS))] = "fosr",
    add: Annotated[int, typer.Option("--add", min=1, help="edges to add (fosr, sdrf, borf)")] = 20,
    top: Annotated[int, typer.Option("--top", min=1, help="entries kept of each row (digl)")] = 16,
    alpha: Annotated[float, typer.Option("--alpha", min=0.0, max=1.0, help="teleport probability (digl)")] = 0.15,
    seed: Annotated[int, typer.Option("--seed", help="seed of what sdrf draws")] = 0,
    nodes: Annotated[Path | None, typer.Option("--nodes", help="table of nodes, for those without edges")] = None,
    edge_columns: Annotated[tuple[str, str] | None, typer.Option("--edge-columns", help="columns of an edge's two ends")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace an existing file")] = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:  # fmt: skip
    """Add and take away edges of a graph so that far nodes hear each other."""
    with guarded(verbose):
        if method not in METHODS:
            raise UsageError(f"--method {method}: {suggest(method, METHODS)}")
        check_output(output_path, [edges, *([nodes] if nodes else [])], overwrite)
        from heliograph.diagnose.read import names_of, read
        from heliograph.diagnose.structure import structure
        from heliograph.views import rewire as ways
        from heliograph.views.curvature import pairs_of, simple

        tables = read(edges, nodes, edge_columns)
        A = simple(tables.senders, tables.receivers, tables.n)
        if not A.nnz:
            raise DataError(f"{edges} has no edge between two different nodes{' of ' + nodes.name if nodes else ''}: nothing to rewire")
        calls: dict[str, Any] = {
            "fosr": lambda: ways.fosr(A, add),
            "sdrf": lambda: ways.sdrf(A, add, seed=seed),
            "borf": lambda: ways.borf(A, 1, add, 0),
            "digl": lambda: ways.digl(A, top, alpha),
            "expander": lambda: ways.cayley(tables.n),
        }
        B = calls[method]()
        pair = pairs_of(B)
        before, after = (structure(ends[:, 0], ends[:, 1], tables.n) for ends in (pairs_of(A), pair))
        weight = B[pair[:, 0], pair[:, 1]] if method == "digl" else None
        _write(output_path, names_of(tables, edges, nodes), pair, weight, tables.columns)
        if not quiet:
            for note in _left_out(tables, before.edges):
                print(note)
            for name, value in (("edges", "edges"), ("spectral gap", "gap"), ("mean resistance", "resistance_mean"),
                                ("largest resistance", "resistance_max"), ("diameter", "diameter")):  # fmt: skip
                print(f"{name:<20} {getattr(before, value):>10.4g} -> {getattr(after, value):.4g}")
            print(output_path)


def _left_out(tables: Tables, edges: int) -> list[str]:
    """Say which rows of the table of edges are not among its undirected edges."""
    loops = int((tables.senders == tables.receivers).sum())
    again = len(tables.senders) - loops - edges
    counts = ((tables.unknown, "name a node that is not in the table of nodes"), (loops, "join a node to itself"),
              (again, "name an edge once more, or the other way round"))  # fmt: skip
    return [f"left out: {count:,} rows that {what}" for count, what in counts if count]


def _write(path: Path, names: list[str], pairs: Any, weight: Any, columns: tuple[str, str]) -> None:
    import csv

    from heliograph.files import atomic

    with atomic(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow([*columns, *(["weight"] if weight is not None else [])])
        for k, (a, b) in enumerate(pairs.tolist()):
            table.writerow([names[a], names[b], *([f"{float(weight[k]):.6g}"] if weight is not None else [])])
