"""The architectures: one paper, one file; the folder is the list.

A file has `build(inputs, out, ...) -> MPNN` and two constants: `FEATURIZER`, the preset of atom and bond features that it is
used with, and `GEOMETRY`, "none" | "optional" | "required"; where it knows more aggregations than `heliograph.segment`, `AGGREGATES` has
them by name. `--arch gin` is `zoo/gin.py`; `--arch path/to/mine.py` works the same.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from heliograph.errors import UsageError, suggest

if TYPE_CHECKING:
    from heliograph.model import MPNN, Inputs


def names() -> list[str]:
    """The architectures of this folder."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__))


def load(arch: str) -> ModuleType:
    """The module of an architecture, by name or by path of a .py file. Raises UsageError where there is none."""
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


def build(arch: str, inputs: Inputs, out: int, args: Mapping[str, Any] | None = None) -> MPNN:
    """The network of an architecture. `args` are those of its `build`, an aggregation by its name (in `heliograph.segment`)."""
    module, args = load(arch), dict(args or {})
    parameters = inspect.signature(module.build).parameters
    for name in args:
        if name not in parameters or name in ("inputs", "out"):
            raise UsageError(f"{arch} has no argument {name!r}: {suggest(name, set(parameters) - {'inputs', 'out'})}")
    if module.GEOMETRY == "required" and not inputs.geometry:
        raise UsageError(f"{arch} needs atoms in space; use --geometry embed for conformers from SMILES, or a file with coordinates")
    if "aggregate" in args and isinstance(args["aggregate"], str):
        args["aggregate"] = _aggregation(arch, module, args["aggregate"])
    network: MPNN = module.build(inputs, out, **args)
    return network


def resolved(module: ModuleType, args: Mapping[str, Any]) -> dict[str, Any]:
    """`args` and the defaults of all others: what a model file keeps, so that a default may change without changing old models.

    An aggregation is given by its name; a default that JSON can't hold (in a file of one's own) is left to that file.
    """
    parameters = [p for p in inspect.signature(module.build).parameters.values() if p.name not in ("inputs", "out")]
    defaults = {p.name: getattr(p.default, "__name__", p.default) if callable(p.default) else p.default for p in parameters}
    return {k: v for k, v in defaults.items() if isinstance(v, (bool, int, float, str, list, tuple))} | dict(args)


def _aggregation(arch: str, module: ModuleType, name: str) -> Any:
    from heliograph import segment

    known = {name: getattr(segment, name) for name in ("sum", "mean", "max", "min", "std", "prod")} | getattr(module, "AGGREGATES", {})
    if name not in known:
        raise UsageError(f"aggregate={name!r} is no aggregation of {arch}: {suggest(name, known)}")
    return known[name]
