"""Chemistry: the only room that imports RDKit and ASE, and only when something here is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_WHERE = {
    "Featurizer": "featurizer",
    "preset": "featurizer",
    "Molecule": "molecule",
    "featurize": "molecule",
    "featurize_table": "pool",
    "scaffold": "scaffolds",
    "draw_svg": "draw",
    "ecfp": "fingerprints",
    "from_ase": "convert",
    "to_graph": "convert",
    "to_structure": "convert",
}
__all__ = sorted(_WHERE)


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
