"""`metrics.csv` and `train.log`: plain lines, one per epoch, brought back to the saved state when a run goes on."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from heliograph.errors import HeliographError
from heliograph.files import atomic
from heliograph.learn.figures import Epoch

METRICS, LOG = "metrics.csv", "train.log"


def header(metrics: Sequence[str], unit: str) -> list[str]:
    """Columns of metrics.csv."""
    scores = [f"val_{name}" for name in metrics]
    return ["member", "epoch", "train_loss", "val_loss", *scores, "lr", "grad_norm", "node_similarity", "seconds", f"{unit}_per_second"]


def cells(row: Epoch, metrics: Sequence[str], rows: int) -> list[str]:
    """One line of metrics.csv; blank where there is no number."""
    rate = rows / row.seconds if row.seconds > 0 else math.nan
    numbers = [row.train_loss, row.val_loss, *(row.val_metrics.get(name, math.nan) for name in metrics),
               row.learning_rate, row.gradient_norm, row.node_similarity, row.seconds, rate]  # fmt: skip
    return [str(row.member), str(row.epoch), *("" if math.isnan(v) else f"{v:.6g}" for v in numbers)]


def write_metrics(folder: Path, history: Sequence[Epoch], metrics: Sequence[str], rows: int, unit: str) -> None:
    """The whole of metrics.csv."""
    with atomic(folder / METRICS) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header(metrics, unit), *(cells(row, metrics, rows) for row in history)])


def append_metrics(folder: Path, row: Epoch, metrics: Sequence[str], rows: int, unit: str) -> None:
    """One more line."""
    with _appending(folder / METRICS) as file:
        csv.writer(file).writerow(cells(row, metrics, rows))


@contextmanager
def _appending(path: Path) -> Iterator[TextIO]:
    """The file's end. Raises HeliographError, naming the file, where the disk is full."""
    try:
        with open(path, "a", encoding="utf-8", errors="backslashreplace", newline="") as file:
            yield file
    except OSError as error:
        raise HeliographError(f"can't write {path}: {error.strerror or error}. Free some space, then go on with --resume.") from error


def sentence(row: Epoch, epochs: int, members: int, rows: int, unit: str) -> str:
    """The epoch in one line for people."""
    who = f"member {row.member + 1}/{members}  " if members > 1 else ""
    scores = "".join(f"  val_{name} {value:.4g}" for name, value in row.val_metrics.items())
    loss = "" if math.isnan(row.val_loss) else f"  val_loss {row.val_loss:.4g}"
    rate = f"  {rows / row.seconds:,.0f} {unit}/s" if row.seconds > 0 else ""
    width = len(str(epochs))
    return f"{who}epoch {row.epoch + 1:{width}d}/{epochs}  train_loss {row.train_loss:.4g}{loss}{scores}  lr {row.learning_rate:.2e}{rate}"


class Log:
    """`train.log`: append a line; `size` is how much of it belongs to a state."""

    def __init__(self, folder: Path | None):
        self.path = None if folder is None else folder / LOG

    def line(self, text: str) -> None:
        if self.path is not None:
            with _appending(self.path) as file:
                file.write(text + "\n")

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path is not None and self.path.is_file() else 0

    def cut(self, size: int) -> None:
        """Forget what came after."""
        if self.path is not None and size < self.size:
            os.truncate(self.path, size)
