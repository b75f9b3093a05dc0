"""`heliograph diagnose`: what a graph, a set of molecules or a trained model suffers from, on one page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from heliograph.cli.common import Bar, Quiet, Verbose, guarded, new_app
from heliograph.errors import UsageError

if TYPE_CHECKING:
    from heliograph.diagnose.findings import Diffusion
    from heliograph.diagnose.page import Diagnosis
    from heliograph.diagnose.read import Tables

app = new_app()


@app.command()
def diagnose(
    data: Annotated[str | None, typer.Argument(metavar="[DATA]", help="table of nodes (with --edges) or molecules, or a set")] = None,
    edges: Annotated[Path | None, typer.Option("--edges", help="table of edges: one graph, CSV, TSV or Parquet")] = None,
    edge_columns: Annotated[tuple[str, str] | None, typer.Option("--edge-columns", help="columns of an edge's two ends")] = None,
    target_columns: Annotated[str | None, typer.Option("--target-columns", help="the column of nodes that is their class")] = None,
    splits_column: Annotated[str | None, typer.Option("--splits-column", help="the column that names a row's part: finds copies")] = None,
    model: Annotated[str | None, typer.Option("--model", help="a run or model file: its states are measured")] = None,
    layers: Annotated[int, typer.Option("--layers", min=0, help="steps of the network to be used (default: the model's)")] = 0,
    diffusion: Annotated[tuple[float, float, int, float] | None,
                         typer.Option("--diffusion", metavar="KAPPA TIME DIMENSION LENGTH",
                                      help="of the field to be predicted; LENGTH: mean length of an edge")] = None,
    sample: Annotated[int, typer.Option("--sample", min=1, help="number of molecules that are looked at, at most")] = 5000,
    output_dir: Annotated[Path | None, typer.Option("--output-dir", "-o", help="write diagnosis.html, .txt and .json there")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace an earlier diagnosis there")] = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:  # fmt: skip
    """Say what a graph, a set of molecules or a trained model suffers from, and what to try."""
    with guarded(verbose):
        written = [f"diagnosis.{ending}" for ending in ("txt", "json", "html")]
        if output_dir is not None and any((output_dir / name).exists() for name in written) and not overwrite:
            raise UsageError(f"{output_dir} has a diagnosis already: choose another folder, or say --overwrite")
        with Bar(quiet) as bar:
            if edges is not None:
                from heliograph.diagnose.read import read

                tables = read(edges, Path(data) if data else None, edge_columns)
                page = _one_graph(tables, target_columns, splits_column, layers, _diffusion(diffusion), bar)
            elif data is not None:
                page = _molecules(data, splits_column, model, layers, sample, bar)
            else:
                raise UsageError("give a table of molecules or a shipped set, or one graph by --edges EDGES.csv (and a table of its nodes)")
        if output_dir is not None:
            from heliograph.report.diagnosis import write

            paths = [*page.write(output_dir), write(page, output_dir / "diagnosis.html")]
        if not quiet:
            print(page.text())
            if output_dir is not None:
                print(*paths, sep="\n")


def _diffusion(given: tuple[float, float, int, float] | None) -> Diffusion | None:
    from heliograph.diagnose.findings import Diffusion

    return None if given is None else Diffusion(*given)


def _one_graph(tables: Tables, target: str | None, split: str | None, layers: int, diffusion: Diffusion | None, bar: Bar) -> Diagnosis:
    from dataclasses import replace

    from heliograph.diagnose.page import of_edges
    from heliograph.diagnose.read import classes

    if (target or split) and tables.nodes is None:
        raise UsageError("--target-columns and --splits-column are columns of the table of nodes: give it as DATA beside --edges")
    labels = None if target is None or tables.nodes is None else classes(tables.nodes, target)
    page = of_edges(tables.senders, tables.receivers, tables.n, labels, layers, diffusion, bar)
    if tables.unknown:
        fact = f"Edges that name a node that is not in the table of nodes, and are left out: {tables.unknown:,}."
        page = replace(page, facts=(fact, *page.facts))
    return page if split is None else _with_leaks(page, tables, split)


def _with_leaks(page: Diagnosis, tables: Tables, split: str) -> Diagnosis:
    """Copies of nodes across the parts; features are the numeric columns of the nodes' table, but its ids."""
    from dataclasses import replace

    from heliograph.diagnose.alike import node_leaks
    from heliograph.diagnose.findings import of_node_leaks
    from heliograph.diagnose.graphs import graph_of
    from heliograph.diagnose.read import classes

    assert tables.nodes is not None
    leaks = node_leaks(graph_of(tables, leave_out=(split,)), classes(tables.nodes, split))
    fact = f"{len(leaks):,} pairs of nodes are copies (features and neighbours) in different parts of {split!r}."
    return replace(page, facts=(*page.facts, fact), findings=(*page.findings, *of_node_leaks(leaks, tables.n)))


def _molecules(data: str, split: str | None, model: str | None, layers: int, sample: int, bar: Bar) -> Diagnosis:
    import numpy as np

    from heliograph import zoo
    from heliograph.diagnose.page import of_graph
    from heliograph.train import DataConfig, SplitConfig, TrainConfig
    from heliograph.train.data import load

    config = TrainConfig(data=DataConfig(data_path=Path(data)), split=SplitConfig(splits_column=split), output_dir=Path("unused"))
    if model is None:
        found, net = load(config, zoo.load("gin"), bar), None
    else:
        from heliograph.predictor.predictor import open as opened

        predictor = opened(model)
        found, net = load(config, zoo.load(predictor.document.arch_composition or predictor.document.arch), bar), predictor.model
    rows = np.arange(len(found.store))
    if len(rows) > sample:
        rows = np.sort(np.random.default_rng(0).choice(rows, sample, replace=False))
    parts = np.unique(np.array(found.splits_column), return_inverse=True)[1][rows] if split else None
    return of_graph(found.store.batch(rows), parts=parts, net=net, steps=layers or (0 if net else 4), progress=bar)
