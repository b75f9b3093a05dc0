"""What decides which calls a network makes, beside the tensors that it is given: its modules, its switches, the kind of graph."""

from __future__ import annotations

import sys
from itertools import repeat
from operator import attrgetter, is_, is_not
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import is_in_torch_dispatch_mode

from heliograph import algebra, kernels
from heliograph.algebra import colour
from heliograph.graph import Feature, Graph, Indexed
from heliograph.kernels.operator import PLAIN
from heliograph.model import MPNN
from heliograph.recording.places import Place

_TENSORS = ("_parameters", "_buffers")


@final
class Watch:
    """A network as it was: every attribute of every module, every hook, every tensor but for its values."""

    def __init__(self, model: MPNN):
        self.attributes: list[tuple[dict[str, Any], str, Any]] = []
        self.dicts: list[tuple[dict[str, Any], int]] = []
        self.hooks: list[Any] = list(_global_hooks())
        self._owners: list[dict[str, Tensor]] = []
        self._keys: list[str] = []
        for module in dict.fromkeys(model.modules()):
            own = vars(module)
            for name, value in own.items():
                if name in _TENSORS:
                    there = [key for key, x in value.items() if x is not None]
                    self._keys, self._owners = self._keys + there, self._owners + [value] * len(there)
                    self.dicts.append((value, len(value)))
                elif name == "_modules":
                    self.attributes += [(value, key, child) for key, child in value.items()]
                    self.dicts.append((value, len(value)))
                elif "hooks" in name and name.startswith("_"):
                    self.hooks.append(value)
                else:
                    self.attributes.append((own, name, value))
            self.dicts.append((own, len(own)))
        self._holders, self._names, self._values = zip(*self.attributes, strict=True)  # apart, since `map` is the quickest loop
        self._dicts, self._lengths = [d for d, _ in self.dicts], [n for _, n in self.dicts]
        self.tensors: list[Tensor] = list(map(dict.__getitem__, self._owners, self._keys))  # as they were found last
        self._kinds = _kinds(self.tensors)

    def same(self) -> bool:
        """Whether the network is as it was, and nobody listens."""
        return (
            not any(self.hooks)
            and all(map(is_, map(dict.get, self._holders, self._names), self._values))
            and list(map(len, self._dicts)) == self._lengths
            and self._found()
        )

    def _found(self) -> bool:
        """Whether all tensors are there, of the kinds that they were."""
        self.tensors = list(map(dict.get, self._owners, self._keys))  # type: ignore[arg-type]  # None is looked for in the next line
        return all(map(is_not, self.tensors, repeat(None))) and _kinds(self.tensors) == self._kinds

    def known(self) -> dict[int, tuple[Tensor, Place]]:
        """The network's tensors by `id`, with their places."""
        return {id(x): (x, ("network", k)) for k, x in reversed(list(enumerate(self.tensors)))}

    def trained(self) -> list[Tensor]:
        """All parameters that have gradients, once each."""
        return list({id(x): x for x in self.tensors if x.requires_grad}.values())


def _global_hooks() -> tuple[Any, ...]:
    module = nn.modules.module
    return module._global_forward_hooks, module._global_forward_pre_hooks, module._global_backward_hooks, module._global_backward_pre_hooks


_named = attrgetter("requires_grad", "__class__", "dtype", "shape", "device")


def _kinds(tensors: list[Tensor]) -> Any:
    """What is watched of tensors."""
    return list(map(_named, tensors)), list(map(Tensor.is_contiguous, tensors))


def state() -> tuple[Any, ...] | None:
    """The switches that decide what runs; None where somebody listens to every call, or casts on the way."""
    if (
        torch.compiler.is_compiling()
        or is_in_torch_dispatch_mode()
        or torch._C._len_torch_function_stack() > 0
        or torch.is_autocast_enabled("cpu")
        or colour.keeping()
        or sys.getprofile() is not None
    ):
        return None
    grad = torch.is_grad_enabled()
    return (
        grad,
        torch.is_inference_mode_enabled(),
        algebra.enabled(),
        kernels.chosen(),
        torch.get_default_dtype(),
        torch.are_deterministic_algorithms_enabled(),
    )


def kind(graphs: tuple[Graph, ...]) -> tuple[Any, ...] | None:
    """What decides which calls a network makes for a graph, but for exact sizes; None for one that can't be recorded.

    Features with their kinds, which tensors are one, and classes of sizes: powers of two of nodes and edges, the number of graphs.
    """
    found: list[Any] = []
    seen: dict[int, int] = {}
    for graph in graphs:
        t = graph.topology
        if not (t.N and t.E and t.G and t.R):
            return None
        found.append((t.G, t.N.bit_length(), t.E.bit_length(), t.whole, len(t.steps), t.R <= t.E, t.N <= t.E))
        tensors: list[Tensor] = [t.senders, t.receivers, t.n_node, t.n_edge, *(x for x in (t.order, t.shift, graph.asked) if x is not None)]
        found.append((t.order is None, t.shift is None, graph.asked is None))
        for side in (graph.nodes, graph.edges, graph.globals):
            for name, feature in side.items():
                found.append((name, isinstance(feature, Indexed), _small(feature)))
                tensors += [feature.table, feature.index] if isinstance(feature, Indexed) else [feature]
        for x in tensors:
            if type(x) not in PLAIN or x.requires_grad or x.device.type != "cpu":
                return None
            found.append((seen.setdefault(id(x), len(seen)), x.dtype, x.dim(), x.shape[1:], x.is_contiguous()))
    return tuple(found)


def _small(feature: Feature) -> bool:
    """Whether a table has few rows, as the algebra judges it."""
    return isinstance(feature, Indexed) and len(feature.table) <= len(feature.index)
