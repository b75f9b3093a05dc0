"""Features of nodes that lie in an array file: mapped, not read."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from heliograph.data.formats.graph_tables import NodeTable
from heliograph.errors import DataError


def mapped(path: Path | None, nodes: NodeTable | None, usable: np.ndarray | None, width: int) -> np.ndarray:
    """The array of features [N, width], mapped; rows of nodes that can't be used are left out, which reads it. Raises DataError."""
    if path is None:
        raise DataError("this model takes its nodes' features from an array: give it with --features x.npy")
    if nodes is None or usable is None:
        raise DataError("--features needs the table of nodes: a row of the array is a row of it")
    x = opened(path)
    if x.shape != (len(nodes), width):
        found = " x ".join(map(str, x.shape))
        raise DataError(f"{path} is {found}; wanted are {len(nodes)} rows, as the table of nodes has, of {width} features")
    return x if len(usable) == len(nodes) else x[usable]


def opened(path: Path) -> np.ndarray:
    """Map an array of numbers [rows, width]. Raises DataError where it is none."""
    try:
        x: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is no array file (.npy): {error}") from None
    if x.ndim != 2 or x.dtype.kind not in "fiu":
        raise DataError(f"{path}: features are numbers [rows, width]; these are {x.dtype} of shape {x.shape}")
    return x
