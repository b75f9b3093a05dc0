"""What runs where: the work of each step of a network, written out plainly and as the edge algebra does it.

Both ways are run forward on the graph given, and every operator that PyTorch executes is noted: nothing here is an estimate
from formulas of the architecture. FLOPs are those of matrix products and of sums over edges (a multiply-add is two); bytes are
all that operators read and write, as if nothing stayed in a cache.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from heliograph import algebra, kernels, recording
from heliograph.graph import Graph, Indexed
from heliograph.kernels.knots import TAPS
from heliograph.model import MPNN

_FREE = ("view", "reshape", "expand", "t", "transpose", "permute", "unsqueeze", "squeeze", "detach", "alias", "split", "slice", "select",
         "as_strided", "_unsafe_view", "unbind", "empty", "new_empty", "empty_like", "is_same_size", "split_with_sizes")  # fmt: skip
_SUMS = {
    "gather_sum": "rows gathered and summed",
    "product_sum": "products of gathered rows, summed",
    "dot_sum": "dot products of gathered rows",
    "act_sum": "sums of gathered rows, summed",
    "argmax": "the largest of gathered rows",
    "softmax": "softmax over each segment",
    "knots_value": "functions of distances, interpolated between knots",
    "index_add": "rows summed",
}


@dataclass
class Cost:
    """The work of one step: its FLOPs, the bytes it moves, the bytes of its largest tensor, and how often its main operators ran."""

    flops: int = 0
    bytes: int = 0
    largest: int = 0
    operators: Counter[str] = field(default_factory=Counter)


@dataclass
class Step:
    """One step of a network: its cost written out plainly, and its cost as it runs. `times` steps in a row do the same work."""

    name: str
    plain: Cost
    fast: Cost
    times: int = 1


@dataclass
class Plan:
    """All steps, and the sizes that their operators are told in."""

    sizes: dict[str, int]
    steps: list[Step]
    replayed: str = field(default="", compare=False)  # what is recorded of a training step

    def __str__(self) -> str:
        lines = [
            ", ".join(f"{n:,} {name}" for name, n in self.sizes.items()),
            *([f"replayed on small batches: {self.replayed}"] if self.replayed else []),
            "",
            f"{'':<24}{'MFLOP':>10}{'':>9}{'MB moved':>10}{'':>9}{'largest MB':>12}",
        ]
        lines.append(f"{'step':<24}{'plain':>10}{'here':>9}{'plain':>10}{'here':>9}{'plain':>12}{'here':>9}")
        for step in self.steps:
            name = step.name if step.times == 1 else f"{step.name} (x{step.times})"
            lines.append(_numbers(name, step.plain, step.fast))
            lines += [f"    {what}{f' (x{n})' if n > 1 else ''}" for what, n in step.fast.operators.items()]
        lines.append(_numbers("all", *(self.total(which) for which in ("plain", "fast"))))
        return "\n".join(line.rstrip() for line in lines)

    def total(self, which: str) -> Cost:
        """Add up all steps, "plain" or "fast"."""
        costs = [(getattr(step, which), step.times) for step in self.steps]
        return Cost(sum(c.flops * n for c, n in costs), sum(c.bytes * n for c, n in costs), max((c.largest for c, _ in costs), default=0))


def plan(model: MPNN, graph: Graph) -> Plan:
    """Run `model` forward on `graph` both ways and note the work of each step."""
    plain_steps, _ = _walk(model, graph, fast=False)
    fast_steps, seen = _walk(model, graph, fast=True)
    steps: list[Step] = []
    for (name, plain), (_, fast) in zip(plain_steps, fast_steps, strict=True):
        if steps and (steps[-1].plain, steps[-1].fast) == (plain, fast):
            steps[-1].times += 1
        else:
            steps.append(Step(name, plain, fast))
    return Plan(_sizes(seen), steps, recording.noted(model, graph))


def _walk(model: MPNN, graph: Graph, fast: bool) -> tuple[list[tuple[str, Cost]], Graph]:
    """Name and cost of each step, and the graph that the layers see."""
    steps: list[tuple[str, Cost]] = []

    seen = graph

    def run(name: str, step: Callable[[Graph], Any], graph: Graph) -> Any:
        nonlocal seen
        if name == "embed":  # what a topology derives once is not one step's work
            seen = graph
            model.readout(rest(graph))
        watch = _Watch(_sizes(graph))
        with watch:
            result = step(graph)
        steps.append((name, watch.cost))
        return result

    def rest(graph: Graph) -> Graph:
        for name, step in model.chain():
            graph = graph if name == "view" else step(graph)
        return graph

    with torch.no_grad(), algebra.use(fast), kernels.use(kernels.chosen() if fast else "reference"):
        run("readout", model.readout, model.states(graph, run))
    return steps, seen


def _sizes(graph: Graph) -> dict[str, int]:
    """Names of row counts; the smaller meaning wins where two are equal."""
    t = graph.topology
    sizes = {"graphs": t.G, "nodes": t.N, "edges": t.E, "pairs": t.pairs.P}
    types = {f"kinds of {k}": len(v.table) for side in (graph.nodes, graph.edges) for k, v in side.items() if isinstance(v, Indexed)}
    return sizes | {k: n for k, n in types.items() if n not in sizes.values()}


class _Watch(TorchDispatchMode):
    """Notes every operator that PyTorch executes."""

    def __init__(self, sizes: dict[str, int]):
        super().__init__()
        self.cost, self.names = Cost(), {n: name for name, n in reversed(sizes.items())}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func._schema.name.split("::")[1].rstrip("_")
        if name not in _FREE:
            tensors = [x for x in tree_leaves((args, kwargs, result)) if isinstance(x, Tensor)]
            written = [x for x in tree_leaves(result) if isinstance(x, Tensor)]
            self.cost.bytes += sum(x.numel() * x.element_size() for x in tensors)
            self.cost.largest = max([self.cost.largest, *(x.numel() * x.element_size() for x in written)])
            self._note(name, args, result)
        return result

    def _note(self, name: str, args: Any, result: Any) -> None:
        if name in ("mm", "addmm", "bmm", "baddbmm"):
            a, b = [x for x in args if isinstance(x, Tensor)][-2:]
            self.cost.flops += 2 * prod(a.shape) * b.shape[-1]
            if a.dim() == 3:
                what = f"matrices {a.shape[1]} x {a.shape[2]} times {b.shape[1]} x {b.shape[2]}: {len(a):,}{self._named(len(a))}"
            else:
                what = f"linear {a.shape[1]} -> {b.shape[1]}: {len(a):,} rows{self._named(len(a))}"
            self.cost.operators[what] += 1
        elif name in _SUMS:
            table = args[1] if name == "act_sum" else args[0]
            edges = max([len(x) for x in tree_leaves(args) if isinstance(x, Tensor)])
            each = {"gather_sum": 1, "index_add": 1, "argmax": 1, "knots_value": 2 * TAPS}.get(name, 2)
            self.cost.flops += edges * prod(table.shape[1:]) * each
            what = _SUMS[name]
            if name == "act_sum" and args[0]:
                what = f"{list(kernels.ACTIVATIONS)[args[0]]} of {what}"
            if name in ("gather_sum", "act_sum") and args[2 if name == "gather_sum" else 6][2] is None:
                what = what.removesuffix(" and summed").removesuffix(", summed")  # each edge on its own
            self.cost.operators[f"{what}: {len(result):,} rows{self._named(len(result))}"] += 1

    def _named(self, rows: int) -> str:
        return f" ({self.names[rows]})" if rows in self.names else ""


def _numbers(name: str, plain: Cost, fast: Cost) -> str:
    cells = [f"{plain.flops / 1e6:>10,.0f}{fast.flops / 1e6:>9,.0f}", f"{plain.bytes / 1e6:>10,.0f}{fast.bytes / 1e6:>9,.0f}",
             f"{plain.largest / 1e6:>12,.1f}{fast.largest / 1e6:>9,.1f}"]  # fmt: skip
    return f"{name:<24}" + "".join(cells)
