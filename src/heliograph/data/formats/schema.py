"""A graph of several types of nodes and edges: a TOML file that names a table for each, or the tables themselves.

[nodes.user]
path = "users.csv"                  # relative to this file

[nodes.town]                        # no table: the towns are those that edges name

[edges.buys]
path = "sales.parquet"
from = "user"
to = "item"
columns = ["customer", "product"]   # of the ends; else found as `read_edges` finds them
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heliograph.data.formats.graph_tables import Given
from heliograph.errors import DataError, suggest

ENDING = ".toml"
_OF_NODES = ("path", "id_column", "features")
_OF_EDGES = ("path", "from", "to", "columns")


@dataclass(frozen=True)
class NodeType:
    """Nodes of one type: their `table` (None: those that edges name), the column of ids, the columns that are features (None: all)."""

    table: Given = None
    id_column: str | None = None
    features: tuple[str, ...] | None = None


@dataclass(frozen=True)
class EdgeType:
    """Edges of one type, from nodes of the type `source` to those of the type `target`; `columns`: of their ends."""

    table: Given
    source: str
    target: str
    columns: tuple[str, str] | None = None


@dataclass(frozen=True)
class Schema:
    """Types of nodes and of edges by name. Raises DataError where an edge's end is of no type, or a name can't be used."""

    nodes: Mapping[str, NodeType]
    edges: Mapping[str, EdgeType]
    name: str = "the schema"

    def __post_init__(self) -> None:
        if not self.nodes or not self.edges:
            raise DataError(f"{self.name} needs types of nodes and of edges: sections like [nodes.user] and [edges.buys]")
        for name in (*self.nodes, *self.edges):
            if ":" in name or "." in name or not name.strip():
                raise DataError(f"{self.name}: {name!r} can't name a type; leave out ':' and '.'")
        for name, edges in self.edges.items():
            for end in (edges.source, edges.target):
                if end not in self.nodes:
                    raise DataError(f"{self.name}: edges.{name} has an end of the type {end!r}; {suggest(end, self.nodes)}")


def is_schema(path: Any) -> bool:
    """Whether a name ends as a schema does, or is one."""
    return isinstance(path, Schema) or (isinstance(path, str | os.PathLike) and Path(path).suffix.lower() == ENDING)


def read_schema(given: str | os.PathLike[str] | Schema) -> Schema:
    """Read a schema file. Raises DataError where it can't be read, or says what is not known."""
    if isinstance(given, Schema):
        return given
    path = Path(given)
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"can't read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise DataError(f"{path} is no TOML: {error}") from None
    for section in document:
        if section not in ("nodes", "edges"):
            raise DataError(f"{path}: there is no section [{section}]; {suggest(section, ('nodes', 'edges'))}")
    nodes, edges = {}, {}
    for name, one in _sections(path, document, "nodes", _OF_NODES):
        features = one.get("features")
        nodes[name] = NodeType(_table(path, one), one.get("id_column"), None if features is None else tuple(features))
    for name, one in _sections(path, document, "edges", _OF_EDGES):
        for key in ("path", "from", "to"):
            if key not in one:
                raise DataError(f"{path}: [edges.{name}] lacks {key!r}: it has path, from and to")
        columns = tuple(one["columns"]) if "columns" in one else None
        if columns is not None and len(columns) != 2:
            raise DataError(f"{path}: [edges.{name}] columns are two, of both ends; got {len(columns)}")
        edges[name] = EdgeType(_table(path, one), one["from"], one["to"], columns)
    return Schema(nodes, edges, path.name)


def _sections(path: Path, document: dict[str, Any], kind: str, known: tuple[str, ...]) -> list[tuple[str, dict[str, Any]]]:
    found = document.get(kind, {})
    for name, one in found.items():
        if not isinstance(one, dict):
            raise DataError(f"{path}: {kind}.{name} is a section, [{kind}.{name}], with keys {', '.join(known)}")
        for key, value in one.items():
            if key not in known:
                raise DataError(f"{path}: [{kind}.{name}] has no key {key!r}; {suggest(key, known)}")
            texts = [value] if key not in ("features", "columns") else value
            if not isinstance(texts, list) or not all(isinstance(t, str) for t in texts):
                raise DataError(f"{path}: [{kind}.{name}] {key} = {value!r} can't be read: text is wanted, or a list of it")
    return list(found.items())


def _table(path: Path, one: dict[str, Any]) -> Path | None:
    return path.parent / one["path"] if "path" in one else None
