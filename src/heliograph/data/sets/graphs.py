"""Public graphs in formats of their own, to the tables that `heliograph train --edges` reads. Nothing is unpacked to disk."""

from __future__ import annotations

import csv
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from heliograph.data.sets.download import Progress
from heliograph.errors import DataError
from heliograph.files import atomic

EDGES = "edges.csv"  # beside the table of nodes


def citations(files: Sequence[Path], target: Path, progress: Progress | None = None) -> None:
    """LINQS' `NAME.content` (id, words, class) and `NAME.cites` (cited, citing) to nodes (id, label, x) and edges.

    Raises DataError where a line can't be read.
    """
    with _members(files[0]) as member:
        rows = [line.split("\t") for line in member(".content")]
        ids, labels = [r[0] for r in rows], [r[-1] for r in rows]
        try:
            x = np.array([r[1:-1] for r in rows], np.float32)
        except ValueError as error:
            raise DataError(f"{files[0].name}: its words are no numbers, or not as many in each line ({error})") from None
        _nodes(target, ids, labels, x)
        _edges(target.parent / EDGES, (line.split("\t")[::-1] for line in member(".cites")))


def pubmed(files: Sequence[Path], target: Path, progress: Progress | None = None) -> None:
    """LINQS' Pubmed-Diabetes: lines `id label=1 w-rat=0.09 ... summary=...` and `n paper:A | paper:B` to nodes and edges.

    Raises DataError where a line can't be read.
    """
    with _members(files[0]) as member:
        lines = member("NODE.paper.tab")
        next(lines)
        words = {part.split(":")[1]: k for k, part in enumerate(p for p in next(lines).split("\t") if p.startswith("numeric:"))}
        rows = [line.split("\t") for line in lines]
        x = np.zeros((len(rows), len(words)), np.float32)
        try:
            labels = [r[1].removeprefix("label=") for r in rows]
            for k, row in enumerate(rows):
                for part in row[2:]:
                    name, _, value = part.partition("=")
                    if name in words:
                        x[k, words[name]] = float(value)
        except (IndexError, ValueError) as error:
            raise DataError(f"{files[0].name}: a line of nodes can't be read ({error})") from None
        _nodes(target, [r[0] for r in rows], labels, x)
        found = (line.split("\t") for line in member("DIRECTED.cites.tab") if "|" in line)
        _edges(target.parent / EDGES, ([p.removeprefix("paper:") for p in (r[1], r[3])] for r in found))


def triples(files: Sequence[Path], target: Path, progress: Progress | None = None) -> None:
    """Lines `head TAB relation TAB tail` of train, valid and test to one table with a column `split`. Raises DataError."""
    with atomic(target) as path, path.open("w", newline="", encoding="utf-8") as out:
        table = csv.writer(out, delimiter="\t", lineterminator="\n")
        table.writerow(["head", "relation", "tail", "split"])
        for file, part in zip(files, ("train", "val", "test"), strict=True):
            for line in file.read_text(encoding="utf-8").splitlines():
                if line.count("\t") != 2:
                    raise DataError(f"{file.name}: {line[:80]!r} is no triple")
                table.writerow([*line.split("\t"), part])


def interactions(files: Sequence[Path], target: Path, progress: Progress | None = None) -> None:
    """Lines `user item item ...` of train and test to a table of pairs with a column `split`: no validation comes with it."""
    users, items, parts = [], [], []
    for file, part in zip(files, ("train", "test"), strict=True):
        for line in file.read_text().splitlines():
            user, *others = line.split()
            users += [user] * len(others)
            items += others
            parts += [part] * len(others)
    with atomic(target) as path:
        pq.write_table(pa.table({"source": users, "target": items, "split": parts}), path)


@contextmanager
def _members(archive: Path) -> Iterator[Any]:
    """A function from the end of a member's name to its lines. Raises DataError where there is none."""
    try:
        with tarfile.open(archive, "r:gz") as members:
            names = members.getnames()

            def lines(ending: str) -> Iterator[str]:
                name = next((n for n in names if n.endswith(ending)), None)
                stream = None if name is None else members.extractfile(name)
                if stream is None:
                    raise DataError(f"{archive.name} has no member {ending}; it has {', '.join(names[:6])}")
                return (line.decode("utf-8", "replace").rstrip("\r\n") for line in stream)

            yield lines
    except tarfile.TarError as error:
        raise DataError(f"{archive.name} is no archive, or is damaged ({error}). Delete it and fetch again.") from error


def _nodes(target: Path, ids: list[str], labels: list[str], x: np.ndarray) -> None:
    lists = pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), max(x.shape[1], 1))
    with atomic(target) as path:
        pq.write_table(pa.table({"id": ids, "label": [f"class {c}" if c.isdigit() else c for c in labels], "x": lists}), path)


def _edges(path: Path, pairs: Any) -> None:
    with atomic(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as out:
        table = csv.writer(out, lineterminator="\n")
        table.writerow(["source", "target"])
        table.writerows(pairs)
