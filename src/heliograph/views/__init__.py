"""Views: Graph -> Graph functions that change what a neighbour is, or say where a node stands. Their gradients reach the positions."""

from heliograph.views.derived import OnView
from heliograph.views.encodings import (
    Concatenate,
    ConcatenateEdges,
    Degree,
    LaplacianEigenvectors,
    RandomWalks,
    Rings,
    ShortestPaths,
    SpectralSplines,
    keep_encodings,
)
from heliograph.views.incidence import Cells, Incidence, Nerve, cliques, hyperedges, incidence, nearest, nerve, rings
from heliograph.views.labels import DistanceBins, VirtualEdges
from heliograph.views.line import line_graph
from heliograph.views.loops import SelfLoops
from heliograph.views.master import MasterNode, without_master
from heliograph.views.pairs import CompleteGraph, Neighbours, RadiusGraph, with_distances
from heliograph.views.reverse import WithReverse
from heliograph.views.rewire import DropEdge, DropMessage, Expander, Rewired
from heliograph.views.sets import node_sets
from heliograph.views.triangles import SharedTriangles, triangles

__all__ = [
    "Cells",
    "CompleteGraph",
    "Concatenate",
    "ConcatenateEdges",
    "Degree",
    "DistanceBins",
    "DropEdge",
    "DropMessage",
    "Expander",
    "Incidence",
    "LaplacianEigenvectors",
    "MasterNode",
    "Neighbours",
    "Nerve",
    "OnView",
    "RadiusGraph",
    "RandomWalks",
    "Rewired",
    "Rings",
    "SelfLoops",
    "SharedTriangles",
    "ShortestPaths",
    "SpectralSplines",
    "VirtualEdges",
    "WithReverse",
    "cliques",
    "hyperedges",
    "incidence",
    "keep_encodings",
    "line_graph",
    "nearest",
    "nerve",
    "node_sets",
    "rings",
    "triangles",
    "with_distances",
    "without_master",
]
