"""What a killed training needs to go on exactly: one file, renamed into place.

Everything random is a function of (seed, member, epoch) or of (seed, member, step), so no generator's state is kept. What remains is
weights, moments of the optimizer, the moving average, the best weights so far, and the counters.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from heliograph.errors import DataError
from heliograph.files import atomic
from heliograph.train.result import Epoch

FILE = Path("resume") / "state.safetensors"
_VERSION = 1


def seed_of(*what: int | str) -> int:
    """A seed for torch (63 bits) from whatever it depends on."""
    return int.from_bytes(hashlib.sha256(repr(what).encode()).digest()[:8], "little") >> 1


@dataclass(frozen=True)
class Counters:
    """Where a training stands: `step` batches of epoch `epoch` of member `member` are done, and what they summed up to."""

    member: int = 0
    epoch: int = 0
    step: int = 0
    loss: float = 0.0  # sums over the epoch's steps so far
    labels: float = 0.0
    norms: float = 0.0
    seconds: float = 0.0
    best: float = math.nan
    best_epoch: int = -1
    stale: int = 0  # epochs since the best
    history: tuple[Epoch, ...] = ()  # of all members
    best_epochs: tuple[int, ...] = ()  # of the members that are finished
    log_bytes: int = 0
    about: dict[str, Any] = field(default_factory=dict)  # what the training is of; must be the same when it goes on

    def next_epoch(self, row: Epoch) -> Counters:
        """The epoch is over."""
        return replace(self, epoch=self.epoch + 1, step=0, loss=0.0, labels=0.0, norms=0.0, seconds=0.0, history=(*self.history, row))

    def next_member(self) -> Counters:
        """The member is finished."""
        return Counters(member=self.member + 1, history=self.history, best_epochs=(*self.best_epochs, self.best_epoch), about=self.about)


def save(folder: Path, counters: Counters, tensors: Mapping[str, Tensor]) -> None:
    """Write the state, replacing the one before."""
    from safetensors.torch import save_file

    document = asdict(counters) | {"version": _VERSION, "history": [row._asdict() for row in counters.history]}
    plain = {name: t.detach().to("cpu").contiguous() for name, t in tensors.items()}
    plain = plain or {"nothing": torch.zeros(1)}
    with atomic(folder / FILE) as temporary:
        save_file(plain, temporary, metadata={"heliograph": json.dumps(document)})


def load(folder: Path) -> tuple[Counters, dict[str, Tensor]] | None:
    """The state in a run folder, None where there is none. Raises DataError where it can't be read."""
    from safetensors import SafetensorError, safe_open

    path = folder / FILE
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            document = json.loads(file.metadata()["heliograph"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        if document.pop("version") != _VERSION:
            raise ValueError("it was written by another version")
        document["history"] = tuple(Epoch(**row) for row in document["history"])
        document["best_epochs"] = tuple(document["best_epochs"])
        return Counters(**document), tensors
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} can't be read ({error}): this run can't go on. Start it again with --overwrite.") from None
