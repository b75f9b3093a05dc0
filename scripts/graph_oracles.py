"""Write tests/oracles/graphs.json: ranks by PyKEEN and curvatures by GraphRicciCurvature.

They bring many packages along, so they run in an environment of their own, once:

    python -m venv graphs && graphs/bin/pip install pykeen==1.11.1 GraphRicciCurvature==0.5.3.2
    graphs/bin/python scripts/graph_oracles.py [FILE]
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import networkx
import torch

OUT = Path(__file__).parents[1] / "tests" / "oracles" / "graphs.json"
GRAPHS = {
    "petersen": networkx.petersen_graph(),
    "barbell": networkx.barbell_graph(4, 1),
    "small world": networkx.connected_watts_strogatz_graph(14, 4, 0.4, seed=3),
    "random": networkx.connected_watts_strogatz_graph(12, 6, 0.8, seed=5),
    "tree": networkx.balanced_tree(2, 3),
}


def ranked() -> dict[str, Any]:
    """Realistic ranks of answers among scores with ties, other known answers left out; their mean figures."""
    from pykeen.evaluation import RankBasedEvaluator
    from pykeen.evaluation.ranks import Ranks

    torch.manual_seed(0)
    scores = (torch.randn(40, 25) * 2).round() / 2
    scores[0] = 0.0
    answers = torch.randint(25, (40,))
    known = torch.rand(40, 25) < 0.15
    known[torch.arange(40), answers] = False
    seen = scores.masked_fill(known, torch.nan)
    right = scores.gather(1, answers[:, None])
    evaluator = RankBasedEvaluator(filtered=True)
    evaluator.process_scores_(torch.zeros(40, 3, dtype=torch.long), "tail", seen, right)
    figures = evaluator.finalize()
    names = {"mrr": "inverse_harmonic_mean_rank", **{f"hits@{k}": f"hits_at_{k}" for k in (1, 3, 10)}}
    return {
        "scores": scores.tolist(), "answers": answers.tolist(), "known": known.nonzero().tolist(),
        "ranks": Ranks.from_scores(right, seen).realistic.tolist(),
        "figures": {ours: float(figures.get_metric(f"tail.realistic.{theirs}")) for ours, theirs in names.items()},
    }  # fmt: skip


def curved(graph: networkx.Graph) -> dict[str, Any]:
    """Edges, and their curvature by Ollivier (all mass on the neighbours, exact transport) and Forman (triangles counted)."""
    from GraphRicciCurvature.FormanRicci import FormanRicci
    from GraphRicciCurvature.OllivierRicci import OllivierRicci

    edges = sorted(sorted(e) for e in graph.edges)
    ollivier = OllivierRicci(networkx.Graph(edges), alpha=0.0, method="OTD", proc=1, verbose="ERROR")
    ollivier.compute_ricci_curvature()
    forman = FormanRicci(networkx.Graph(edges), method="augmented", verbose="ERROR")
    forman.compute_ricci_curvature()
    return {
        "edges": edges,
        "ollivier": [ollivier.G[a][b]["ricciCurvature"] for a, b in edges],
        "forman": [forman.G[a][b]["formanCurvature"] for a, b in edges],
    }


def main() -> None:
    made = {
        "versions": {name: version(name) for name in ("pykeen", "GraphRicciCurvature")},
        "ranking": ranked(),
        "curvature": {name: curved(networkx.convert_node_labels_to_integers(g)) for name, g in GRAPHS.items()},
    }
    (Path(sys.argv[1]) if len(sys.argv) > 1 else OUT).write_text(json.dumps(made), encoding="utf-8")


if __name__ == "__main__":
    main()
