"""What graphs, features and topologies print of themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from heliograph.graph import Feature, Graph
    from heliograph.topology import Topology


def topology(t: Topology) -> str:
    """Sizes, receivers where they are fewer than nodes, and whether there are periodic images."""
    said = [f"{t.G} graph{'s' * (t.G != 1)}", f"{t.N} nodes", f"{t.E} edges"]
    if not t.whole:
        said.append(f"receivers {', then '.join(str(R) for R in t.steps) or 'none left'}")
    return f"Topology({', '.join(said)}{', periodic' if t.shift is not None else ''})"


def features(items: Mapping[str, Feature]) -> str:
    """Each feature's name, shape and type; of one that is held as a table, how many distinct rows there are at most."""
    said = []
    for name, feature in items.items():
        plain = feature if isinstance(feature, Tensor) else feature.table
        kinds = "" if isinstance(feature, Tensor) else f" of {len(plain)} kinds"
        said.append(f"{name} {list(feature.shape)} {str(plain.dtype).removeprefix('torch.')}{kinds}")
    return ", ".join(said)


def graph(g: Graph) -> str:
    """The topology, the features of nodes, edges and graphs, and the shape of what is asked."""
    lines = [topology(g.topology).replace("Topology", "Graph", 1)[:-1]]
    for side, items in (("nodes", g.nodes), ("edges", g.edges), ("globals", g.globals)):
        if items:
            lines.append(f"  {side}: {features(items)}")
    if g.asked is not None:
        lines.append(f"  asked {list(g.asked.shape)}")
    return "\n".join(lines) + ")"
