"""Trainings whose links are triples of a knowledge graph, or pairs of users and items: ranked among all nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from heliograph.data.sources.items import Interactions
from heliograph.data.sources.triples import Known, Triples
from heliograph.errors import DataError, UsageError
from heliograph.learn import ensemble, ranking
from heliograph.learn.figures import Metrics
from heliograph.learn.inference import infer
from heliograph.learn.job import Job
from heliograph.learn.objectives.items import Items as ItemObjective
from heliograph.learn.objectives.items import K
from heliograph.learn.objectives.triples import Triples as TripleObjective
from heliograph.learn.objectives.triples import scored
from heliograph.learn.progress import Lines
from heliograph.learn.scale import Scaling
from heliograph.learn.state import network as network_of
from heliograph.learn.task import Task
from heliograph.model import Inputs
from heliograph.onegraph import answers, labels
from heliograph.onegraph.assemble import Subgraph, Training, architecture, fit_config, vectors_of
from heliograph.onegraph.config import GraphTrainConfig
from heliograph.onegraph.data import OneGraph
from heliograph.onegraph.networks import Network, optimizer
from heliograph.train.result import Baseline

BATCH, ITEM_BATCH = 512, 8192
VECTORS = 200  # width of entities
RANKED = ("mrr", "mean_rank", "hits@1", "hits@3", "hits@10")
LISTED = (f"recall@{K}", f"ndcg@{K}")
LINK = Task("binary", ("link",), classes=(("0", "1"),))


def _parts(config: GraphTrainConfig, graph: OneGraph) -> dict[str, np.ndarray]:
    words = None if config.data.splits_column is None else graph.edge_texts(config.data.splits_column)
    parts = labels.divide(np.ones(len(graph.ends), bool), words, config.split, config.fit.seed)
    if len(parts["train"]) < 2:
        raise DataError(f"{graph.edge_name} has {len(graph.ends)} edges that can be used: too few to learn links from")
    return parts


def _checked(names: tuple[str, ...], known: tuple[str, ...], what: str) -> tuple[str, ...]:
    for name in names:
        if name not in known:
            raise UsageError(f"--metrics {name}: {what} are judged by {', '.join(known)}")
    return tuple(dict.fromkeys([*names, *known]))


def triples(config: GraphTrainConfig, graph: OneGraph, folder: Path | None) -> Training:
    """A knowledge graph: which tail belongs to a head and a relation, and the same backwards."""
    assert graph.relation is not None
    _whole(config, "a knowledge graph")
    parts = _parts(config, graph)
    decoder = "distmult" if config.model.decoder == "auto" else config.model.decoder
    if decoder in ("dot", "mlp"):
        raise UsageError(f"--decoder {decoder} knows no relations; use distmult, complex, transe, rotate or conve")
    given = config.model if config.model.arch != "auto" else config.model.model_copy(update={"arch": "none"})
    config = config.model_copy(update={"model": given})
    arch, args, _ = architecture(config, graph)
    width, why = vectors_of(config, graph, VECTORS)
    R = graph.store.relations
    network = Network(
        arch, args, Inputs(graph.encoders.width, 2 * R), 1, "link", decoder=decoder, directed=True,
        n=int(graph.learned.sum()) if width else 0, vectors=width, relations=2 * R, dropout=config.model.decoder_dropout,
        kinds=_tails(graph),
    )  # fmt: skip
    all_ = np.column_stack([graph.ends[:, 0], graph.relation, graph.ends[:, 1]]).astype(np.int64)
    source = Triples(Subgraph(graph), all_, parts, R, messages=arch != "none")
    known = Known(all_, R)
    names = _checked(config.fit.metrics, RANKED, "triples")
    job = Job(
        source=source, parts=parts, build=network, objective=TripleObjective(known, config.model.cubes),
        fit=fit_config(config, BATCH), score=triple_score, metrics=names, select=names[0], optimizer=optimizer,
        members=config.model.ensemble_size, folder=folder, unit="triples",
    )  # fmt: skip
    strangers = _strangers(all_, parts, graph.N)
    among = "nodes of the type asked for" if graph.begins else f"{graph.N:,} nodes"
    notes = [
        *why,
        f"{R} relations, each with its inverse. Ranks are among all {among}, "
        "both directions; other known answers are left out, ties count by their average.",
        *([f"{strangers:,} nodes of validation and test are in no training triple: they are ranked all the same."] if strangers else []),
    ]

    def simple(progress: Any) -> dict[str, Baseline]:
        found = {"frequency of the tail": _frequent(source, known, parts, network.kinds)}
        if arch != "none":
            found[f"{decoder} alone"] = _alone(
                job, replace(network, arch="none", args={}), Triples(Subgraph(graph), all_, parts, R, messages=False), progress
            )
        return found

    return Training(job, network, graph, LINK, Scaling.none(1), None, notes, simple, TripleScores(source, known, graph))


def _whole(config: GraphTrainConfig, what: str) -> None:
    if config.model.num_neighbors is not None or config.model.sampler not in ("auto", "full"):
        raise UsageError(f"--num-neighbors and --sampler: {what} is trained whole; leave them out")


def triple_score(outputs: Any, rows: np.ndarray) -> Metrics:
    """Figures of ranks, both directions together."""
    return {"mean": scored(outputs)}


def _strangers(all_: np.ndarray, parts: dict[str, np.ndarray], n: int) -> int:
    seen, asked = np.zeros(n, bool), np.zeros(n, bool)
    seen[all_[parts["train"]][:, [0, 2]]] = True
    for part in ("val", "test"):
        asked[all_[parts[part]][:, [0, 2]]] = True
    return int((asked & ~seen).sum())


@dataclass(frozen=True, eq=False)
class TripleScores:
    """Figures of a finished model, from its file, and each triple's ranks as a table."""

    source: Triples
    known: Known
    graph: OneGraph

    def __call__(self, predictor: Any, parts: Mapping[str, np.ndarray], out: Path) -> dict[str, Metrics]:
        ids, names = self.graph.ids.to_pylist(), self.graph.encoders.relations
        scores = {}
        for part in ("val", "test"):
            rows = parts[part]
            if not len(rows):
                continue
            found = self.ranks(predictor.models, rows)
            scores[part] = {"mean": ranking.figures(found.ravel())}
            a, b = self.graph.end_columns
            with answers.table(out / f"{part}_predictions.csv", [a, "relation", b, "rank_of_tail", "rank_of_head"]) as writer:
                for (h, r, t), (tail, head) in zip(self.source.triples[rows].tolist(), found.tolist(), strict=True):
                    writer.writerow([ids[h], names[r], ids[t], f"{tail:g}", f"{head:g}"])
        return scores

    def ranks(self, models: list[Any], rows: np.ndarray) -> np.ndarray:
        """Ranks of tails and heads [n, 2], by the members' mean score."""
        found = []
        for start in range(0, len(rows), BATCH):
            graph = self.source.batch(rows[start : start + BATCH], None)
            assert graph.asked is not None
            with torch.no_grad():
                y = torch.stack([model(graph)["y"] for model in models]).mean(0)
            found.append(ranking.ranks(y, graph.asked[:, 2], self.known(graph.asked)).view(2, -1).T.numpy())
        return np.concatenate(found)


