"""A stranger's model file: its document is held against the tensors beside it before memory or time is spent on what it asks for."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from heliograph.chem.featurizer import Featurizer
from heliograph.learn.scale import Scaling
from heliograph.learn.task import Task
from heliograph.model import Inputs

if TYPE_CHECKING:
    from heliograph.chem.molecule import Molecule
    from heliograph.predictor.predictor import Predictor

MAX_PLAIN = 1000  # a number of steps, heads or neighbours that no tensor's shape shows
ELEMENTS = 118
_FACTORIES = {"empty", "zeros", "ones", "full", "rand", "randn", "normal", "eye", "arange", "linspace", "logspace"}
_SPARE = 2_000_000  # numbers that a network may make beside its own tensors, and may drop


class Refused(Exception):
    """What is wrong with a document; its text says it, but not of which file."""


class _Counting(TorchFunctionMode):
    """Adds up what is made, and says no before more is made than the file's own tensors explain."""

    def __init__(self, numbers: int):
        super().__init__()
        self.most = 4 * numbers + _SPARE
        self.made = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") in _FACTORIES:
            self.made += _asked(func.__name__, args, kwargs or {})
            if self.made > self.most:
                raise Refused("it asks for a network that is larger than the weights beside it")
        return func(*args, **(kwargs or {}))


def _asked(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> int:
    """About how many numbers a call makes: the product of all whole numbers given to it (eye: squared)."""
    given = [*args, *(kwargs[key] for key in ("size", "steps", "end", "n", "m") if key in kwargs)]
    sizes = [int(v) for a in given for v in (a if isinstance(a, list | tuple) else [a]) if isinstance(v, int) and v > 0]
    numbers = math.prod(sizes[:8]) if name != "full" else math.prod(int(v) for v in given[0] if isinstance(v, int))
    return numbers * numbers if name == "eye" and len(sizes) == 1 else numbers


@contextmanager
def within(tensors: Iterable[Tensor]) -> Iterator[None]:
    """Build networks inside that are no larger than `tensors` say. Raises Refused for one that is, before it is made."""
    held = list(tensors)
    most, thread, registered = 50 * len(held) + 5000, threading.get_ident(), 0

    def count(module: nn.Module, name: str, child: nn.Module | None) -> None:
        nonlocal registered
        if threading.get_ident() == thread:
            registered += 1
            if registered > most:
                raise Refused("it asks for a network of more layers than the weights beside it have")

    hook = torch.nn.modules.module.register_module_module_registration_hook(count)
    try:
        with _Counting(sum(t.numel() for t in held)):
            yield
    finally:
        hook.remove()


def sizes(what: object, tensors: Iterable[Tensor]) -> None:
    """Raise Refused for a whole number in a document (arguments, a composition) that no tensor's shape can explain."""
    largest = max((size for t in tensors for size in t.shape), default=0)
    for number in _numbers(what):
        if abs(number) > max(MAX_PLAIN, largest):
            raise Refused(f"it asks for {number:.3g} of something, and its largest tensor has {largest}")


def _numbers(what: object) -> Iterator[int]:
    if isinstance(what, Mapping):
        what = list(what.values())
    if isinstance(what, list | tuple):
        for one in what:
            yield from _numbers(one)
    elif isinstance(what, int) and not isinstance(what, bool):
        yield min(max(what, -(10**300)), 10**300)


def scaling(task: Task, found: Scaling) -> None:
    """Raise Refused where a scaling does not fit its task: lengths, values, elements."""
    n = len(task.targets)
    rows = [found.mean, found.std, *found.references.values()]
    if any(len(row) != n for row in rows) or len(task.units) != n:
        raise Refused(f"its scaling or its units are not of {n} targets")
    if not all(np.isfinite(row).all() for row in rows) or not all(value > 0 for value in found.std):
        raise Refused("its scaling is not finite, or a standard deviation is not above zero")
    if unknown := [z for z in found.references if not 0 < z <= ELEMENTS]:
        raise Refused(f"it has reference values of the elements {unknown[:4]}, which there are not")
    if n == 0 or len(set(task.targets)) != n or not all(isinstance(name, str) and name for name in (*task.targets, *_classes(task))):
        raise Refused("its targets or classes have no names, or one name twice")
    if task.kind != "regression" and (len(task.classes) != n or any(len(c) < 2 for c in task.classes)):
        raise Refused("its classes are not of its targets")


def features(inputs: Inputs, featurizer: Featurizer) -> None:
    """Raise Refused where the network was not made for what the featurizer gives."""
    if (inputs.nodes, inputs.edges) != (featurizer.atom_width, featurizer.bond_width):
        raise Refused(
            f"its network reads {inputs.nodes} numbers of an atom and {inputs.edges} of a bond, its featurizer gives "
            f"{featurizer.atom_width} and {featurizer.bond_width}"
        )
    if bool(inputs.geometry) != (featurizer.geometry != "none"):
        raise Refused("its network and its featurizer differ in whether atoms have positions")


def _classes(task: Task) -> list[str]:
    return [name for names in task.classes for name in names]


def weights(members: Sequence[Mapping[str, Tensor]]) -> None:
    """Raise Refused where there is no network, or weights that are no numbers."""
    if not members:
        raise Refused("it has no network")
    for tensors in members:
        for name, tensor in tensors.items():
            if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
                raise Refused(f"its weights {name} are not finite")


def tried(predictor: Predictor) -> None:
    """Predict for two atoms: what does not fit together in a document shows before a table is read. Raises Refused, or what it breaks."""
    from heliograph import kernels
    from heliograph.data.store import Store

    f = predictor.featurizer
    pair = SimpleNamespace(  # a `Molecule`, which needs no RDKit this way
        z=np.array([6, 8], dtype=np.uint8),
        x=np.zeros((2, len(f.atom_codes)), dtype=np.uint8),
        bonds=np.array([[0, 1]], dtype=np.uint16),
        e=np.zeros((1, len(f.bond_codes)), dtype=np.uint8),
        pos=None if f.geometry == "none" else np.array([[0, 0, 0], [1.2, 0, 0]], dtype=np.float32),
        smiles="",
        scaffold="",
    )
    with kernels.use("reference"):  # nothing is compiled for one molecule
        found = predictor.predict_store(Store.build([cast("Molecule", pair)], f))
    if found.y.shape != (1, len(predictor.targets)):
        raise Refused(f"it answers with {found.y.shape[1:]} numbers for {len(predictor.targets)} targets")
