"""What Python users hand over as structures, as a list."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from heliograph.data.record import Geometry, MolBlock
from heliograph.errors import DataError


def one_column(X: Iterable[Any]) -> list[Any]:
    """Structures out of a list, a Series, an array [n] or [n, 1], or a table of one column.

    Raises DataError where `X` is one structure rather than a sequence of them, or a table of several columns.
    """
    if isinstance(X, (str, bytes)):
        raise DataError(f"X must be a sequence of structures, got one text ({X[:40]!r}); give [{X[:40]!r}]")
    if isinstance(X, (MolBlock, Geometry)) or hasattr(X, "GetNumAtoms") or hasattr(X, "get_positions"):
        raise DataError(f"X must be a sequence of structures, got one {type(X).__name__}; put it into a list")
    names = list(getattr(X, "columns", ())) or (list(X) if isinstance(X, Mapping) else [])
    if names and (len(names) > 1 or isinstance(X, Mapping)):
        listed = ", ".join(str(name) for name in names[:8])
        raise DataError(
            f"X must have one column of structures, got a table of {len(names)} ({listed}); give one, for instance X[{names[0]!r}]"
        )
    if hasattr(X, "to_numpy"):
        X = X.to_numpy()
    if isinstance(X, np.ndarray):
        if X.ndim == 2 and X.shape[1] == 1:
            X = X[:, 0]
        if X.ndim != 1:
            raise DataError(
                f"X must have one column of structures, got an array of shape {X.shape}; choose one, or use a ColumnTransformer"
            )
    if not isinstance(X, Iterable):
        raise DataError(f"X must be a sequence of structures, got {type(X).__name__}")
    return list(X)


def is_missing(value: object) -> bool:
    """None, NaN, pandas' NA and NaT: everything that is not equal to itself."""
    if value is None:
        return True
    try:
        return bool(value != value)
    except (TypeError, ValueError):  # pandas.NA says neither; an array is a value
        return type(value).__name__ == "NAType"
