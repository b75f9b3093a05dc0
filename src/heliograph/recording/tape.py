"""A tape: every call to PyTorch and to the kernels that one step of a network makes, forward and backward, in its order.

Calls are noted below PyTorch's derivatives: what is on the tape needs neither the algebra nor autograd to be run again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, final

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import TreeSpec, tree_flatten

from heliograph.kernels.ops import grouped_anew
from heliograph.recording.places import Place

aten = torch.ops.aten
SEED = 2**32  # a number read from a tensor is a seed from here on: no size is as large
MAX_BYTES = 2**28  # that calls return: in larger steps Python's share is small, and recording holds all of them at once
_READS = (aten._local_scalar_dense.default,)
_SEEN = (aten.view.default, aten._unsafe_view.default, aten.expand.default)
_PAST = {"tolist", "numpy", "data_ptr", "untyped_storage", "__dlpack__"}  # methods that let data be read, or set, without a call


class Refused(Exception):
    """Why a network can't be recorded; its text says it."""


@final
@dataclass(frozen=True, slots=True)
class Slot:
    """The tensor (or the number, if a seed) with this number on the tape."""

    number: int


@dataclass(frozen=True, slots=True)
class Call:
    """`function` with the arguments `leaves`, put together by `spec`; its results get the numbers `results` (None: no tensor)."""

    function: Any
    leaves: tuple[Any, ...]
    spec: TreeSpec
    results: tuple[int | None, ...]
    several: bool  # whether it returns more than one
    idle: bool = False  # whether it returns what it was given, seen as it was


@dataclass(slots=True)
class Tape:
    """`inputs`: number and origin of what comes from outside; `shapes` of inputs, and of results whose size only data tell."""

    calls: list[Call] = field(default_factory=list)
    forward: int = 0  # calls before the backward pass
    inputs: dict[int, Place] = field(default_factory=dict)
    shapes: dict[int, tuple[int, ...]] = field(default_factory=dict)
    seeds: dict[int, int] = field(default_factory=dict)  # number -> value
    decisions: dict[int, bool] = field(default_factory=dict)  # truth values that were read from data: number -> value
    counts: dict[Place, int] = field(default_factory=dict)  # numbers of topologies: N, E, P ...
    outputs: tuple[tuple[str, int, bool], ...] = ()  # name, number, whether it has a gradient
    slopes: tuple[int, ...] = ()  # the gradients that the backward pass begins with
    gradients: tuple[int | None, ...] = ()  # those that it ends with, one a parameter
    count: int = 0


