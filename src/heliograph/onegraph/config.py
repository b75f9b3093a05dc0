"""The settings of a training on one graph: the same words as for molecules where the meaning is the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from heliograph.learn.config import FitConfig, Group

Level = Literal["node", "edge", "link"]
Sampler = Literal["auto", "full", "neighbor", "ladies", "fastgcn", "saint-node", "saint-edge", "saint-walk", "cluster"]
Decoder = Literal["auto", "dot", "mlp", "distmult", "complex", "transe", "rotate", "conve"]


class GraphDataConfig(Group):
    """Which tables, and what their columns mean."""

    data_path: Path | None = Field(
        default=None,
        description="table of nodes (CSV, TSV, Parquet; links need none), or a schema (TOML) of several types of nodes and edges",
    )
    edges: Path | None = Field(default=None, description="table of edges: where each begins and ends, other columns are features")
    level: Level = Field(default="node", description="what is predicted: a column of nodes, a column of edges, or edges that are missing")
    target_columns: tuple[str, ...] = Field(default=(), description="columns to predict (of the table of nodes, or with edge of the edges)")
    task_type: Literal["auto", "regression", "binary", "multiclass"] = Field(
        default="auto", description="auto: numbers are regression, 0 and 1 binary, text multiclass"
    )
    id_column: str | None = Field(default=None, description="ids of nodes (default: id, node_id or _id, else the first column)")
    edge_columns: tuple[str, str] | None = Field(
        default=None,
        description="the ends of an edge (default: source target, src dst, from to, head tail, u v, else the first two)",
    )
    relation_column: str | None = Field(default=None, description="kind of an edge: makes a knowledge graph (head relation tail)")
    feature_columns: tuple[str, ...] | None = Field(default=None, description="columns of nodes to learn from (default: all others)")
    features: Path | None = Field(
        default=None,
        description="features of nodes as an array file (.npy) instead of columns: a row for each of the table, mapped from disk",
    )
    splits_column: str | None = Field(
        default=None,
        description="column that says train, val or test (blank: passes messages, but its label is not used)",
    )
    time_column: str | None = Field(
        default=None,
        description="with --level link: when each edge came (numbers or dates); the last ones test, and none is asked from what came later",
    )
    smiles_column: str | None = Field(
        default=None, description="with --level edge: the table has molecules in this column; a target cell lists a value for each bond"
    )
    direction: bool = Field(
        default=False, description="with --level edge: learn which way edges run, from the graph without their directions"
    )
    directed: bool = Field(default=False, description="messages go along the edges only; without it, both ways")
    bipartite: bool = Field(default=False, description="the two ends are of two kinds with ids of their own, like users and items")
    hyperedges: bool = Field(
        default=False, description="the table of edges is of a hypergraph: each row a hyperedge and one of its members (edge, member)"
    )
    strict: bool = Field(default=False, description="stop where a row can't be used")


class GraphSplitConfig(Group):
    """What trains, validates, tests."""

    split: Literal["random", "stratified"] = Field(default="random", description="how nodes or edges are divided without a splits column")
    split_sizes: tuple[float, float, float] = Field(default=(0.8, 0.1, 0.1), description="shares of train, validation, test")


class GraphModelConfig(Group):
    """Which architecture."""

    arch: str = Field(
        default="auto",
        description="a file of the zoo, or none: no messages (default: gcn; compgcn, lightgcn where they fit)",
    )
    arch_args: dict[str, Any] = Field(default_factory=dict, description="arguments of its build(), as name=value")
    ensemble_size: PositiveInt = Field(default=1, description="models that differ in their seed; their spread is the error bar")
    node_vectors: int | None = Field(
        default=None,
        ge=0,
        description="width of learned vectors, one a node (default: 64 where nodes have no features, else 0)",
    )
    decoder: Decoder = Field(default="auto", description="how a link is scored from its ends (auto: mlp; dot if bipartite; distmult)")
    decoder_dropout: float = Field(default=0.0, ge=0, lt=1, description="dropout of head and relation before a decoder with relations")
    cubes: float = Field(default=0.0, ge=0, description="weight of the nuclear 3-norm of triples (Lacroix et al. 2018)")
    num_negatives: PositiveInt = Field(default=1, description="pairs without an edge, drawn for each link in training")
    num_neighbors: tuple[int, ...] | None = Field(
        default=None,
        description="sample so many neighbours, one number a layer, instead of the whole graph at each step",
    )
    relation_neighbors: dict[str, int] = Field(
        default_factory=dict,
        description="neighbours of each relation, as relation=number (-1: all, 0: none); others get --num-neighbors each, not together",
    )
    sampler: Sampler = Field(
        default="auto",
        description="what a step sees of the graph (auto: all of it, or neighbours with --num-neighbors): docs/graphs.md",
    )
    sample_sizes: tuple[int, ...] | None = Field(
        default=None,
        description="nodes a layer (ladies, fastgcn); nodes, edges, or walks and their steps (saint); clusters and how many at a step",
    )


class GraphFitConfig(FitConfig):
    """How the weights are found; other defaults than for molecules."""

    epochs: PositiveInt = Field(default=200, description="passes over the training nodes or edges")
    batch_size: PositiveInt | None = Field(  # type: ignore[assignment]  # None is settled before the training
        default=None,
        description="nodes or edges a step (default: all nodes; a tenth of the edges; with a sampler 1,024, or as many as a subgraph has)",
    )
    init_lr: PositiveFloat = Field(default=1e-2, description="learning rate at the start of the warm-up")
    max_lr: PositiveFloat = Field(default=1e-2, description="learning rate after the warm-up")
    final_lr: PositiveFloat = Field(default=1e-3, description="learning rate at the end of the decay")
    warmup_epochs: float = Field(default=0.0, ge=0, description="epochs of linear warm-up")
    weight_decay: float = Field(default=5e-4, ge=0, description="decoupled weight decay (AdamW)")


class GraphTrainConfig(Group):
    """All of it. Saved as `config.toml`, resolved, in the run folder."""

    data: GraphDataConfig
    split: GraphSplitConfig = GraphSplitConfig()
    model: GraphModelConfig = GraphModelConfig()
    fit: GraphFitConfig = GraphFitConfig()
    output_dir: Path = Field(default=Path("run"), description="folder for the run; an existing run needs resume or overwrite")
