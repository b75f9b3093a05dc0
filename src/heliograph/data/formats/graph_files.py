"""A graph in one file: GraphML, GEXF, Matrix Market and SciPy's .npz, as tables of nodes and edges. Nothing in them is run."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from heliograph.errors import DataError

ENDINGS = (".graphml", ".gexf", ".mtx", ".npz")
Tables = tuple[pa.Table | None, pa.Table]


def is_graph_file(path: Any) -> bool:
    """Whether a name ends as such files do."""
    return isinstance(path, str | Path) and Path(path).suffix.lower() in ENDINGS


def read_graph_file(path: str | Path) -> Tables:
    """Nodes (None: the file has numbers only) and edges with columns `source` and `target`. Raises DataError where it can't be read."""
    path = Path(path)
    if not path.is_file():
        raise DataError(f"no such file: {path}")
    try:
        match path.suffix.lower():
            case ".graphml":
                return _graphml(path)
            case ".gexf":
                return _gexf(path)
            case ".mtx":
                from scipy.io import mmread

                return _matrix(mmread(path))
            case _:
                from scipy.sparse import load_npz

                return _matrix(load_npz(path))  # without pickle
    except (ET.ParseError, ValueError, OSError, KeyError) as error:
        raise DataError(f"{path} is no {path.suffix[1:]} file of a graph, or is damaged: {str(error).splitlines()[0]}") from error


def _matrix(matrix: Any) -> Tables:
    """Entry (i, j) is an edge from i to j; a weight that is not one everywhere is a column."""
    coo = matrix.tocoo()
    if coo.shape[0] != coo.shape[1]:
        raise DataError(f"an adjacency matrix is square; this one is {coo.shape[0]} x {coo.shape[1]}")
    text = lambda x: pa.array(np.asarray(x, np.int64)).cast(pa.string())  # noqa: E731
    edges = {"source": text(coo.row), "target": text(coo.col)}
    if not (coo.data == coo.data[:1]).all():
        edges["weight"] = pa.array(np.asarray(coo.data, np.float64))
    return pa.table({"id": text(np.arange(coo.shape[0]))}), pa.table(edges)


def _tag(element: ET.Element) -> str:
    return element.tag.rsplit("}", 1)[-1]


def _elements(path: Path, *wanted: str) -> Iterator[tuple[str, ET.Element]]:
    """The elements of these names, one after the other; what was seen is let go."""
    for _, element in ET.iterparse(path):
        if _tag(element) in wanted:
            yield _tag(element), element
            if _tag(element) in ("node", "edge"):
                element.clear()


def _graphml(path: Path) -> Tables:
    names: dict[str, str] = {}
    nodes: list[dict[str, str]] = []
    edges: list[dict[str, str]] = []
    for tag, element in _elements(path, "key", "node", "edge"):
        if tag == "key":
            names[element.attrib["id"]] = element.attrib.get("attr.name", element.attrib["id"])
            continue
        cells = {names.get(d.attrib["key"], d.attrib["key"]): d.text or "" for d in element if _tag(d) == "data"}
        if tag == "node":
            nodes.append({"id": element.attrib["id"]} | cells)
        else:
            edges.append({"source": element.attrib["source"], "target": element.attrib["target"]} | cells)
    return _table(nodes, ("id",)), _table(edges, ("source", "target"))


def _gexf(path: Path) -> Tables:
    names: dict[str, dict[str, str]] = {"node": {}, "edge": {}}
    nodes: list[dict[str, str]] = []
    edges: list[dict[str, str]] = []
    for tag, element in _elements(path, "attributes", "node", "edge"):
        if tag == "attributes":
            kind = element.attrib.get("class", "node")
            names.setdefault(kind, {}).update({a.attrib["id"]: a.attrib.get("title", a.attrib["id"]) for a in element})
            continue
        cells = {}
        for value in element.iter():
            if _tag(value) == "attvalue":
                key = value.attrib.get("for", value.attrib.get("id", ""))
                cells[names[tag].get(key, key)] = value.attrib.get("value", "")
        if tag == "node":
            label = {"label": element.attrib["label"]} if element.attrib.get("label", element.attrib["id"]) != element.attrib["id"] else {}
            nodes.append({"id": element.attrib["id"]} | label | cells)
        else:
            weight = {"weight": element.attrib["weight"]} if "weight" in element.attrib else {}
            edges.append({"source": element.attrib["source"], "target": element.attrib["target"]} | weight | cells)
    return _table(nodes, ("id",)), _table(edges, ("source", "target"))


def _table(rows: list[dict[str, str]], first: tuple[str, ...]) -> pa.Table:
    columns = list(dict.fromkeys([*first, *(name for row in rows for name in row)]))
    return pa.table({name: pa.array([row.get(name, "") for row in rows], pa.string()) for name in columns})
