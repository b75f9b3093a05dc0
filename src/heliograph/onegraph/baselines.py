"""What simple models make of the same parts of the same graph, to know whether the network was worth it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.sparse import csr_array, diags_array

from heliograph.data.graph_store import GraphStore
from heliograph.data.sources.one_graph import LARGE, Links
from heliograph.learn import metrics, ranking
from heliograph.learn.figures import Metrics
from heliograph.learn.progress import Progress
from heliograph.learn.task import Task
from heliograph.train.result import Baseline

MOST_ROWS = 50_000  # that a linear model on features learns from
MOST_NETWORK = 20_000  # that the network without messages learns from
STEPS, STEPS_LARGE = 50, 10  # of label propagation; on graphs of more than `LARGE` edges
ALPHA = 0.9  # how much of a node's label comes from its neighbours
Answers = tuple[np.ndarray, np.ndarray | None]  # [N, T], and [N, T, C] of classes


def of_nodes(
    store: GraphStore,
    task: Task,
    y: np.ndarray,
    parts: dict[str, np.ndarray],
    names: tuple[str, ...],
    seed: int,
    progress: Progress,
) -> dict[str, Baseline]:
    """Majority (or mean), linear model on features, label propagation, a network without messages on features."""
    todo: dict[str, Callable[[], Answers]] = {
        "mean" if task.kind == "regression" else "majority": lambda: _constant(task, y, parts["train"]),
        "label propagation": lambda: propagate(store, task, y, parts["train"]),
    }
    if "x" in store.columns:
        x = store.columns["x"]
        linear = "ridge regression" if task.kind == "regression" else "logistic regression"
        todo[f"{linear} on features"] = lambda: _on_features(_linear(task, seed), task, x, y, parts)
        todo["MLP on features"] = lambda: _on_features(_mlp(task, seed), task, x, y, parts, MOST_NETWORK)
        todo["Correct & Smooth"] = lambda: correct_and_smooth(store, task, x, y, parts, seed)
    return _judged(todo, task, y, parts, names, progress)


def _judged(
    todo: dict[str, Callable[[], Answers]],
    task: Task,
    y: np.ndarray,
    parts: dict[str, np.ndarray],
    names: tuple[str, ...],
    progress: Progress,
) -> dict[str, Baseline]:
    found = {}
    for k, (name, answer) in enumerate(todo.items()):
        progress("baselines", k, len(todo), name)
        started = time.perf_counter()
        values, probabilities = answer()
        scores: dict[str, Metrics] = {}
        for part in ("val", "test"):
            rows = parts[part]
            if len(rows):
                p = None if probabilities is None else probabilities[rows]
                scores[part] = metrics.evaluate(task, names, y[rows], values[rows], p)
        found[name] = Baseline(scores, time.perf_counter() - started)
    progress("baselines", len(todo), len(todo))
    return found


def _with_classes(task: Task, p: np.ndarray) -> Answers:
    """Shares [N, T, C] as answers."""
    if task.kind == "multiclass":
        return p.argmax(-1).astype(np.float64), p
    return p[..., 1] if task.kind == "binary" else p[..., 0], None


def _targets(task: Task, y: np.ndarray) -> np.ndarray:
    """Labels [N, T] as what is averaged, [N, T, C]: one-hot classes, or the value itself; zero where there is none."""
    classes = task.n_classes if task.kind == "multiclass" else 2 if task.kind == "binary" else 1
    out = np.zeros((*y.shape, classes))
    there = np.isfinite(y)
    if task.kind == "regression":
        out[there, 0] = y[there]
    else:
        out[(*np.nonzero(there), y[there].astype(int))] = 1.0
    return out


def _constant(task: Task, y: np.ndarray, train: np.ndarray) -> Answers:
    there = np.isfinite(y[train]).sum(0)[:, None].clip(min=1)
    mean = _targets(task, y[train]).sum(0) / there  # [T, C]
    return _with_classes(task, np.repeat(mean[None], len(y), 0))


def propagate(store: GraphStore, task: Task, y: np.ndarray, train: np.ndarray) -> Answers:
    """Label propagation (Zhou et al. 2004): F <- alpha D^-1/2 A D^-1/2 F + (1 - alpha) Y, `STEPS` times, along edges both ways."""
    N, T = y.shape
    S = normalised(store)
    known = np.zeros_like(y, bool)
    known[train] = np.isfinite(y[train])
    start = _targets(task, np.where(known, y, np.nan)).reshape(N, -1).astype(np.float32)
    C = start.shape[1] // T
    mass = np.repeat(known.astype(np.float32), C, axis=1)
    F, M = _spread(S, start, ALPHA), _spread(S, mass, ALPHA)
    middle = start.sum(0) / mass.sum(0).clip(min=1)
    p = ((F + 1e-9 * middle) / (M + 1e-9)).reshape(N, T, C)  # a node that no label reaches gets the mean
    return _with_classes(task, p)


def _spread(S: csr_array, start: np.ndarray, alpha: float) -> np.ndarray:
    """F <- alpha S F + (1 - alpha) F_0, `STEPS` times."""
    F = start
    for _ in range(STEPS if S.nnz <= LARGE else STEPS_LARGE):
        F = alpha * (S @ F) + (1 - alpha) * start
    return F


def normalised(store: GraphStore) -> csr_array:
    """D^-1/2 A D^-1/2 of the graph along edges both ways."""
    A = adjacency(store)
    degree = np.asarray(A.sum(1)).ravel()
    scale = diags_array(np.where(degree > 0, degree.clip(min=1) ** -0.5, 0.0).astype(np.float32))
    return (scale @ A @ scale).tocsr()


def correct_and_smooth(store: GraphStore, task: Task, x: np.ndarray, y: np.ndarray, parts: dict[str, np.ndarray], seed: int) -> Answers:
    """Correct & Smooth (Huang et al. 2021, arXiv:2010.13993) of a linear model.

    Its errors on training nodes spread along edges and are taken off (sec. 2.2, scaled to their mean size there); then its answers spread,
    training nodes at their labels (sec. 2.3). Numbers are corrected only.
    """
    everyone = {"train": parts["train"], "val": np.arange(len(y)), "test": np.arange(0)}
    values, p = _on_features(_linear(task, seed), task, x, y, everyone)
    Z = p if p is not None else np.stack([1 - values, values], -1) if task.kind == "binary" else values[..., None]  # [N, T, C]
    known = np.zeros_like(y, bool)
    known[parts["train"]] = np.isfinite(y[parts["train"]])
    Z, Y, S = np.nan_to_num(Z), _targets(task, np.where(known, y, np.nan)), normalised(store)
    flat = lambda a: a.reshape(len(y), -1)  # noqa: E731
    error = np.where(known[..., None], Y - Z, 0.0)
    spread = _spread(S, flat(error), 0.8).reshape(Z.shape)
    size = np.abs(error).sum(-1).sum(0) / known.sum(0).clip(min=1)  # [T], of a training node
    own = np.abs(spread).sum(-1)
    scale = np.where(own > size / 1000, size / own.clip(min=1e-12), 0.0)
    corrected = Z + (scale[..., None] * spread if task.kind != "regression" else spread)
    if task.kind == "regression":
        return _with_classes(task, corrected)
    G = np.where(known[..., None], Y, corrected)
    smooth = np.clip(_spread(S, flat(G), 0.8).reshape(Z.shape), 1e-9, None)
    return _with_classes(task, smooth / smooth.sum(-1, keepdims=True))


def adjacency(store: GraphStore) -> csr_array:
    """Who is a neighbour of whom, whatever the direction, as ones, float32 [N, N]."""
    indptr, indices = np.asarray(store.columns["indptr"]), np.asarray(store.columns["indices"])
    A = csr_array((np.ones(len(indices), np.float32), indices, indptr), (store.N, store.N))
    if store.directed:
        A = A + A.T
    A = A.tocsr()
    A.sum_duplicates()
    A.data[:] = 1.0
    return A


def _linear(task: Task, seed: int) -> Callable[[], Any]:
    from sklearn.linear_model import LogisticRegression, Ridge

    return (lambda: Ridge()) if task.kind == "regression" else (lambda: LogisticRegression(max_iter=300))


def _mlp(task: Task, seed: int) -> Callable[[], Any]:
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    kind = MLPRegressor if task.kind == "regression" else MLPClassifier
    return lambda: kind(hidden_layer_sizes=(64,), early_stopping=False, max_iter=100, random_state=seed, alpha=1e-3)


def _on_features(
    make: Callable[[], Any], task: Task, x: np.ndarray, y: np.ndarray, parts: dict[str, np.ndarray], most: int = MOST_ROWS
) -> Answers:
    """One model a target, learned on training rows (`most` of them, spread evenly), asked for validation and test rows."""
    import warnings

    read = lambda rows: np.asarray(x[rows], np.float32)  # noqa: E731  # of what may be mapped
    train = parts["train"][:: -(-len(parts["train"]) // most) or 1]
    asked = np.unique(np.concatenate([parts["val"], parts["test"]]))
    classes = task.n_classes if task.kind == "multiclass" else 2 if task.kind == "binary" else 1
    out = np.full((*y.shape, classes), np.nan)
    for t in range(y.shape[1]):
        rows = train[np.isfinite(y[train, t])]
        if not len(rows) or not len(asked):
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the iterations that it would like
            if task.kind == "regression":
                out[asked, t, 0] = make().fit(read(rows), y[rows, t]).predict(read(asked))
            elif len(np.unique(y[rows, t])) < 2:
                out[asked, t] = np.eye(classes)[int(y[rows[0], t])]
            else:
                model = make().fit(read(rows), y[rows, t].astype(int))
                p = np.zeros((len(asked), classes))
                p[:, model.classes_] = model.predict_proba(read(asked))
                out[asked, t] = p
    return _with_classes(task, out)


# ---- links ----


def of_links(source: Links, parts: dict[str, np.ndarray], score: Callable[[np.ndarray, np.ndarray], Metrics]) -> dict[str, Baseline]:
    """Common neighbours, Adamic-Adar, resource allocation, preferential attachment: on the graph that the network sees, and no more."""
    found: dict[str, dict[str, Metrics]] = {}
    seconds: dict[str, float] = {}
    for part in ("val", "test"):
        rows = parts[part]
        if not len(rows):
            continue
        A = adjacency(source.stores[part])
        pairs = np.concatenate([source.ends[rows], source.fixed_negatives(rows, part)])
        for name, values in _heuristics(A, pairs, bool(source.first_side)).items():
            started = time.perf_counter()
            y = values()
            found.setdefault(name, {})[part] = score(y[: len(rows)], y[len(rows) :].reshape(len(rows), -1))
            seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - started
    return {name: Baseline(scores, seconds[name]) for name, scores in found.items()}


def _heuristics(A: csr_array, pairs: np.ndarray, bipartite: bool) -> dict[str, Callable[[], np.ndarray]]:
    degree = np.asarray(A.sum(1)).ravel()
    by_degree = lambda: degree[pairs[:, 0]] * degree[pairs[:, 1]]  # noqa: E731
    if bipartite:  # the two ends of a pair share no neighbour; paths of three steps do the same there
        return {"preferential attachment": by_degree, "paths of three steps": lambda: three_steps(A, pairs)}
    with np.errstate(divide="ignore"):
        adamic = np.where(degree > 1, 1.0 / np.log(degree.clip(min=2)), 0.0)
    allocation = np.where(degree > 0, 1.0 / degree.clip(min=1), 0.0)
    return {
        "preferential attachment": by_degree,
        "common neighbours": lambda: common(A, pairs, np.ones(len(degree))),
        "Adamic-Adar": lambda: common(A, pairs, adamic),
        "resource allocation": lambda: common(A, pairs, allocation),
    }


def common(A: csr_array, pairs: np.ndarray, weight: np.ndarray, chunk: int = 20_000) -> np.ndarray:
    """sum over common neighbours w of weight[w], for each pair [Q, 2] (weight 1: how many; 1 / log degree: Adamic & Adar 2003)."""
    W = (A @ diags_array(weight)).tocsr()
    found = [W[part[:, 0]].multiply(A[part[:, 1]]).sum(1) for part in _pieces(pairs, chunk)]
    return np.concatenate([np.zeros(0), *(np.asarray(f).ravel() for f in found)])


def three_steps(A: csr_array, pairs: np.ndarray, chunk: int = 2_000) -> np.ndarray:
    """Walks of three steps between the ends of each pair, each divided by the root of its inner degrees (Zhou et al. 2018's L3)."""
    degree = np.asarray(A.sum(1)).ravel()
    scale = diags_array(np.where(degree > 0, degree.clip(min=1) ** -0.5, 0.0))
    B = (A @ scale).tocsr()
    found = []
    for part in _pieces(pairs, chunk):
        two = B[part[:, 0]] @ A  # walks of two steps from one end
        found.append(np.asarray((two @ scale).tocsr().multiply(A[part[:, 1]]).sum(1)).ravel())
    return np.concatenate([np.zeros(0), *found])


def _pieces(pairs: np.ndarray, chunk: int) -> list[np.ndarray]:
    return [pairs[k : k + chunk] for k in range(0, len(pairs), chunk)]


def link_figures(y: np.ndarray, negatives: np.ndarray) -> Metrics:
    """Figures of links [n] against their pairs without one [n, k]: areas under the curves over all of them, ranks among a link's own."""
    truth = np.concatenate([np.ones(len(y)), np.zeros(negatives.size)])
    scores = np.concatenate([y, negatives.ravel()])
    figures = {"roc_auc": metrics.roc_auc(truth, scores), "pr_auc": metrics.pr_auc(truth, scores)}
    if negatives.shape[1] > 1:
        figures |= {k: v for k, v in ranking.figures(ranking.among_negatives(y, negatives)).items() if k != "mean_rank"}
    return {"mean": figures}


# ---- labels of edges ----


def of_edges(
    graph: Any,
    task: Task,
    y: np.ndarray,
    parts: dict[str, np.ndarray],
    names: tuple[str, ...],
    seed: int,
    progress: Progress,
) -> dict[str, Baseline]:
    """Majority (or mean), and a linear model on the features of an edge and of its two ends."""
    store = graph.store
    pieces = []
    if "x" in store.columns:
        x = np.asarray(store.columns["x"], np.float32)
        a, b = x[graph.ends[:, 0]], x[graph.ends[:, 1]]
        pieces += [a, b] if store.directed else [a + b, np.abs(a - b)]
    if "edge_attr" in store.columns:
        pieces.append(np.asarray(store.columns["edge_attr"], np.float32))
    todo: dict[str, Callable[[], Answers]] = {
        "mean" if task.kind == "regression" else "majority": lambda: _constant(task, y, parts["train"])
    }
    if pieces:
        linear = "ridge regression" if task.kind == "regression" else "logistic regression"
        todo[f"{linear} on both ends"] = lambda: _on_features(_linear(task, seed), task, np.concatenate(pieces, 1), y, parts)
    return _judged(todo, task, y, parts, names, progress)


def of_directions(
    graph: Any, task: Task, y: np.ndarray, parts: dict[str, np.ndarray], names: tuple[str, ...], seed: int, progress: Progress
) -> dict[str, Baseline]:
    """Majority; a linear model on the difference of the ends' degrees, and of their features: turned, an edge gets the other answer."""
    store, (a, b) = graph.store, graph.ends.T
    log = np.log1p(store.degree.astype(float))
    todo: dict[str, Callable[[], Answers]] = {
        "majority": lambda: _constant(task, y, parts["train"]),
        "degrees of both ends": lambda: _on_features(_linear(task, seed), task, (log[a] - log[b])[:, None], y, parts),
    }
    if "x" in store.columns:
        x = np.asarray(store.columns["x"], np.float32)
        todo["logistic regression on both ends"] = lambda: _on_features(_linear(task, seed), task, x[a] - x[b], y, parts)
    return _judged(todo, task, y, parts, names, progress)
