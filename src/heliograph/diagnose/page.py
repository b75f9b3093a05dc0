"""One page: measures, findings and what to try, for one graph, a set of graphs, and a network on them."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from heliograph.diagnose import depth
from heliograph.diagnose.alike import alike, node_leaks
from heliograph.diagnose.findings import (
    Diffusion,
    Finding,
    of_alike,
    of_depth,
    of_diffusion,
    of_labels,
    of_network,
    of_node_leaks,
    of_structure,
)
from heliograph.diagnose.homophily import homophily
from heliograph.diagnose.network import Network, network
from heliograph.diagnose.structure import Progress, Structure, structure
from heliograph.files import atomic
from heliograph.graph import Graph
from heliograph.model import MPNN
from heliograph.views.curvature import Ints, pairs_of, simple
from heliograph.views.rewire import fosr

NETWORK_GRAPHS = 64  # of a set, on which a network is measured
REWIRED_NODES = 300  # of a graph that is rewired to see what that does


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """A diagnosis. `facts`: sentences with figures, in order; `findings`: troubles; `measures`: everything as plain values, by group."""

    title: str
    facts: tuple[str, ...]
    findings: tuple[Finding, ...]
    measures: Mapping[str, Any]

    @property
    def names(self) -> tuple[str, ...]:
        """What was found, by name."""
        return tuple(f.name for f in self.findings)

    def text(self) -> str:
        """Return the page as plain text."""
        lines = [self.title, "", *(f"  {fact}" for fact in self.facts), ""]
        for finding in self.findings:
            lines += [f"{finding.name.upper()}: {finding.sentence}", f"  Try: {finding.try_}.", ""]
        if not self.findings:
            lines += ["No trouble found: none of bottleneck, over-smoothing, 1-WL twins, leak, shallow diffusion or heterophily.", ""]
        return "\n".join(lines)

    def write(self, folder: Path) -> list[Path]:
        """Write `diagnosis.txt` and `diagnosis.json` into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        content = {"title": self.title, "facts": self.facts, "findings": [dataclasses.asdict(f) for f in self.findings],
                   "measures": plain(self.measures)}  # fmt: skip
        texts = {"diagnosis.txt": self.text(), "diagnosis.json": json.dumps(content, indent=1)}
        for name, text in texts.items():
            with atomic(folder / name) as temporary:
                temporary.write_text(text, encoding="utf-8")
        return [folder / name for name in texts]


def plain(x: Any) -> Any:
    """Return values that JSON holds: NaN becomes null."""
    if dataclasses.is_dataclass(x) and not isinstance(x, type):
        return {f.name: plain(getattr(x, f.name)) for f in dataclasses.fields(x)}
    if isinstance(x, Mapping):
        return {str(k): plain(v) for k, v in x.items()}
    if isinstance(x, np.ndarray | tuple | list | set | frozenset):
        return [plain(v) for v in (sorted(x) if isinstance(x, set | frozenset) else x)]
    if isinstance(x, float | np.floating):
        return float(x) if math.isfinite(x) else None
    return int(x) if isinstance(x, np.integer) else x


