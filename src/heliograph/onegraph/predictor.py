"""A network trained on one graph, with all that it needs to answer for that graph, or another with such tables, on any machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from heliograph import zoo
from heliograph.data.graph_store import GraphStore, packed, unpacked
from heliograph.data.sources.one_graph import LARGE
from heliograph.errors import DataError, ModelFileError, UsageError
from heliograph.graph import Graph, dense
from heliograph.learn.scale import Scaling
from heliograph.learn.state import tensors_of
from heliograph.learn.task import Task
from heliograph.model import MPNN, Inputs
from heliograph.onegraph.data import Encoders, OneGraph
from heliograph.onegraph.networks import Network
from heliograph.predictor import guard, kinds, modelfile
from heliograph.predictor.modelfile import Document
from heliograph.sampling.exact import exact_nodes, exact_states

KIND = "graph"


@final
class GraphPredictor:
    """`models`: the members of an ensemble; `network` makes one. `ids`: nodes that have a learned vector, in the order of the table.

    `task`, `scaling`: of nodes and edges; `document`: all that the model file says.
    """

    def __init__(self, models: Sequence[MPNN], network: Network, encoders: Encoders, task: Task, scaling: Scaling, document: Document,
                 ids: pa.Array | None):  # fmt: skip
        self.models, self.network, self.encoders = [model.eval() for model in models], network, encoders
        self.task, self.scaling, self.document, self.ids = task, scaling, document, ids

    @property
    def level(self) -> str:
        """What it answers for: "node", "edge" or "link"."""
        return self.network.level

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one safetensors file."""
        members = [tensors_of(model) for model in self.models]
        if self.ids is not None:
            members[0] = members[0] | {name: torch.from_numpy(np.array(column)) for name, column in packed(self.ids).items()}
        modelfile.write(path, self.document, members)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> GraphPredictor:
        """Read a model file or a run folder. Raises ModelFileError where it is none, or one of something else."""
        file = Path(path)
        file = file / "model.safetensors" if file.is_dir() else file
        document, members = modelfile.read(file)
        about = document.parts
        kinds.expect(document.kind, KIND, file)
        if document.arch_composition is None and document.arch not in (*zoo.names(), "none"):  # never a file that the model file names
            known = ", ".join(zoo.names())
            raise ModelFileError(f"{file} is of the architecture {str(document.arch)[:60]!r}, which this version has not: it has {known}")
        try:
            guard.weights(members)
            ids = None
            if "ids_text" in members[0]:
                ids = unpacked(members[0].pop("ids_text").numpy(), members[0].pop("ids_ends").numpy())
            tensors = [tensor for member in members for tensor in member.values()]
            sizes = [document.arch_args, document.arch_composition, document.inputs, about["network"]]
            guard.sizes(sizes, tensors)
            network = Network(
                **about["network"]
                | {"inputs": Inputs(**document.inputs), "arch": document.arch_composition or document.arch, "args": document.arch_args}
            )
            models = []
            for member in members:
                with guard.within(member.values()):
                    models.append(network())
                modelfile.fill(models[-1], member, file)
            encoders, y = Encoders.from_dict(about["encoders"]), document.outputs["y"]
            task, scaling = Task.from_dict(y["task"]), Scaling.from_dict(y["scaling"])
            return cls(models, network, encoders, task, scaling, document, ids)
        except ModelFileError:
            raise
        except Exception as error:
            why, by = f"{type(error).__name__}: {error}"[:300], str(document.versions)[:200]
            raise ModelFileError(f"{file} can't be used by this version ({why}); it was written with {by}") from error

    # ---- answers ----

    def placed(self, graph: OneGraph) -> tuple[GraphStore, np.ndarray]:
        """The graph's store with the numbers of the nodes that the model has learned vectors of, and which nodes are unknown [N] bool."""
        store = graph.store
        if self.ids is None:
            return store, np.zeros(store.N, bool)
        known = np.asarray(pc.fill_null(pc.index_in(graph.names, value_set=self.ids), -1)).astype(np.int64)
        if (known[graph.learned] < 0).all():
            raise DataError("none of these nodes is one that the model learned: it has a learned vector for each node of its own graph")
        return store.with_columns(known=known), (known < 0) & graph.learned

    def nodes(self, graph: OneGraph) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None, dict[int, str]]:
        """Answers for all nodes: values [N, T], probabilities [N, T, C] of classes, the members' spread [N, T].

        The last one is node -> the reason why there is no answer.
        """
        store, unknown = self.placed(graph)
        answers = self.combine([self._of_nodes(model, store) for model in self.models])
        reasons = {int(k): "the model has not seen this node, and has no features to know it by" for k in np.flatnonzero(unknown)}
        answers[0][unknown] = np.nan
        return *answers, reasons

    def states(self, graph: OneGraph, member: int = 0) -> np.ndarray:
        """Return one network's last states of all nodes, [N, d] float32. Raises UsageError where it keeps none of nodes."""
        model, (store, _) = self.models[member], self.placed(graph)
        with torch.no_grad():
            made = exact_states(model, store) if store.E > LARGE else model.states(store.graph()).nodes
        if "h" not in made:
            raise UsageError(f"the architecture {self.document.arch} keeps no states of nodes to be read")
        return dense(made["h"]).float().numpy()

    def _of_nodes(self, model: MPNN, store: GraphStore) -> Tensor:
        if store.E > LARGE:
            return exact_nodes(model, store, np.arange(store.N))
        with torch.no_grad():
            return model(store.graph())["y"].cpu()

    def of_pairs(self, store: GraphStore, pairs: np.ndarray) -> list[Tensor]:
        """Each member's answers for pairs of nodes [Q, 2], [Q] or [Q, out]."""
        asked, found = torch.from_numpy(np.asarray(pairs, np.int64)), []
        for model in self.models:
            with torch.no_grad():
                if store.E > LARGE:
                    states = exact_states(model, store)
                    whole = Graph(store_topology(store), dict(states), store.edge_features(np.zeros(0, np.int64)))
                else:
                    whole = store.graph()
                    found.append(model(whole.with_asked(asked))["y"].cpu())
                    continue
                found.append(model.readout(whole.with_asked(asked))["y"].cpu())
        return found

    def links(self, graph: OneGraph, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Probability that each pair [Q, 2] of nodes is linked, where links and others are as many, and the members' spread, two [Q]."""
        store, _ = self.placed(graph)
        p = np.stack([y.sigmoid().double().numpy() for y in self.of_pairs(store, pairs)])
        return p.mean(0), p.std(0)

    def against_all(self, graph: OneGraph, offset: int, n: int) -> Callable[[np.ndarray], np.ndarray]:
        """A function from nodes [Q] to their scores with the n nodes after `offset`, [Q, n]: states are computed once."""
        store, _ = self.placed(graph)
        wholes = []
        for model in self.models:
            with torch.no_grad():
                states = exact_states(model, store) if store.E > LARGE else dict(model.states(store.graph()).nodes)
            wholes.append(Graph(store_topology(store), dict(states), store.edge_features(np.zeros(0, np.int64))))

        def scores(nodes: np.ndarray) -> np.ndarray:
            total = np.zeros((len(nodes), n))
            for model, whole in zip(self.models, wholes, strict=True):
                if self.network.decoder == "items":
                    with torch.no_grad():
                        total += model.readout(whole.with_asked(torch.from_numpy(nodes)))["y"].double().numpy()
                    continue
                for row, node in enumerate(nodes):
                    asked = torch.stack([torch.full((n,), int(node)), torch.arange(offset, offset + n)], 1)
                    with torch.no_grad():
                        total[row] += model.readout(whole.with_asked(asked))["y"].double().numpy()
            return total / len(self.models)

        return scores

    def combine(self, outputs: Sequence[Tensor]) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        """Members' outputs [n, out] as the ensemble's answers [n, T], probabilities and spread."""
        values, shares = [], []
        for y in outputs:
            value, p = self.task.answers(y)
            values.append(self.scaling.unscale(value, None) if self.task.kind == "regression" else value)
            if p is not None:
                shares.append(p)
        std = np.std(values, axis=0) if len(values) > 1 else None
        if shares:
            p = np.mean(shares, axis=0)
            return p.argmax(-1).astype(np.float64), p, None if std is None else np.std(shares, axis=0).max(-1)
        return np.mean(values, axis=0), None, std


def store_topology(store: GraphStore) -> Any:
    """The nodes without edges, for readouts that look at no edge."""
    from heliograph.topology import Topology

    none = torch.zeros(0, dtype=torch.long)
    return Topology(none, none, torch.tensor([store.N]), torch.tensor([0]), N=store.N)


def document_of(network: Network, encoders: Encoders, task: Task, scaling: Scaling, members: Sequence[Mapping[str, Any]]) -> Document:
    """What the model file says beside the weights."""
    from heliograph.train.assemble import versions

    plain = {k: v for k, v in asdict(replace(network, args={})).items() if k not in ("arch", "args", "inputs")}
    level: str = "pair" if network.level == "link" else network.level
    return Document(
        kind=KIND,
        arch=network.name,
        arch_composition=None if isinstance(network.arch, str) else dict(network.arch),
        arch_args=dict(network.args),
        inputs=asdict(network.inputs),
        outputs={"y": {"level": level, "task": task.to_dict(), "scaling": scaling.to_dict()}},
        parts={"encoders": encoders.to_dict(), "network": plain},
        members=[dict(m) for m in members],
        versions=versions(),
    )
