"""Pieces of one large graph to train on: samplers are functions (store, seeds, key) -> Graph, and everything random follows from the key.

    for graph in loader(store, rows, Neighbors((15, 10)), batch_size=1024, seed=0): ...

A sample's nodes are numbered seeds first, then hop by hop; `graph.asked` are the seeds. Node feature `id` and `topology.degree` are those
of the whole graph, and an edge that was drawn with probability p has `sampling_weight` 1/p, which sums of messages take into account.
"""

from __future__ import annotations

from heliograph.sampling.chosen import Before, PerRelation
from heliograph.sampling.exact import exact_nodes, exact_states
from heliograph.sampling.layerwise import FastGCN, Ladies, Layerwise
from heliograph.sampling.loader import loader
from heliograph.sampling.neighbors import Neighbors
from heliograph.sampling.sample import Sample, Sampler
from heliograph.sampling.subgraphs import Clusters, Saint, by_label_propagation, induced, parts_of, undirected

__all__ = [
    "Before",
    "Clusters",
    "FastGCN",
    "Ladies",
    "Layerwise",
    "Neighbors",
    "PerRelation",
    "Saint",
    "Sample",
    "Sampler",
    "by_label_propagation",
    "exact_nodes",
    "exact_states",
    "induced",
    "loader",
    "parts_of",
    "undirected",
]
