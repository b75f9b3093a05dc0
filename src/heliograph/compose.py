"""Architectures put together in a TOML file: any message with any aggregation, update, edge update, view and readout.

    description = "GIN's message, the largest one, a GRU"
    view = ["RandomWalks(8)", "Concatenate('walks')"]
    embed = "Embed(nodes + 8, d)"
    readout = "Pool(Head(d, out), mean)"

    [arguments]                              # what --arch-args may change
    d = 64
    depth = 3

    [[layers]]
    repeat = "depth"                         # tied = true: the same weights in all of them
    message = "gin.Message(edges, d)"
    aggregate = "max"                        # sum where nothing is said
    update = "GRU(d)"
    after = ["GraphNorm(d)"]                 # steps Graph -> Graph; before = [...] too

A value is an expression: parts by name with their arguments, numbers, texts, + - * //, and the names of [arguments], `nodes`, `edges`
(widths of x and edge_attr), `geometry` (1 with positions, else 0), `out`, and `k`, the number of the repetition from 1. A part is one of
`heliograph.blocks`, `heliograph.views`, `heliograph.segment`, a class of a zoo file (`gin.Message`) or a few modules of `torch.nn`. Nothing
else can be named, so that a model file, which carries its composition, runs no code of strangers.
"""

from __future__ import annotations

import ast
import inspect
import operator
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from heliograph import blocks, segment, views
from heliograph.blocks.trial import smallest
from heliograph.errors import HeliographError, UsageError, suggest
from heliograph.layer import Layer
from heliograph.model import MPNN, Inputs

AGGREGATIONS = ("sum", "mean", "max", "min", "std", "prod")
MODULES = ("BatchNorm1d", "Dropout", "ELU", "GELU", "Identity", "LayerNorm", "LeakyReLU", "Linear", "ReLU", "SELU", "SiLU", "Sequential",
           "Sigmoid", "Softplus", "Tanh")  # fmt: skip
PartOf = Callable[[str, str], Any]
KEYS = {"description", "featurizer", "geometry", "arguments", "view", "embed", "layers", "readout"}
LAYER_KEYS = {"repeat", "tied", "message", "aggregate", "update", "edge", "before", "after"}
_OPERATORS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.FloorDiv: operator.floordiv}  # fmt: skip


