"""Message passing neural networks: from a table of molecules (or a graph of any kind) to a calibrated predictor.

The whole theory stands in seven files, to be read in this order: `topology`, `graph`, `segment`, `edge`, `layer`,
`model`, `geometry`.
The names below are loaded when they are first used, so `import heliograph` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from heliograph import blocks, segment, views, zoo
    from heliograph.batching import batch
    from heliograph.errors import DataError, HeliographError, ModelFileError, StructureError, UsageError
    from heliograph.estimators import MoleculeClassifier, MoleculeRegressor
    from heliograph.graph import Graph, Indexed
    from heliograph.layer import Layer
    from heliograph.model import MPNN, Inputs
    from heliograph.onegraph.estimators import LinkPredictor, NodeClassifier, NodeRegressor
    from heliograph.potential import Calculator, Potential
    from heliograph.predictor import Predictor
    from heliograph.topology import Topology

__version__ = "0.1.0"

_HOMES = {
    "Calculator": "potential",
    "DataError": "errors",
    "Graph": "graph",
    "HeliographError": "errors",
    "Indexed": "graph",
    "Inputs": "model",
    "Layer": "layer",
    "LinkPredictor": "onegraph.estimators",
    "MPNN": "model",
    "ModelFileError": "errors",
    "MoleculeClassifier": "estimators",
    "MoleculeRegressor": "estimators",
    "NodeClassifier": "onegraph.estimators",
    "NodeRegressor": "onegraph.estimators",
    "Potential": "potential",
    "Predictor": "predictor",
    "StructureError": "errors",
    "Topology": "topology",
    "UsageError": "errors",
    "batch": "batching",
}
_ROOMS = ("blocks", "segment", "views", "zoo")

__all__ = [
    "MPNN",
    "Calculator",
    "DataError",
    "Graph",
    "HeliographError",
    "Indexed",
    "Inputs",
    "Layer",
    "LinkPredictor",
    "ModelFileError",
    "MoleculeClassifier",
    "MoleculeRegressor",
    "NodeClassifier",
    "NodeRegressor",
    "Potential",
    "Predictor",
    "StructureError",
    "Topology",
    "UsageError",
    "__version__",
    "batch",
    "blocks",
    "segment",
    "views",
    "zoo",
]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(f"heliograph.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'heliograph' has no attribute {name!r}")
    value = getattr(import_module(f"heliograph.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(_HOMES) | set(_ROOMS))
