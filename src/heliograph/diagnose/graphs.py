"""A `Graph` from the tables of its nodes and edges."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from heliograph.diagnose.read import IDS, Tables
from heliograph.graph import Graph


def graph_of(tables: Tables, leave_out: Sequence[str] = ()) -> Graph:
    """Make an undirected graph; features `x` are the numeric columns of the nodes' table but its ids and those to leave out."""
    pair = np.unique(np.stack([tables.senders, tables.receivers], 1), axis=0)
    both = torch.from_numpy(np.unique(np.concatenate([pair, pair[:, ::-1]]), axis=0))
    columns = []
    table = pa.table({}) if tables.nodes is None else tables.nodes
    for name in table.column_names:
        column = table[name]
        number = pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
        if number and name not in (*IDS, *leave_out):
            columns.append(np.asarray(pc.fill_null(column.cast(pa.float64()), float("nan"))))
    x = torch.from_numpy(np.stack(columns, 1)) if columns else torch.zeros(tables.n, 0, dtype=torch.float64)
    return Graph.build(both[:, 0], both[:, 1], [tables.n], [len(both)], nodes={"x": x})
