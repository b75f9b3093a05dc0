"""Views: Graph -> Graph functions that change what a neighbour is. Their gradients reach the positions."""

from heliograph.views.line import line_graph
from heliograph.views.loops import SelfLoops
from heliograph.views.pairs import CompleteGraph, RadiusGraph, with_distances

__all__ = ["CompleteGraph", "RadiusGraph", "SelfLoops", "line_graph", "with_distances"]
