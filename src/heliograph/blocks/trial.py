"""A graph to try a network out on."""

from __future__ import annotations

import torch

from heliograph.graph import Feature, Graph
from heliograph.model import Inputs


def smallest(inputs: Inputs) -> Graph:
    """Two nodes and the edge between them both ways, with everything that `inputs` promises: for trying a network out."""
    ends = torch.tensor([0, 1])
    nodes: dict[str, Feature] = {"x": torch.zeros(2, inputs.nodes), "z": ends + 1}
    if inputs.geometry:
        nodes["pos"] = torch.eye(3)[:2]
    return Graph.build(ends, ends.flip(0), [2], [2], nodes=nodes, edges={"edge_attr": torch.zeros(2, inputs.edges)})
