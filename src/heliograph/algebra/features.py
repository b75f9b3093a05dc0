"""Between a graph's features and lazy tensors: what a message sees, what an update gets, what a graph keeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from typing import Any

import torch
from torch import Tensor, nn

from heliograph import segment
from heliograph.algebra import colour
from heliograph.algebra.aggregated import Aggregated, reduction
from heliograph.algebra.expression import Gather
from heliograph.algebra.radial import radial
from heliograph.algebra.switch import enabled
from heliograph.algebra.tensor import EdgeTensor
from heliograph.graph import Feature, Features, Indexed, dense
from heliograph.topology import Segments


def seen(feature: Feature, index: Tensor | None, name: str) -> Any:
    """Return `feature`[index] as a lazy tensor, or as a plain one where the algebra is off.

    `index` [E] long; None: there is a row for each edge. `name` tells features apart that have equal values.
    """
    if not enabled():
        return dense(feature) if index is None else dense(feature).index_select(0, index)
    if isinstance(feature, Indexed):
        return EdgeTensor(Gather(feature.table, colour.begin(feature, index, name)))
    if colour.keeping():
        colour.by_value(feature, name)
    return EdgeTensor(Gather(feature, index))


def of_distance(
    f: Callable[[Tensor], Tensor],
    r: Any,
    width: int,
    *,
    scale: float,
    end: float = inf,
    inside: Callable[[Tensor], Tensor] | None = None,
) -> Any:
    """Return f(r) [..., width] of distances r [..., 1] >= 0; of lazy ones it is left open, so that it may run on knots (`radial`).

    f is a smooth function that changes on the scale `scale` at the shortest, up to `end`. `inside` equals it there and goes on
    smoothly a little below 0 and beyond `end`, where f itself does not.
    """
    if isinstance(r, EdgeTensor) and r.grad_enabled == torch.is_grad_enabled():
        expression = radial(f, r.expression, (width,), scale=scale, end=end, inside=inside)
        if expression is not None:
            return EdgeTensor(expression)
    return f(r)


def summable(features: Features, name: str, aggregate: segment.Aggregate) -> Any:
    """Return what `aggregate` best reads: a lazy tensor where the feature is held as a table, else its plain rows."""
    feature = features[name]
    table = isinstance(feature, Indexed) and reduction(aggregate) is not None
    return seen(feature, None, f"{features.of} {name}") if table else dense(feature)


def aggregated(aggregate: segment.Aggregate, x: Any, segments: Segments) -> Any:
    """Return `aggregate(x, segments)`, left open where each distinct row of it can be computed once."""
    reduce = reduction(aggregate) if isinstance(x, EdgeTensor) and len(x) == len(segments.index) else None
    if (
        reduce is None
        or segments.index.device.type != "cpu"
        or not colour.pays(segments.n, x.expression.shape)
        or not x.expression.coloured
    ):
        return aggregate(x, segments)
    return EdgeTensor(Aggregated(x.expression, segments, reduce))


def updated(update: nn.Module, nodes: Features, messages: Mapping[str, Any]) -> dict[str, Feature]:
    """Return what `update` makes of nodes and messages, as a graph can hold it.

    An update that declares `lazy = True` gets lazy tensors where messages were left open, and so runs on one row of each
    colour. It must be a function of single rows, and neither change tensors in place nor ask whether something is a `Tensor`.
    """
    if any(isinstance(m, EdgeTensor) for m in messages.values()):
        if getattr(update, "lazy", False):
            nodes = Features({name: seen(f, None, f"{nodes.of} {name}") for name, f in nodes.items()}, nodes.of)
        else:
            messages = held(messages)
    return held(update(nodes, messages))


def held(features: Mapping[str, Tensor | EdgeTensor]) -> dict[str, Feature]:
    """Return features as a graph can hold them; what sits on a small table stays there."""
    return {name: f.feature() if isinstance(f, EdgeTensor) else f for name, f in features.items()}
