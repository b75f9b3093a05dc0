"""The architectures: one paper, one file; the folder is the list.

A file has `build(inputs, out, ...) -> MPNN` and three constants: `FEATURIZER`, the preset of atom and bond features that it is
used with; `GEOMETRY`, "none" | "optional" | "required"; and `BOUND`, what it can tell apart of the graphs that its layers see, with their
labels: "1-WL" where colour refinement is its limit, "above 1-WL" where it tells more apart. `PARTS = False` says that it needs the whole
graph at once and can't be trained on samples of neighbours. `VECTORS` and `TENSORS` name node features that turn with the atoms.
`EXTENSIVE = True` says that its prediction is a sum over atoms unless `build` is given `aggregate`: training takes the mean where the
targets do not grow with the molecule. Where it knows more aggregations than `heliograph.segment`, `AGGREGATES` has them by name. An
argument `neighbours`, what sums are divided by, is the mean of the training frames where a potential is trained. A file whose paper has
another network for nodes than what suits graphs defines `of_nodes` with some of the same arguments.
`--arch gin` is `zoo/gin.py`; `--arch path/to/mine.py` works the same, and
`--arch mine.toml` puts parts together (`heliograph.compose`).
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from heliograph.errors import UsageError, suggest

if TYPE_CHECKING:
    from heliograph.model import MPNN, Inputs


def names() -> list[str]:
    """List the architectures of this folder."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__))


def load(arch: str | Mapping[str, Any]) -> ModuleType:
    """Return the module of an architecture, by its name, by the path of a .py or .toml file, or of a composition. Raises UsageError."""
    if not isinstance(arch, str) or arch.endswith(".toml"):
        from heliograph import compose

        composition, name = (compose.read(Path(arch)), arch) if isinstance(arch, str) else (arch, "the composition")
        return compose.module(composition, name, part)
    if arch.endswith(".py"):
        path = Path(arch)
        if not path.is_file():
            raise UsageError(f"--arch {arch}: no such file. Give a file with build(inputs, out, ...), or one of: {', '.join(names())}")
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        if not callable(getattr(module, "build", None)):
            raise UsageError(
                f"--arch {arch}: this file has no function build(inputs, out, ...). See docs/architecture.md for the form of a zoo file."
            )
        return module
    if arch not in names():
        raise UsageError(f"--arch {arch}: there is no such architecture; {suggest(arch, names())}")
    return importlib.import_module(f"heliograph.zoo.{arch}")


def part(file: str, name: str) -> Any:
    """Return a class that a file of the zoo defines, such as gin.Message, for a composition. Raises UsageError where there is none."""
    from torch import nn

    if file not in names():
        raise UsageError(f"there is no architecture {file!r}: {suggest(file, names())}")
    found = importlib.import_module(f"heliograph.zoo.{file}")
    parts = {k: v for k, v in vars(found).items() if isinstance(v, type) and issubclass(v, nn.Module) and v.__module__ == found.__name__}
    if name not in parts:
        raise UsageError(f"{file} has no part {name!r}: {suggest(name, parts) if parts else 'its parts are all in blocks'}")
    return parts[name]


def takes_parts(arch: str | Mapping[str, Any]) -> bool:
    """Tell whether a network can be run on a part of a graph, in which only the first nodes receive."""
    return bool(getattr(load(arch), "PARTS", True))


def build(arch: str | Mapping[str, Any], inputs: Inputs, out: int, args: Mapping[str, Any] | None = None, level: str = "graph") -> MPNN:
    """Build the network of an architecture. `args` are those of its `build`, an aggregation by its name (in `heliograph.segment`).

    `level` says what has a target: each "graph", each "node" or each "edge"; the readout is the only difference, unless the file has
    `of_nodes`.
    """
    module, args = load(arch), dict(args or {})
    parameters = inspect.signature(module.build).parameters
    for name in args:
        if name not in parameters or name in ("inputs", "out"):
            raise UsageError(f"{_name(arch)} has no argument {name!r}: {suggest(name, set(parameters) - {'inputs', 'out'})}")
    if module.GEOMETRY == "required" and not inputs.geometry:
        raise UsageError(f"{_name(arch)} needs atoms in space; use --geometry embed for conformers from SMILES, or a file with coordinates")
    if "aggregate" in args and isinstance(args["aggregate"], str):
        args["aggregate"] = _aggregation(arch, module, args["aggregate"])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Initializing zero-element tensors is a no-op")  # maps of features that edges don't have
        network: MPNN = _builder(module, level)(inputs, out, **args)
    network = network if level == "graph" else _at(level, network, inputs, out)
    network.bare = inputs.edges == 0
    return network


def _builder(module: ModuleType, level: str) -> Callable[..., MPNN]:
    """`build`, or for nodes and edges the file's `of_nodes`, which is given those arguments that it has."""
    if level == "graph" or not hasattr(module, "of_nodes"):
        return module.build
    known = inspect.signature(module.of_nodes).parameters
    return lambda inputs, out, **args: module.of_nodes(inputs, out, **{k: v for k, v in args.items() if k in known})


def _at(level: str, network: MPNN, inputs: Inputs, out: int) -> MPNN:
    """The network with a readout for each node or edge: the paper's head on each node's state where it has one, else one hidden layer."""
    from heliograph.blocks import AtomWise, EdgeWise, Head, NodeWise, Pool
    from heliograph.model import MPNN

    if level not in ("node", "edge"):
        raise UsageError(f"level={level!r}: {suggest(level, ('graph', 'node', 'edge'))}")
    given = network.readout
    of = given.of if isinstance(given, Pool) else "h"
    d = width(network, inputs, of)
    readout: NodeWise | EdgeWise
    if level == "edge":
        readout = EdgeWise(Head(2 * d + inputs.edges, out, hidden=d), of)
    elif isinstance(given, Pool | AtomWise):
        readout = NodeWise(given.head, of) if isinstance(given, Pool) else NodeWise(given.mlp, given.of)
    else:
        readout = NodeWise(Head(d, out), of)
    return MPNN(network.embed, network.layers, readout, network.view)


def width(network: MPNN, inputs: Inputs, of: str) -> int:
    """Find the width of final node states by running the network on the smallest graph."""
    import torch

    from heliograph.blocks.trial import smallest

    training = network.training
    with torch.no_grad():
        width = network.eval().states(smallest(inputs)).nodes[of].shape[-1]
    network.train(training)
    return int(width)


def resolved(module: ModuleType, args: Mapping[str, Any]) -> dict[str, Any]:
    """`args` and the defaults of all others: what a model file keeps, so that a default may change without changing old models.

    An aggregation is given by its name; a default that JSON can't hold (in a file of one's own) is left to that file.
    """
    parameters = [p for p in inspect.signature(module.build).parameters.values() if p.name not in ("inputs", "out")]
    defaults = {p.name: getattr(p.default, "__name__", p.default) if callable(p.default) else p.default for p in parameters}
    return {k: v for k, v in defaults.items() if isinstance(v, (bool, int, float, str, list, tuple))} | dict(args)


def _name(arch: str | Mapping[str, Any]) -> str:
    return arch if isinstance(arch, str) else "the composition"


def _aggregation(arch: str | Mapping[str, Any], module: ModuleType, name: str) -> Any:
    from heliograph import segment

    known = {name: getattr(segment, name) for name in ("sum", "mean", "max", "min", "std", "prod")} | getattr(module, "AGGREGATES", {})
    if name not in known:
        raise UsageError(f"aggregate={name!r} is no aggregation of {_name(arch)}: {suggest(name, known)}")
    return known[name]