@final
class Recorder(TorchDispatchMode):
    """Notes what runs inside a `with` block. `known`: tensors that have an origin, by `id`."""

    def __init__(self, known: Mapping[int, tuple[Tensor, Place]]):
        super().__init__()
        self.tape, self.known = Tape(), known
        self.numbers: dict[int, int] = {}  # id -> number
        self.alive: list[Any] = []  # so that no id comes twice
        self.refused, self.inside, self.bytes, self.backward = "", 0, 0, False

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # PyTorch would import its compiler, two seconds, to say that it is not to compile this

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Note where data are read past PyTorch, as by NumPy: nothing on a tape would tell."""

        def called(frame: Any, event: str, what: Any) -> None:
            if event == "c_call" and not self.inside and what.__name__ in _PAST and isinstance(getattr(what, "__self__", None), Tensor):
                self.refused = self.refused or "it reads data outside PyTorch"

        sys.setprofile(called)
        try:
            yield
        finally:
            sys.setprofile(None)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.inside += 1
        try:
            result = func(*args, **(kwargs or {}))
        finally:
            self.inside -= 1
        if not self.refused:
            try:
                self._note(func, args, kwargs or {}, result)
            except Refused as reason:
                self.refused = str(reason)
        return result

    def _note(self, func: Any, args: Any, kwargs: Any, result: Any) -> None:
        if func is aten.detach.default:
            self._name(result, self.number(args[0]))
            return
        leaves, spec = tree_flatten((args, kwargs))
        noted = tuple(Slot(self.number(x)) if isinstance(x, Tensor) else self._seed(x) for x in leaves)
        if func in _READS:
            results: tuple[int | None, ...] = (self._read(result),)
        else:
            results = tuple(self._result(x, func) for x in (result if isinstance(result, tuple | list) else (result,)))
        if torch.Tag.dynamic_output_shape in func.tags and not _by_numbers(func, args):
            self.tape.shapes |= {n: tuple(x.shape) for n, x in zip(results, _several(result), strict=True) if n is not None}
        idle = func in _SEEN and (args[0].shape, args[0].stride()) == (result.shape, result.stride())
        self.tape.calls.append(Call(func, noted, spec, results, isinstance(result, tuple | list), idle))

    def number(self, x: Tensor) -> int:
        """The number of a tensor; one that is new here comes from outside."""
        if id(x) in self.numbers:
            return self.numbers[id(x)]
        if id(x) not in self.known:
            raise Refused("it reads a tensor that is neither in the graph nor among its parameters and buffers")
        n = self._name(x, self._next())
        self.tape.inputs[n], self.tape.shapes[n] = self.known[id(x)][1], tuple(x.shape)
        return n

    def _result(self, x: Any, func: Any) -> int | None:
        if x is None:
            return None
        if not isinstance(x, Tensor):
            raise Refused(f"{func} reads data for a decision")
        if id(x) in self.numbers:
            return self.numbers[id(x)]
        self.bytes += x.numel() * x.element_size()
        if self.bytes > MAX_BYTES:
            self.alive = []
            raise Refused("it is large: little of its time is Python's")
        return self._name(x, self._next())

    def _read(self, value: Any) -> int:
        """What was read from a tensor: a seed, on which nothing but noise depends, or a truth value, which each replay reads again."""
        if isinstance(value, bool) and not self.backward:  # there, it is too late to run the network as it is
            n = self._next()
            self.tape.decisions[n] = value
            return n
        if isinstance(value, bool) or not isinstance(value, int) or value < SEED:
            raise Refused("it reads data for a decision")
        n = self._next()
        self.tape.seeds[n] = value
        return n

    def _seed(self, x: Any) -> Any:
        if isinstance(x, int) and not isinstance(x, bool) and x >= SEED:
            found = next((n for n, value in self.tape.seeds.items() if value == x), None)
            return x if found is None else Slot(found)
        return x

    def _name(self, x: Any, number: int) -> int:
        self.alive.append(x)
        self.numbers[id(x)] = number
        return number

    def _next(self) -> int:
        self.tape.count += 1
        return self.tape.count - 1


def _by_numbers(func: Any, args: Any) -> bool:
    """Whether rows are picked by numbers, not by truth values, of which data alone tell how many are true."""
    return func is aten.index.Tensor and all(x is None or x.dtype not in (torch.bool, torch.uint8) for x in args[1])


def _several(result: Any) -> Sequence[Any]:
    return result if isinstance(result, tuple | list) else (result,)


def record(
    run: Callable[[], Mapping[str, Tensor]], known: Mapping[int, tuple[Tensor, Place]], parameters: Sequence[Tensor]
) -> tuple[Mapping[str, Tensor], Tape | None, str]:
    """Return what `run()` returns, the tape of it and of its backward pass to `parameters`, or None and the reason.

    What is returned has its gradients as if nothing had been recorded.
    """
    recorder = Recorder(known)
    with recorder, recorder.watching(), grouped_anew():
        found = run()
        tape = recorder.tape
        tape.forward, recorder.backward = len(tape.calls), True
        heads = [(name, y) for name, y in found.items() if y.requires_grad]
        slopes = [torch.ones_like(y, memory_format=torch.contiguous_format) for _, y in heads]
        del tape.calls[tape.forward :]  # the slopes are somebody else's
        if heads and not recorder.refused:
            tape.slopes = tuple(recorder._name(g, recorder._next()) for g in slopes)
            gradients = torch.autograd.grad([y for _, y in heads], parameters, slopes, retain_graph=True, allow_unused=True)
            recorder.alive.append(gradients)
    if not recorder.refused:
        try:
            tape.outputs = tuple((name, _made(recorder, y), y.requires_grad) for name, y in found.items())
            if heads:
                tape.gradients = tuple(None if g is None else _made(recorder, g) for g in gradients)
        except Refused as reason:
            recorder.refused = str(reason)
    return found, None if recorder.refused else tape, recorder.refused


def _made(recorder: Recorder, x: Tensor) -> int:
    number = recorder.numbers.get(id(x))
    if number is None or number in recorder.tape.inputs:
        raise Refused("it returns what it was given")
    return number