def _tails(graph: OneGraph) -> tuple[int, ...]:
    """The type of the tails of each relation, then of each inverse one; nothing where there is one type only."""
    between = graph.encoders.between
    return (*(b for _, b in between), *(a for a, _ in between))


def _frequent(source: Triples, known: Known, parts: dict[str, np.ndarray], kinds: tuple[int, ...] = ()) -> Baseline:
    """Ranks by how often a node is the tail of the relation in training."""
    import time

    started, n = time.perf_counter(), source.whole.N
    both = source.questions(parts["train"]).numpy()
    key, count = np.unique(both[:, 1] * n + both[:, 2], return_counts=True)
    scores: dict[str, Metrics] = {}
    for part in ("val", "test"):
        ranks = []
        for start in range(0, len(parts[part]), BATCH):
            asked = source.questions(parts[part][start : start + BATCH])
            y = np.zeros((len(asked), n), np.float32)
            first, last = np.searchsorted(key, asked[:, 1].numpy() * n), np.searchsorted(key, asked[:, 1].numpy() * n + n)
            for row, (a, b) in enumerate(zip(first, last, strict=True)):
                y[row, key[a:b] % n] = count[a:b]
            if kinds:
                y[np.asarray(source.whole.nodes["kind"]) != np.array(kinds)[asked[:, 1].numpy()][:, None]] = -np.inf
            ranks.append(ranking.ranks(torch.from_numpy(y), asked[:, 2], known(asked)).numpy())
        if ranks:
            scores[part] = {"mean": ranking.figures(np.concatenate(ranks))}
    return Baseline(scores, time.perf_counter() - started)


def _alone(job: Job, network: Network, source: Any, progress: Any) -> Baseline:
    """The decoder on learned vectors without messages, trained as the network was."""
    import time

    started = time.perf_counter()
    alone = replace(job, source=source, build=network, folder=None, members=1)
    _, members = ensemble.train(alone, Lines(lambda text: None), {})
    model, scores = network_of(alone, members[0]), {}
    for part in ("val", "test"):
        if len(job.parts[part]):
            outputs = infer(model, source, job.parts[part], job.objective, BATCH)
            assert job.score is not None
            scores[part] = job.score(outputs, job.parts[part])
    return Baseline(scores, time.perf_counter() - started)


# ---- users and items ----