def read(path: Path) -> dict[str, Any]:
    """Read the composition in a TOML file. Raises UsageError where it can't be read."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"--arch {path}: {error.strerror or error}") from None
    except ValueError as error:
        raise UsageError(f"--arch {path} is no TOML: {error}") from None


def module(spec: Mapping[str, Any], name: str, part_of: PartOf) -> ModuleType:
    """Return the composition in the form of a zoo file: FEATURIZER, GEOMETRY, build(inputs, out, ...), and itself as COMPOSITION.

    `name` is for error texts; `part_of(file, name)` is a module that a file of the zoo defines. Raises UsageError for
    what can be told to be wrong without knowing the data.
    """
    _known(spec, KEYS, name)
    for key in ("embed", "layers", "readout"):
        if key not in spec:
            raise UsageError(f"{name} has no {key!r}; a composition needs embed, [[layers]] and readout")
    if not isinstance(spec["layers"], list) or not all(isinstance(layer, Mapping) for layer in spec["layers"]):
        raise UsageError(f"{name}: layers must be tables, each under [[layers]]")
    for number, layer in enumerate(spec["layers"], 1):
        _known(layer, LAYER_KEYS, f"{name}, [[layers]] {number}")
        if ("message" in layer) != ("update" in layer):
            raise UsageError(f"{name}, [[layers]] {number}: a message needs an update, and an update a message")
    if spec.get("geometry", "none") not in ("none", "optional", "required"):
        raise UsageError(f"{name}: geometry is one of none, optional, required")
    arguments = dict(spec.get("arguments", {}))
    if reserved := {"nodes", "edges", "geometry", "out", "k", "inputs"} & set(arguments):
        raise UsageError(f"{name}: {min(reserved)!r} can't be one of its [arguments], the name has a meaning already")

    def build(inputs: Inputs, out: int, **given: Any) -> MPNN:
        return _Builder(name, {**arguments, **given}, inputs, out, part_of).network(spec)

    parameters = [inspect.Parameter(n, inspect.Parameter.POSITIONAL_OR_KEYWORD) for n in ("inputs", "out")]
    parameters += [inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY, default=value) for n, value in arguments.items()]
    build.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    made = ModuleType(Path(name).stem, _text(spec))
    preset, geometry = spec.get("featurizer", "table10_1"), spec.get("geometry", "none")
    vars(made).update(FEATURIZER=preset, GEOMETRY=geometry, build=build, COMPOSITION=dict(spec))
    return made


class _Builder:
    """Expressions to objects, for one network."""

    def __init__(self, name: str, arguments: Mapping[str, Any], inputs: Inputs, out: int, part_of: PartOf):
        self.name, self.inputs, self.part_of = name, inputs, part_of
        self.names = {**arguments, "nodes": inputs.nodes, "edges": inputs.edges, "geometry": int(inputs.geometry), "out": out, "k": 1}

    def network(self, spec: Mapping[str, Any]) -> MPNN:
        view = self.several(spec.get("view", []), "view")
        embed, readout = self.value(spec["embed"], "embed"), self.value(spec["readout"], "readout")
        layers = [step for number, layer in enumerate(spec["layers"], 1) for step in self.layers(layer, f"[[layers]] {number}")]
        for key, part in (("embed", embed), ("readout", readout)):
            if not isinstance(part, nn.Module):
                raise UsageError(f"{self.name}: {key} = {spec[key]!r} makes no module; write a part with its arguments, as Embed(nodes, d)")
        network = MPNN(embed, layers, readout, view=nn.Sequential(*view) if view else None)
        self.try_out(network)
        return network

    def layers(self, layer: Mapping[str, Any], where: str) -> Iterator[nn.Module]:
        repeat = self.value(layer.get("repeat", 1), f"{where} repeat")
        steps: list[nn.Module] = []
        for k in range(1, repeat + 1):
            self.names["k"] = k
            if k == 1 or not layer.get("tied", False):
                steps = self.several(layer.get("before", []), f"{where} before")
                if "message" in layer:
                    slots = {s: self.value(layer[s], f"{where} {s}") for s in ("message", "update", "aggregate", "edge") if s in layer}
                    steps.append(Layer(**slots))
                steps += self.several(layer.get("after", []), f"{where} after")
            yield from steps

    def several(self, texts: Any, where: str) -> list[nn.Module]:
        return [self.value(text, where) for text in ([texts] if isinstance(texts, str) else texts)]

    def value(self, text: Any, where: str) -> Any:
        if not isinstance(text, str):
            return text
        try:
            return self.evaluate(ast.parse(text.strip(), mode="eval").body)
        except SyntaxError:
            reason = "is no expression"
        except (HeliographError, TypeError, ValueError, ZeroDivisionError, RuntimeError) as error:
            reason = str(error)
        raise UsageError(f"{self.name}: {where} = {text!r}: {reason}")

    def evaluate(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=int() | float() | str() | bool() as value):
                return value
            case ast.Name(id=name):
                return self.names[name] if name in self.names else part(name)
            case ast.Attribute(value=ast.Name(id=file), attr=name):
                return self.part_of(file, name)
            case ast.BinOp(left=a, op=op, right=b) if type(op) in _OPERATORS:
                return _OPERATORS[type(op)](*(_number(self.evaluate(x)) for x in (a, b)))
            case ast.UnaryOp(op=ast.USub(), operand=a):
                return -_number(self.evaluate(a))
            case ast.List(elts=items) | ast.Tuple(elts=items):
                return [self.evaluate(item) for item in items]
            case ast.Call(func=ast.Name() | ast.Attribute() as f, args=args, keywords=keywords):
                made = self.evaluate(f)
                if not callable(made) or made in [getattr(segment, a) for a in AGGREGATIONS]:
                    raise UsageError(f"{ast.unparse(f)} takes no arguments")
                options = {str(k.arg): self.evaluate(k.value) for k in keywords}
                try:
                    return made(*(self.evaluate(a) for a in args), **options)
                except TypeError as error:
                    raise UsageError(f"{error}; it is {ast.unparse(f)}{_signature(made)}") from None
        raise UsageError(f"{ast.unparse(node)!r} is not allowed here: parts, numbers, texts, + - * //")

    def try_out(self, network: MPNN) -> None:
        """Two nodes through all parts: whether they fit is better known before the data is read."""
        try:
            with torch.no_grad():
                network.eval()(smallest(self.inputs))
        except HeliographError as error:
            raise UsageError(f"{self.name}: its parts don't fit together: {error}") from None
        except (RuntimeError, KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
            reason = f"no message {error}" if isinstance(error, KeyError) else str(error).splitlines()[0]
            raise UsageError(f"{self.name}: its parts don't fit together: {reason}. Do all widths agree?") from None
        network.train()


def part(name: str) -> Any:
    """An aggregation, a class or function of `blocks` and `views`, or one of a few modules of torch. Raises UsageError."""
    if name in AGGREGATIONS:
        return getattr(segment, name)
    for room in (blocks, views):
        if name in room.__all__:
            return getattr(room, name)
    if name in MODULES:
        return getattr(nn, name)
    raise UsageError(f"there is no part {name!r}: {suggest(name, [*AGGREGATIONS, *blocks.__all__, *views.__all__, *MODULES])}")


def _number(value: Any) -> Any:
    if not isinstance(value, int | float):
        raise UsageError(f"can't calculate with {value!r}")
    return value


def _signature(made: Any) -> str:
    try:
        return str(inspect.signature(made))
    except (TypeError, ValueError):
        return "(...)"


def _known(table: Mapping[str, Any], keys: set[str], where: str) -> None:
    for key in table:
        if key not in keys:
            raise UsageError(f"{where}: there is no {key!r}; {suggest(key, keys)}")


def _text(spec: Mapping[str, Any]) -> str:
    """What `heliograph models show` prints."""
    lines = [str(spec.get("description", "A composition.")), ""]
    rows = [(key, spec[key]) for key in ("view", "embed") if key in spec]
    rows += [(f"layers {number}: {key}", value) for number, layer in enumerate(spec["layers"], 1) for key, value in layer.items()]
    for key, value in [*rows, ("readout", spec["readout"])]:
        lines.append(f"    {key:<22}{', '.join(map(str, value)) if isinstance(value, list) else value}")
    return "\n".join(lines)
