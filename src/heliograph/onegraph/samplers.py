"""From --sampler and its numbers to what draws the pieces of a graph that a training learns from, and sentences on what that means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from heliograph import zoo
from heliograph.data.graph_store import GraphStore
from heliograph.data.sources.one_graph import LARGE, Draw, Pieces
from heliograph.errors import UsageError, suggest
from heliograph.onegraph.config import GraphModelConfig
from heliograph.sampling import Clusters, FastGCN, Ladies, Neighbors, PerRelation, Saint, parts_of

BATCH = 1024  # seeds a step
FAN_OUT, LAYER = 10, 512  # neighbours of a node, nodes of a layer, unless --num-neighbors or --sample-sizes say so
SUBGRAPHS = ("saint-node", "saint-edge", "saint-walk", "cluster")


@dataclass(frozen=True)
class Sampling:
    """`draw` answers for seeds; `pieces` are subgraphs in which all nodes answer (one of both at most). `check` samples a validation.

    `batch`: rows a step, for so many steps that an epoch sees each node about once; None: all of them.
    """

    draw: Draw | None = None
    pieces: Pieces | None = None
    check: Draw | None = None
    batch: int | None = None
    notes: tuple[str, ...] = ()


def sampling(
    config: GraphModelConfig, arch: str | Mapping[str, Any], args: dict[str, Any], store: GraphStore, train: int, seed: int,
    relations: tuple[str, ...] = (),
) -> Sampling:  # fmt: skip
    """The sampler that is asked for. `train`: how many rows are learned from; `relations`: their names. Raises UsageError."""
    near_asked = config.num_neighbors is not None or config.relation_neighbors
    how = config.sampler if config.sampler != "auto" else "neighbor" if near_asked else "full"
    _fits(config, how, arch, store)
    if how == "full":
        return Sampling()
    depth = int(args.get("depth", args.get("steps", 2))) if arch != "none" else 1
    fan_outs, sizes = config.num_neighbors or (FAN_OUT,) * depth, config.sample_sizes
    near: Neighbors | PerRelation = Neighbors(fan_outs)
    if of := config.relation_neighbors:
        near = PerRelation(fan_outs, {code: k for name, k in of.items() for code in _relation(name, relations)})
    if how == "neighbor":
        each = " of each relation (" + ", ".join(f"{k} {name}" for name, k in of.items()) + ")" if of else ""
        return Sampling(near, batch=BATCH, notes=(f"Each step sees up to {' x '.join(map(str, fan_outs))} neighbours{each} of its nodes.",))
    if how in ("ladies", "fastgcn"):
        layers = sizes or (LAYER,) * depth
        drawn = ", ".join(map(str, layers))
        note = f"Each step draws {drawn} nodes for the layers: sums over neighbours are right on average, means are not."
        return Sampling((Ladies if how == "ladies" else FastGCN)(layers), check=near, batch=BATCH, notes=(note,))
    pieces, share, note = _clusters(sizes, store, seed) if how == "cluster" else _saint(how, sizes, store, depth)
    return Sampling(pieces=pieces, check=near, batch=max(round(train * share), 1), notes=(note,))


def _fits(config: GraphModelConfig, how: str, arch: str | Mapping[str, Any], store: GraphStore) -> None:
    if config.num_neighbors is not None and how != "neighbor":
        raise UsageError(f"--num-neighbors is for --sampler neighbor; {how} takes --sample-sizes")
    if config.relation_neighbors and how != "neighbor":
        raise UsageError(f"--relation-neighbors is for --sampler neighbor, not for {how}")
    if config.sample_sizes is not None and how in ("full", "neighbor"):
        raise UsageError(f"--sample-sizes is not for --sampler {how}" + ("; it takes --num-neighbors" if how == "neighbor" else ""))
    if arch == "none" or zoo.takes_parts(arch):
        return
    if how not in ("full", *SUBGRAPHS):
        asked = "--num-neighbors" if config.num_neighbors is not None else f"--sampler {how}"
        raise UsageError(
            f"{asked}: {arch} needs the whole graph at once; take another architecture, like sage, gcn or gat, or a sampler of subgraphs "
            f"({', '.join(SUBGRAPHS)}), of which each is a whole graph to it"
        )
    if store.E > LARGE:
        raise UsageError(f"--arch {arch} needs the whole graph at once, and {store.E:,} edges are too many: take sage, gcn or gat")


def _relation(name: str, relations: tuple[str, ...]) -> tuple[int, int]:
    """The numbers of a relation and of its inverse."""
    if name not in relations:
        why = suggest(name, relations) if relations else "this graph has one kind of edges"
        raise UsageError(f"--relation-neighbors {name}: there is no such relation; {why}")
    return relations.index(name), relations.index(name) + len(relations)


def past_only(config: GraphModelConfig) -> GraphModelConfig:
    """The settings with neighbours drawn, as a training over time needs it. Raises UsageError for another sampler."""
    if config.sampler not in ("auto", "neighbor"):
        raise UsageError(f"--time-column draws neighbours before each edge: leave --sampler {config.sampler} out")
    return config.model_copy(update={"sampler": "neighbor"})


def _saint(how: str, sizes: tuple[int, ...] | None, store: GraphStore, depth: int) -> tuple[Pieces, float, str]:
    kind, usual = how.partition("-")[2], max(store.N // (20 if how == "saint-walk" else 10), 2)
    given = sizes or ((usual, depth) if kind == "walk" else (usual,))
    if len(given) != (2 if kind == "walk" else 1):
        raise UsageError(f"--sampler {how} takes --sample-sizes " + ("ROOTS STEPS" if kind == "walk" else f"{kind.upper()}S"))
    sampler = Saint(kind, *given)
    edges, nodes = sampler.normalise(store)
    share = float((1 / nodes).mean())
    kept = float((1 / (edges * nodes[store.receivers])).mean()) if store.E else 0.0
    note = f"Each step sees {share:.1%} of the nodes and {kept:.1%} of the edges; both are weighted by how often they are drawn."
    return sampler, share, note


def _clusters(sizes: tuple[int, ...] | None, store: GraphStore, seed: int) -> tuple[Pieces, float, str]:
    parts, together = (*(sizes or (min(max(store.N // 200, 10), 1500),)), 0)[:2]
    together = together or max(parts // 10, 1)
    if sizes is not None and (len(sizes) > 2 or together > parts or parts > store.N):
        got = " ".join(map(str, sizes))
        raise UsageError(f"--sampler cluster takes --sample-sizes PARTS TOGETHER, parts of {store.N:,} nodes; got {got}")
    part, by = parts_of(store, parts, seed)
    clusters = Clusters(part, together)
    within = clusters.kept(store)
    kept = within + (1 - within) * (together - 1) / max(parts - 1, 1)
    note = f"{parts:,} clusters by {by} keep {within:.0%} of the edges; with {together} at a step, {kept:.0%} of their edges are seen"
    advice = ": little is left of the graph, so take more together, or --sampler neighbor."
    return clusters, together / parts, note + ("." if kept >= 0.5 else advice)