def items(config: GraphTrainConfig, graph: OneGraph, folder: Path | None) -> Training:
    """Recommendation: the items that a user will have, from those that all users have had."""
    _whole(config, "a recommender")
    parts = _parts(config, graph)
    if config.model.decoder not in ("auto", "dot"):
        raise UsageError("--bipartite compares states by their product: leave --decoder out")
    given = config.model if config.model.arch != "auto" else config.model.model_copy(update={"arch": "lightgcn"})
    config = config.model_copy(update={"model": given})
    arch, args, _ = architecture(config, graph)
    width, why = vectors_of(config, graph, 64)
    network = Network(
        arch,
        args,
        Inputs(0, graph.store.edge_width),
        1,
        "link",
        decoder="items",
        n=graph.N,
        vectors=width,
        first_side=graph.first_side,
    )
    source = Interactions(Subgraph(graph), graph.ends, parts, graph.first_side, negatives=config.model.num_negatives, seed=config.fit.seed)
    names = _checked(config.fit.metrics, LISTED, "lists of items")
    objective = ItemObjective(source.items, source.M, source.U)
    job = Job(
        source=source, parts=source.rows, build=network, objective=objective, fit=fit_config(config, ITEM_BATCH), score=item_score,
        metrics=names, select=names[0], optimizer=optimizer, members=config.model.ensemble_size, folder=folder, unit="rows",
    )  # fmt: skip
    notes = [
        *why,
        f"{source.U:,} of one side, {graph.N - source.U:,} of the other. Each list has the best {K} that were not had in training (nor in "
        "validation, for the test).",
    ]

    def simple(progress: Any) -> dict[str, Baseline]:
        return {
            "popularity": _judged(lambda users: _popularity(source)[None].repeat(len(users), 0), source, objective),
            "item-item": _judged(_item_item(source), source, objective),
        }

    return Training(job, network, graph, LINK, Scaling.none(1), None, notes, simple, ItemScores(source, objective, graph), parts)


def item_score(outputs: Any, rows: np.ndarray) -> Metrics:
    """Mean recall and NDCG of users."""
    return {"mean": dict(zip(LISTED, (float(outputs["recall"].mean()), float(outputs["ndcg"].mean())), strict=True))}


@dataclass(frozen=True, eq=False)
class ItemScores:
    """Figures of a finished model, and each user's."""

    source: Interactions
    objective: ItemObjective
    graph: OneGraph

    def __call__(self, predictor: Any, parts: Mapping[str, np.ndarray], out: Path) -> dict[str, Metrics]:
        ids, scores = self.graph.ids.to_pylist(), {}

        def mean(users: np.ndarray) -> np.ndarray:
            return np.mean([y.numpy() for y in predictor.of_pairs(self.graph_store(), users)], axis=0)

        for part in ("val", "test"):
            if len(self.source.rows[part]):
                found = _lists(mean, self.source, self.objective, part)
                scores[part] = item_score(found, self.source.rows[part])
                with answers.table(out / f"{part}_predictions.csv", [self.graph.end_columns[0], *LISTED]) as writer:
                    for row, recall, ndcg in zip(self.source.rows[part], found["recall"], found["ndcg"], strict=True):
                        writer.writerow(
                            [
                                ids[(row - self.source.M) % self.source.U],
                                answers.number(float(recall)),
                                answers.number(float(ndcg)),
                            ]
                        )
        return scores

    def graph_store(self) -> Any:
        """The training edges: those of validation and test are not seen."""
        return self.source.store


def _lists(score: Callable[[np.ndarray], np.ndarray], source: Interactions, objective: ItemObjective, part: str) -> dict[str, torch.Tensor]:
    pieces = []
    for start in range(0, len(source.rows[part]), 2048):
        rows = source.rows[part][start : start + 2048]
        y = torch.from_numpy(np.asarray(score((rows - source.M) % source.U), np.float32))
        pieces.append(objective.lists(y, rows))
    return {name: torch.cat([p[name] for p in pieces]) for name in ("recall", "ndcg")}


def _judged(score: Callable[[np.ndarray], np.ndarray], source: Interactions, objective: ItemObjective) -> Baseline:
    import time

    started = time.perf_counter()
    scores = {
        part: item_score(_lists(score, source, objective, part), source.rows[part]) for part in ("val", "test") if len(source.rows[part])
    }
    return Baseline(scores, time.perf_counter() - started)


def _popularity(source: Interactions) -> np.ndarray:
    return np.bincount(source.items["train"][1], minlength=source.N - source.U).astype(np.float32)


def _item_item(source: Interactions) -> Callable[[np.ndarray], np.ndarray]:
    """Items like those that a user has had: cosine similarity of items by their users (Sarwar et al. 2001)."""
    from scipy.sparse import csr_array, diags_array

    start, items = source.items["train"]
    X = csr_array((np.ones(len(items), np.float32), items, start), (source.U, source.N - source.U))
    count = np.asarray(X.sum(0)).ravel()
    Y = (X @ diags_array(np.where(count > 0, count.clip(min=1) ** -0.5, 0.0).astype(np.float32))).tocsr()

    def score(users: np.ndarray) -> np.ndarray:
        return np.asarray(((Y[users] @ Y.T) @ Y).todense())

    return score
