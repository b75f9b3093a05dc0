"""What a killed training needs to go on exactly: one file, renamed into place.

Everything random is a function of (seed, member, epoch) or of (seed, member, step), so no generator's state is kept. What remains is
weights, moments of the optimizer, the moving average, the best weights so far, and the counters.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from heliograph.errors import DataError
from heliograph.files import atomic
from heliograph.learn.figures import Epoch
from heliograph.learn.job import Finished, Job
from heliograph.model import MPNN

FILE = Path("resume") / "state.safetensors"
_VERSION = 3
NOTHING = "nothing"  # stands for no tensors, which a file can't hold


def seed_of(*what: int | str) -> int:
    """A seed for torch (63 bits) from whatever it depends on."""
    return int.from_bytes(hashlib.sha256(repr(what).encode()).digest()[:8], "little") >> 1


@dataclass(frozen=True)
class Counters:
    """Where a training stands: `step` batches of epoch `epoch` of member `member` are done, and what they summed up to."""

    member: int = 0
    epoch: int = 0
    step: int = 0
    sums: dict[str, float] = field(default_factory=dict)  # each term's loss over the epoch's steps so far
    counts: dict[str, float] = field(default_factory=dict)  # its labels
    norms: float = 0.0
    seconds: float = 0.0
    best: tuple[float, ...] = ()  # of each figure that selects, with its sign changed where higher is better
    best_epoch: int = -1
    stale: int = 0  # epochs since the best
    history: tuple[Epoch, ...] = ()  # of all members
    best_epochs: tuple[int, ...] = ()  # of the members that are finished
    log_bytes: int = 0
    about: dict[str, object] = field(default_factory=dict)  # what the training is of; must be the same when it goes on

    def next_epoch(self, row: Epoch) -> Counters:
        """The epoch is over."""
        return replace(self, epoch=self.epoch + 1, step=0, sums={}, counts={}, norms=0.0, seconds=0.0, history=(*self.history, row))

    def next_member(self) -> Counters:
        """The member is finished."""
        return Counters(member=self.member + 1, history=self.history, best_epochs=(*self.best_epochs, self.best_epoch), about=self.about)


def tensors_of(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name, each once: a layer used twice (weight tying) is under its first name."""
    found: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in module.state_dict(keep_vars=True).items():
        if id(tensor) not in seen:
            seen.add(id(tensor))
            found[name] = tensor
    return found


def save(folder: Path, counters: Counters, tensors: Mapping[str, Tensor]) -> None:
    """Write the state, replacing the one before."""
    from safetensors.torch import save_file

    document = asdict(counters) | {"version": _VERSION, "history": [row._asdict() for row in counters.history]}
    plain = {name: t.detach().to("cpu").contiguous() for name, t in tensors.items()}
    plain = plain or {NOTHING: torch.zeros(1)}
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
            tensors = {name: file.get_tensor(name) for name in file.keys() if name != NOTHING}  # noqa: SIM118 (not a mapping)
        if document.pop("version") != _VERSION:
            raise ValueError("it was written by another version")
        document["history"] = tuple(Epoch(**row) for row in document["history"])
        document |= {name: tuple(document[name]) for name in ("best", "best_epochs")}
        return Counters(**document), tensors
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} can't be read ({error}): this run can't go on. Start it again with --overwrite.") from None


def fill(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Copy tensors into a module of the same names and shapes, whose parameters take their type too. Raises DataError where they differ."""
    own = tensors_of(module)
    lacks, surplus = sorted(set(own) - set(tensors)), sorted(set(tensors) - set(own))
    shapes = [name for name in own if name in tensors and own[name].shape != tensors[name].shape]
    if lacks or surplus or shapes:
        differ = (("missing", lacks), ("unknown", surplus), ("other shapes", shapes))
        raise DataError("; ".join(f"{label}: {', '.join(names[:5])}" for label, names in differ if names))
    with torch.no_grad():
        for name, tensor in own.items():
            if tensors[name].dtype != tensor.dtype and tensor.is_floating_point():
                tensor.data = tensor.data.to(tensors[name].dtype)
            tensor.copy_(tensors[name])


def network(job: Job, member: Finished) -> MPNN:
    """Build the network of a finished member, with its weights, in evaluation mode."""
    model = job.build()
    fill(model, member.tensors)
    return model.eval()


def save_member(folder: Path, member: Finished) -> None:
    """Write a finished member beside the state."""
    from safetensors.torch import save_file

    path = folder / FILE.parent / f"member_{member.summary['member']}.safetensors"
    plain = {name: t.detach().to("cpu").contiguous().clone() for name, t in member.tensors.items()}
    with atomic(path) as temporary:
        save_file(plain, temporary, metadata={"heliograph": json.dumps(member.summary)})


def load_members(folder: Path, members: int) -> list[Finished]:
    """The first `members` finished members. Raises DataError where one can't be read."""
    from safetensors import SafetensorError, safe_open

    found = []
    for k in range(members):
        path = folder / FILE.parent / f"member_{k}.safetensors"
        try:
            with safe_open(path, framework="pt") as file:
                summary = json.loads(file.metadata()["heliograph"])
                found.append(Finished({name: file.get_tensor(name) for name in file.keys()}, summary))  # noqa: SIM118 (not a mapping)
        except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path} can't be read ({error}): this run can't go on. Start it again with --overwrite.") from None
    return found
