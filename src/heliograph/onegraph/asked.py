"""What is asked of a model of one graph, and how the answers are written."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, PositiveInt

from heliograph.data.formats.graph_tables import as_text
from heliograph.errors import UsageError
from heliograph.files import atomic
from heliograph.learn.config import Group


class GraphPredictConfig(Group):
    """What is asked of a model of one graph."""

    model_path: Path = Field(description="a model file, or the folder of a run")
    data_path: Path | None = Field(default=None, description="table of nodes (default: the one of the run, where it still is)")
    edges: Path | None = Field(default=None, description="table of edges (default: the one of the run, where it still is)")
    features: Path | None = Field(
        default=None, description="array of the nodes' features, for a model that was trained with --features (default: that of the run)"
    )
    pairs: Path | None = Field(default=None, description="table of pairs of nodes to score, with columns as the table of edges has them")
    top_k: PositiveInt | None = Field(default=None, description="so many of the best new partners of each node (of triples: tails)")
    for_: Path | None = Field(default=None, description="with --top-k: table of the nodes that it is for (default: all)")
    output_path: Path = Field(default=Path("predictions.csv"), description="where to write; the name's ending says the format")


@dataclass
class Summary:
    """What came of a prediction."""

    rows: int
    predicted: int
    seconds: float
    reasons: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def write_table(table: pa.Table, path: Path) -> None:
    """Write CSV, TSV or Parquet, as the name's ending says. Raises UsageError."""
    if path.suffix in (".parquet", ".pq"):
        import pyarrow.parquet as pq

        with atomic(path) as temporary:
            pq.write_table(table, temporary)
        return
    if path.suffix not in (".csv", ".tsv", ".txt"):
        raise UsageError(f"-o {path}: can't tell the format. Give a name that ends in .csv, .tsv or .parquet.")
    with atomic(path) as temporary, open(temporary, "w", encoding="utf-8", errors="replace", newline="") as file:
        writer = csv.writer(file, delimiter="," if path.suffix == ".csv" else "\t", lineterminator="\n")
        writer.writerow(table.column_names)
        for batch in table.to_batches(50_000):
            columns = [as_text(c).to_pylist() if not pa.types.is_nested(c.type) else c.to_pylist() for c in batch.columns]
            writer.writerows(zip(*columns, strict=True))


def found(names: pa.Array, among: pa.Array) -> np.ndarray:
    """The place of each name, -1 where it is not there, [n] int64."""
    return np.asarray(pc.fill_null(pc.index_in(names, value_set=among), -1)).astype(np.int64)


def free(name: str, table: pa.Table) -> str:
    """A name that no column has yet."""
    return name if name not in table.column_names else f"{name}_2"