def of_edges(
    senders: Ints,
    receivers: Ints,
    n: int,
    labels: Ints | None = None,
    steps: int = 0,
    diffusion: Diffusion | None = None,
    progress: Progress | None = None,
) -> Diagnosis:
    """Diagnose one graph of any size from its edges; `labels` [N] are classes (-1: unknown), `steps` those of the network to be used."""
    s = structure(senders, receivers, n, progress)
    found, facts = [*of_structure(s), *of_depth(s, steps)], facts_of(s)
    measures: dict[str, Any] = {"structure": s}
    if "bottleneck" in (f.name for f in found) and n <= REWIRED_NODES:
        measures["rewired"] = wider = _rewired(senders, receivers, n, max(4, s.edges // 20))
        facts.append(
            f"With {wider.edges - s.edges} more edges by FoSR: spectral gap {s.gap:.3g} -> "
            f"{wider.gap:.3g}, effective resistance {s.resistance_mean:.3g} -> {wider.resistance_mean:.3g} on average, "
            f"{s.resistance_max:.3g} -> {wider.resistance_max:.3g} at most."
        )
    if labels is not None:
        h = homophily(senders, receivers, labels)
        measures["homophily"] = h
        facts.append(
            f"Labels: {h.classes} classes; {h.edge:.0%} of edges join equal ones ({h.adjusted:+.2f} beyond chance), "
            f"informativeness {h.informativeness:.2f}."
            if np.isfinite(h.edge)
            else "Labels: no edge joins two labelled nodes."
        )
        found += of_labels(h)
    if diffusion is not None:
        facts.append(f"Diffusion: sqrt(2 d kappa dt) / h = {diffusion.layers:.2f}, the least number of steps.")
        measures["diffusion"] = diffusion
        found += of_diffusion(diffusion, steps)
    return Diagnosis(f"One graph of {_many(n, 'node')} and {_many(s.edges, 'edge')}", tuple(facts), tuple(found), measures)


def of_graph(
    graph: Graph,
    labels: Ints | None = None,
    parts: Ints | None = None,
    net: MPNN | None = None,
    steps: int = 0,
    diffusion: Diffusion | None = None,
    progress: Progress | None = None,
) -> Diagnosis:
    """Diagnose one `Graph`, or each graph of a batch as a set, and a network on it.

    `labels` [N] classes of nodes; `parts` numbers the parts of a split (-1: none), [N] for one graph, [G] for a set.
    """
    t = graph.topology
    seen = None if net is None else network(net, _first(graph))
    steps = steps or (seen.steps if seen else 0)
    if graph.G == 1:
        page = of_edges(t.senders.numpy(), t.receivers.numpy(), graph.N, labels, steps, diffusion, progress)
        leaks = () if parts is None else node_leaks(graph, parts)
        found, facts, measures = [*page.findings, *of_node_leaks(leaks, graph.N)], [*page.facts], {**page.measures, "leaks": leaks}
        title = page.title
    else:
        same, far = alike(graph, parts), depth.connectivity(graph)
        facts = [f"{graph.G:,} graphs of {graph.N / max(graph.G, 1):.1f} nodes and {graph.E / 2 / max(graph.G, 1):.1f} edges on average."]
        facts += [f"1-WL: {' -> '.join(f'{c:,}' for c in same.colours[:8])} colours of {graph.N:,} nodes after 0, 1, ... rounds."]
        facts += [*depth.sentences(far, steps).values()] if steps else []
        facts += [f"{len(same.copies):,} graphs are copies of another, as far as colours tell; {len(same.leaks):,} in another part."]
        found, measures = of_alike(same), {"alike": same, "connectivity": far}
        title = f"A set of {graph.G:,} graphs"
    if seen is not None:
        facts += network_facts(seen)
        measures["network"] = seen
        found = [*found, *of_network(seen)]
    return Diagnosis(title, tuple(facts), tuple(found), measures)


def _rewired(senders: Ints, receivers: Ints, n: int, add: int) -> Structure:
    """Measure the graph with the `add` edges that widen its spectral gap most."""
    pairs = pairs_of(fosr(simple(senders, receivers, n), add))
    return structure(pairs[:, 0], pairs[:, 1], n)


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _first(graph: Graph) -> Graph:
    """At most so many graphs of a batch."""
    from heliograph.batching import batch

    return graph if graph.G <= NETWORK_GRAPHS else batch(graph.unbatch()[:NETWORK_GRAPHS])


def facts_of(s: Structure) -> list[str]:
    """Say what was measured, a sentence each; estimates are called so."""

    def about(name: str) -> str:
        return " (estimated)" if name in s.estimated else ""

    low, median, mean, high = s.degrees
    aside = ((s.loops, "self-loop"), (s.repeated, "repeated edge"), (s.isolated, "isolated node"))
    odd = [_many(count, what) for count, what in aside if count]
    facts = [
        f"Parts: {s.parts:,}; the largest has {s.largest_part:.1%} of the nodes.{' Left aside or alone: ' if odd else ''}{', '.join(odd)}",
        f"Degrees: {low:.0f} to {high:.0f}, median {median:.0f}, mean {mean:.1f}.",
    ]
    if s.edges:
        cut = "1 edge parts" if s.cut_edges == 1 else f"{s.cut_edges:,} edges part"
        half = int(np.searchsorted(s.reach, s.reach[-1] / 2))
        facts += [
            f"Distances: the farthest two are {_many(int(s.diameter), 'step')} apart{about('diameter')}; half of the pairs are within "
            f"{half}.",
            f"Spectral gap: {s.gap:.3g}; effective resistance {s.resistance_mean:.3g} on average, {s.resistance_max:.3g} at most"
            f"{about('resistance_max')}.",
            f"Bridges: {s.bridges:,}, the heaviest parts {s.bridge_share:.0%} of the pairs. Narrowest cut: {cut} "
            f"{s.cut_share:.0%} of the pairs, {s.cut_load:.1f} times a typical edge's load.",
            f"Curvature (balanced Forman): {s.curvature_mean:.2f} on average, {s.curvature_min:.2f} at least{about('curvature_min')}; "
            f"augmented Forman {s.forman_mean:.1f} on average.",
        ]
    shown = " -> ".join(f"{c:,}" for c in s.colours[:8])
    facts.append(f"1-WL without features: {shown} colours of {s.nodes:,} nodes after 0, 1, ... rounds; nodes of one colour look the same.")
    return facts


def network_facts(n: Network) -> list[str]:
    """Say in sentences how alike a network's states become, and how far its Jacobian reaches."""
    facts = [f"Network: {n.steps} steps of message passing."]
    if n.energy:
        facts.append(f"Dirichlet energy of the states, over their size, by step: {', '.join(f'{e:.2g}' for e in n.energy)}.")
    if n.cosine:
        facts.append(f"Mean cosine of two nodes' states, by step: {', '.join(f'{c:.3f}' for c in n.cosine)}.")
    if len(n.jacobian) > 1:
        pairs = ", ".join(f"{d}: {j:.2g} ({b:.2g})" for d, (j, b) in enumerate(zip(n.jacobian, n.bound, strict=True)) if d <= 10)
        facts.append(f"Jacobian by distance, over that at 0, and beside it c (S^K)_vu: {pairs}.")
    return facts
